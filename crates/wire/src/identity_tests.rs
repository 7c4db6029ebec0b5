//! Rules of identities: one authorization, one name.

use super::*;

const TOKEN: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const FROM: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

fn identity(token: &str, from: &str, nonce: u8) -> Identity {
    Identity::eip3009(
        &ChainId::eip155(84532),
        token.parse().expect("an address"),
        from.parse().expect("an address"),
        Word([nonce; 32]),
    )
}

#[test]
fn two_spellings_of_an_authorization_have_one_identity() {
    let lower = identity(&TOKEN.to_lowercase(), &FROM.to_lowercase(), 0x11);
    assert_eq!(identity(TOKEN, FROM, 0x11), lower);
    assert_eq!(
        lower.as_str(),
        "eip3009:eip155:84532:0x036cbd53842c5426634e7929541ec2318f3dcf7e:\
         0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266:\
         0x1111111111111111111111111111111111111111111111111111111111111111"
    );
    assert_eq!(Identity::from_stored(lower.as_str()), lower);
}

#[test]
fn two_authorizations_have_two_identities() {
    let one = identity(TOKEN, FROM, 1);
    assert_ne!(one, identity(TOKEN, FROM, 2));
    assert_ne!(one, identity(FROM, FROM, 1));
    assert_ne!(one, identity(TOKEN, TOKEN, 1));
}

#[test]
fn a_lightning_payment_is_named_by_its_hash() {
    let identity = Identity::l402(&PaymentHash([0xab; 32]));
    assert_eq!(identity.as_str(), format!("l402:{}", "ab".repeat(32)));
    assert_ne!(identity, Identity::l402(&PaymentHash([0xac; 32])));
}

#[test]
fn a_payment_on_solana_is_named_by_its_chain_and_its_message() {
    let chain = |text: &str| text.parse::<ChainId>().expect("a chain");
    let devnet = chain("solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1");
    let identity = Identity::svm(&devnet, &[0xab; 32]);
    let expected = format!("svm:EtWTRABZaYq6iMfeYKouRu166VU2xqa1:{}", "ab".repeat(32));
    assert_eq!(identity.as_str(), expected);
    assert_ne!(identity, Identity::svm(&devnet, &[0xac; 32]));
    let mainnet = chain("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp");
    assert_ne!(identity, Identity::svm(&mainnet, &[0xab; 32]));
}
