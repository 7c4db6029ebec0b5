//! The shape of the configuration file, key by key, as docs/configuration.md explains it.
//!
//! Read by `config`; the flags of the commands win over it. Types here refuse what cannot mean
//! anything; whether the whole makes sense is for `assemble` to say.

use std::collections::BTreeMap;

use farebox_wire::caip::ChainId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::lightning::{MaxFee, NodeSection};
use super::rates::RateSection;
use super::route::{L402Section, RouteSection};
use super::values::{Listen, Part, References, Timespan, Usd, Wei};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// Where to listen; by default port 8402 of 127.0.0.1 for a gate, 8404 for a facilitator.
    pub(crate) listen: Option<Listen>,
    /// TLS where it listens; then nothing is answered in the clear there.
    pub(crate) tls: Option<TlsSection>,
    /// Proxies in front whose word about their clients is believed, in CIDR form, for instance `10.0.0.0/8`.
    pub(crate) trusted_proxies: Vec<String>,
    /// Whether those proxies begin every connection with a PROXY header, version 1 or 2; by default they do not.
    pub(crate) proxy_protocol: bool,
    /// Connections at the same time, by default 10000; more are turned away with 503.
    pub(crate) connections: Option<u32>,
    /// The origin in offers and receipts, as buyers see it; by default where the gate listens, if that is
    /// loopback. Never taken from a request.
    pub(crate) public_url: Option<String>,
    /// Where the owner asks how a gate or facilitator does, for instance `127.0.0.1:8403`.
    pub(crate) admin: Option<Listen>,
    /// Whether that may be beyond loopback.
    pub(crate) admin_open: bool,
    /// How long what was begun may go on after the signal to stop (default `30s`).
    pub(crate) stop_timeout: Option<Timespan>,
    /// What the gate does with a path that no route matches: `404` (default) or `free`.
    pub(crate) unmatched: Unmatched,
    /// The ledger, `sqlite:PATH`; by default `farebox.db` in the data directory.
    pub(crate) ledger: Option<String>,
    /// Chains by CAIP-2 name. A buyer with none pays on every known one, without asking a chain.
    pub(crate) network: BTreeMap<ChainId, NetworkSection>,
    /// Who is paid.
    pub(crate) pay_to: PayToSection,
    /// Who settles.
    pub(crate) facilitator: FacilitatorSection,
    /// Which pages in browsers may pay.
    pub(crate) cors: CorsSection,
    /// How long the gate waits for upstreams.
    pub(crate) timeouts: TimeoutsSection,
    /// Whether no route asks anybody to pay: prices are only counted and logged.
    pub(crate) shadow: bool,
    /// Tokens of L402.
    pub(crate) l402: Option<L402Section>,
    /// What is sold; the first route that matches a request is its price.
    pub(crate) route: Vec<RouteSection>,
    /// Who pays.
    pub(crate) wallet: WalletSection,
    /// Which of several offers `farebox fetch` takes; its flags win.
    pub(crate) prefer: PreferSection,
    /// Limits that a ledger gets when it has none yet; afterwards only `farebox budget set` changes them.
    pub(crate) budget: Option<BudgetSection>,
    /// Where a line for each request goes, if anywhere.
    pub(crate) log: Option<LogSection>,
    /// Where traces of requests go, if anywhere.
    pub(crate) telemetry: Option<TelemetrySection>,
    /// What agents may reach.
    pub(crate) policy: PolicySection,
    /// What a caller may make a server do in vain each second; 429 over it. The usual is for callers from other
    /// machines; written down, for all.
    pub(crate) limits: Option<LimitsSection>,
    /// What one of something is worth: `ETH/USD`, with which `min_amount` has to cover the gas of a settlement, at the
    /// start and, where it is read from a `url`, at every new payment; and `BTC/USD`, without which nothing is sold or
    /// bought over Lightning.
    pub(crate) rates: BTreeMap<String, RateSection>,
}

/// TLS at the listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSection {
    /// The server's certificate and those that lead to a root, in PEM: `file:PATH`. Needed without `acme`.
    #[serde(default)]
    pub(crate) cert: Option<String>,
    /// Its private key, in PEM: `file:PATH`. Needed without `acme`.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// A certificate that is obtained and renewed by itself, in place of `cert` and `key`.
    #[serde(default)]
    pub(crate) acme: Option<AcmeSection>,
    /// More certificates; the first that is for the name that a client asks for is shown.
    #[serde(default)]
    pub(crate) also: Vec<CertificateSection>,
    /// Where to listen in the clear, for instance `0.0.0.0:80`, to send everybody to TLS.
    #[serde(default)]
    pub(crate) redirect_from: Option<Listen>,
}

impl TlsSection {
    /// What is wrong where its certificate is not either in files or obtained.
    pub(super) const fn fault(&self) -> Option<&'static str> {
        match (&self.acme, &self.cert, &self.key) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => None,
            (Some(_), _, _) => Some(
                "tls has acme, and cert or key: a certificate is obtained or in files; remove one of them, or write the files into also",
            ),
            (None, _, _) => Some(
                "tls needs cert and key, or acme = { domains = [\"api.example.com\"], accept_terms = true }",
            ),
        }
    }
}

/// A certificate of an authority that speaks ACME (RFC 8555).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcmeSection {
    /// The names that the certificate is for, each of which leads here.
    pub(crate) domains: Vec<String>,
    /// Whom the authority may write to, `mailto:ops@example.com`; by default nobody.
    #[serde(default)]
    pub(crate) contact: Vec<String>,
    /// Whether its terms are accepted; nothing is obtained without.
    #[serde(default)]
    pub(crate) accept_terms: bool,
    /// The address of its directory; by default that of Let's Encrypt.
    #[serde(default)]
    pub(crate) directory: Option<String>,
    /// Whom the directory's own certificate has to lead to, in PEM: `file:PATH`; else those whom this machine trusts.
    #[serde(default)]
    pub(crate) ca: Option<String>,
    /// How the names are proven: `tls-alpn-01` (default), on port 443 of each, or `http-01`, on port 80, which has to
    /// lead to `redirect_from`.
    #[serde(default)]
    pub(crate) challenge: AcmeChallenge,
}

/// How names are proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum AcmeChallenge {
    /// In a handshake.
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By a request in the clear.
    #[serde(rename = "http-01")]
    Http01,
}

/// Another certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateSection {
    /// As in `tls`.
    pub(crate) cert: String,
    /// As in `tls`.
    pub(crate) key: String,
}

/// The request log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// How a line is written: `text` (default) or `json`.
    pub(crate) format: LogFormat,
    /// The file that lines are added to; without it they go to stderr.
    pub(crate) file: Option<String>,
}

/// Traces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetrySection {
    /// Where a collector takes OTLP over HTTP, for instance `http://127.0.0.1:4318`; `/v1/traces` is appended.
    pub(crate) otlp: Option<String>,
    /// Headers for it; each value is a reference to a secret, `env:NAME` or `file:PATH`.
    pub(crate) headers: BTreeMap<String, String>,
    /// How the collector calls this process; by default `farebox-gate` or `farebox-facilitator`.
    pub(crate) service_name: Option<String>,
    /// Which part of the requests is traced, from `0.0` to `1.0` (default).
    pub(crate) sample: Option<Part>,
    /// Which requests: those about a payment (`paying`, default), or `all`.
    pub(crate) requests: TracedRequests,
}

/// Which requests are traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TracedRequests {
    /// Those with a credential.
    #[default]
    Paying,
    /// Challenges and free ones too.
    All,
}

/// How a line of the request log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people: `key=value`.
    #[default]
    Text,
    /// For programs: one JSON object.
    Json,
}

/// What happens to a request that no route matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Unmatched {
    /// It is answered with 404 here.
    #[default]
    #[serde(rename = "404")]
    NotFound,
    /// It goes to the upstream, unpaid.
    #[serde(rename = "free")]
    Free,
}

/// One chain, or one network of Lightning.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NetworkSection {
    /// JSON-RPC addresses, tried in this order. A buyer pays without, except on Solana; `payments resume` asks them.
    pub(crate) rpc: Vec<String>,
    /// Blocks that a settlement must have before its answer is served; 1 (default) is its own block. Not on Solana.
    pub(crate) confirmations: Option<u64>,
    /// When a block can no longer be undone: `"finalized"` (default), or a number of blocks.
    #[serde(rename = "final")]
    pub(crate) finality: Final,
    /// On Solana: how sure a settlement must be before its answer is served, `"confirmed"` (default) or `"finalized"`,
    /// which takes a dozen seconds longer.
    pub(crate) commitment: Option<SolanaCommitment>,
    /// Tokens beyond the built-in table.
    pub(crate) asset: Vec<AssetSection>,
    /// Tokens that a seller offers; by default the first that has a price.
    pub(crate) offered: Vec<String>,
    /// The most that our transactions pay for one unit of gas, by default `"1000 gwei"`. On Lightning the most for the
    /// way of one payment, `"10 sat"` or `"1%"`; by default the larger of the two.
    pub(crate) max_fee: Option<MaxFee>,
    /// On a network of Lightning: the node that pays and is paid. Needed there.
    pub(crate) node: Option<NodeSection>,
    /// Where the contract for batched settlement is, if not at its usual address.
    pub(crate) settler: Option<String>,
}

/// How sure a block of Solana is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SolanaCommitment {
    /// Two thirds of the stake have voted for it.
    Confirmed,
    /// It can no longer be undone.
    Finalized,
}

/// When a block is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Final {
    /// When the chain's own `finalized` block has reached it.
    #[default]
    Finalized,
    /// When so many blocks lie above it; 0 suits test chains.
    Blocks(u64),
}

impl<'de> Deserialize<'de> for Final {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) if text == "finalized" => Ok(Self::Finalized),
            toml::Value::Integer(blocks) if blocks >= 0 => Ok(Self::Blocks(blocks.unsigned_abs())),
            _ => Err(D::Error::custom(
                "final is neither \"finalized\" nor a number of blocks",
            )),
        }
    }
}

/// A token beyond the built-in table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetSection {
    /// Address of the contract; on Solana of the mint.
    pub(crate) address: String,
    /// What people call it.
    pub(crate) symbol: String,
    /// EIP-712 name of the contract. Needed on EVM chains.
    pub(crate) name: Option<String>,
    /// EIP-712 version of the contract. Needed on EVM chains.
    pub(crate) version: Option<String>,
    /// On Solana: the program of the mint, `"spl-token"` (default) or `"token-2022"`.
    pub(crate) program: Option<Program>,
    /// Digits after the point of one whole token.
    pub(crate) decimals: u8,
    /// Dollars for one whole token, for instance `"1.08"`. Without it the token is not paid with.
    pub(crate) usd: Option<Usd>,
}

/// The program that keeps the accounts of a token on Solana.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Program {
    /// SPL Token.
    #[serde(rename = "spl-token")]
    SplToken,
    /// SPL Token-2022.
    #[serde(rename = "token-2022")]
    Token2022,
}

/// Who is paid, per rail.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PayToSection {
    /// Address on every EVM chain; in mixed case its checksum must be right.
    pub(crate) evm: Option<String>,
    /// Account on Solana, which needs a token account for every token that is offered there.
    pub(crate) solana: Option<String>,
}

/// Who settles; `["local"]` is this process with its own gas key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FacilitatorSection {
    /// Who settles for the gate, in order of preference: `"local"` (default) or an https URL.
    pub(crate) urls: Vec<String>,
    /// Headers for the facilitators in `urls`; each value is a reference to a secret, `env:NAME` or `file:PATH`.
    pub(crate) headers: BTreeMap<String, String>,
    /// Keys that pay for gas.
    pub(crate) signer: SignerSection,
    /// Whose payments the facilitator settles; by default everybody's, on loopback.
    pub(crate) payees: Vec<String>,
    /// References to tokens, one of which callers of the facilitator have to show (Bearer).
    pub(crate) tokens: Vec<String>,
    /// Whether the facilitator is for everybody, also beyond loopback; by default it is not.
    pub(crate) open: bool,
    /// Contracts that may deploy a payer's wallet before it pays (ERC-6492).
    pub(crate) erc6492_factories: Vec<String>,
    /// What may be spent on gas, and for what.
    pub(crate) limits: FacilitatorLimits,
}

/// Keys that pay for gas, per rail.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignerSection {
    /// Reference to the key, `env:NAME` or `file:PATH`, or a list: each key is a lane of its own.
    pub(crate) evm: References,
    /// Reference to the key that pays the fees on Solana, or a list: offers name the first, and each pays what names it.
    pub(crate) solana: References,
}

/// What may be spent on gas, and for what. What is absent does not limit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FacilitatorLimits {
    /// The least that a payment must be worth.
    pub(crate) min_amount: Option<Usd>,
    /// The most for gas between two midnights (UTC), on each chain.
    pub(crate) max_gas_per_day: Option<Wei>,
    /// The same for the payments of one payer.
    pub(crate) max_gas_per_day_payer: Option<Wei>,
    /// The same for the payments to one payee.
    pub(crate) max_gas_per_day_payee: Option<Wei>,
}

/// What strangers may make a server do in vain, each so often in a second, and how many invoices they may have
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsSection {
    /// Signatures that turn out not to be the payer's; by default 50.
    pub(crate) bad_signatures_per_s: Option<u32>,
    /// Payers that are looked up and turn out not to be funded; by default 5.
    pub(crate) first_sight_per_s: Option<u32>,
    /// Signatures that only a simulation on the chain can judge; by default 1.
    pub(crate) simulations_per_s: Option<u32>,
    /// Invoices that may be open for one client, an IPv4 address or an IPv6 /64; by default 3.
    pub(crate) open_invoices_per_prefix: Option<u32>,
    /// Invoices that may be open in all; by default 10000. A tenth is kept for clients who come when they may have none of
    /// their own.
    pub(crate) open_invoices: Option<u32>,
}

impl LimitsSection {
    /// Whether it says anything about work in vain; invoices are another matter.
    pub(super) fn limits_work(&self) -> bool {
        let said = [
            self.bad_signatures_per_s,
            self.first_sight_per_s,
            self.simulations_per_s,
        ];
        said.iter().any(Option::is_some)
    }
}

/// Which pages in browsers may pay at the gate and read what they have paid for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CorsSection {
    /// Origins as browsers write them, for instance `https://app.example`; without it those of any
    /// origin.
    pub(crate) origins: Option<Vec<String>>,
    /// Whether they may send cookies along; only for listed origins.
    pub(crate) credentials: bool,
}

/// How long the gate waits for upstreams.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimeoutsSection {
    /// Until an upstream has accepted a connection, TLS included (default `5s`).
    pub(crate) connect: Option<Timespan>,
    /// Until the head of its answer has come, which includes the request's body (default `120s`).
    pub(crate) head: Option<Timespan>,
    /// While nothing more of an answer comes, or a WebSocket is silent (default `5m`). An answer may last for ever.
    pub(crate) idle: Option<Timespan>,
}

/// Who pays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WalletSection {
    /// Reference to the key: `keystore:NAME` (default `keystore:default`), `env:NAME`, `file:PATH`.
    pub(crate) evm_key: Option<String>,
    /// Reference to the key that pays on Solana, `env:NAME` or `file:PATH`: 64 bytes in base58, the array of
    /// solana-keygen, or a seed of 64 hex digits. Without it nothing is paid there.
    pub(crate) solana_key: Option<String>,
    /// Reference to the keystore's passphrase; without it the terminal is asked.
    pub(crate) passphrase: Option<String>,
    /// How long a credential of ours may live, at most (default `120s`).
    pub(crate) max_validity: Option<Timespan>,
}

/// Which of several offers is paid. Of those that nothing rules out the first in `order` is taken, then one that the
/// wallet is known to have enough for, then the cheapest with its fee.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PreferSection {
    /// Networks, rails, protocols or assets in order of preference, for instance `lightning`, `eip155:8453`.
    pub(crate) order: Vec<String>,
    /// Only this protocol: `x402` or `l402`.
    pub(crate) protocol: Option<String>,
    /// Only this rail: `evm`, `solana` or `lightning`.
    pub(crate) rail: Option<String>,
    /// Only these assets, by symbol or CAIP-19 name; by default all that are known.
    pub(crate) assets: Vec<String>,
    /// Whether real money may be paid (default), or only that of test networks.
    pub(crate) mainnets: Option<bool>,
}

/// Limits in US dollars. Those that are absent do not limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BudgetSection {
    /// The most that one payment may cost.
    pub(crate) per_payment: Option<Usd>,
    /// The most between two midnights (UTC).
    pub(crate) per_day: Option<Usd>,
    /// The most ever.
    pub(crate) total: Option<Usd>,
}

/// What agents may reach.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicySection {
    /// Private networks that agents may reach, in CIDR form, for instance `127.0.0.1/32`.
    pub(crate) allow_private: Vec<String>,
}
