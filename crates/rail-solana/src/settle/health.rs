//! How settling does, for people and load balancers.

use farebox_core::rail::{NetworkHealth, SignerHealth};
use farebox_wire::money::Amount;
use farebox_wire::svm::SvmAddress;

use super::Settler;
use super::alarm::Alarm;
use crate::network::Commitment;
use crate::rpc::{At, Call, RpcError};

/// Settlements that must be left in a fee payer's account: an hour's notice at a few per minute.
const SETTLEMENTS_LEFT_MIN: u64 = 200;
/// What one costs where its buyer pays no more for its place than the official clients do.
pub(crate) const SETTLEMENT_LAMPORTS: u64 = 10_001;

impl Settler {
    /// Adds the fee payers, and what a person should look at.
    pub(crate) async fn tell_health(&self, health: &mut NetworkHealth) {
        for fee_payer in &self.managed {
            let money = self.money(*fee_payer).await;
            let lamports = match money {
                Ok(lamports) => Some(lamports),
                Err(error) => {
                    // Where the node is away, the complaint is there already.
                    if health.is_reachable {
                        health.complaints.push(error.to_string());
                    }
                    None
                }
            };
            let left = lamports.map(|lamports| lamports / SETTLEMENT_LAMPORTS);
            if let Some(left) = left.filter(|left| *left < SETTLEMENTS_LEFT_MIN) {
                health.complaints.push(format!(
                    "the fee payer {fee_payer} pays for about {left} more settlements; send it some SOL"
                ));
            }
            health.signers.push(SignerHealth {
                address: fee_payer.to_string(),
                gas_money: lamports.map(|lamports| Amount::from_atomic(lamports.into())),
                settlements_left: left,
                in_flight: u64::try_from(self.watcher.count()).unwrap_or(u64::MAX),
                gas_spent_today: Amount::from_atomic(self.fees.spent_today(*fee_payer).into()),
            });
        }
        let alarms = [&self.watcher.alarm, &self.fees.alarm];
        health
            .complaints
            .extend(alarms.into_iter().filter_map(Alarm::now));
    }

    async fn money(&self, fee_payer: SvmAddress) -> Result<u64, RpcError> {
        let call = Call::balance(fee_payer, Commitment::Confirmed);
        let said: At<u64> = self.rpc.one(call).await?;
        Ok(said.value)
    }
}
