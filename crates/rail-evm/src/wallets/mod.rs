//! Payers that are contracts, or will be: ERC-1271, EIP-7702 and ERC-6492.
//!
//! Called by `examine` for the form of a signature, by `verify` for what the chain says of it, and
//! by `settle` for the call that pays. Whoever has code is asked by ERC-1271 and by nothing else,
//! as tokens do it; a signature that the key behind the address would accept counts for nothing
//! there. A wallet is a stranger's program: it is only ever run by the node, under a gas limit, and
//! its answers are never copied whole.
//!
//! | state | what may happen | what follows |
//! |---|---|---|
//! | examined, chain not asked | junk under somebody's nonce | nothing is kept: no seat, no row |
//! | probed: accepts, transfer works | the wallet changes its mind, is emptied, cancels | found by the estimate before anything is signed: rejected |
//! | probed, node silent or lying | no answer, or one that contradicts the probe | our trouble, nothing is written |
//! | claimed, estimate works | the wallet lies to calls that pay no gas | the transaction reverts: its gas limit, at most, is lost, the payment is rejected |
//! | sent | crash, timeout, twin, repeat | as for any payment: the token's logs tell (law 4) |
//! | wallet deployed by somebody else meanwhile | the factory reverts | its result is not looked at; the payment is made |
//! | deployed by us, transfer refused | | both are undone by the revert; the gas limit is lost |

pub(crate) mod probe;
pub(crate) mod wrapper;

use farebox_core::rail::Refusal;
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;

use crate::abi::{self, Inner};
use crate::contracts::{self, MULTICALL3};
use crate::examine::refusal;
use crate::handle::EvmHandle;
use crate::network::Chain;
use crate::rpc::{Call, Data, Rpc, RpcError};

use self::wrapper::{Deployment, Unwrapped};

/// Gas of the token's call for a wallet. Passkeys checked in Solidity take about 350,000.
pub(crate) const TRANSFER_GAS_MAX: u64 = 500_000;
/// Gas of a factory's call. The wallets in use take from 100,000 to 700,000.
pub(crate) const FACTORY_GAS_MAX: u64 = 1_000_000;
/// Gas of a whole transaction that pays. A transfer needs well under 100,000; wallets' checks and
/// what rollups charge for data come on top.
pub(crate) const GAS_MAX: u64 = 1_000_000;
/// Gas of a whole transaction that deploys a wallet and pays: both calls' share, what stays behind
/// at every call (EIP-150), and 8 KiB of signature.
const DEPLOY_GAS_MAX: u64 = 2_000_000;

/// What has to be called so that a payment is made.
pub(crate) struct Task {
    pub(crate) to: EvmAddress,
    pub(crate) data: Vec<u8>,
    /// More gas than this is a trap.
    pub(crate) gas_max: u64,
}

/// Refuses what is refused whatever the wallet would say. Asks nobody.
pub(crate) fn is_worth_asking(
    handle: &EvmHandle,
    payer_has_code: bool,
    factories: &[EvmAddress],
) -> Result<(), Refusal> {
    if payer_has_code {
        return Ok(());
    }
    match unwrapped(handle)?.deployment {
        Some(deployment) => is_allowed(&deployment, factories),
        None => Err(refusal(
            Reason::InvalidSignature,
            format!(
                "the signature is not of {} over this authorization, chain and token, and there is no wallet at that address to accept it",
                handle.transfer.from
            ),
        )),
    }
}

/// Asks the wallet, deployed if need be, and the token. `Ok` says that both agree now.
pub(crate) async fn verify(
    chain: &Chain,
    rpc: &Rpc,
    handle: &EvmHandle,
    payer_has_code: bool,
) -> Result<(), Refusal> {
    let Unwrapped {
        signature,
        deployment,
    } = unwrapped(handle)?;
    let deployment = deployment.filter(|_| !payer_has_code);
    if deployment.is_some() && deployer(chain, rpc).await.map_err(ours)?.is_none() {
        return Err(undeployable(chain));
    }
    let token = chain.token(handle.token).ok_or_else(|| {
        refusal(
            Reason::InvalidPaymentRequirements,
            format!("there is no known token at {}", handle.token),
        )
    })?;
    let question = probe::Question {
        handle,
        domain: &token.domain,
        signature,
        transfer: &transfer_call(handle, signature)?,
        deployment,
    };
    let answer = probe::ask(rpc, &question).await.map_err(ours)?;
    answer.judge(handle, deployment.is_some())
}

/// What to call for a payment that goes alone. Asks the chain only where a wallet may have to be
/// deployed first.
pub(crate) async fn task(
    chain: &Chain,
    rpc: &Rpc,
    handle: &EvmHandle,
    factories: &[EvmAddress],
) -> Result<Task, Refusal> {
    let Unwrapped {
        signature,
        deployment,
    } = unwrapped(handle)?;
    let data = transfer_call(handle, signature)?;
    let alone = |data| Task {
        to: handle.token,
        data,
        gas_max: GAS_MAX,
    };
    let Some(deployment) = deployment else {
        return Ok(alone(data));
    };
    if has_code(rpc, handle.transfer.from).await.map_err(ours)? {
        return Ok(alone(data));
    }
    is_allowed(&deployment, factories)?;
    let deploy = Inner {
        to: deployment.factory,
        gas: FACTORY_GAS_MAX,
        data: deployment.data,
    };
    let pay = Inner {
        to: handle.token,
        gas: TRANSFER_GAS_MAX,
        data: &data,
    };
    let deployer = deployer(chain, rpc).await.map_err(ours)?;
    let (to, data) = match deployer.ok_or_else(|| undeployable(chain))? {
        Deployer::Settler(to) => (to, abi::settle_counterfactual(&deploy, &pay)),
        Deployer::Multicall3 => (MULTICALL3, abi::multicall_of_two(&deploy, &pay)),
    };
    Ok(Task {
        to,
        data,
        gas_max: DEPLOY_GAS_MAX,
    })
}

/// Whose call deploys a wallet and pays at once. Never the gas key's own account: a factory is
/// somebody else's program.
enum Deployer {
    Settler(EvmAddress),
    Multicall3,
}

async fn deployer(chain: &Chain, rpc: &Rpc) -> Result<Option<Deployer>, RpcError> {
    let configured = chain.network.settler;
    let settler = configured.unwrap_or_else(contracts::settler);
    if has_code(rpc, settler).await? {
        return Ok(Some(Deployer::Settler(settler)));
    }
    Ok(has_code(rpc, MULTICALL3)
        .await?
        .then_some(Deployer::Multicall3))
}

async fn has_code(rpc: &Rpc, account: EvmAddress) -> Result<bool, RpcError> {
    let Data(code) = rpc.one(Call::code(account, "latest")).await?;
    Ok(!code.is_empty())
}

fn unwrapped(handle: &EvmHandle) -> Result<Unwrapped<'_>, Refusal> {
    let bytes = handle.signature.as_ref().map_or(&[][..], |bytes| &bytes.0);
    wrapper::unwrap(bytes).map_err(|e| refusal(Reason::SignatureUnreadable, e.to_string()))
}

/// The ordinary account's overload for an ordinary signature, which every EIP-3009 token has and
/// which asks wallets too where the token can; the bytes as they came for any other.
fn transfer_call(handle: &EvmHandle, signature: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(match handle.signature() {
        Some(ordinary) => abi::transfer_with_authorization(&handle.transfer, &ordinary),
        None => abi::transfer_with_signature(&handle.transfer, signature),
    })
}

fn is_allowed(deployment: &Deployment<'_>, factories: &[EvmAddress]) -> Result<(), Refusal> {
    if factories.contains(&deployment.factory) {
        return Ok(());
    }
    Err(refusal(
        Reason::FactoryNotAllowed,
        format!(
            "the wallet does not exist yet and its factory {} may not deploy here; deploy the wallet first",
            deployment.factory
        ),
    ))
}

fn undeployable(chain: &Chain) -> Refusal {
    refusal(
        Reason::UndeployedSmartWallet,
        format!(
            "the wallet does not exist yet and {} has no contract that could deploy it and pay at once; deploy the wallet first",
            chain.network.chain
        ),
    )
}

/// The chain could not be asked, which says nothing about the credential.
fn ours(error: RpcError) -> Refusal {
    Refusal {
        reason: Reason::UnexpectedVerify,
        message: format!("the wallet could not be asked: {error}"),
        is_ours: true,
    }
}
