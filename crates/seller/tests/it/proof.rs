//! What the chain has said of a wallet's credential is good for the claim that follows, and never
//! for more than the payer has.

use std::sync::Arc;

use farebox_core::clock::Clock;
use farebox_core::ledger::{Payment, SellerSide};
use farebox_core::payment::Role;
use farebox_core::rail::{CollectRail, Examined, Price};
use farebox_seller::body::BodyDigest;
use farebox_seller::till::settle::{Attempt, Settlement};
use farebox_seller::till::{NotClaimed, NotProven, Proven, Till, TillConfig};
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;

use crate::support::fake_rail::SIGNED_BY_A_WALLET;
use crate::support::{Step, World};

const PRICE: u128 = 1_000;

/// A till over the rail and the books of a world.
struct Bare {
    world: World,
    till: Arc<Till>,
}

impl Bare {
    /// Its payer has enough for one payment.
    fn new() -> Self {
        let world = World::new();
        world.rail.set_balance(PRICE);
        let config = TillConfig {
            role: Role::Seller,
            settle_wait_ms: 20_000,
            watch_every_ms: 1_000,
        };
        let till = Till::new(
            config,
            vec![Arc::clone(&world.rail) as _],
            Arc::clone(&world.ledger) as _,
            Arc::clone(&world.clock) as _,
        );
        Self { world, till }
    }

    /// A wallet's payment.
    fn examined(&self, nonce: &str) -> Examined {
        let mut credential = self.world.credential("/weather/x", nonce);
        credential.payload["signature"] = SIGNED_BY_A_WALLET.into();
        self.examine(&credential)
    }

    fn examine(&self, credential: &PaymentPayload) -> Examined {
        let price = Price {
            usd: UsdMicros(PRICE),
            max_timeout_s: 60,
            upfront: false,
        };
        let offer = self.world.rail.offers(&price).expect("offers").remove(0);
        let now_s = self.world.clock.now_s();
        let examined = self.world.rail.examine(credential, &offer, now_s);
        examined.expect("a credential that the chain may judge")
    }

    /// An ordinary account's payment, claimed without a proof at hand.
    async fn claim_ordinary(&self, nonce: &str) -> (Examined, Result<Payment, NotClaimed>) {
        let credential = self.world.credential("/weather/x", nonce);
        let examined = self.examine(&credential);
        let side = side_of(&examined);
        let rail = self.world.rail.as_ref();
        let claimed = self.till.claim(rail, &examined, side, None).await;
        (examined, claimed)
    }

    async fn prove(&self, examined: &Examined) -> Result<Option<Proven>, NotProven<()>> {
        let rail = self.world.rail.as_ref();
        self.till.prove(rail, examined, || Ok(())).await
    }

    async fn proven(&self, examined: &Examined) -> Proven {
        let Ok(Some(proven)) = self.prove(examined).await else {
            panic!("the chain was to say yes");
        };
        proven
    }

    async fn claim(&self, examined: &Examined, proven: Proven) -> Result<Payment, NotClaimed> {
        let side = side_of(examined);
        let rail = self.world.rail.as_ref();
        self.till.claim(rail, examined, side, Some(proven)).await
    }

    async fn settle(&self, examined: &Examined, payment: &Payment) {
        let attempt = Attempt {
            rail: self.world.rail.as_ref(),
            payment,
            handle: &examined.handle,
            request_body: &BodyDigest::default(),
            delivers: None,
            wait_ms: 20_000,
        };
        let settled = self.till.settle(attempt).await;
        assert!(matches!(settled, Settlement::Settled { .. }), "{settled:?}");
    }
}

fn side_of(examined: &Examined) -> SellerSide {
    SellerSide {
        route: "weather".to_owned(),
        payload_digest: examined.payload_digest,
        request_digest: [0; 32],
        body_digest: None,
    }
}

fn assert_nothing_left(claimed: Result<Payment, NotClaimed>) {
    let Err(NotClaimed::Insufficient { left }) = claimed else {
        panic!("the payer has nothing left");
    };
    assert!(left.is_zero());
}

#[tokio::test]
async fn two_proofs_of_one_balance_claim_it_once() {
    let bare = Bare::new();
    let (one, other) = (bare.examined("1"), bare.examined("2"));
    let (of_one, of_other) = (bare.proven(&one).await, bare.proven(&other).await);
    assert!(bare.claim(&one, of_one).await.is_ok());
    assert_nothing_left(bare.claim(&other, of_other).await);
    assert_eq!(bare.world.rail.verifications(), 2, "once for each");
}

#[tokio::test]
async fn what_settles_between_proof_and_claim_counts_as_gone() {
    let bare = Bare::new();
    let (one, other) = (bare.examined("1"), bare.examined("2"));
    let (of_one, of_other) = (bare.proven(&one).await, bare.proven(&other).await);
    let Ok(payment) = bare.claim(&one, of_one).await else {
        panic!("the first one is covered");
    };
    bare.settle(&one, &payment).await;
    assert_nothing_left(bare.claim(&other, of_other).await);
    assert_eq!(
        bare.world.rail.verifications(),
        2,
        "the chain was not asked again"
    );
}

#[tokio::test]
async fn a_proof_that_is_not_of_this_moment_is_made_anew() {
    let bare = Bare::new();
    let examined = bare.examined("1");
    let proven = bare.proven(&examined).await;
    bare.world.rail.set_balance(0);
    bare.world.clock.advance_s(1);
    let Err(NotClaimed::Refused(refusal)) = bare.claim(&examined, proven).await else {
        panic!("the payer is poor by now");
    };
    assert_eq!(refusal.reason, Reason::InsufficientBalance);
    assert!(bare.world.payments().await.is_empty());
}

#[tokio::test]
async fn whoever_may_not_ask_is_told_so_and_the_chain_is_not_asked() {
    let bare = Bare::new();
    let examined = bare.examined("1");
    let rail = bare.world.rail.as_ref();
    let proven = bare.till.prove(rail, &examined, || Err("not now")).await;
    assert!(matches!(proven, Err(NotProven::NotAsked("not now"))));
    assert_eq!(bare.world.rail.verifications(), 0);
}

#[tokio::test]
async fn what_the_books_know_needs_no_leave_and_no_question() {
    let bare = Bare::new();
    let examined = bare.examined("1");
    let proven = bare.proven(&examined).await;
    let Ok(payment) = bare.claim(&examined, proven).await else {
        panic!("it is covered");
    };
    let rail = bare.world.rail.as_ref();
    let again = bare.till.prove(rail, &examined, || Err("not now")).await;
    assert!(matches!(again, Ok(None)));
    assert_eq!(bare.world.rail.verifications(), 1);
    // Given back it is as new.
    bare.till
        .abandon(&payment, "upstream_failed")
        .await
        .expect("the books are whole");
    let anew = bare.till.prove(rail, &examined, || Err("not now")).await;
    assert!(matches!(anew, Err(NotProven::NotAsked(_))));
}

#[tokio::test]
async fn a_payer_who_has_just_enough_is_served_though_his_mark_is_old() {
    let bare = Bare::new();
    bare.world.rail.set_balance(2 * PRICE);
    let (one, payment) = bare.claim_ordinary("1").await;
    let Ok(payment) = payment else {
        panic!("the first one is covered");
    };
    bare.settle(&one, &payment).await;
    // The chain knows of the first one by now, and the mark does not.
    bare.world.rail.set_balance(PRICE);
    assert!(bare.claim_ordinary("2").await.1.is_ok());
    assert_nothing_left(bare.claim_ordinary("3").await.1);
}

#[tokio::test]
async fn a_payer_who_pays_often_costs_one_look_for_his_mark() {
    let bare = Bare::new();
    bare.world.rail.set_balance(10 * PRICE);
    assert!(bare.claim_ordinary("1").await.1.is_ok());
    bare.world.ledger.fail_at(Some(Step::Mark));
    assert!(bare.claim_ordinary("2").await.1.is_ok());
    bare.world.clock.advance_s(1);
    let later = bare.claim_ordinary("3").await.1;
    assert!(matches!(later, Err(NotClaimed::Ledger(_))));
}
