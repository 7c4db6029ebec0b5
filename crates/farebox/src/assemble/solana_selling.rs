//! Solana on the seller's side: who is paid, who pays the fees, and the rail of a gate and of a
//! facilitator.
//!
//! Called where either is assembled or checked. Keys are read where they are used, and not kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use farebox_core::clock::SystemClock;
use farebox_core::diagnosis::SolanaFacts;
use farebox_core::rail::{CollectRail, RailError};
use farebox_rail_remote::FeePayers;
use farebox_rail_solana::{CollectorOptions, SolanaCollector, SolanaKey};
use farebox_wire::caip::ChainId;
use farebox_wire::svm::SvmAddress;
use tokio::sync::watch;

use super::collecting::{GasKeys, rail_failure};
use super::keys;
use super::remote::Facilitators;
use super::solana::{is_solana, network};
use crate::config::NetworkSection;
use crate::failure::Failure;

/// Where the keys stand.
const SIGNER: &str = "[facilitator] signer.solana";
/// Where the payee stands.
const PAY_TO: &str = "[pay_to] solana";

/// What is said about collecting on Solana.
#[derive(Clone, Default)]
pub(crate) struct SolanaSide {
    sections: BTreeMap<ChainId, NetworkSection>,
    /// Who is paid; a facilitator has nobody.
    pay_to: Option<String>,
    /// References to the keys that pay fees.
    fee_payers: GasKeys,
    /// Whether offers are made, so that somebody has to be paid.
    is_seller: bool,
    /// Who settles for a seller; a facilitator does it itself.
    facilitators: Facilitators,
}

/// What collects, and who is told to pay the fees where others settle: offers change with that.
pub(super) struct Collecting {
    pub(super) rail: Arc<dyn CollectRail>,
    pub(super) fee_payers: Option<watch::Receiver<FeePayers>>,
}

impl SolanaSide {
    /// Of a gate: the networks of Solana among `networks`.
    pub(crate) fn seller(
        networks: &BTreeMap<ChainId, NetworkSection>,
        pay_to: Option<String>,
        fee_payers: GasKeys,
        facilitators: Facilitators,
    ) -> Self {
        Self {
            pay_to,
            is_seller: true,
            facilitators,
            ..Self::facilitator(networks, fee_payers)
        }
    }

    /// Of a facilitator, which pays nobody.
    pub(crate) fn facilitator(
        networks: &BTreeMap<ChainId, NetworkSection>,
        fee_payers: GasKeys,
    ) -> Self {
        let ours = networks.iter().filter(|(id, _)| is_solana(id));
        Self {
            sections: ours
                .map(|(id, section)| (id.clone(), section.clone()))
                .collect(),
            pay_to: None,
            fee_payers,
            is_seller: false,
            facilitators: Facilitators::default(),
        }
    }

    /// Whether nothing is collected on Solana.
    pub(crate) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// What is lacking, each with what supplies it.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.is_empty() {
            return missing;
        }
        if self.is_seller && self.pay_to.is_none() {
            missing.push("somebody to pay on Solana (solana in [pay_to])".to_owned());
        }
        // Whoever settles elsewhere has the keys and asks the chains.
        if !self.facilitators.is_local() {
            return missing;
        }
        for (id, _) in self.sections.iter().filter(|(_, s)| s.rpc.is_empty()) {
            missing.push(format!(
                "an RPC address of {id} (--rpc {id}=URL, or rpc in [network.\"{id}\"])"
            ));
        }
        if self.fee_payers.references.is_empty() {
            missing.push(
                "a key that pays fees on Solana (signer = { solana = \"env:NAME\" } in [facilitator])"
                    .to_owned(),
            );
        }
        missing
    }

    /// The keys that pay fees; none where nothing is settled here. A key that is not needed is not
    /// read.
    ///
    /// # Errors
    /// Exit 2: a key that is missing, is none, or stands there twice.
    pub(super) fn keys(&self) -> Result<Vec<Arc<SolanaKey>>, Failure> {
        let mut signers: Vec<Arc<SolanaKey>> = Vec::new();
        if self.is_empty() || !self.facilitators.is_local() {
            return Ok(signers);
        }
        for reference in &self.fee_payers.references {
            let key = self.read(reference)?;
            if signers.iter().any(|known| known.address() == key.address()) {
                return Err(invalid(
                    "config_invalid",
                    &format!("{} stands there twice; name each once", key.address()),
                ));
            }
            signers.push(Arc::new(key));
        }
        Ok(signers)
    }

    /// The rail, with its chains asked who they are.
    ///
    /// # Errors
    /// Exit 2: a network, payee or key that is not what it should be, or a chain that does not answer.
    pub(super) async fn collector(
        &self,
        signers: Vec<Arc<SolanaKey>>,
    ) -> Result<Option<Collecting>, Failure> {
        let others_settle = self.facilitators.is_remote();
        let Some(collector) = self.build(signers, others_settle)? else {
            return Ok(None);
        };
        collector.start().await.map_err(|why| {
            let message = format!("{}; check --rpc, or rpc in [network]", why.message);
            rail_failure(RailError { message, ..why })
        })?;
        let rail: Arc<dyn CollectRail> = Arc::new(collector);
        if !self.facilitators.is_remote() {
            let fee_payers = None;
            return Ok(Some(Collecting { rail, fee_payers }));
        }
        let remote = self.facilitators.in_front_of(rail, &self.sections).await?;
        Ok(Some(Collecting {
            fee_payers: Some(remote.fee_payers()),
            rail: Arc::new(remote),
        }))
    }

    /// The same as far as nobody has to be asked.
    ///
    /// # Errors
    /// As [`Self::collector`].
    pub(super) fn checked(&self) -> Result<Option<Arc<dyn CollectRail>>, Failure> {
        let collector = self.build(self.keys()?, self.facilitators.is_remote())?;
        Ok(collector.map(|collector| Arc::new(collector) as _))
    }

    /// What asks chains what became of payments, and can move nothing.
    ///
    /// # Errors
    /// Exit 2, naming the network.
    pub(crate) fn asking(&self) -> Result<Option<Arc<dyn CollectRail>>, Failure> {
        let asking = Self {
            pay_to: None,
            ..self.clone()
        };
        let collector = asking.build(Vec::new(), false)?;
        Ok(collector.map(|collector| Arc::new(collector) as _))
    }

    /// References to the keys, and what paths in them are relative to.
    pub(crate) fn secrets(&self) -> &GasKeys {
        &self.fee_payers
    }

    /// The networks that are collected or paid on.
    pub(crate) fn networks(&self) -> impl Iterator<Item = &ChainId> {
        self.sections.keys()
    }

    /// Whether this process settles or pays, so that it needs a node of every chain.
    pub(crate) fn asks_itself(&self) -> bool {
        self.facilitators.is_local()
    }

    /// Whether there are keys that pay fees and nobody names, because others settle everything.
    pub(crate) fn has_idle_keys(&self) -> bool {
        !self.fee_payers.references.is_empty() && !self.facilitators.is_local()
    }

    /// The accounts that pay fees here.
    ///
    /// # Errors
    /// Exit 2: a key that is missing, is none, or stands there twice.
    pub(crate) fn fee_payers(&self) -> Result<Vec<SvmAddress>, Failure> {
        let keys = self.keys()?;
        Ok(keys.iter().map(|key| key.address()).collect())
    }

    /// Who is paid, if anybody is.
    ///
    /// # Errors
    /// Exit 2 where it is no account, or one where money is lost.
    pub(crate) fn payee(&self) -> Option<Result<SvmAddress, Failure>> {
        let text = self.pay_to.as_deref()?;
        let built = self.build(Vec::new(), true);
        Some(built.and_then(|_| payee(text)))
    }

    /// What every chain and its nodes say, asked one after the other: a rail has one or two.
    ///
    /// # Errors
    /// Exit 2 where a network is not what it should be.
    pub(crate) async fn facts(
        &self,
        fee_payers: &[SvmAddress],
        payee: Option<SvmAddress>,
    ) -> Result<Vec<SolanaFacts>, Failure> {
        let mut facts = Vec::with_capacity(self.sections.len());
        for (id, section) in &self.sections {
            let asked = farebox_rail_solana::diagnose(network(id, section)?, fee_payers, payee);
            facts.push(asked.await.map_err(rail_failure)?);
        }
        Ok(facts)
    }

    fn build(
        &self,
        signers: Vec<Arc<SolanaKey>>,
        others_settle: bool,
    ) -> Result<Option<SolanaCollector>, Failure> {
        if self.is_empty() {
            return Ok(None);
        }
        let sections = self.sections.iter();
        let networks = sections
            .map(|(id, section)| network(id, section))
            .collect::<Result<_, _>>()?;
        let pay_to = self.pay_to.as_deref().map(payee);
        let options = CollectorOptions {
            pay_to: pay_to.transpose()?,
            signers,
            others_settle,
            ..CollectorOptions::default()
        };
        SolanaCollector::new(networks, options, Arc::new(SystemClock))
            .map(Some)
            .map_err(rail_failure)
    }

    fn read(&self, reference: &str) -> Result<SolanaKey, Failure> {
        let secret = keys::load_secret(reference, &self.fee_payers.base, SIGNER)?;
        let text = secret
            .expose_str()
            .map_err(|why| invalid("key_invalid", &why))?;
        SolanaKey::parse(text).map_err(|why| invalid("key_invalid", &why))
    }
}

fn payee(text: &str) -> Result<SvmAddress, Failure> {
    text.parse().map_err(|why| {
        let message = format!("{PAY_TO} = {text:?}: {why}");
        Failure::config("config_invalid", message)
    })
}

fn invalid(code: &'static str, why: &dyn std::fmt::Display) -> Failure {
    Failure::config(code, format!("{SIGNER}: {why}"))
}
