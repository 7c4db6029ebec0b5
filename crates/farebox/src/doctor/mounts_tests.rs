//! Lines as Linux writes them, and lines as nobody writes them.

use std::path::Path;

use super::{is_network, kind_of};

const TABLE: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /proc rw,nosuid - proc proc rw
30 22 0:40 / /srv rw,relatime shared:9 master:2 - nfs4 host:/srv rw,vers=4.2
31 30 8:2 / /srv/local rw - xfs /dev/vdb rw
32 22 0:41 / /mnt/with\\040blank rw - cifs //host/share rw
33 22 0:42 / /data rw - ext4 /dev/vdc rw
34 22 0:43 / /data rw - fuse.sshfs me@host: rw
";

#[test]
fn the_deepest_mount_decides_and_the_later_of_two() {
    for (place, kind) in [
        ("/", "ext4"),
        ("/var/lib/farebox/farebox.db", "ext4"),
        ("/srv/farebox.db", "nfs4"),
        ("/srv2/farebox.db", "ext4"),
        ("/srv/local/farebox.db", "xfs"),
        ("/mnt/with blank/farebox.db", "cifs"),
        ("/data/me/farebox.db", "fuse.sshfs"),
    ] {
        assert_eq!(
            kind_of(TABLE, Path::new(place)).as_deref(),
            Some(kind),
            "{place}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_passed_over() {
    let damaged = "\n - \n1 2 3\n1 2 3 4 /srv\\9 rw - nfs x rw\n1 2 3 4 /srv\\04 rw - nfs x rw\n1 2 3 4 / rw -  x\n";
    assert_eq!(kind_of(damaged, Path::new("/srv/a")), None);
    let all = format!("{damaged}{TABLE}");
    assert_eq!(kind_of(&all, Path::new("/srv/a")).as_deref(), Some("nfs4"));
}

#[test]
fn disks_of_other_machines_are_known_by_their_kind() {
    for kind in [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "fuse",
        "fuse.sshfs",
        "fuse.s3fs",
        "ceph",
    ] {
        assert!(is_network(kind), "{kind}");
    }
    for kind in [
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "tmpfs",
        "overlay",
        "fuseblk",
        "fuse.ntfs-3g",
    ] {
        assert!(!is_network(kind), "{kind}");
    }
}
