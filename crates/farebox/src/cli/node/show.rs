//! `farebox node info`, `address` and `channels`: what the node is and has. They change nothing but that
//! a new address is taken.

use clap::Args;
use farebox_wire::money::Amount;
use serde::Serialize;

use super::{Which, look_around};
use crate::assemble::{ChannelFacts, ChannelState, NodeInfo};
use crate::cli::Globals;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox node info
  farebox node address
  farebox node channels --network lightning:regtest --json";

/// Digits after the point of a satoshi in millisatoshis.
const SAT_DECIMALS: u8 = 3;

/// Show the node's public key, where it listens, its newest block, and what it has
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Info {
    #[command(flatten)]
    which: Which,
}

/// Print a new address of the node's on-chain wallet, to send bitcoin to
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Address {
    #[command(flatten)]
    which: Which,
}

/// List the node's channels: peer, size, both sides, and how far each is
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Channels {
    #[command(flatten)]
    which: Which,
}

/// What `info --json` prints. Sums are decimal strings.
#[derive(Serialize)]
struct InfoView {
    network: String,
    pubkey: String,
    listening: Vec<String>,
    block: BlockView,
    synced: bool,
    channels: CountView,
    onchain: OnchainView,
    lightning: LightningView,
}

#[derive(Serialize)]
struct BlockView {
    height: u32,
    hash: String,
}

#[derive(Serialize)]
struct CountView {
    all: usize,
    usable: usize,
}

#[derive(Serialize)]
struct OnchainView {
    total_sat: String,
    spendable_sat: String,
    closing_sat: String,
}

#[derive(Serialize)]
struct LightningView {
    ours_msat: String,
    can_pay_msat: String,
    can_receive_msat: String,
}

/// What `channels --json` prints.
#[derive(Serialize)]
struct Listed {
    channels: Vec<ChannelView>,
}

/// A channel as machines read it.
#[derive(Serialize)]
pub(super) struct ChannelView {
    channel: String,
    peer: String,
    capacity_sat: String,
    ours_msat: String,
    theirs_msat: String,
    usable: bool,
    state: &'static str,
    confirmations: Option<u32>,
    confirmations_needed: Option<u32>,
    opened_by_us: bool,
    funding_transaction: Option<String>,
}

impl Info {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let node = self.which.node(globals)?;
        look_around(&*node, globals).await?;
        let info = node.info().await?;
        if globals.json {
            output::json(&InfoView::new(node.network().as_str(), &info))?;
        } else {
            output::line(&text(node.network().as_str(), &info))?;
        }
        Ok(0)
    }
}

impl Address {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let node = self.which.node(globals)?;
        let address = node.address().await?;
        match globals.json {
            true => {
                let network = node.network().as_str();
                output::json(&serde_json::json!({"address": address, "network": network}))
            }
            false => output::line(&address),
        }?;
        Ok(0)
    }
}

impl Channels {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let node = self.which.node(globals)?;
        look_around(&*node, globals).await?;
        let channels = node.channels().await?;
        if globals.json {
            let channels = channels.iter().map(ChannelView::of).collect();
            output::json(&Listed { channels })?;
        } else if channels.is_empty() {
            output::line(
                "No channels. Open one with `farebox node open PUBKEY@HOST:PORT AMOUNT`.",
            )?;
        } else {
            let rows: Vec<Vec<String>> = channels.iter().map(row).collect();
            let headings = [
                "channel", "peer", "sat", "ours", "theirs", "usable", "state",
            ];
            output::line(&output::table(&headings, &rows))?;
        }
        Ok(0)
    }
}

impl InfoView {
    fn new(network: &str, info: &NodeInfo) -> Self {
        Self {
            network: network.to_owned(),
            pubkey: info.pubkey.clone(),
            listening: info.listening.iter().map(ToString::to_string).collect(),
            block: BlockView {
                height: info.block.0,
                hash: info.block.1.clone(),
            },
            synced: info.is_synced,
            channels: CountView {
                all: info.channels.len(),
                usable: usable(info),
            },
            onchain: OnchainView {
                total_sat: info.onchain_sats.to_string(),
                spendable_sat: info.spendable_sats.to_string(),
                closing_sat: info.closing_sats.to_string(),
            },
            lightning: LightningView {
                ours_msat: ours(info).to_string(),
                can_pay_msat: info.can_pay_msat.to_string(),
                can_receive_msat: info.can_receive_msat.to_string(),
            },
        }
    }
}

impl ChannelView {
    pub(super) fn of(channel: &ChannelFacts) -> Self {
        Self {
            channel: channel.id.clone(),
            peer: channel.peer.clone(),
            capacity_sat: channel.capacity_sats.to_string(),
            ours_msat: channel.ours_msat.to_string(),
            theirs_msat: channel.theirs_msat.to_string(),
            usable: channel.is_usable,
            state: word(channel.state),
            confirmations: channel.confirmations.map(|(seen, _)| seen),
            confirmations_needed: channel.confirmations.map(|(_, needed)| needed),
            opened_by_us: channel.is_ours,
            funding_transaction: channel.funding_txid.clone(),
        }
    }
}

/// The state as machines read it.
pub(super) const fn word(state: ChannelState) -> &'static str {
    match state {
        ChannelState::Negotiating => "negotiating",
        ChannelState::Confirming => "confirming",
        ChannelState::Open => "open",
    }
}

/// The state for people, with what is missing.
pub(super) fn words(channel: &ChannelFacts) -> String {
    match (channel.state, channel.confirmations, channel.is_usable) {
        (ChannelState::Confirming, Some((seen, needed)), _) => {
            format!("confirming, {seen} of {needed} blocks")
        }
        (ChannelState::Open, _, false) => "open, peer not connected".to_owned(),
        (state, ..) => word(state).to_owned(),
    }
}

fn row(channel: &ChannelFacts) -> Vec<String> {
    let usable = if channel.is_usable { "yes" } else { "no" };
    vec![
        channel.id.clone(),
        channel.peer.clone(),
        channel.capacity_sats.to_string(),
        sats(channel.ours_msat),
        sats(channel.theirs_msat),
        usable.to_owned(),
        words(channel),
    ]
}

fn text(network: &str, info: &NodeInfo) -> String {
    let listening: Vec<String> = info.listening.iter().map(ToString::to_string).collect();
    let listening = match listening.is_empty() {
        true => "nowhere: it connects to others, and nobody to it".to_owned(),
        false => listening.join(", "),
    };
    let synced = match info.is_synced {
        true => "the newest",
        false => "not the newest",
    };
    let closing = match info.closing_sats {
        0 => String::new(),
        sats => format!(", {sats} sat come back from closed channels"),
    };
    let lines = [
        ("public key", info.pubkey.clone()),
        ("network", network.to_owned()),
        ("listens at", listening),
        ("block", format!("{}, {synced}", info.block.0)),
        (
            "on chain",
            format!(
                "{} sat, of which {} sat can be spent{closing}",
                info.onchain_sats, info.spendable_sats
            ),
        ),
        (
            "channels",
            format!("{}, of which {} usable", info.channels.len(), usable(info)),
        ),
        (
            "lightning",
            format!(
                "{} sat; can pay {} sat and receive {} sat now",
                sats(ours(info)),
                sats(info.can_pay_msat),
                sats(info.can_receive_msat)
            ),
        ),
    ];
    let mut lines: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{name:10}  {value}"))
        .collect();
    if info.channels.is_empty() && info.spendable_sats < info.reserve_sats {
        lines.push(format!(
            "Each channel wants {} sat on chain besides, for closing it: send some to the address of `farebox node address`.",
            info.reserve_sats
        ));
    }
    lines.join("\n")
}

fn usable(info: &NodeInfo) -> usize {
    info.channels.iter().filter(|c| c.is_usable).count()
}

fn ours(info: &NodeInfo) -> u64 {
    let ours = info.channels.iter().map(|channel| channel.ours_msat);
    ours.fold(0, u64::saturating_add)
}

/// Satoshis, as people say them.
fn sats(msat: u64) -> String {
    Amount::from_atomic(msat.into()).to_decimal_string(SAT_DECIMALS)
}
