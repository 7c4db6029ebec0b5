//! What is looked at: the parts of a configuration, whichever command it is for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use farebox_wire::caip::ChainId;
use farebox_wire::money::UsdMicros;

use crate::assemble::{
    self, Entrance, Facilitators, GasKeys, GasRate, Lightning, Sale, Service, SolanaSide,
};
use crate::config::{Config, DataDir, NetworkSection};
use crate::failure::Failure;

/// See the module.
pub(crate) struct Patient {
    /// Chains that are asked.
    pub(super) networks: BTreeMap<ChainId, NetworkSection>,
    /// Nodes of Lightning, and the rates.
    pub(super) lightning: Lightning,
    /// Who is paid.
    pub(super) pay_to: Option<String>,
    /// Who pays for gas.
    pub(super) gas_keys: GasKeys,
    /// Solana, on the seller's side and for the networks of a buyer.
    pub(super) solana: SolanaSide,
    /// Who else settles.
    pub(super) facilitators: Facilitators,
    /// Whether this process settles, so that it needs a node of every chain.
    pub(super) is_settling: bool,
    /// The least payment that a facilitator settles.
    pub(super) least: UsdMicros,
    /// What the file says of the coin that pays for gas, where that matters.
    pub(super) gas_rate: GasRate,
    /// TLS and what else is in front.
    pub(super) entrance: Entrance,
    /// The origin that clients see, where it is said.
    pub(super) public_url: Option<String>,
    /// Where certificates are kept that are obtained.
    pub(super) data_dir: DataDir,
    /// The configuration file.
    pub(super) file: Option<PathBuf>,
    /// Files that hold secrets in the open.
    pub(super) secrets: Vec<PathBuf>,
    /// Where the keystore is, or would be.
    pub(super) keystore: PathBuf,
    /// Where the ledger is, or would be.
    pub(super) ledger: PathBuf,
}

impl Patient {
    /// Everything that a configuration names, for either side.
    ///
    /// # Errors
    /// Exit 2 where it names no store.
    pub(crate) fn of(config: &Config, data_dir: &DataDir) -> Result<Self, Failure> {
        let file = &config.file;
        let gas_keys = GasKeys {
            references: file.facilitator.signer.evm.0.clone(),
            base: config.base.clone(),
        };
        let facilitators = Facilitators::new(Vec::new(), &file.facilitator, config.base.clone());
        let mut references: Vec<&String> = file.facilitator.tokens.iter().collect();
        references.extend(&file.wallet.evm_key);
        references.extend(&file.wallet.solana_key);
        references.extend(&file.wallet.passphrase);
        let named = references
            .into_iter()
            .filter_map(|reference| assemble::secret_file(reference, &config.base));
        let mut patient = Self {
            networks: assemble::chains(&file.network),
            lightning: Lightning::of(config, data_dir),
            pay_to: file.pay_to.evm.clone(),
            is_settling: !gas_keys.references.is_empty(),
            solana: SolanaSide::seller(
                &file.network,
                file.pay_to.solana.clone(),
                GasKeys {
                    references: file.facilitator.signer.solana.0.clone(),
                    base: config.base.clone(),
                },
                facilitators.clone(),
            ),
            gas_keys,
            facilitators,
            least: UsdMicros::default(),
            gas_rate: GasRate::default(),
            file: config.path.clone(),
            secrets: named.collect(),
            keystore: assemble::keystore_place(data_dir),
            entrance: Entrance::of(config),
            public_url: file.public_url.clone(),
            data_dir: data_dir.clone(),
            ledger: config.ledger_place(data_dir)?,
        };
        patient.add_secrets();
        Ok(patient)
    }

    /// A gate that is about to be opened.
    pub(crate) fn of_sale(sale: Sale, file: Option<PathBuf>, data_dir: &DataDir) -> Self {
        let is_settling = sale.facilitators.is_local();
        let mut patient = Self {
            networks: assemble::chains(&sale.networks),
            lightning: sale.lightning,
            pay_to: sale.pay_to,
            solana: sale.solana,
            // A key that is not needed is not read, as at the start.
            gas_keys: match is_settling {
                true => sale.gas_keys,
                false => GasKeys::default(),
            },
            facilitators: sale.facilitators,
            is_settling,
            least: UsdMicros::default(),
            gas_rate: GasRate::default(),
            file,
            secrets: Vec::new(),
            keystore: assemble::keystore_place(data_dir),
            entrance: sale.entrance,
            public_url: sale.public_url,
            data_dir: data_dir.clone(),
            ledger: sale.ledger,
        };
        patient.add_secrets();
        patient
    }

    /// A facilitator that is about to be opened.
    pub(crate) fn of_service(service: Service, file: Option<PathBuf>, data_dir: &DataDir) -> Self {
        let min_amount = service.limits.min_amount.map(|usd| usd.0);
        let tokens = service.tokens.iter();
        let secrets = tokens.filter_map(|(reference, base)| assemble::secret_file(reference, base));
        let mut patient = Self {
            pay_to: None,
            solana: service.solana,
            facilitators: Facilitators::default(),
            is_settling: true,
            least: min_amount.unwrap_or_default(),
            gas_rate: service.gas_rate,
            file,
            secrets: secrets.collect(),
            keystore: assemble::keystore_place(data_dir),
            networks: service.networks,
            lightning: Lightning::default(),
            gas_keys: service.gas_keys,
            entrance: service.entrance,
            public_url: service.public_url,
            data_dir: data_dir.clone(),
            ledger: service.ledger,
        };
        patient.add_secrets();
        patient
    }

    /// Adds the files of gas keys, of headers and of certificates that are obtained.
    fn add_secrets(&mut self) {
        let GasKeys { references, base } = &self.gas_keys;
        let keys = references
            .iter()
            .filter_map(|reference| assemble::secret_file(reference, base));
        let of_solana = self.solana.secrets();
        let of_solana = of_solana
            .references
            .iter()
            .filter_map(|reference| assemble::secret_file(reference, &of_solana.base));
        let keys = keys.chain(of_solana);
        let (headers, base) = self.facilitators.secrets();
        let headers = headers.filter_map(|reference| assemble::secret_file(reference, base));
        let obtained = assemble::certificate_secrets(&self.entrance, &self.data_dir);
        let macaroons = self.lightning.secrets();
        let macaroons = macaroons
            .filter_map(|reference| assemble::secret_file(reference, self.lightning.base()));
        let found = keys.chain(headers).chain(obtained).chain(macaroons);
        let found: Vec<PathBuf> = found.collect();
        self.secrets.extend(found);
    }
}
