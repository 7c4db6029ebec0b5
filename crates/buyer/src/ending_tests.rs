//! Every row of the exit codes, and their order.

use super::*;

fn facts() -> Facts {
    Facts::default()
}

fn sent(status: u16) -> Facts {
    Facts {
        credential_sent: true,
        status: Some(status),
        ..Facts::default()
    }
}

fn unsent(status: u16, stop: Option<Stop>) -> Facts {
    Facts {
        status: Some(status),
        stop,
        ..Facts::default()
    }
}

fn settled(status: u16) -> Facts {
    Facts {
        is_settled: true,
        ..sent(status)
    }
}

fn broken(facts: Facts) -> Facts {
    Facts {
        body_broke_off: true,
        ..facts
    }
}

fn stopped(stop: Stop) -> Facts {
    Facts {
        stop: Some(stop),
        ..Facts::default()
    }
}

#[test]
fn every_ending_has_its_one_exit_code() {
    let pending = |status| Facts {
        is_pending: true,
        ..sent(status)
    };
    let no_reply = Facts {
        credential_sent: true,
        stop: Some(Stop::Failed),
        ..facts()
    };
    let led_away = |facts| Facts {
        redirect_refused: true,
        ..facts
    };
    let plan = Facts {
        is_plan: true,
        ..unsent(402, None)
    };
    let table = [
        ("a free answer", unsent(200, None), 0),
        ("a free redirect, not followed", unsent(302, None), 0),
        ("not found", unsent(404, None), 22),
        ("a server's error", unsent(500, None), 22),
        ("a free answer cut short", broken(unsent(200, None)), 1),
        ("an error cut short", broken(unsent(500, None)), 22),
        ("no connection", stopped(Stop::Failed), 1),
        ("bad flags", stopped(Stop::Usage), 2),
        ("a private address", stopped(Stop::Policy), 3),
        ("over budget", unsent(402, Some(Stop::Policy)), 3),
        ("nothing payable", unsent(402, Some(Stop::NoOffer)), 4),
        ("waiting for a person", unsent(402, Some(Stop::Approval)), 8),
        (
            "the ledger broke before paying",
            unsent(402, Some(Stop::Failed)),
            22,
        ),
        ("an open payment, undecided", stopped(Stop::Unresolved), 6),
        ("a plan to pay", plan, 0),
        ("paid and delivered", settled(200), 0),
        ("delivered without a receipt", sent(200), 0),
        ("paid, an error came", settled(500), 7),
        ("paid before, delivered before", settled(409), 7),
        ("paid, the body broke off", broken(settled(200)), 7),
        ("paid, an error's body broke off", broken(settled(500)), 7),
        ("refused", sent(402), 5),
        ("refused, the body broke off", broken(sent(402)), 5),
        ("an error and no proof", sent(503), 5),
        ("no reply to a credential", no_reply, 6),
        ("on its way", pending(402), 6),
        ("on its way, and an answer", pending(200), 6),
        ("no receipt, and half a body", broken(sent(200)), 6),
        ("paid, then led away", led_away(settled(302)), 7),
        ("led away without proof", led_away(sent(302)), 5),
        ("a redirect nobody wanted to follow", settled(302), 0),
    ];
    for (what, facts, code) in table {
        assert_eq!(exit_of(&facts).code(), code, "{what}");
    }
}

#[test]
fn an_ending_other_than_0_always_has_a_fault() {
    for facts in [
        unsent(404, None),
        sent(402),
        settled(500),
        sent(503),
        broken(sent(200)),
        stopped(Stop::Failed),
    ] {
        let fault = Ending::new(facts).fault().expect("a fault");
        assert_eq!(
            fault.money_may_have_moved, facts.credential_sent,
            "{facts:?}"
        );
    }
    assert!(Ending::new(settled(200)).fault().is_none());
}

#[test]
fn a_timeout_after_a_credential_says_that_money_may_have_moved() {
    let timeout = Fault::harmless("timeout", Kind::Network, Blame::Peer, "late");
    let facts = Facts {
        credential_sent: true,
        ..facts()
    };
    let fault = Ending::stopped(facts, timeout.clone())
        .fault()
        .expect("a fault");
    assert!(fault.money_may_have_moved && fault.code == "timeout");
    let fault = Ending::stopped(Facts::default(), timeout)
        .fault()
        .expect("a fault");
    assert!(!fault.money_may_have_moved);
}

#[test]
fn a_retry_is_safe_only_where_it_shows_the_same_credential() {
    let fresh = |facts| Facts {
        is_fresh: true,
        ..facts
    };
    for (what, facts, is_safe) in [
        ("refused: shown again", sent(500), true),
        ("paid: the next is a new purchase", settled(500), false),
        ("paid, half a body", broken(settled(200)), false),
        ("--new signs another", fresh(sent(500)), false),
        ("--new, nothing left", fresh(unsent(500, None)), true),
    ] {
        let fault = Ending::new(facts).fault().expect("a fault");
        assert_eq!(fault.retry_safe, is_safe, "{what}");
    }
}
