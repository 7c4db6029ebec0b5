//! A file that changes while the gate sells by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::payers::{self, Payer};
use super::{SHOP, ask, sample};
use crate::market::Market;

/// Connections, each in a loop of paid and free requests.
const CONNECTIONS: usize = 40;
const RELOADS: u64 = 20;

impl Market {
    /// Writes other routes as an editor does, and tells the gate.
    fn rewrite(&self, keys: &str, routes: &str) {
        let routes = routes.replace("{upstream}", &self.upstream.url());
        let head = self.user.read("net/seller.toml");
        let text = format!("{keys}\n{head}\n{routes}");
        self.user.write("net/shop.new", &text);
        let (new, old) = (
            self.user.path("net/shop.new"),
            self.user.path("net/shop.toml"),
        );
        std::fs::rename(new, old).expect("replaced");
    }

    fn hang_up(&self) {
        self.gate.as_ref().expect("it runs").signal("HUP");
    }

    /// How many configurations were taken over or refused so far.
    fn reloads(&self, outcome: &str) -> u128 {
        let admin = self.gate.as_ref().expect("it runs").text("/admin");
        let (_, metrics) = ask(&format!("{admin}/metrics"));
        let name = format!("farebox_config_reloads_total{{outcome=\"{outcome}\"}}");
        sample(&metrics, &name)
    }

    fn payer(&self, account: usize) -> Payer {
        let key = self.net.text(&format!("/evm/accounts/{account}/key"));
        Payer::new(&key, &self.net.text("/evm/rpc"))
    }
}

const ADMIN: &str = "admin = \"127.0.0.1:0\"";

fn priced(usd_micros: u64) -> String {
    SHOP.replace("0.001 USD", &format!("0.{usd_micros:06} USD"))
}

#[test]
fn twenty_reloads_under_forty_connections_fail_no_request_and_lose_no_payment() {
    let market = Market::with_file(ADMIN, SHOP);
    let (paid, free) = (market.url("/ok"), market.url("/status/204"));
    let is_over = Arc::new(AtomicBool::new(false));
    let (rounds, spent) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let before = payers::run(market.payer(9).balance());
    let loops = (0..CONNECTIONS).map(|n| {
        let payer = market.payer(1 + n % 8);
        let (paid, free) = (paid.clone(), free.clone());
        let (is_over, rounds) = (Arc::clone(&is_over), Arc::clone(&rounds));
        let spent = Arc::clone(&spent);
        async move {
            while !is_over.load(Ordering::SeqCst) {
                let signed = payer.sign(&paid).await;
                let got = payer.pay(&paid, &signed).await;
                assert_eq!((got.status, got.body.as_str()), (200, "ok\n"), "{got:?}");
                assert!(got.has_receipt);
                let amount = u64::try_from(signed.amount).expect("small");
                spent.fetch_add(amount, Ordering::SeqCst);
                assert_eq!(payer.get(&free).await.status, 204);
                rounds.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let loops: Vec<_> = loops.collect();
    let buyers = std::thread::spawn(move || {
        payers::run(async {
            let tasks: Vec<_> = loops.into_iter().map(tokio::spawn).collect();
            for task in tasks {
                task.await.expect("no failed request");
            }
        });
    });
    for n in 1..=RELOADS {
        // Somebody buys between any two.
        let seen = rounds.load(Ordering::SeqCst);
        payers::eventually(|| (rounds.load(Ordering::SeqCst) > seen).then_some(()));
        market.rewrite(ADMIN, &priced(1_000 + n));
        market.hang_up();
        payers::eventually(|| (market.reloads("taken") >= u128::from(n)).then_some(()));
    }
    is_over.store(true, Ordering::SeqCst);
    buyers.join().expect("no failed request");
    assert_eq!(market.reloads("refused"), 0);

    let spent = u128::from(spent.load(Ordering::SeqCst));
    let received = payers::run(market.payer(9).balance()) - before;
    assert_eq!(received, spent, "the chain has what was paid");
    let payments = market.payments("seller");
    let booked = payments.iter().map(|payment| {
        assert_eq!(payment["state"], "settled", "{payment}");
        let atomic = payment["amount"]["atomic"].as_str().expect("a sum");
        atomic.parse::<u128>().expect("digits")
    });
    assert_eq!(booked.sum::<u128>(), spent, "and so have the books");
    assert_eq!(payments.len() as u64, rounds.load(Ordering::SeqCst));
}

#[test]
fn a_changed_file_is_taken_over_by_itself_and_the_previous_price_is_still_taken() {
    let market = Market::with_file(ADMIN, SHOP);
    let url = market.url("/ok");
    let payer = market.payer(1);
    let old = payers::run(payer.sign(&url));
    assert_eq!(old.amount, 1_000);
    market.rewrite(ADMIN, &priced(2_000));
    payers::eventually(|| (market.reloads("taken") == 1).then_some(()));
    let got = payers::run(payer.pay(&url, &old));
    assert_eq!(got.status, 200, "{got:?}");
    let new = payers::run(payer.sign(&url));
    assert_eq!(new.amount, 2_000);
    assert_eq!(payers::run(payer.pay(&url, &new)).status, 200);
}

#[test]
fn a_broken_file_keeps_the_configuration_and_says_where_it_is_broken() {
    let mut market = Market::with_file(ADMIN, SHOP);
    market.rewrite(ADMIN, &format!("{SHOP}\n[[route]]\nmatch = 5\n"));
    market.hang_up();
    payers::eventually(|| (market.reloads("refused") >= 1).then_some(()));
    assert_eq!(ask(&market.url("/status/204")).0, 204);
    assert_eq!(market.fetch(&[&market.url("/ok")]).exit, 0);
    // Mended.
    market.rewrite(ADMIN, &priced(3_000));
    market.hang_up();
    payers::eventually(|| (market.reloads("taken") >= 1).then_some(()));
    let (exit, stderr) = market.gate.take().expect("it runs").interrupt();
    assert_eq!(exit, 0);
    let told: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("not taken over"))
        .collect();
    assert!(!told.is_empty(), "{stderr}");
    assert!(told[0].contains("net/shop.toml line "), "{stderr}");
}

#[test]
fn an_empty_file_and_one_that_was_cut_off_close_no_shop_and_give_nothing_away() {
    let market = Market::with_file(ADMIN, SHOP);
    let url = market.url("/ok");
    let head = market.user.read("net/seller.toml");
    // As a full disk leaves it; with what is above the routes; and with routes alone.
    let routes = SHOP.replace("{upstream}", &market.upstream.url());
    let torn = ["", "unmatched = \"free\"\n", &head, &routes];
    for (n, text) in (1..).zip(torn) {
        market.user.write("net/shop.toml", text);
        market.hang_up();
        payers::eventually(|| (market.reloads("refused") >= n).then_some(()));
        assert_eq!(ask(&url).0, 402, "{text:?}");
    }
    assert_eq!(market.reloads("taken"), 0);
}

#[test]
fn a_gate_that_was_started_to_count_alone_says_that_it_needs_a_restart_to_charge() {
    let shadow = format!("{ADMIN}\nshadow = true");
    let mut market = Market::with_file(&shadow, SHOP);
    market.rewrite(ADMIN, SHOP);
    market.hang_up();
    payers::eventually(|| (market.reloads("refused") >= 1).then_some(()));
    assert_eq!(ask(&market.url("/ok")).0, 200);
    let (_, stderr) = market.gate.take().expect("it runs").interrupt();
    assert!(stderr.contains("restart it to charge"), "{stderr}");
}

#[test]
fn what_needs_a_restart_is_said_and_keeps_its_value() {
    let mut market = Market::with_file(ADMIN, SHOP);
    let keys = format!("{ADMIN}\npublic_url = \"http://127.0.0.1:9\"\nstop_timeout = \"5s\"");
    market.rewrite(&keys, &priced(2_000));
    market.hang_up();
    payers::eventually(|| (market.reloads("taken") >= 1).then_some(()));
    // A buyer pays what is for sale at the old address, so the offer still names it.
    let (exit, answer) = market.fetch_json(&[&market.url("/ok")]);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(answer["cost"]["amount"], "0.002", "{answer}");
    let (_, stderr) = market.gate.take().expect("it runs").interrupt();
    let told = stderr.lines().find(|line| line.contains("until a restart"));
    let told = told.unwrap_or_else(|| panic!("a warning in {stderr}"));
    assert!(told.ends_with("public_url, stop_timeout"), "{told}");
}
