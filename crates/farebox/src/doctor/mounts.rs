//! Reads `/proc/self/mountinfo`: on which kind of file system a path lies (proc(5)).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Kinds whose files are on another machine, by name.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "glusterfs",
    "gfs2",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "virtiofs",
];
/// Kinds of the user space that keep their files on this machine.
const LOCAL_FUSE: &[&str] = &["fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.ntfs-3g"];

/// The kind of the file system that `place`, an absolute path without links, lies on. Lines that
/// cannot be read are passed over.
pub(super) fn kind_of(table: &str, place: &Path) -> Option<String> {
    let mounts = table.lines().filter_map(mount);
    // Of two at one place the later hides the earlier.
    mounts
        .filter(|(point, _)| place.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind.to_owned())
}

/// Whether files of this kind are, or may be, on another machine.
pub(super) fn is_network(kind: &str) -> bool {
    let is_fuse = kind == "fuse" || kind.starts_with("fuse.");
    NETWORK.contains(&kind) || (is_fuse && !LOCAL_FUSE.contains(&kind))
}

/// `36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw`: point and kind.
fn mount(line: &str) -> Option<(PathBuf, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let kind = after.split(' ').next().filter(|kind| !kind.is_empty())?;
    Some((unescaped(point)?, kind))
}

/// Blanks, tabs, line breaks and backslashes stand there as three octal digits.
fn unescaped(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..3)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 8).ok()?);
        rest = rest.get(3..)?;
    }
    Some(PathBuf::from(os_string(bytes)?))
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
