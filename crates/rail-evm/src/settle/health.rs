//! How settling does, for people and load balancers.

use farebox_core::rail::{NetworkHealth, SignerHealth};
use farebox_wire::money::Amount;

use super::Settler;
use super::alarm::Alarm;
use super::lanes::Lane;

/// Settlements that must be left in a gas key's account: an hour's notice at a few per minute.
const SETTLEMENTS_LEFT_MIN: u64 = 200;

impl Settler {
    /// Adds the gas keys, and what a person should look at.
    pub(crate) async fn tell_health(&self, health: &mut NetworkHealth) {
        // What cannot be asked now is shown as it was last known; the complaint is there already.
        let looked = self.lanes.look(&self.rpc).await;
        if let Err(error) = &looked
            && health.is_reachable
        {
            health.complaints.push(error.to_string());
        }
        let fee = self.fees.refresh(&self.rpc).await;
        if let Err(error) = &fee
            && looked.is_ok()
        {
            health.complaints.push(error.to_string());
        }
        let each = fee.ok().map(|fee| {
            let gas = u128::from(self.costs.typical());
            fee.expected(self.fees.base()).saturating_mul(gas)
        });
        for lane in self.lanes.iter() {
            let signer = self.signer(lane, each, looked.is_ok());
            if signer
                .settlements_left
                .is_some_and(|left| left < SETTLEMENTS_LEFT_MIN)
            {
                lane.alarm.raise(format!(
                    "the gas key's account {} pays for about {} more settlements; send it some of the chain's own coin",
                    signer.address,
                    signer.settlements_left.unwrap_or_default()
                ));
            } else if signer.settlements_left.is_some() {
                lane.alarm.clear();
            }
            health.complaints.extend(lane.alarm.now());
            health.signers.push(signer);
        }
        let alarms = [&self.watcher.alarm, &self.stuck_alarm, &self.gas.alarm];
        health
            .complaints
            .extend(alarms.into_iter().filter_map(Alarm::now));
    }

    fn signer(&self, lane: &Lane, each_wei: Option<u128>, is_fresh: bool) -> SignerHealth {
        let money = lane.money_wei().filter(|_| is_fresh);
        let left = money.zip(each_wei).map(|(wei, each)| wei / each.max(1));
        let spent = lane.spent_today_wei(self.clock.now_s());
        SignerHealth {
            address: crate::checksummed(lane.address()),
            gas_money: money.map(Amount::from_atomic),
            settlements_left: left.map(|left| u64::try_from(left).unwrap_or(u64::MAX)),
            in_flight: u64::try_from(lane.in_flight()).unwrap_or(u64::MAX),
            gas_spent_today: Amount::from_atomic(spent),
        }
    }
}
