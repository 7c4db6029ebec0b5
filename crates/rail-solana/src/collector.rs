//! The collecting half: makes or reads offers, examines credentials, asks the chain, and settles.
//!
//! A seller's has one payee; a facilitator's has none and reads the offers of others. Holds the
//! keys that pay fees, never a payee's. One per process and fee payer, because limits on fees are
//! kept in memory.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::rail::{
    Asked, CollectRail, Examined, Finding, Funds, Handle, Journal, NetworkHealth, Outcome, Price,
    RailError, Refusal, SellerOffer,
};
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::money::Amount;
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402::exact_svm::{ExactSvmExtra, MEMO_BYTES_MAX};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements, SupportedKind};

use crate::account::{TokenAccount, token_account_of};
use crate::examine::{House, examine};
use crate::facilitate::{self, Seller};
use crate::handle::SvmHandle;
use crate::network::{self, Chain, Network};
use crate::options::CollectorOptions;
use crate::quote;
use crate::recheck::{self, Desk};
use crate::rpc::{Account, At, Call, Rpc, RpcError};
use crate::rules::{Transfer, refusal};
use crate::settle::{self, Settler};
use crate::simulate::{Doubt, Foreseen, Simulations};

/// Collects on Solana.
pub struct SolanaCollector {
    chains: Vec<Arc<Chain>>,
    /// Empty where there is no fee payer.
    settlers: Vec<(ChainId, Arc<Settler>)>,
    managed: Vec<SvmAddress>,
    options: CollectorOptions,
    /// Of transactions that others settle.
    simulations: Simulations,
}

impl SolanaCollector {
    /// Takes the networks to collect on; every one needs `rpc` where there is a fee payer.
    ///
    /// # Errors
    /// A network that is no Solana network, stands there twice, has no endpoint or no token that
    /// can be offered; a payee where money would be lost; a seller without a fee payer; a memo that
    /// is too long.
    pub fn new(
        networks: Vec<Network>,
        options: CollectorOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RailError> {
        let chains = network::index(networks)?;
        if let Some(pay_to) = options.pay_to {
            check_seller(&chains, &options, pay_to)?;
        }
        let mut settlers = Vec::new();
        if !options.signers.is_empty() {
            for chain in &chains {
                let settler = Settler::new(chain, &options, Arc::clone(&clock))?;
                settlers.push((chain.network.chain.clone(), settler));
            }
        }
        Ok(Self {
            chains,
            settlers,
            managed: options.signers.iter().map(|key| key.address()).collect(),
            options,
            simulations: Simulations::default(),
        })
    }

    /// Makes sure that every chain answers and is the right one. Collect nothing before.
    ///
    /// # Errors
    /// A chain that cannot be asked, or an endpoint of another chain.
    pub async fn start(&self) -> Result<(), RailError> {
        for (_, settler) in &self.settlers {
            settler.start().await?;
        }
        // Without a fee payer nothing is settled here, but what is asked must be the right chain.
        for chain in self.chains.iter().filter(|_| self.settlers.is_empty()) {
            if let Ok(rpc) = chain.rpc() {
                rpc.probe().await?;
            }
        }
        Ok(())
    }

    /// What `owner` has of `token`, in blocks that are as sure as a settlement must be: for books
    /// that are compared with the chain.
    ///
    /// # Errors
    /// A network or token that is not configured, or a chain that cannot be asked.
    pub async fn token_balance(
        &self,
        token: &AssetId,
        owner: SvmAddress,
    ) -> Result<Amount, RailError> {
        let known = &network::token_of(&self.chains, token)?.asset;
        let chain = network::chain_of(&self.chains, token.chain())?;
        let account = token_account_of(owner, known.mint, known.program);
        let call = Call::accounts(&[account], chain.network.commitment);
        let said: At<Vec<Option<Account>>> = chain.rpc()?.one(call).await?;
        let account = said.value.into_iter().next().flatten();
        let units = account
            .and_then(|account| TokenAccount::read(&account.data))
            .map_or(0, |account| account.amount);
        Ok(Amount::from_atomic(units.into()))
    }

    fn settler(&self, chain: &ChainId) -> Result<&Arc<Settler>, RailError> {
        let settler = self.settlers.iter().find(|(id, _)| id == chain);
        settler
            .map(|(_, settler)| settler)
            .ok_or_else(|| RailError {
                code: "unknown_network",
                message: format!(
                    "nothing can be settled on {chain}: the network or the fee payer's key is not configured"
                ),
            })
    }

    /// Who may pay the fee of what answers an offer: keys of ours, and whomever the offer, which is
    /// our own, names where others settle.
    fn fee_payers(&self, requirements: &PaymentRequirements) -> Cow<'_, [SvmAddress]> {
        let mut fee_payers = Cow::Borrowed(self.managed.as_slice());
        if self.options.others_settle
            && let Ok(extra) = ExactSvmExtra::read(requirements.extra.as_ref())
            && !fee_payers.contains(&extra.fee_payer)
        {
            fee_payers.to_mut().push(extra.fee_payer);
        }
        fee_payers
    }

    /// What was stored, held against the rules again; and where its simulation is remembered.
    fn reread(&self, handle: &SvmHandle) -> Result<(Arc<Transfer>, &Simulations), Refusal> {
        if self.options.others_settle && !self.managed.contains(&handle.fee_payer) {
            let transfer = recheck::stored(handle).ok_or_else(|| {
                refusal(
                    Reason::InvalidPayload,
                    "the stored payment has no transaction, or another one",
                )
            })?;
            return Ok((Arc::new(transfer), &self.simulations));
        }
        let settler = self
            .settler(&handle.chain)
            .map_err(|e| refusal(Reason::InvalidNetwork, e.message))?;
        // What would not be settled is not claimed either: a seller who settles afterwards would
        // have worked for nothing.
        if let Some(refusal) = settler.would_refuse(handle.payer) {
            return Err(refusal);
        }
        let (transfer, _) = settler.checked(handle)?;
        Ok((transfer, &settler.simulations))
    }

    const fn desk(&self) -> Desk<'_> {
        Desk {
            chains: self.chains.as_slice(),
            keys: self.options.signers.as_slice(),
        }
    }
}

#[async_trait]
impl CollectRail for SolanaCollector {
    fn rail(&self) -> &'static str {
        crate::RAIL
    }

    fn offers(&self, price: &Price) -> Result<Vec<SellerOffer>, RailError> {
        let pay_to = self.options.pay_to.ok_or_else(|| RailError {
            code: "no_payee",
            message: "there is nobody to pay; set [pay_to] solana".into(),
        })?;
        let seller = Seller {
            pay_to,
            fee_payer: match self.options.others_settle {
                true => None,
                false => Some(first(&self.managed)?),
            },
            memo: self.options.memo.as_deref(),
        };
        let mut offers = Vec::with_capacity(self.chains.len());
        for chain in &self.chains {
            for token in chain.offered()? {
                offers.push(facilitate::offer(chain, token, &seller, price)?);
            }
        }
        Ok(offers)
    }

    fn examine(
        &self,
        payload: &PaymentPayload,
        offer: &SellerOffer,
        now_s: u64,
    ) -> Result<Examined, Refusal> {
        let chain = network::chain_of(&self.chains, &offer.terms.network)
            .map_err(|e| refusal(Reason::InvalidNetwork, e.message))?;
        let token = network::token_of(&self.chains, &offer.terms.asset)
            .map_err(|e| refusal(Reason::InvalidPaymentRequirements, e.message))?;
        let house = House {
            managed: &self.fee_payers(&offer.requirements),
            limits: self.options.compute,
        };
        examine(chain, token, &house, payload, offer, now_s)
    }

    fn offer_of(&self, requirements: &PaymentRequirements) -> Result<SellerOffer, Refusal> {
        facilitate::offer_of(&self.chains, &self.managed, requirements)
    }

    fn kinds(&self) -> Vec<SupportedKind> {
        match self.managed.first() {
            None if !self.options.others_settle => Vec::new(),
            fee_payer => facilitate::kinds(&self.chains, fee_payer.copied()),
        }
    }

    fn signers(&self) -> Vec<(String, Vec<String>)> {
        facilitate::signers(&self.managed)
    }

    async fn health(&self) -> Vec<NetworkHealth> {
        let mut healths = Vec::with_capacity(self.chains.len());
        for chain in &self.chains {
            let mut health = health_of(chain).await;
            if let Ok(settler) = self.settler(&chain.network.chain) {
                settler.tell_health(&mut health).await;
            }
            healths.push(health);
        }
        healths
    }

    async fn verify(&self, examined: &Examined) -> Result<Funds, Refusal> {
        let unverified = |why: Refusal| Refusal {
            reason: if why.is_ours {
                Reason::UnexpectedVerify
            } else {
                why.reason
            },
            ..why
        };
        let handle = SvmHandle::read(&examined.handle)
            .map_err(|e| refusal(Reason::InvalidPayload, e.message))?;
        let (transfer, simulations) = self.reread(&handle).map_err(unverified)?;
        let chain = network::chain_of(&self.chains, &handle.chain)
            .map_err(|e| refusal(Reason::InvalidNetwork, e.message))?;
        let rpc = chain.rpc().map_err(|e| unasked(&e))?;
        match simulations.foresee(rpc, &transfer).await {
            Ok(Foreseen::Pays(units)) => Ok(Funds::Balance(Amount::from_atomic(units.into()))),
            Ok(Foreseen::HasRun) => Err(refusal(
                Reason::NonceAlreadyUsed,
                "the chain has carried out this transaction already",
            )),
            Err(Doubt::Refused(refusal)) => Err(refusal),
            Err(Doubt::Unanswered(error)) => Err(unasked(&error)),
        }
    }

    async fn settle(&self, handle: &Handle, journal: Arc<dyn Journal>, wait_ms: u64) -> Outcome {
        let found = SvmHandle::read(handle).and_then(|h| Ok((self.settler(&h.chain)?, h)));
        match found {
            Ok((settler, handle)) => {
                let wait = Duration::from_millis(wait_ms);
                settler.settle(handle, journal, wait).await
            }
            Err(e) => Outcome::Rejected(settle::ours(&e)),
        }
    }

    fn can_be(&self, handle: &Handle, transaction: &str) -> bool {
        SvmHandle::read(handle).is_ok_and(|handle| recheck::is_name_of(&handle, transaction))
    }

    async fn check(&self, handle: &Handle) -> Finding {
        self.desk().check(handle, None).await
    }

    async fn check_all(&self, asked: &[Asked<'_>]) -> Vec<Finding> {
        self.desk().check_all(asked).await
    }
}

/// What a seller needs besides a payee.
fn check_seller(
    chains: &[Arc<Chain>],
    options: &CollectorOptions,
    pay_to: SvmAddress,
) -> Result<(), RailError> {
    if !options.others_settle {
        first(&options.signers)?;
    }
    if options
        .memo
        .as_ref()
        .is_some_and(|memo| memo.len() > MEMO_BYTES_MAX)
    {
        return Err(RailError {
            code: "memo_too_long",
            message: format!("a memo has at most {MEMO_BYTES_MAX} bytes"),
        });
    }
    for chain in chains {
        for token in chain.offered()? {
            if let Some(what) = quote::lost(token, pay_to) {
                return Err(RailError {
                    code: "invalid_payee",
                    message: format!(
                        "{pay_to} is {what}; set [pay_to] solana to an account of yours"
                    ),
                });
            }
        }
    }
    Ok(())
}

/// The fee payer that offers name.
fn first<T: Clone>(signers: &[T]) -> Result<T, RailError> {
    signers.first().cloned().ok_or_else(|| RailError {
        code: "no_fee_payer",
        message: "every payment on Solana names who pays its fee; set [facilitator] signer = { solana = … }".into(),
    })
}

/// How a chain does, without its fee payers.
async fn health_of(chain: &Chain) -> NetworkHealth {
    let mut health = NetworkHealth {
        network: chain.network.chain.clone(),
        is_reachable: false,
        head: None,
        signers: Vec::new(),
        complaints: Vec::new(),
    };
    let rpc = match chain.rpc() {
        Ok(rpc) => rpc,
        Err(error) => {
            health.complaints.push(error.message);
            return health;
        }
    };
    match reach(rpc).await {
        Ok(slot) => {
            health.is_reachable = true;
            health.head = Some(slot);
        }
        Err(error) => health.complaints.push(error.to_string()),
    }
    health
}

/// The newest slot of the right chain.
async fn reach(rpc: &Rpc) -> Result<u64, RpcError> {
    rpc.probe().await?;
    rpc.one(Call::slot()).await
}

/// The chain could not be asked, which says nothing about the credential.
fn unasked(why: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        reason: Reason::UnexpectedVerify,
        message: format!("the payment could not be verified: {why}"),
        is_ours: true,
    }
}
