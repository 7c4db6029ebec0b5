//! The contract that carries many payments: our own settler where it is deployed, else Multicall3,
//! else none. Looked for once per chain.

use farebox_wire::evm::EvmAddress;
use tokio::sync::OnceCell;

use crate::contracts::{self, MULTICALL3};
use crate::rpc::{Call, Data, Rpc, RpcError, decode};

/// How payments are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contract {
    /// Our own: each payment has a gas limit of its own.
    Settler(EvmAddress),
    /// No limit of its own, but failures are allowed.
    Multicall(EvmAddress),
    /// The token itself, for one payment.
    Token(EvmAddress),
}

/// What a chain has.
pub(in crate::settle) struct Contracts {
    configured: Option<EvmAddress>,
    found: OnceCell<Option<Contract>>,
}

impl Contracts {
    pub(in crate::settle) fn new(configured: Option<EvmAddress>) -> Self {
        Self {
            configured,
            found: OnceCell::new(),
        }
    }

    /// The best that the chain has.
    pub(super) async fn best(&self, rpc: &Rpc) -> Result<Option<Contract>, RpcError> {
        self.found.get_or_try_init(|| self.look(rpc)).await.copied()
    }

    /// Looks, if nobody has yet, so that no payment has to wait for it.
    pub(in crate::settle) async fn find(&self, rpc: &Rpc) -> Result<(), RpcError> {
        self.best(rpc).await.map(drop)
    }

    async fn look(&self, rpc: &Rpc) -> Result<Option<Contract>, RpcError> {
        let settler = self.configured.unwrap_or_else(contracts::settler);
        let code_at = |at| Call::code(at, "latest");
        let calls = [code_at(settler), code_at(MULTICALL3)];
        let results = rpc.batch(&calls).await?;
        let candidates = [Contract::Settler(settler), Contract::Multicall(MULTICALL3)];
        for (candidate, result) in candidates.into_iter().zip(results) {
            let Data(code) = decode(result?)?;
            if !code.is_empty() {
                tracing::info!(?candidate, "payments can share transactions");
                return Ok(Some(candidate));
            }
        }
        tracing::info!("no contract for payments that share a transaction; each goes alone");
        Ok(None)
    }
}
