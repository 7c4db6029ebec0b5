//! Whether the least payment that a facilitator settles is worth its gas (ARCHITECTURE law 10).
//!
//! Asked at the start: with a rate a facilitator that would lose money on every payment does not
//! start, nor does one whose source of the rate cannot be used; without a rate it cannot know, and
//! says so where strangers can reach it. A rate that is read from a source is asked for again at
//! every new payment, against what a settlement cost at the start.
//!
//! | the rate | new payments | payments that were begun |
//! |---|---|---|
//! | is fresh | settled where they are worth their gas and a fifth | go on |
//! | is old, jumping, out of range | refused as our fault, nothing is sent | go on |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use farebox_core::clock::SystemClock;
use farebox_core::rail::{CollectRail, SignerHealth};
use farebox_core::rates::{NoRate, Rates as _};
use farebox_server::GasCover;
use farebox_wire::caip::ChainId;
use farebox_wire::money::{Amount, UsdMicros, UsdRate};

use super::rates;
use crate::config::{GAS_RATE, RateSection};
use crate::failure::Failure;
use crate::rates::Board;

/// What a payment is worth at least, in tenths of its gas: fees rise while it is on its way.
const COVER_TENTHS: u128 = 12;
/// Digits after the point of one coin that pays for gas, on every EVM chain.
const GAS_DECIMALS: u8 = 18;
/// How long a start waits for the first reading of the rate.
const FIRST_RATE: Duration = Duration::from_secs(10);

/// What the file says of the coin that pays for gas.
#[derive(Clone, Default)]
pub(crate) struct GasRate(pub(crate) Option<RateSection>);

impl GasRate {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// Exit 2, naming the key.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match &self.0 {
            Some(section) => rates::source(GAS_RATE, section).map(|_| ()),
            None => Ok(()),
        }
    }

    /// What one coin is worth now, or why nobody knows; `None` where nothing is said of it.
    ///
    /// # Errors
    /// Exit 2, naming the key.
    pub(crate) async fn now(&self) -> Result<Option<Result<UsdMicros, NoRate>>, Failure> {
        let board = self.board().await?;
        Ok(board.map(|board| board.rate(GAS_RATE).map(|rate| rate.per_unit())))
    }

    /// A board that knows of it, once its source has been asked.
    async fn board(&self) -> Result<Option<Board>, Failure> {
        let Some(section) = &self.0 else {
            return Ok(None);
        };
        let mut board = Board::new(Arc::new(SystemClock));
        rates::put(&mut board, GAS_RATE, rates::source(GAS_RATE, section)?);
        board.first(GAS_RATE, FIRST_RATE).await;
        Ok(Some(board))
    }
}

/// Refuses a least payment that does not pay for its gas; what is asked from then on.
///
/// # Errors
/// Exit 2, with the least that would do, or why the rate cannot be used.
pub(super) async fn check(
    rail: &dyn CollectRail,
    min_amount: UsdMicros,
    gas_rate: &GasRate,
    listen: SocketAddr,
) -> Result<Option<Arc<dyn GasCover>>, Failure> {
    let Some(board) = gas_rate.board().await? else {
        if !listen.ip().is_loopback() {
            tracing::warn!(
                "nobody can tell whether payments are worth their gas; set \"ETH/USD\" = {{ fixed = \"3000\" }} in [rates], or a url to read it from"
            );
        }
        return Ok(None);
    };
    let usd_per_coin = board.rate(GAS_RATE).map_err(|why| {
        let message = format!(
            "{}; until then the facilitator does not start, because it could settle at a loss",
            why.message
        );
        Failure::config(why.code, message)
    })?;
    let mut costs = BTreeMap::new();
    let health = rail.health().await.into_iter();
    for network in health.filter(|health| is_paid_in_ether(&health.network)) {
        let Some(gas_wei) = network.signers.iter().filter_map(gas_of_one).max() else {
            tracing::warn!(network = %network.network, "what gas costs is not known");
            continue;
        };
        let gas = Amount::from_atomic(gas_wei);
        let least = least_payment(gas, usd_per_coin.per_unit()).ok_or_else(|| {
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
        costs.insert(network.network, gas);
    }
    Ok(Some(Arc::new(Cover {
        board,
        costs,
        is_blind: AtomicBool::new(false),
    })))
}

/// What a settlement has cost at the start, and what that is worth now.
struct Cover {
    board: Board,
    /// Wei, of the networks that have told.
    costs: BTreeMap<ChainId, Amount>,
    /// Whether the last one to ask was told that the rate cannot be used.
    is_blind: AtomicBool,
}

impl GasCover for Cover {
    fn least(&self, network: &ChainId) -> Result<UsdMicros, String> {
        if !is_paid_in_ether(network) {
            return Ok(UsdMicros::default());
        }
        let rate = self.board.rate(GAS_RATE);
        let was_blind = self.is_blind.swap(rate.is_err(), Ordering::Relaxed);
        match &rate {
            Err(why) if !was_blind => {
                tracing::warn!(why = %why, "no new payment is settled until gas has a rate again");
            }
            Ok(_) if was_blind => tracing::info!("gas has a rate again"),
            _ => {}
        }
        let rate = rate.map_err(|why| why.message)?;
        let Some(cost) = self.costs.get(network) else {
            return Ok(UsdMicros::default());
        };
        least_payment(*cost, rate.per_unit())
            .ok_or_else(|| "\"ETH/USD\" in [rates] is too large to reckon with".to_owned())
    }
}

/// Whether the rate says anything about the fees of a network.
fn is_paid_in_ether(network: &ChainId) -> bool {
    network.namespace() == "eip155"
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
#[path = "gas_cover_tests.rs"]
mod tests;
