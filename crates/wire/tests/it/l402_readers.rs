//! Strangers' bytes through every reader of L402, with what must hold whatever they are.
//!
//! Used by the test of damage here, and by the fuzz targets, which include this file by its path.

use farebox_wire::auth::{self, CHALLENGES_MAX, PARAMS_MAX, VALUES_MAX};
use farebox_wire::l402::caveat;
use farebox_wire::l402::challenge;
use farebox_wire::l402::conditions::{self, Grant, Mode, Refusal, Request};
use farebox_wire::l402::credential::{self, AUTHORIZATION, Carriage, L402Credential};
use farebox_wire::l402::describe;
use farebox_wire::l402::macaroon::{CAVEATS_MAX, Macaroon};
use farebox_wire::l402::preimage::PaymentHash;

/// Characters of a sentence about a stranger's bytes: a line for a log.
const WHY_CHARS_MAX: usize = 300;

fn brief(why: &impl std::fmt::Display) {
    let why = why.to_string();
    assert!(why.chars().count() < WHY_CHARS_MAX, "{why}");
    assert!(!why.contains(char::is_control), "{why}");
}

fn lines(data: &[u8]) -> Vec<&[u8]> {
    data.split(|byte| *byte == b'\n').collect()
}

/// Lines of `WWW-Authenticate`, in which there may be anything.
pub(crate) fn www_authenticate(data: &[u8]) {
    let said = auth::challenges(lines(data));
    assert!(said.challenges.len() <= CHALLENGES_MAX);
    assert!(said.unreadable.len() <= VALUES_MAX + 1);
    for challenge in &said.challenges {
        assert!(challenge.params.len() <= PARAMS_MAX);
        for (name, value) in &challenge.params {
            assert!(!name.is_empty() && !name.contains(|c: char| c.is_ascii_uppercase()));
            assert!(!value.contains(|c: char| c.is_control() && c != '\t' && c.is_ascii()));
        }
    }
    said.unreadable.iter().for_each(|part| brief(&part.why));
    let read = challenge::read(lines(data));
    read.unreadable.iter().for_each(brief);
    for offered in &read.challenges {
        let written = challenge::write(&offered.token, &offered.invoice).expect("it was read");
        let again = challenge::read(written.iter().map(String::as_bytes));
        assert_eq!(again.unreadable, []);
        let [one] = again.challenges.as_slice() else {
            panic!("two names of one challenge are one");
        };
        assert_eq!(
            (&one.token, &one.invoice),
            (&offered.token, &offered.invoice)
        );
    }
}

/// Lines of `Authorization`, and of metadata.
pub(crate) fn l402_credential(data: &[u8]) {
    for asked in [AUTHORIZATION, "macaroon", "token"] {
        let lookup = |name: &str| {
            if name == asked {
                lines(data)
            } else {
                Vec::new()
            }
        };
        match credential::read(lookup) {
            Ok(Some(found)) => rewrites(&found),
            Ok(None) => {}
            Err(why) => brief(&why),
        }
    }
}

fn rewrites(found: &L402Credential) {
    let header = found
        .to_authorization()
        .expect("it came so, or is a macaroon");
    let lookup = |name: &str| (name == AUTHORIZATION).then_some(header.as_bytes());
    let again = credential::read(lookup)
        .ok()
        .flatten()
        .expect("what we write we read");
    assert!(again.preimage.is(&found.preimage));
    if let Carriage::Authorization(_) = found.carriage {
        assert_eq!(again.token, found.token);
        assert_eq!(again.carriage, found.carriage);
    }
    if let Ok(metadata) = found.to_metadata() {
        let lookup = |name: &str| (name == "macaroon").then_some(metadata.as_bytes());
        // Beyond the longest token that is read, metadata is nobody's.
        if let Some(again) = credential::read(lookup).ok().flatten() {
            assert!(again.preimage.is(&found.preimage));
        }
    }
}

/// A macaroon in any form, as bytes, base64 or hex.
pub(crate) fn macaroon(data: &[u8]) {
    match Macaroon::from_bytes(data) {
        Ok(token) => same_again(&token),
        Err(why) => brief(&why),
    }
    if let Ok(text) = str::from_utf8(data) {
        for read in [Macaroon::from_base64(text), Macaroon::from_hex(text)] {
            match read {
                Ok(token) => same_again(&token),
                Err(why) => brief(&why),
            }
        }
        if let Some(said) = describe::describe(text) {
            assert!(said.conditions.len() <= CAVEATS_MAX);
            said.conditions.iter().for_each(brief);
        }
    }
}

fn same_again(token: &Macaroon) {
    let bytes = token.to_v2();
    let again = Macaroon::from_bytes(&bytes).expect("what we write we read");
    assert_eq!(again.to_v2(), bytes);
    assert!(again.first_party_caveats().eq(token.first_party_caveats()));
    assert!(again.third_parties().eq(token.third_parties()));
    assert!(token.verify(b"a key that nobody has used").is_err());
    if let Ok(narrowed) = again.add_first_party_caveat(b"a=1") {
        let conditions = token.first_party_caveats().chain([b"a=1".as_slice()]);
        assert!(narrowed.first_party_caveats().eq(conditions));
        assert_ne!(narrowed.signature(), token.signature());
    }
}

/// What every token of ours says.
const BASE: [&[u8]; 4] = [
    b"services=svc1:1,svc2:0",
    b"farebox_route=r1",
    b"farebox_origin=https://api.example.com",
    b"farebox_uses=5",
];

/// Lines as the caveats that somebody added to a token of ours.
pub(crate) fn caveats(data: &[u8]) {
    let request = Request {
        now_s: 1000,
        service: "svc1",
        capability: Some("add"),
        payment_hash: PaymentHash([0; 32]),
        route: "r1",
        origin: "https://api.example.com",
        tenant: None,
        method: "GET",
        path: "/v1/q",
        constraints: &["svc1_calls"],
    };
    let added = lines(data);
    for line in &added {
        values(line);
    }
    let check = |count: usize, mode| {
        let all = BASE.into_iter().chain(added.iter().take(count).copied());
        conditions::check(all, &request, mode)
    };
    let mut before = check(0, Mode::Strict).expect("ours");
    for count in 1..=added.len().min(CAVEATS_MAX) {
        let lenient = check(count, Mode::Lenient);
        match check(count, Mode::Strict) {
            Ok(grant) => {
                assert!(is_narrower(&grant, &before), "{grant:?} {before:?}");
                assert_eq!(lenient.as_ref(), Ok(&grant));
                before = grant;
            }
            Err(why) => {
                brief(&why);
                // Refused once, refused for ever: nothing that is added makes it good again.
                let all = check(added.len(), Mode::Strict);
                assert!(all.is_err());
                assert!(!matches!(why, Refusal::Missing(_)));
                return;
            }
        }
    }
}

/// Whether whoever has the first can do nothing that the second does not allow.
pub(crate) fn is_narrower(new: &Grant, old: &Grant) -> bool {
    fn at_most<T: Ord>(new: Option<T>, old: Option<T>) -> bool {
        match (new, old) {
            (Some(new), Some(old)) => new <= old,
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
    let constraints = old.constraints.iter().all(|(name, limit)| {
        let known = new.constraints.iter().find(|(other, _)| other == name);
        known.is_some_and(|(_, new)| new <= limit)
    });
    at_most(new.tier, old.tier)
        && at_most(new.valid_until_s, old.valid_until_s)
        && at_most(new.uses, old.uses)
        && (old.price_msat.is_none() || new.price_msat == old.price_msat)
        && constraints
}

fn values(line: &[u8]) {
    let Some((condition, value)) = caveat::split(line) else {
        return;
    };
    assert_eq!(format!("{condition}={value}").as_bytes(), line);
    match caveat::parse_services(value) {
        Ok(services) => {
            // What has characters that no name of ours has is read, but not written.
            if let Ok(written) = caveat::format_services(&services) {
                assert_eq!(written, value);
            }
        }
        Err(why) => brief(&why),
    }
    if let Ok(number) = caveat::parse_number(value) {
        assert_eq!(number.to_string(), value);
    }
}
