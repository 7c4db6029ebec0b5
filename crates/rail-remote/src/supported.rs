//! What a facilitator says that it can do, and whether an offer of ours is among it.

use farebox_wire::caip::ChainId;
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402;
use farebox_wire::x402::header;
use farebox_wire::x402::types::{PaymentRequirements, SupportedKind, SupportedResponse};

/// Kinds of one facilitator that are read: every network with every scheme, twice over.
pub(crate) const KINDS_MAX: usize = 1_000;
/// Addresses of one facilitator that are read: some share the load among dozens.
pub(crate) const SIGNERS_MAX: usize = 1_000;
/// The key of `extra` under which a kind and an offer say who pays the fee.
pub(crate) const FEE_PAYER: &str = "feePayer";

/// What one facilitator has said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supported {
    pub(crate) kinds: Vec<SupportedKind>,
    /// Pattern of networks (`solana:*`), and an address that it sends from there.
    signers: Vec<(String, String)>,
}

/// Reads the answer to `/supported`. Kinds that are unreadable, or of a scheme that is unknown
/// here, do not hide the others.
pub(crate) fn read(body: &[u8]) -> Result<Supported, serde_json::Error> {
    let supported: SupportedResponse = header::from_json(body)?;
    let kinds = supported.kinds.iter().take(KINDS_MAX);
    let signers = supported.signers.into_iter();
    let signers = signers.flat_map(|(pattern, addresses)| {
        let addresses = addresses.into_iter();
        addresses.map(move |address| (pattern.clone(), address))
    });
    Ok(Supported {
        kinds: kinds
            .filter_map(|kind| header::from_value(kind).ok())
            .collect(),
        signers: signers.take(SIGNERS_MAX).collect(),
    })
}

impl Supported {
    /// What it says of a scheme and network.
    pub(crate) fn kind_of(&self, scheme: &str, network: &str) -> Option<&SupportedKind> {
        self.kinds.iter().find(|kind| covers(kind, scheme, network))
    }

    /// Whether it can settle an offer.
    pub(crate) fn fits(&self, offer: &PaymentRequirements) -> bool {
        let mut kinds = self.kinds.iter();
        kinds.any(|kind| self.kind_fits(kind, offer))
    }

    /// Whether a kind covers an offer: what the facilitator asks for in `extra` must stand in the
    /// offer, or its settlement would not fit what the buyer has signed. Whoever has several fee
    /// payers names now this one, now that one, and signs as each.
    pub(crate) fn kind_fits(&self, kind: &SupportedKind, offer: &PaymentRequirements) -> bool {
        covers(kind, &offer.scheme, offer.network.as_str())
            && kind.extra.iter().flatten().all(|(key, value)| {
                let ours = offer.extra.as_ref().and_then(|extra| extra.get(key));
                value.is_null()
                    || ours == Some(value)
                    || (ours.is_none() && is_default(key, value))
                    || (key == FEE_PAYER
                        && ours.is_some_and(|ours| self.sends_from(&offer.network, ours.as_str())))
            })
    }

    /// Goes on naming the fee payers that were named before, as long as they are the
    /// facilitator's: offers that change without need are work for everybody.
    pub(crate) fn keep_naming(&mut self, before: &Self) {
        let mut kept = Vec::new();
        for (place, kind) in self.kinds.iter().enumerate() {
            let Ok(network) = kind.network.parse::<ChainId>() else {
                continue;
            };
            let named = before.kind_of(&kind.scheme, &kind.network);
            let named = named.and_then(fee_payer).map(|named| named.to_string());
            if fee_payer(kind).is_some() && self.sends_from(&network, named.as_deref()) {
                kept.extend(named.map(|named| (place, named)));
            }
        }
        for (place, named) in kept {
            if let Some(extra) = self.kinds.get_mut(place).and_then(|k| k.extra.as_mut()) {
                extra.insert(FEE_PAYER.to_owned(), named.into());
            }
        }
    }

    fn sends_from(&self, network: &ChainId, address: Option<&str>) -> bool {
        let of_family = format!("{}:*", network.namespace());
        address.is_some_and(|address| {
            self.signers.iter().any(|(pattern, signer)| {
                signer == address && (*pattern == of_family || *pattern == network.as_str())
            })
        })
    }
}

/// Whether a kind covers a version, scheme and network.
pub(crate) fn covers(kind: &SupportedKind, scheme: &str, network: &str) -> bool {
    kind.x402_version == x402::VERSION && kind.scheme == scheme && kind.network == network
}

/// Who pays the fee by a kind's own words, where that is an account of Solana.
pub(crate) fn fee_payer(kind: &SupportedKind) -> Option<SvmAddress> {
    let named = kind.extra.as_ref()?.get(FEE_PAYER)?.as_str()?;
    named
        .parse()
        .ok()
        .filter(|named| *named != SvmAddress::ZERO)
}

/// What an offer means without saying it.
fn is_default(key: &str, value: &serde_json::Value) -> bool {
    key == "assetTransferMethod" && value == "eip3009"
}

#[cfg(test)]
#[path = "supported_tests.rs"]
mod tests;
