//! A rail that collects by invoice and does as it is told: it makes invoices whose preimages the
//! test knows, and tells of payments when the test makes them.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::invoice::{Invoice, InvoiceRail, InvoiceState, SettledInvoice};
use farebox_core::rail::{NetworkHealth, Price, RailError, Terms};
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::money::{Amount, UsdMicros};
use tokio::sync::Notify;

/// Millisatoshi of a millionth of a dollar, at 100,000 dollars for a bitcoin.
const MSAT_PER_MICRO: u128 = 1;
const ASSET: &str = "lightning:regtest/slip44:1";

/// See the module.
pub(crate) struct ScriptedNode {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Default)]
struct State {
    mode: Mode,
    made: Vec<Made>,
    settled: Vec<SettledInvoice>,
    cancelled: Vec<[u8; 32]>,
    breaks: u32,
    is_rateless: bool,
}

/// How the node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Well,
    /// Answers that it cannot.
    Refuses,
    /// Does not answer.
    Hangs,
}

/// An invoice that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) preimage: [u8; 32],
    pub(crate) hash: [u8; 32],
    pub(crate) amount: Amount,
}

impl ScriptedNode {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
            settled: Notify::new(),
        })
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.lock().mode = mode;
    }

    /// From now on nobody says what a bitcoin is.
    pub(crate) fn forget_rate(&self) {
        self.lock().is_rateless = true;
    }

    pub(crate) fn made(&self) -> Vec<Made> {
        self.lock().made.clone()
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.lock().cancelled.len()
    }

    /// The preimage of the payment that an invoice asks for.
    pub(crate) fn preimage_of(&self, invoice: &str) -> [u8; 32] {
        let state = self.lock();
        let found = state.made.iter().find(|made| text(made.hash) == invoice);
        found.expect("an invoice of this node").preimage
    }

    /// Somebody pays an invoice, at this time.
    pub(crate) fn pay(&self, hash: [u8; 32], at_s: u64) {
        let mut state = self.lock();
        let amount = state
            .made
            .iter()
            .find(|made| made.hash == hash)
            .map_or(Amount::from_atomic(5_000), |made| made.amount);
        let index = u64::try_from(state.settled.len()).expect("few") + 1;
        state.settled.push(SettledInvoice {
            index,
            payment_hash: hash,
            amount,
            settled_s: at_s,
        });
        drop(state);
        self.settled.notify_waiters();
    }

    /// The next questions about settlements fail.
    pub(crate) fn break_off(&self, times: u32) {
        self.lock().breaks = times;
        self.settled.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }
}

fn text(hash: [u8; 32]) -> String {
    format!("lnbcrt{}", hex::encode(hash))
}

fn terms(amount: Amount, cost: UsdMicros) -> Terms {
    Terms {
        protocol: "l402".to_owned(),
        rail: "lightning".to_owned(),
        network: "lightning:regtest".parse().expect("a network"),
        scheme: "bolt11".to_owned(),
        asset: ASSET.parse().expect("an asset"),
        symbol: "sat".to_owned(),
        decimals: 3,
        amount,
        fee_max: Amount::ZERO,
        cost,
        payee: "02aa".to_owned(),
        payer: None,
    }
}

fn broken(code: &'static str) -> RailError {
    RailError {
        code,
        message: "the test says so".to_owned(),
    }
}

#[async_trait]
impl InvoiceRail for ScriptedNode {
    fn rail(&self) -> &'static str {
        "lightning"
    }

    fn terms(&self, price: &Price) -> Result<Terms, RailError> {
        if self.lock().is_rateless {
            return Err(broken("rate_missing"));
        }
        let amount = Amount::from_atomic(price.usd.0 * MSAT_PER_MICRO);
        Ok(terms(amount, price.usd))
    }

    fn terms_over(&self, amount: Amount) -> Terms {
        let cost = match self.lock().is_rateless {
            true => UsdMicros(0),
            false => UsdMicros(amount.atomic().div_ceil(MSAT_PER_MICRO)),
        };
        terms(amount, cost)
    }

    async fn invoice(
        &self,
        terms: &Terms,
        _description: &str,
        expiry_s: u64,
    ) -> Result<Invoice, RailError> {
        let mode = self.lock().mode;
        match mode {
            Mode::Well => {}
            Mode::Refuses => return Err(broken("node_unreachable")),
            Mode::Hangs => std::future::pending().await,
        }
        let mut state = self.lock();
        // Another one for each invoice; nobody has to guess them here.
        let mut preimage = [7; 32];
        let number = u64::try_from(state.made.len()).expect("few");
        preimage[..8].copy_from_slice(&number.to_be_bytes());
        let hash = Preimage::from_bytes(preimage).payment_hash().0;
        state.made.push(Made {
            preimage,
            hash,
            amount: terms.amount,
        });
        Ok(Invoice {
            text: text(hash),
            payment_hash: hash,
            expires_s: self.clock.now_s() + expiry_s,
        })
    }

    async fn look_up(&self, payment_hash: &[u8; 32]) -> Result<InvoiceState, RailError> {
        let state = self.lock();
        let mut settled = state.settled.iter();
        let found = settled.find(|settled| settled.payment_hash == *payment_hash);
        Ok(match found {
            Some(settled) => InvoiceState::Settled(settled.clone()),
            None => InvoiceState::Open,
        })
    }

    async fn cancel(&self, payment_hash: &[u8; 32]) -> Result<(), RailError> {
        self.lock().cancelled.push(*payment_hash);
        Ok(())
    }

    async fn settlements(&self, after: u64) -> Result<Vec<SettledInvoice>, RailError> {
        loop {
            let told = self.settled.notified();
            {
                let mut state = self.lock();
                if state.breaks > 0 {
                    state.breaks -= 1;
                    return Err(broken("node_unreachable"));
                }
                let new = state.settled.iter().filter(|one| one.index > after);
                let new: Vec<SettledInvoice> = new.cloned().collect();
                if !new.is_empty() {
                    return Ok(new);
                }
            }
            told.await;
        }
    }

    async fn health(&self) -> NetworkHealth {
        NetworkHealth {
            network: "lightning:regtest".parse().expect("a network"),
            is_reachable: self.lock().mode == Mode::Well,
            head: None,
            signers: Vec::new(),
            complaints: Vec::new(),
        }
    }
}
