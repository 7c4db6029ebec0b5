//! What counts as a rate, minute by minute.

use super::*;

const MINUTE_MS: u64 = 60_000;

fn usd(dollars: u128) -> UsdMicros {
    UsdMicros(dollars * 1_000_000)
}

/// Five minutes, ten per cent, 20,000 to 500,000 dollars.
fn book() -> Book {
    let bounds = Bounds {
        max_age_ms: 5 * MINUTE_MS,
        max_jump_ppm: 100_000,
        min: usd(20_000),
        max: usd(500_000),
    };
    Book::new("BTC/USD".to_owned(), bounds)
}

fn code(book: &Book, minute: u64) -> &'static str {
    match book.rate(minute * MINUTE_MS) {
        Ok(_) => "fine",
        Err(why) => {
            assert!(
                why.message.contains("BTC/USD") && why.message.contains("; "),
                "{}",
                why.message
            );
            why.code
        }
    }
}

fn says(book: &mut Book, dollars: u128, minute: u64) {
    book.take(Ok(usd(dollars)), minute * MINUTE_MS);
}

#[test]
fn a_rate_is_what_was_read_and_ages() {
    let mut book = book();
    assert_eq!(code(&book, 0), "rate_missing");
    says(&mut book, 60_000, 0);
    assert_eq!(book.rate(0).unwrap().per_unit(), usd(60_000));
    assert_eq!(code(&book, 5), "fine");
    assert_eq!(code(&book, 6), "rate_stale");
    says(&mut book, 61_000, 6);
    assert_eq!(book.rate(6 * MINUTE_MS).unwrap().per_unit(), usd(61_000));
}

#[test]
fn a_source_that_is_away_or_talks_nonsense_leaves_the_last_rate_until_it_is_old() {
    let mut book = book();
    book.take(Err("nobody is there".to_owned()), 0);
    assert!(
        book.rate(0)
            .unwrap_err()
            .message
            .contains("nobody is there")
    );
    says(&mut book, 60_000, 0);
    book.take(Err("it is down".to_owned()), MINUTE_MS);
    assert_eq!(code(&book, 1), "fine");
    assert_eq!(code(&book, 6), "rate_stale");
    assert!(
        book.rate(6 * MINUTE_MS)
            .unwrap_err()
            .message
            .contains("it is down")
    );
}

#[test]
fn a_jump_refuses_at_once_and_is_over_when_the_source_comes_back() {
    for jumped in [66_001, 53_999, 100_000] {
        let mut book = book();
        says(&mut book, 60_000, 0);
        says(&mut book, jumped, 1);
        assert_eq!(code(&book, 1), "rate_jumped", "{jumped}");
        says(&mut book, 60_100, 2);
        assert_eq!(code(&book, 2), "fine");
    }
    let mut book = book();
    says(&mut book, 60_000, 0);
    says(&mut book, 66_000, 1);
    assert_eq!(book.rate(MINUTE_MS).unwrap().per_unit(), usd(66_000));
}

#[test]
fn a_hundredfold_price_is_out_of_range_for_ever() {
    for wrong in [6_000_000, 600] {
        let mut book = book();
        says(&mut book, 60_000, 0);
        for minute in 1..20 {
            says(&mut book, wrong, minute);
            assert_eq!(code(&book, minute), "rate_out_of_range");
        }
        says(&mut book, 60_000, 20);
        assert_eq!(code(&book, 20), "fine");
    }
}

#[test]
fn a_market_that_has_moved_is_believed_when_it_stays() {
    let mut book = book();
    says(&mut book, 60_000, 0);
    for minute in 1..6 {
        says(&mut book, 80_000, minute);
        assert_eq!(code(&book, minute), "rate_jumped");
    }
    says(&mut book, 80_100, 6);
    assert_eq!(book.rate(6 * MINUTE_MS).unwrap().per_unit(), usd(80_100));
}

#[test]
fn a_price_that_jumps_about_is_never_believed() {
    let mut book = book();
    says(&mut book, 60_000, 0);
    for minute in 1..=20 {
        says(
            &mut book,
            if minute % 2 == 0 { 90_000 } else { 30_000 },
            minute,
        );
        assert_eq!(code(&book, minute), "rate_jumped");
    }
}
