//! The vectors in `conformance/l402/`, one test for each list.

use farebox_wire::auth;
use farebox_wire::l402::caveat::{self, ValueError};
use farebox_wire::l402::challenge::{self, L402Challenge};
use farebox_wire::l402::conditions::{self, Grant, Mode, Refusal, Request, Uses};
use farebox_wire::l402::credential::{self, AUTHORIZATION, Carriage, CredentialError};
use farebox_wire::l402::identifier::{Identifier, IdentifierError};
use farebox_wire::l402::macaroon::{Macaroon, MacaroonError, VerifyError};
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::l402::{Scheme, credential::L402Credential};
use serde_json::{Map, Value, json};

use crate::vectors::{list, load, text};

fn strings(case: &Value, field: &str) -> Vec<String> {
    let entries = case[field]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let text = |entry: &Value| entry.as_str().expect(field).to_owned();
    entries.iter().map(text).collect()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(case, field)).expect("hex")
}

fn lossy<'a>(items: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    items
        .map(|item| String::from_utf8_lossy(item).into_owned())
        .collect()
}

#[test]
fn challenges_of_any_scheme_are_read_as_rfc_9110_says() {
    for case in list("l402/auth.json", "cases") {
        let values = strings(&case, "values");
        let read = auth::challenges(values.iter().map(String::as_bytes));
        let written: Vec<Value> = read
            .challenges
            .iter()
            .map(|challenge| {
                let params: Map<String, Value> = challenge
                    .params
                    .iter()
                    .map(|(name, value)| (name.clone(), json!(value)))
                    .collect();
                json!([challenge.scheme, challenge.token68, params])
            })
            .collect();
        assert_eq!(json!(written), case["challenges"], "{}", case["name"]);
        let broken = case["unreadable"].as_u64().unwrap_or_default();
        assert_eq!(json!(read.unreadable.len()), json!(broken), "{case}");
    }
}

#[test]
fn l402_challenges_are_read_as_the_vectors_say() {
    for case in list("l402/challenges.json", "read") {
        let values = strings(&case, "values");
        let read = challenge::read(values.iter().map(String::as_bytes));
        let offers: Vec<Value> = read.challenges.iter().map(offer).collect();
        assert_eq!(json!(offers), case["offers"], "{}", case["name"]);
        assert_eq!(
            json!(read.unreadable.len()),
            case["unreadable"],
            "{}",
            case["name"]
        );
        assert_eq!(read.has_mpp, case["mpp"] == true, "{}", case["name"]);
        for why in read.unreadable {
            assert!(why.to_string().chars().count() < 200, "{why}");
        }
    }
}

fn offer(challenge: &L402Challenge) -> Value {
    json!({
        "scheme": challenge.scheme.as_str(), "token": challenge.token,
        "invoice": challenge.invoice, "versioned": challenge.is_versioned,
    })
}

#[test]
fn l402_challenges_are_written_as_the_vectors_say_and_read_as_one() {
    for case in list("l402/challenges.json", "written") {
        let written = challenge::write(text(&case, "token"), text(&case, "invoice"));
        let Some(lines) = case["lines"].as_array() else {
            assert!(written.is_err(), "{}", case["name"]);
            continue;
        };
        let written = written.expect("plain");
        assert_eq!(json!(written), json!(lines));
        let read = challenge::read(written.iter().map(String::as_bytes));
        assert_eq!(read.challenges.len(), 1);
        assert_eq!(read.challenges[0].token, text(&case, "token"));
        assert_eq!(read.challenges[0].scheme, Scheme::L402);
    }
}

fn lookup<'a>(case: &'a Value, name: &str) -> Vec<&'a [u8]> {
    let list = match name {
        AUTHORIZATION => &case["authorization"],
        _ => &case["metadata"][name],
    };
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|value| value.as_str().expect("a text").as_bytes())
        .collect()
}

const fn name_of(error: CredentialError) -> &'static str {
    match error {
        CredentialError::NoToken => "no_token",
        CredentialError::NoPreimage => "no_preimage",
        CredentialError::SeveralTokens => "several",
        CredentialError::Token => "token",
        CredentialError::Preimage(_) => "preimage",
        CredentialError::TwoCredentials => "two",
        CredentialError::TooMany => "too_many",
    }
}

#[test]
fn credentials_are_read_as_the_vectors_say() {
    for case in list("l402/credentials.json", "read") {
        let name = text(&case, "name");
        let found = match credential::read(|asked| lookup(&case, asked)) {
            Ok(found) => found,
            Err(error) => {
                assert_eq!(Some(name_of(error)), case["why"].as_str(), "{name}");
                assert!(!error.to_string().contains("0101"), "{name}");
                continue;
            }
        };
        assert!(case["why"].is_null(), "{name}");
        let Some(found) = found else {
            assert!(case["carriage"].is_null(), "{name}");
            continue;
        };
        let carriage = match found.carriage {
            Carriage::Authorization(scheme) => scheme.as_str(),
            Carriage::Metadata => "metadata",
        };
        assert_eq!(Some(carriage), case["carriage"].as_str(), "{name}");
        assert_eq!(found.token, text(&case, "token"), "{name}");
        assert_eq!(found.preimage.to_hex(), text(&case, "preimage"), "{name}");
    }
}

#[test]
fn credentials_are_written_as_the_vectors_say() {
    for case in list("l402/credentials.json", "written") {
        let preimage = Preimage::from_hex(text(&case, "preimage")).expect("hex");
        let scheme = Scheme::from_name(text(&case, "scheme")).expect("a scheme");
        let credential = L402Credential::new(scheme, text(&case, "token"), preimage);
        let credential = credential.expect("it can be sent");
        let header = credential.to_authorization().expect("a text");
        assert_eq!(header, text(&case, "authorization"));
        let metadata = credential.to_metadata().ok();
        assert_eq!(json!(metadata), case["metadata"]);
        if let Some(metadata) = metadata {
            let lookup = |name: &str| (name == "macaroon").then_some(metadata.as_bytes());
            let read = credential::read(lookup).ok().flatten().expect("readable");
            assert_eq!(read.carriage, Carriage::Metadata);
            // It has the preimage already, and is not given it twice.
            assert_eq!(read.to_metadata().expect("a macaroon"), metadata);
            let header = read.to_authorization().expect("a macaroon");
            let lookup = |name: &str| (name == AUTHORIZATION).then_some(header.as_bytes());
            let read = credential::read(lookup).ok().flatten().expect("readable");
            assert!(read.preimage.is(&credential.preimage));
        }
    }
}

#[test]
fn macaroons_say_and_prove_what_the_vectors_say() {
    for case in list("l402/macaroons.json", "read") {
        let name = text(&case, "name");
        let macaroon = Macaroon::from_base64(text(&case, "text"));
        let macaroon = macaroon.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            macaroon.location(),
            text(&case, "location").as_bytes(),
            "{name}"
        );
        assert_eq!(macaroon.identifier(), bytes(&case, "identifier"), "{name}");
        assert_eq!(
            macaroon.signature().as_slice(),
            bytes(&case, "signature"),
            "{name}"
        );
        assert_eq!(
            lossy(macaroon.first_party_caveats()),
            strings(&case, "caveats"),
            "{name}"
        );
        assert_eq!(
            lossy(macaroon.third_parties()),
            strings(&case, "third_parties"),
            "{name}"
        );
        assert_eq!(macaroon.to_base64(), text(&case, "v2"), "{name}");
        let verdict = match macaroon.verify(&bytes(&case, "root_key")) {
            Ok(verified) => {
                assert_eq!(
                    lossy(verified.caveats()),
                    strings(&case, "caveats"),
                    "{name}"
                );
                assert_eq!(verified.identifier(), macaroon.identifier(), "{name}");
                "ok"
            }
            Err(VerifyError::Signature) => "signature",
            Err(VerifyError::ThirdParty) => "third_party",
        };
        assert_eq!(verdict, text(&case, "verdict"), "{name}");
    }
}

#[test]
fn macaroons_are_minted_and_narrowed_as_the_vectors_say() {
    for case in list("l402/macaroons.json", "minted") {
        let root_key = bytes(&case, "root_key");
        let mut macaroon = Macaroon::mint(
            &root_key,
            text(&case, "location"),
            &bytes(&case, "identifier"),
        );
        let (signatures, texts) = (strings(&case, "signatures"), strings(&case, "base64"));
        let caveats = strings(&case, "caveats");
        assert_eq!(signatures.len(), caveats.len() + 1);
        for step in 0..signatures.len() {
            assert_eq!(hex::encode(macaroon.signature()), signatures[step]);
            assert_eq!(macaroon.to_base64(), texts[step]);
            assert!(macaroon.verify(&root_key).is_ok());
            if let Some(caveat) = caveats.get(step) {
                let narrowed = macaroon.add_first_party_caveat(caveat.as_bytes());
                macaroon = narrowed.expect("room for it");
            }
        }
    }
}

#[test]
fn damaged_macaroons_are_refused_for_the_reason_that_the_vectors_say() {
    for case in list("l402/macaroons.json", "refused") {
        let why = match Macaroon::from_base64(text(&case, "text")) {
            Ok(_) => "read",
            Err(MacaroonError::TooLong) => "too_long",
            Err(MacaroonError::Base64) => "base64",
            Err(MacaroonError::Hex) => "hex",
            Err(MacaroonError::Format) => "format",
            Err(MacaroonError::Length) => "length",
            Err(MacaroonError::Order) => "order",
            Err(MacaroonError::Field) => "field",
            Err(MacaroonError::Signature) => "signature",
            Err(MacaroonError::Trailing) => "trailing",
            Err(MacaroonError::TooManyCaveats) => "too_many_caveats",
            Err(MacaroonError::Json) => "json",
        };
        assert_eq!(why, text(&case, "why"), "{}", case["name"]);
    }
}

#[test]
fn l402_identifiers_have_exactly_66_bytes_of_version_0() {
    for case in list("l402/identifiers.json", "cases") {
        let read = Identifier::read(&bytes(&case, "hex"));
        let why = match read {
            Ok(identifier) => {
                let parts = (
                    identifier.payment_hash.to_string(),
                    identifier.token_id.to_string(),
                );
                assert_eq!(parts.0, text(&case, "payment_hash"));
                assert_eq!(parts.1, text(&case, "token_id"));
                assert_eq!(identifier.to_bytes(), bytes(&case, "hex"));
                None
            }
            Err(IdentifierError::Length { .. }) => Some("length"),
            Err(IdentifierError::Version(_)) => Some("version"),
        };
        assert_eq!(why, case["why"].as_str(), "{}", case["name"]);
    }
}

#[test]
fn values_of_caveats_are_read_as_the_vectors_say() {
    for case in list("l402/caveats.json", "splits") {
        let parts = caveat::split(text(&case, "caveat").as_bytes());
        let expected = case["condition"].as_str().zip(case["value"].as_str());
        assert_eq!(parts, expected, "{case}");
    }
    for case in list("l402/caveats.json", "services") {
        let read = caveat::parse_services(text(&case, "value"));
        if let Ok(services) = &read {
            let written = caveat::format_services(services);
            assert_eq!(written.as_deref(), Ok(text(&case, "value")));
        }
        let entries = read.ok().map(|services| {
            let pair = |service: &caveat::Service| json!([service.name, service.tier]);
            services.iter().map(pair).collect::<Vec<_>>()
        });
        assert_eq!(json!(entries), case["entries"], "{case}");
    }
    for case in list("l402/caveats.json", "numbers") {
        let read = caveat::parse_number(text(&case, "value")).ok();
        let expected = case["number"]
            .as_str()
            .map(|n| n.parse().expect("a number"));
        assert_eq!(read, expected, "{case}");
    }
}

#[test]
fn tokens_allow_what_the_vectors_say() {
    let shared = load("l402/conditions.json")["request"].clone();
    for case in list("l402/conditions.json", "cases") {
        let name = text(&case, "name");
        let mut asked = shared.clone();
        for (field, value) in case["request"].as_object().into_iter().flatten() {
            asked[field] = value.clone();
        }
        let mode = match text(&case, "mode") {
            "strict" => Mode::Strict,
            _ => Mode::Lenient,
        };
        let caveats = strings(&case, "caveats");
        let constraints = strings(&asked, "constraints");
        let constraints: Vec<&str> = constraints.iter().map(String::as_str).collect();
        let request = Request {
            now_s: asked["now"].as_u64().expect("seconds"),
            service: text(&asked, "service"),
            capability: asked["capability"].as_str(),
            payment_hash: text(&asked, "payment_hash").parse().expect("a hash"),
            route: text(&asked, "route"),
            origin: text(&asked, "origin"),
            tenant: asked["tenant"].as_str(),
            method: text(&asked, "method"),
            path: text(&asked, "path"),
            constraints: &constraints,
        };
        let said = conditions::check(caveats.iter().map(String::as_bytes), &request, mode);
        match said {
            Ok(grant) => assert_eq!(json!(grant_of(&grant)), case["grant"], "{name}"),
            Err(refusal) => {
                assert_eq!(Some(refused(&refusal)), case["refused"].as_str(), "{name}");
                assert!(refusal.to_string().chars().count() < 300, "{refusal}");
            }
        }
    }
}

fn grant_of(grant: &Grant) -> Map<String, Value> {
    let constraints: Vec<Value> = grant
        .constraints
        .iter()
        .map(|(name, limit)| json!([name, limit]))
        .collect();
    let uses = grant.uses.map(|uses| match uses {
        Uses::Times(times) => json!(times),
        Uses::Unlimited => json!("unlimited"),
    });
    let fields = [
        ("tier", json!(grant.tier)),
        ("valid_until", json!(grant.valid_until_s)),
        ("uses", json!(uses)),
        ("price_msat", json!(grant.price_msat)),
        (
            "constraints",
            json!((!constraints.is_empty()).then_some(constraints)),
        ),
    ];
    let said = fields.into_iter().filter(|(_, value)| !value.is_null());
    said.map(|(name, value)| (name.to_owned(), value)).collect()
}

const fn refused(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unreadable { .. } => "unreadable",
        Refusal::Unknown(_) => "unknown",
        Refusal::Malformed { .. } => "malformed",
        Refusal::Widened(_) => "widened",
        Refusal::Missing(_) => "missing",
        Refusal::Elsewhere(_) => "elsewhere",
        Refusal::Expired { .. } => "expired",
        Refusal::Preimage => "preimage",
    }
}

#[test]
fn a_refusal_names_the_value_and_no_more_of_it_than_a_line() {
    let long = "x".repeat(3000);
    let refused = caveat::parse_services(&long).expect_err("no tier");
    assert_eq!(refused, ValueError::Service(format!("{}…", "x".repeat(40))));
}
