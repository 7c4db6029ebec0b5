//! How settling does, for people and load balancers.

use farebox_core::rail::{NetworkHealth, SignerHealth};
use farebox_wire::money::Amount;

use super::Settler;
use super::alarm::Alarm;
use super::lanes::Lane;

/// Settlements that must be left in a gas key's account: an hour's notice at a few per minute.
const SETTLEMENTS_LEFT_MIN: u128 = 200;

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
        let each = fee.is_ok().then(|| self.gas_of_one_wei()).flatten();
        self.watch_money(each);
        for lane in self.lanes.iter() {
            health.signers.push(self.signer(lane, each, looked.is_ok()));
            health.complaints.extend(lane.alarm.now());
        }
        let alarms = [&self.watcher.alarm, &self.stuck_alarm, &self.gas.alarm];
        health
            .complaints
            .extend(alarms.into_iter().filter_map(Alarm::now));
    }

    /// Raises the alarm for every gas key that is nearly empty. `each_wei` is what a settlement
    /// costs.
    pub(super) fn watch_money(&self, each_wei: Option<u128>) {
        for lane in self.lanes.iter() {
            let Some((wei, each)) = lane.money_wei().zip(each_wei) else {
                continue;
            };
            let left = wei / each.max(1);
            if left < SETTLEMENTS_LEFT_MIN {
                lane.alarm.raise(format!(
                    "the gas key's account {} pays for about {left} more settlements; send it some of the chain's own coin",
                    crate::checksummed(lane.address()),
                ));
            } else {
                lane.alarm.clear();
            }
        }
    }

    /// What a settlement costs at the fees that are known, in wei.
    pub(super) fn gas_of_one_wei(&self) -> Option<u128> {
        let fee = self.fees.usable()?.expected(self.fees.base());
        Some(fee.saturating_mul(self.costs.typical().into()))
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
