//! Checks what only the chain knows before a credential is served: is the authorization unused,
//! is it funded, is the payer an ordinary account (ARCHITECTURE law 8). One round trip, or none.

use farebox_core::rail::{Examined, Funds, Refusal};
use farebox_wire::x402::reason::Reason;

use crate::examine::refusal;
use crate::handle::EvmHandle;
use crate::network::Chain;
use crate::snapshot::{Seen, Told};

/// Verifies an examined credential. A payer who was seen within the last block, with enough for
/// it, is taken at once; every no comes from the chain of now.
pub(crate) async fn verify(
    chain: &Chain,
    handle: &EvmHandle,
    examined: &Examined,
) -> Result<Funds, Refusal> {
    let amount = examined.terms.amount;
    let known = chain.payers.covers(handle.token, &handle.transfer, amount);
    let seen = match known.filter(|seen| !seen.has_code) {
        Some(seen) => seen,
        None => look(chain, handle).await?,
    };
    if seen.has_code {
        return Err(refusal(
            Reason::UnsupportedPayloadType,
            format!(
                "{} is a contract or delegated account; only ordinary accounts are accepted yet",
                handle.transfer.from
            ),
        ));
    }
    if seen.balance < amount {
        return Err(refusal(
            Reason::InsufficientBalance,
            format!(
                "the payer has {} atomic units of {}, not {amount}",
                seen.balance, examined.terms.symbol
            ),
        ));
    }
    Ok(Funds::Balance(seen.balance))
}

/// Asks the chain about the payer, and about an authorization that must be unused.
async fn look(chain: &Chain, handle: &EvmHandle) -> Result<Seen, Refusal> {
    let rpc = chain.rpc().map_err(|e| ours(&e.message))?;
    let told = chain.payers.ask(rpc, handle.token, &handle.transfer).await;
    match told.map_err(|e| ours(&e))? {
        Told::NoToken => Err(refusal(
            Reason::AssetNotContract,
            format!("there is no token at {} on {}", handle.token, handle.chain),
        )),
        Told::NoAuthorizations => Err(refusal(
            Reason::Eip3009NotSupported,
            "the token does not answer authorizationState",
        )),
        Told::Payer { is_used: true, .. } => Err(refusal(
            Reason::NonceAlreadyUsed,
            "the authorization was used or cancelled on chain",
        )),
        Told::Payer { seen, .. } => Ok(seen),
    }
}

/// The chain could not be asked, which says nothing about the credential.
fn ours(why: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        reason: Reason::UnexpectedVerify,
        message: format!("the payment could not be verified: {why}"),
        is_ours: true,
    }
}
