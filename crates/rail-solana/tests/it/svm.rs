//! The list that every rail keeps, over the real virtual machine with this rail on both sides.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::SystemClock;
use farebox_core::conformance::{LocalNet, SignedNet, signed};
use farebox_core::rail::{CollectRail, Examined, Handle, PayRail};
use farebox_devnet_svm::{Account, Fault};
use farebox_rail_solana::{SolanaKey, SolanaPayer};
use farebox_wire::x402::reason::Reason;

use crate::shop::Shop;

struct Svm {
    shop: Shop,
    payer: SolanaPayer,
    pauper: SolanaPayer,
}

impl Svm {
    async fn start() -> Self {
        let shop = Shop::open().await;
        let payer = |account: &Account| {
            let key = Arc::new(SolanaKey::from_seed(&account.seed));
            SolanaPayer::new(vec![shop.network.clone()], key, Arc::new(SystemClock)).unwrap()
        };
        let (payer, pauper) = (payer(&shop.buyer()), payer(&shop.net.accounts()[POOR]));
        Self {
            shop,
            payer,
            pauper,
        }
    }
}

/// One of the ten accounts.
const POOR: usize = 8;

impl LocalNet for Svm {
    fn revenue(&self) -> u128 {
        self.shop.revenue().into()
    }

    fn expire(&self) {
        self.shop.expire();
    }

    fn cut_off(&self, is_cut: bool) {
        self.shop.net.faults().cut_off(is_cut);
    }

    fn lose_reply(&self) {
        let faults = self.shop.net.faults();
        faults.set_times("sendTransaction", Fault::LoseReply, 1);
    }

    fn hold(&self, is_held: bool) {
        match is_held {
            true => self.shop.net.hold_blocks(),
            false => self.shop.net.release_blocks(),
        }
    }
}

#[async_trait]
impl SignedNet for Svm {
    fn payer(&self) -> &dyn PayRail {
        &self.payer
    }

    fn pauper(&self) -> &dyn PayRail {
        &self.pauper
    }

    fn collector(&self) -> Arc<dyn CollectRail> {
        Arc::clone(&self.shop.collector) as Arc<dyn CollectRail>
    }

    async fn restarted(&self) -> Arc<dyn CollectRail> {
        Arc::new(self.shop.restarted().await)
    }

    /// Nobody signs here for more than he has: this one loses it then.
    async fn unfunded(&self) -> (Handle, Examined) {
        let signed = signed(&self.pauper, &*self.shop.collector).await;
        let (net, usdc) = (&self.shop.net, self.shop.net.usdc());
        let poor = net.accounts()[POOR].address;
        net.remove_token_account(poor, usdc).unwrap();
        net.mint(poor, usdc, 999).unwrap();
        signed
    }

    fn unfunded_reason(&self) -> Reason {
        Reason::InsufficientBalance
    }

    fn used_reason(&self) -> Reason {
        Reason::NonceAlreadyUsed
    }
}

farebox_core::rail_conformance!(signed, Svm::start);
