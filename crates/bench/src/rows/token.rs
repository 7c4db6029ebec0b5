//! Rows of L402: requests that are paid by tokens, with unlimited and with counted uses.
//!
//! Tokens come from the gate's own 402s; the invoices in them are those of a stand-in for a node, whose preimages
//! make credentials of them. Whatever was answered must have reached the upstream, and every counted use must
//! stand in the ledger: a difference of one fails the row.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use farebox_wire::l402::challenge;
use farebox_wire::l402::credential::L402Credential;
use rusqlite::{Connection, OpenFlags};

use super::{ask, header, in_turn, say};
use crate::bare::{SEEN, UPSTREAM_BODY};
use crate::lnd::Lnd;
use crate::load::{self, Answer, Feed};
use crate::product::Server;
use crate::report::{Report, Sample};
use crate::stage::{self, Serve, Stage};
use crate::{Fallible, node};

/// Tokens that pay in turn, each bought by itself: as many as there are payers in the other rows.
const TOKENS: usize = 100;
const PATH: &str = "/tokens";
const PRICE: &str = "10 sat";

/// What a row is about.
struct Kind {
    name: &'static str,
    /// What its route says of tokens.
    terms: &'static str,
    is_counted: bool,
    connections: usize,
}

const UNLIMITED: Kind = Kind {
    name: "unlimited",
    terms: "uses = \"unlimited\"\nvalid_for = \"1h\"",
    is_counted: false,
    connections: 50,
};

/// More uses than a run can take. Each waits for the disk, so more are under way, as in other rows that write.
const COUNTED: Kind = Kind {
    name: "counted",
    terms: "uses = 1000000000",
    is_counted: true,
    connections: 400,
};

/// Measures both.
pub(super) fn measure(stage: &mut Stage, report: &mut Report) {
    say("requests paid by tokens");
    report.token.fill(row(stage, &UNLIMITED));
    say("requests paid by tokens with counted uses");
    report.token_uses.fill(row(stage, &COUNTED));
}

fn row(stage: &mut Stage, kind: &Kind) -> Fallible<Sample> {
    let upstream = stage.bare("upstream", &[])?;
    let proxy = stage.bare("proxy", &[format!("--upstream={}", upstream.address)])?;
    let lnd = Lnd::start(stage.folder())?;
    let books = stage.folder().join(format!("{}.db", kind.name));
    let gate = gate(stage, kind, &upstream, &lnd, &books)?;
    let requests = buy(&gate, &lnd)?;
    let shop = Shop {
        gate,
        upstream,
        books,
        is_counted: kind.is_counted,
        served: Cell::new(requests.len()),
    };
    let send = |server: &Server, time: Duration| {
        let feed = Feed::InTurn(requests.clone(), time);
        let connections = kind.connections;
        let (sample, measured) =
            stage::timed(&server.process, server.address, connections, feed, is_sold)?;
        stage::all_good(&measured)?;
        Fallible::Ok((sample, measured.good))
    };
    shop.check()?;
    in_turn(
        stage,
        |time| {
            let before = shop.seen()?;
            let (sample, good) = send(&shop.gate, time)?;
            agree("requests at the upstream", shop.seen()? - before, good)?;
            shop.served.set(shop.served.get() + good);
            shop.check()?;
            Ok(sample)
        },
        |time| Ok(send(&proxy, time)?.0),
    )
}

fn gate(
    stage: &mut Stage,
    kind: &Kind,
    upstream: &Server,
    lnd: &Lnd,
    books: &Path,
) -> Fallible<Server> {
    let (network, address, terms) = (lnd.configuration(), upstream.address, kind.terms);
    let routes = format!(
        "{network}[[route]]\nmatch = \"{PATH}\"\nupstream = \"http://{address}\"\n\
         price = \"{PRICE}\"\naccept = [\"l402\"]\n{terms}\n"
    );
    stage.serve(&Serve {
        command: "gate",
        gas_key: node::GATE_KEY,
        routes: &routes,
        ledger: Some(books),
        ..Serve::FACILITATOR
    })
}

/// Buys tokens one after the other, and gives the requests that they pay for. Each is used once, by which the gate
/// learns that its invoice was paid; the next 402 then has another one.
fn buy(gate: &Server, lnd: &Lnd) -> Fallible<Vec<Vec<u8>>> {
    let unpaid = load::request("GET", PATH, &[], None);
    (0..TOKENS)
        .map(|_| {
            let challenge = ask(gate, &unpaid, |answer| {
                header(answer.head, "www-authenticate").filter(|_| answer.status == 402)
            })?;
            let said = challenge::read([challenge.as_bytes()]);
            let offered = said.challenges.first().ok_or("a 402 without a token")?;
            let preimage = lnd.pay(&offered.invoice)?;
            let credential = L402Credential::new(offered.scheme, &offered.token, preimage)?;
            let text = credential.to_authorization()?;
            let request = load::request("GET", PATH, &[("authorization", &text)], None);
            ask(gate, &request, |answer| is_sold(answer).then_some(()))?;
            Ok(request)
        })
        .collect()
}

fn is_sold(answer: &Answer<'_>) -> bool {
    answer.status == 200 && answer.body == UPSTREAM_BODY.as_bytes()
}

/// A gate, and what has to agree with its answers.
struct Shop {
    gate: Server,
    upstream: Server,
    books: PathBuf,
    is_counted: bool,
    /// Answers with what was bought, so far.
    served: Cell<usize>,
}

impl Shop {
    /// Requests that the upstream has seen.
    fn seen(&self) -> Fallible<usize> {
        let question = load::request("GET", SEEN, &[], None);
        let text = ask(&self.upstream, &question, |answer| {
            String::from_utf8(answer.body.to_vec()).ok()
        })?;
        Ok(text.parse()?)
    }

    /// One payment for each token, and every use that has to be counted: of tokens without a limit the first.
    fn check(&self) -> Fallible<()> {
        let (payments, uses) = read_books(&self.books)?;
        agree("payments in the ledger", payments, TOKENS)?;
        let counted = match self.is_counted {
            true => self.served.get(),
            false => TOKENS,
        };
        agree("uses in the ledger", uses, counted)
    }
}

/// Settled payments in the ledger, and uses that are taken of them.
fn read_books(file: &Path) -> Fallible<(usize, usize)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let books = Connection::open_with_flags(file, flags)?;
    let sql = "SELECT count(payment), sum(taken) FROM uses";
    Ok(books.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn agree(what: &str, are: usize, should: usize) -> Fallible<()> {
    if are == should {
        return Ok(());
    }
    Err(format!("there are {are} {what}, and should be {should}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_of_one_is_an_error_that_names_both_numbers() {
        agree("uses in the ledger", 7, 7).expect("they agree");
        for are in [6, 8] {
            let why = agree("uses in the ledger", are, 7).expect_err("one off");
            let why = why.to_string();
            assert!(why.contains(&are.to_string()) && why.contains('7'), "{why}");
        }
    }

    #[tokio::test]
    async fn the_books_say_what_was_paid_and_how_often_it_was_used() {
        use farebox_core::ledger::{Ledger as _, PaymentId, SellerSide};
        use farebox_core::rail::Terms;
        use farebox_core::uses::{Allowance, NewPaid};
        use farebox_wire::identity::Identity;
        use farebox_wire::l402::preimage::PaymentHash;
        use farebox_wire::money::{Amount, UsdMicros};
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("books.db");
        let ledger = farebox_ledger::SqliteLedger::open(&file).expect("a ledger");
        for (token, times) in [(1, 3), (2, 1)] {
            for _ in 0..times {
                let hash = PaymentHash([token; 32]);
                let paid = NewPaid {
                    id: PaymentId(format!("payment {token}")),
                    identity: Identity::l402(&hash),
                    side: SellerSide {
                        route: PATH.to_owned(),
                        payload_digest: [0; 32],
                        request_digest: [0; 32],
                        body_digest: None,
                    },
                    terms: Terms {
                        protocol: "l402".to_owned(),
                        rail: "lightning".to_owned(),
                        network: "lightning:regtest".parse().expect("a network"),
                        scheme: "bolt11".to_owned(),
                        asset: "lightning:regtest/slip44:1".parse().expect("an asset"),
                        symbol: "sat".to_owned(),
                        decimals: 3,
                        amount: Amount::from_atomic(10_000),
                        fee_max: Amount::ZERO,
                        cost: UsdMicros(0),
                        payee: "02".repeat(33),
                        payer: None,
                    },
                    transaction: hash.to_string(),
                    now_ms: 1,
                };
                let used = ledger.take_use(paid, Allowance::Uses(9)).await;
                used.expect("a use");
            }
        }
        assert_eq!(read_books(&file).expect("readable"), (2, 4));
    }
}
