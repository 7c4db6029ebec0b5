//! What gas is worth, and what is said where nobody knows.

use super::*;
use crate::rates::{Bounds, Feed};

const GWEI_80_000: u128 = 160_000_000_000_000;

#[test]
fn a_payment_is_worth_a_fifth_more_than_its_gas() {
    let rate = UsdRate {
        usd_per_unit: UsdMicros(3_000_000_000),
        decimals: 18,
    };
    // 80,000 gas at 2 gwei are 0.00016 ETH, which are 0.48 USD.
    assert_eq!(least(GWEI_80_000, rate), Some(UsdMicros(576_000)));
    assert_eq!(
        least(1, rate),
        Some(UsdMicros(1)),
        "never rounded down to nothing"
    );
    assert_eq!(least(u128::MAX, rate), None);
}

fn cover(board: Board) -> Cover {
    let network = "eip155:84532".parse().unwrap();
    Cover {
        board,
        costs: BTreeMap::from([(network, Amount::from_atomic(GWEI_80_000))]),
        is_blind: AtomicBool::new(false),
    }
}

#[tokio::test]
async fn the_least_follows_the_rate_and_without_one_nobody_knows_it() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let network = "eip155:84532".parse().unwrap();
    let mut board = Board::new(Arc::new(SystemClock));
    board.fix(GAS_RATE, UsdMicros(3_000_000_000));
    let known = cover(board);
    assert_eq!(known.least(&network), Ok(UsdMicros(576_000)));
    let other = "eip155:8453".parse().unwrap();
    assert_eq!(known.least(&other), Ok(UsdMicros(0)), "it has not told");

    let bounds = Bounds {
        max_age_ms: 300_000,
        max_jump_ppm: 100_000,
        min: UsdMicros(1),
        max: UsdMicros(2),
    };
    let mut board = Board::new(Arc::new(SystemClock));
    board.follow(
        GAS_RATE,
        Feed::new("http://127.0.0.1:1/", "/eth", bounds).unwrap(),
    );
    let blind = cover(board);
    for network in [network, other] {
        let why = blind.least(&network).unwrap_err();
        assert!(why.contains("ETH/USD"), "{why}");
    }
    // Where fees are paid in another coin, this rate holds nothing up.
    let elsewhere = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1".parse().unwrap();
    assert_eq!(blind.least(&elsewhere), Ok(UsdMicros(0)));
}
