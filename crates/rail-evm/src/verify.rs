//! Checks what only the chain knows before a credential is served: is the authorization unused,
//! is it funded, does a payer with code accept the signature (ARCHITECTURE law 8). One round trip,
//! or none; a second one for wallets, who are asked anew each time.

use farebox_core::rail::{Examined, Funds, Refusal};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;

use crate::examine::refusal;
use crate::handle::EvmHandle;
use crate::network::Chain;
use crate::snapshot::{Seen, Told};
use crate::wallets;

/// Verifies an examined credential. A payer who was seen within the last block, with enough for
/// it, is taken at once, and junk in his name is refused at once; every other no comes from the chain
/// of now.
pub(crate) async fn verify(
    chain: &Chain,
    handle: &EvmHandle,
    examined: &Examined,
    factories: &[EvmAddress],
) -> Result<Funds, Refusal> {
    let amount = examined.terms.amount;
    let known = chain.payers.covers(handle.token, &handle.transfer, amount);
    if handle.asks_chain && known.as_ref().is_some_and(|seen| !seen.has_code) {
        // No wallet was there a block ago: only one that is deployed now is worth a question, so
        // that junk in an account's name costs none.
        wallets::is_worth_asking(handle, false, factories)?;
    }
    let is_known = |seen: &Seen| !seen.has_code && !handle.asks_chain;
    let (seen, is_used) = match known.filter(is_known) {
        Some(seen) => (seen, false),
        // What waits for the chain is kept apart: hardly anybody needs its room.
        None => Box::pin(look(chain, handle)).await?,
    };
    // Before anything is said of the authorization: whoever cannot sign for it learns nothing.
    if handle.asks_chain {
        wallets::is_worth_asking(handle, seen.has_code, factories)?;
    }
    if is_used {
        return Err(refusal(
            Reason::NonceAlreadyUsed,
            "the authorization was used or cancelled on chain",
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
    if seen.has_code || handle.asks_chain {
        let rpc = chain.rpc().map_err(|e| ours(&e.message))?;
        Box::pin(wallets::verify(chain, rpc, handle, seen.has_code)).await?;
    }
    Ok(Funds::Balance(seen.balance))
}

/// Asks the chain about the payer, and whether the authorization has been used.
async fn look(chain: &Chain, handle: &EvmHandle) -> Result<(Seen, bool), Refusal> {
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
        Told::Payer { seen, is_used } => Ok((seen, is_used)),
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
