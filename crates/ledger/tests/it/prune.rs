//! What is forgotten, and what is not.

use farebox_core::ledger::{Attach, Claimed, Ledger, PaymentId};
use farebox_core::payment::Event;
use farebox_core::rail::Credential;
use farebox_core::token::{Scope, Token, TokenId, TokenNews, TokenState, Tokens as _};
use farebox_ledger::conformance::kit::{NOON_MS, claim, limits, sending, spend};
use farebox_ledger::{Pruned, SqliteLedger};

use crate::folder::Folder;

const EXPIRES_S: u64 = NOON_MS / 1000 + 60;
/// Ten minutes and a second after the expiry.
const LATER_MS: u64 = (EXPIRES_S + 601) * 1000;

fn open(folder: &Folder) -> SqliteLedger {
    SqliteLedger::open(&folder.path()).expect("a ledger")
}

async fn payment(ledger: &SqliteLedger, name: &str) -> farebox_core::ledger::Payment {
    let found = ledger.payment(&PaymentId(name.to_owned())).await;
    found.expect("a working store").expect("the payment")
}

#[tokio::test]
async fn an_expired_credential_is_erased_from_the_file() {
    let folder = Folder::empty();
    let ledger = open(&folder);
    let set = ledger.set_budget(None, limits(None, None, Some(100))).await;
    set.expect("a working store");
    let new = spend("bought", 5);
    let id = new.id.clone();
    assert!(ledger.reserve(new).await.is_ok());
    let signed = Attach {
        credential: Some(Credential {
            header: "payment-signature".to_owned(),
            // As long as real ones are, so that it takes pages of its own.
            value: "a-secret-that-is-money".repeat(400),
        }),
        valid_before_s: Some(EXPIRES_S),
        ..Attach::default()
    };
    assert!(ledger.apply(&id, sending(), signed, NOON_MS).await.is_ok());

    let nothing = ledger.prune(EXPIRES_S * 1000).await.expect("a prune");
    assert_eq!(nothing, Pruned::default());
    let buyer = payment(&ledger, "bought").await.buyer.expect("a buyer");
    assert!(buyer.credential.is_some());

    let pruned = ledger.prune(LATER_MS).await.expect("a prune");
    assert_eq!((pruned.credentials, pruned.handles), (1, 0));
    let buyer = payment(&ledger, "bought").await.buyer.expect("a buyer");
    assert!(buyer.credential.is_none());
    // Not in a free corner of the file either, once the log has been written back.
    folder
        .raw()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("everything in the file");
    let bytes = std::fs::read(folder.path()).expect("a file");
    let secret = b"a-secret-that-is-money";
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    ledger.verify(true).await.expect("books that add up");
}

#[tokio::test]
async fn a_closed_claim_loses_its_handle_and_keeps_its_name_and_receipt() {
    let folder = Folder::empty();
    let ledger = open(&folder);
    for name in ["open", "closed"] {
        assert!(ledger.claim(claim(name, 5)).await.is_ok());
    }
    let closed = Event::Settled {
        transaction: "0x01".to_owned(),
        is_final: true,
    };
    let receipt = Attach {
        receipt: Some("{}".to_owned()),
        ..Attach::default()
    };
    let id = PaymentId("closed".to_owned());
    assert!(ledger.apply(&id, closed, receipt, NOON_MS).await.is_ok());

    let pruned = ledger.prune(LATER_MS).await.expect("a prune");
    assert_eq!((pruned.credentials, pruned.handles), (0, 1));
    assert!(payment(&ledger, "open").await.handle.is_some());
    let payment = payment(&ledger, "closed").await;
    assert!(payment.handle.is_none());
    assert_eq!(payment.receipt.as_deref(), Some("{}"));
    let again = ledger.claim(claim("closed", 5)).await;
    assert!(matches!(again, Ok(Claimed::Repeat(_))));
    ledger.verify(true).await.expect("books that add up");
}

#[tokio::test]
async fn tokens_that_are_worth_nothing_are_erased_from_the_file() {
    let folder = Folder::empty();
    let ledger = open(&folder);
    let token = |name: &str, expires_s| Token {
        id: TokenId(name.to_owned()),
        payment: None,
        scope: Scope {
            origin: "https://a.example:443".to_owned(),
            method: None,
            path: "*".to_owned(),
        },
        agent: None,
        credential: Credential {
            header: "authorization".to_owned(),
            value: format!("a-{name}-token-that-is-money").repeat(400),
        },
        created_ms: NOON_MS,
        updated_ms: NOON_MS,
        expires_s,
        uses_left: None,
        state: TokenState::Fresh,
    };
    let tokens = [
        token("good", None),
        token("expired", Some(EXPIRES_S)),
        token("revoked", None),
    ];
    for token in tokens {
        assert!(ledger.keep_token(token).await.expect("a working store"));
    }
    let revoked = TokenId("revoked".to_owned());
    let noted = ledger.note_token(&revoked, TokenNews::Revoked, EXPIRES_S * 1000);
    assert!(noted.await.expect("a working store").is_some());

    let nothing = ledger.prune(EXPIRES_S * 1000).await.expect("a prune");
    assert_eq!(nothing, Pruned::default());
    let pruned = ledger.prune(LATER_MS).await.expect("a prune");
    assert_eq!(pruned.tokens, 2);
    let left = ledger.tokens(None).await.expect("tokens");
    assert_eq!(left.len(), 1);
    folder
        .raw()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("everything in the file");
    let bytes = std::fs::read(folder.path()).expect("a file");
    let is_there = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    assert!(is_there(b"a-good-token-that-is-money"));
    assert!(!is_there(b"a-expired-token-that-is-money"));
    assert!(!is_there(b"a-revoked-token-that-is-money"));
}
