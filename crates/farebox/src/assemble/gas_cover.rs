//! Whether the least payment that a facilitator settles is worth its gas (ARCHITECTURE law 10).
//!
//! Asked once, at the start: with a rate a facilitator that would lose money on every payment
//! does not start; without one it cannot know, and says so where strangers can reach it.

use std::net::SocketAddr;

use farebox_core::rail::{CollectRail, SignerHealth};
use farebox_wire::money::{Amount, UsdMicros, UsdRate};

use crate::failure::Failure;

/// What a payment is worth at least, in tenths of its gas: fees rise while it is on its way.
const COVER_TENTHS: u128 = 12;
/// Digits after the point of one coin that pays for gas, on every EVM chain.
const GAS_DECIMALS: u8 = 18;

/// Refuses a least payment that does not pay for its gas.
///
/// # Errors
/// Exit 2, with the least that would do.
pub(super) async fn check(
    rail: &dyn CollectRail,
    min_amount: UsdMicros,
    gas_rate: Option<UsdMicros>,
    listen: SocketAddr,
) -> Result<(), Failure> {
    let Some(usd_per_unit) = gas_rate else {
        if !listen.ip().is_loopback() {
            tracing::warn!(
                "nobody can tell whether payments are worth their gas; set \"ETH/USD\" = {{ fixed = \"3000\" }} in [rates]"
            );
        }
        return Ok(());
    };
    let rate = UsdRate {
        usd_per_unit,
        decimals: GAS_DECIMALS,
    };
    for network in rail.health().await {
        let Some(gas_wei) = network.signers.iter().filter_map(gas_of_one).max() else {
            tracing::warn!(network = %network.network, "what gas costs is not known");
            continue;
        };
        let least = least(gas_wei, rate).ok_or_else(|| {
            let message = "\"ETH/USD\" in [rates] is zero or too large to reckon with";
            Failure::config("config_invalid", message)
        })?;
        if min_amount < least {
            return Err(Failure::config(
                "min_amount_below_gas",
                format!(
                    "a settlement on {} costs so much gas that payments below {least} USD lose money; set limits = {{ min_amount = \"{least} USD\" }} in [facilitator]",
                    network.network
                ),
            ));
        }
    }
    Ok(())
}

/// The least that a payment must be worth whose settlement costs so much, with this rate of the
/// chain's coin; `None` where that is too large to reckon with.
pub(crate) fn least_payment(settlement: Amount, usd_per_coin: UsdMicros) -> Option<UsdMicros> {
    let rate = UsdRate {
        usd_per_unit: usd_per_coin,
        decimals: GAS_DECIMALS,
    };
    least(settlement.atomic(), rate)
}

/// What a payment must be worth whose settlement costs so much.
fn least(gas_wei: u128, rate: UsdRate) -> Option<UsdMicros> {
    let covered = gas_wei.checked_mul(COVER_TENTHS)?.div_ceil(10);
    rate.usd_of(Amount::from_atomic(covered))
}

/// About what one settlement costs at today's fees.
fn gas_of_one(signer: &SignerHealth) -> Option<u128> {
    let left = u128::from(signer.settlements_left?);
    signer.gas_money?.atomic().checked_div(left)
}

#[cfg(test)]
mod tests {
    use super::{UsdMicros, UsdRate, least};

    #[test]
    fn a_payment_is_worth_a_fifth_more_than_its_gas() {
        let rate = UsdRate {
            usd_per_unit: UsdMicros(3_000_000_000),
            decimals: 18,
        };
        // 80,000 gas at 2 gwei are 0.00016 ETH, which are 0.48 USD.
        assert_eq!(least(160_000_000_000_000, rate), Some(UsdMicros(576_000)));
        assert_eq!(
            least(1, rate),
            Some(UsdMicros(1)),
            "never rounded down to nothing"
        );
        assert_eq!(least(u128::MAX, rate), None);
    }
}
