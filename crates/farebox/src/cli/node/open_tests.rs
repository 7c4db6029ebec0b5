//! What becomes of a channel that is waited for, by a made-up node.

use std::sync::Mutex;

use async_trait::async_trait;
use farebox_wire::caip::ChainId;

use super::*;
use crate::assemble::{NodeInfo, Opened};

/// A node whose channel is as each look at it says; `None` is none.
struct Told {
    network: ChainId,
    looks: Mutex<Vec<Option<ChannelState>>>,
    changes: Vec<Change>,
}

const ID: &str = "0a";

fn told(looks: &[Option<ChannelState>], changes: &[Change]) -> Told {
    Told {
        network: "lightning:regtest".parse().expect("a network"),
        looks: Mutex::new(looks.iter().rev().copied().collect()),
        changes: changes.to_vec(),
    }
}

fn channel(state: ChannelState) -> ChannelFacts {
    ChannelFacts {
        id: ID.to_owned(),
        peer: "02aa".to_owned(),
        capacity_sats: 20_000,
        ours_msat: 20_000_000,
        theirs_msat: 0,
        funding_txid: None,
        confirmations: Some((0, 6)),
        is_ours: true,
        state,
        is_usable: state == ChannelState::Open,
    }
}

#[async_trait]
impl OwnNode for Told {
    fn network(&self) -> &ChainId {
        &self.network
    }

    async fn look_around(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    async fn info(&self) -> Result<NodeInfo, Failure> {
        panic!("not asked")
    }

    async fn address(&self) -> Result<String, Failure> {
        panic!("not asked")
    }

    async fn channels(&self) -> Result<Vec<ChannelFacts>, Failure> {
        let look = self.looks.lock().expect("no panic").pop();
        let state = look.expect("as many looks as were told");
        Ok(state.map(channel).into_iter().collect())
    }

    async fn open(&self, _: &Wanted) -> Result<Opened, Failure> {
        Ok(Opened {
            id: ID.to_owned(),
            was_there: false,
        })
    }

    async fn close(&self, _: &str, _: bool) -> Result<(), Failure> {
        panic!("not asked")
    }

    async fn changes(&self) -> Result<mpsc::Receiver<Change>, Failure> {
        let (tell, changes) = mpsc::channel(8);
        for change in &self.changes {
            tell.send(change.clone()).await.expect("there is room");
        }
        // It goes on: nobody has stopped the node.
        tokio::spawn(async move { tell.closed().await });
        Ok(changes)
    }
}

fn wanted() -> Wanted {
    Wanted {
        peer: "02aa".to_owned(),
        address: "127.0.0.1:9735".to_owned(),
        capacity_sats: 20_000,
        push_msat: 0,
        is_another: false,
    }
}

fn closed(id: &str) -> Change {
    Change::Closed {
        id: id.to_owned(),
        reason: "too small for us".to_owned(),
    }
}

#[tokio::test]
async fn a_channel_is_waited_for_until_it_can_be_used() {
    use ChannelState::{Confirming, Negotiating, Open};
    let node = told(
        &[Some(Negotiating), Some(Confirming), Some(Open)],
        // Another channel's end is nothing to this one.
        &[Change::Channels, closed("0b")],
    );
    let opened = open(&node, &wanted()).await.expect("it is open");
    assert!(opened.is_usable);
    assert!(node.looks.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_channel_that_does_not_come_about_is_told_with_its_reason() {
    for (looks, changes) in [
        (vec![None], vec![Change::Channels, closed(ID)]),
        (vec![Some(ChannelState::Negotiating)], vec![closed(ID)]),
    ] {
        let node = told(&looks, &changes);
        let refused = open(&node, &wanted()).await.expect_err("it is gone");
        assert_eq!((refused.exit, refused.code()), (1, Some("channel_refused")));
        let message = refused.fault.expect("a fault").message;
        assert!(message.contains("too small for us"), "{message}");
    }
}

#[tokio::test]
async fn who_breaks_off_is_told_whether_the_channel_goes_on() {
    for (look, code) in [
        (None, "channel_refused"),
        (Some(ChannelState::Negotiating), "channel_refused"),
        (Some(ChannelState::Confirming), "channel_pending"),
        (Some(ChannelState::Open), "channel_pending"),
    ] {
        let told = broken_off(&told(&[look], &[]), &wanted()).await;
        assert_eq!(told.code(), Some(code), "{look:?}");
    }
}
