//! What is stored beside a payment so that the token can be asked about it after a crash
//! (ARCHITECTURE law 4): the authorization itself, and on the seller's side its signature.

use std::sync::Arc;

use farebox_core::rail::{Handle, RailError};
use farebox_wire::caip::ChainId;
use farebox_wire::evm::EvmAddress;
use farebox_wire::identity::Identity;
use farebox_wire::x402::exact_evm::{Eip3009Authorization, HexBytes};
use serde::{Deserialize, Serialize};

use crate::key::EvmSignature;

/// The content of a [`Handle`]. No `Debug`: with its signature it is a credential.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct EvmHandle {
    pub(crate) chain: ChainId,
    pub(crate) token: EvmAddress,
    pub(crate) transfer: Eip3009Authorization,
    /// Unix seconds at which it was first seen: no block before it can have used it.
    pub(crate) seen_s: u64,
    /// Present where we settle; the buyer's own credential is stored elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<HexBytes>,
    /// Whether the signature is not the ordinary account's, so that only the chain can judge it.
    /// It then stands here as it came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) asks_chain: bool,
}

impl EvmHandle {
    pub(crate) fn read(handle: &Handle) -> Result<Arc<Self>, RailError> {
        handle.read()
    }

    pub(crate) fn write(self: &Arc<Self>) -> Result<Handle, RailError> {
        Handle::write(self)
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::eip3009(
            &self.chain,
            self.token,
            self.transfer.from,
            self.transfer.nonce,
        )
    }

    /// The ordinary account's signature; `None` where only a wallet could accept what is here.
    pub(crate) fn signature(&self) -> Option<EvmSignature> {
        self.signature
            .as_ref()
            .filter(|_| !self.asks_chain)
            .and_then(|bytes| EvmSignature::read(&bytes.0).ok())
    }
}
