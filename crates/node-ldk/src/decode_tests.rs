//! Invoices of BOLT 11 and what is none.

use super::*;

/// BOLT 11's own examples: "please make a donation", and "1 cup coffee" for 2500 micro-bitcoin.
const DONATION: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

#[test]
fn an_invoice_says_what_bolt_11_says_it_says() {
    let coffee = decode(COFFEE).unwrap();
    assert_eq!(coffee.amount_msat, Some(250_000_000));
    assert_eq!(coffee.network, Network::Bitcoin);
    assert_eq!(coffee.description, "1 cup coffee");
    assert_eq!(coffee.expiry_s, 60);
    assert_eq!(coffee.created_unix_s, 1_496_314_658);
    assert_eq!(coffee.payment_secret, [0x11; 32]);
    assert_eq!(
        coffee.payee,
        "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad"
    );
    assert_eq!(
        coffee.payment_hash.to_string(),
        "0001020304050607080900010203040506070809000102030405060708090102"
    );
    assert_eq!(decode(DONATION).unwrap().amount_msat, None);
}

#[test]
fn only_an_invoice_of_our_network_with_an_amount_can_be_paid() {
    assert!(matches!(
        payable(COFFEE, Network::Regtest),
        Err(Error::WrongNetwork {
            invoice: "mainnet",
            node: "regtest"
        })
    ));
    assert!(matches!(
        payable(DONATION, Network::Bitcoin),
        Err(Error::NoAmount)
    ));
    let (invoice, amount) = payable(COFFEE, Network::Bitcoin).unwrap();
    assert_eq!(amount, 250_000_000);
    assert!(expired_for(&invoice).is_some());
}

#[test]
fn what_is_no_invoice_is_refused() {
    let flipped = COFFEE.replacen("2500u", "2501u", 1);
    let long = "l".repeat(MAX_BYTES + 1);
    for bad in ["", "lnbc", &COFFEE[1..], &flipped, &long] {
        assert!(matches!(decode(bad), Err(Error::Invoice(_))), "{bad}");
    }
}
