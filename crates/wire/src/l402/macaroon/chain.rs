//! The chain of hashes that signs a macaroon, as libmacaroons and go-macaroon compute it.
//!
//! The published text leaves out the derivation of the first key; what follows it is refused by
//! every library. Only `mod.rs` calls this.

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Caveat;

type HmacSha256 = Hmac<Sha256>;

/// The key under which every library hashes the root key first.
const KEY_GENERATOR: &[u8] = b"macaroons-key-generator";
/// Parts this use of a master key from every other.
const ROOT_KEY_LABEL: &[u8] = b"farebox l402 root key v0";

/// The root key of one token: nothing need be stored for a token that was never paid.
#[must_use]
pub fn derive_root_key(master_key: &[u8; 32], identifier: &[u8]) -> [u8; 32] {
    // The label has a fixed length, so no two pairs of label and identifier are one text.
    finished(
        keyed(master_key)
            .chain_update(ROOT_KEY_LABEL)
            .chain_update(identifier),
    )
}

/// The signature over the identifier and all caveats.
pub(super) fn signature(root_key: &[u8], identifier: &[u8], caveats: &[Caveat]) -> [u8; 32] {
    finished(last_link(root_key, identifier, caveats))
}

/// The signature after one more caveat.
pub(super) fn next(signature: &[u8; 32], caveat: &Caveat) -> [u8; 32] {
    finished(link(signature, caveat))
}

/// Whether the signature is the one of this key; takes as long whatever differs.
pub(super) fn is_signed(
    root_key: &[u8],
    identifier: &[u8],
    caveats: &[Caveat],
    signature: &[u8; 32],
) -> bool {
    last_link(root_key, identifier, caveats)
        .verify(signature.into())
        .is_ok()
}

fn last_link(root_key: &[u8], identifier: &[u8], caveats: &[Caveat]) -> HmacSha256 {
    let key = hash(KEY_GENERATOR, root_key);
    let mut last = keyed(&key).chain_update(identifier);
    for caveat in caveats {
        last = link(&finished(last), caveat);
    }
    last
}

fn link(signature: &[u8; 32], caveat: &Caveat) -> HmacSha256 {
    match &caveat.third_party {
        None => keyed(signature).chain_update(&caveat.id),
        Some(party) => keyed(signature)
            .chain_update(hash(signature, &party.verification_id))
            .chain_update(hash(signature, &caveat.id)),
    }
}

fn hash(key: &[u8], message: &[u8]) -> [u8; 32] {
    finished(keyed(key).chain_update(message))
}

/// No key here is longer than the 64 bytes of a block, so padding with zeros is all that there is
/// to do.
fn keyed(key: &[u8]) -> HmacSha256 {
    let mut block = Key::<HmacSha256>::default();
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    HmacSha256::new(&block)
}

fn finished(mac: HmacSha256) -> [u8; 32] {
    mac.finalize().into_bytes().into()
}
