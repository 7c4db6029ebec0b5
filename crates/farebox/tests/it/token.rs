//! `farebox token`: what is kept, shown, taken over and narrowed, and that secrets stay inside.

use farebox_wire::l402::credential::{Carriage, L402Credential};
use farebox_wire::l402::macaroon::Macaroon;
use farebox_wire::l402::preimage::Preimage;
use serde_json::{Value, json};

use crate::support::User;

const ROOT_KEY: [u8; 32] = [7; 32];
const PREIMAGE: [u8; 32] = [1; 32];

/// A token for the service `weather`, as a seller mints it.
fn macaroon() -> Macaroon {
    let hash = Preimage::from_bytes(PREIMAGE).payment_hash();
    let identifier = [&[0, 0][..], &hash.0, &[9; 32]].concat();
    let mut macaroon = Macaroon::mint(&ROOT_KEY, "lsat", &identifier);
    for caveat in ["services=weather:0", "weather_valid_until=4000000000"] {
        macaroon = macaroon
            .add_first_party_caveat(caveat.as_bytes())
            .expect("a short caveat");
    }
    macaroon
}

/// What lnget leaves in a folder: with zeros for a preimage, a payment on its way.
fn file(preimage: [u8; 32]) -> Vec<u8> {
    let macaroon = macaroon().to_v2();
    let length = u32::try_from(macaroon.len()).expect("a short macaroon");
    let hash = Preimage::from_bytes(PREIMAGE).payment_hash();
    let numbers = [100_000_u64, 10, 1_750_000_000_000_000_000];
    [
        &length.to_be_bytes()[..],
        &macaroon,
        &hash.0,
        &preimage,
        &numbers.map(u64::to_be_bytes).concat(),
    ]
    .concat()
}

fn store(user: &User, host: &str, name: &str, bytes: &[u8]) {
    let folder = user.path("tokens").join(host);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("a file");
}

/// A user with lnget's token for one host; its name here.
fn importer() -> (User, String) {
    let user = User::new();
    store(&user, "api.example.com", "l402.token", &file(PREIMAGE));
    let (exit, answer) = user.json(&["token", "import", "tokens"]);
    assert_eq!(exit, 0, "{answer}");
    let id = answer["imported"][0]["id"].as_str().expect("a name");
    (user, id.to_owned())
}

fn secret() -> String {
    "01".repeat(32)
}

#[test]
fn a_store_of_lnget_is_taken_over_once_and_what_is_pending_is_left() {
    let user = User::new();
    store(&user, "api.example.com", "l402.token", &file(PREIMAGE));
    store(
        &user,
        "other.example.com_8443",
        "l402.token.pending",
        &file([0; 32]),
    );
    store(
        &user,
        "torn.example.com",
        "lsat.token",
        &file(PREIMAGE)[..99],
    );
    store(&user, "api.example.com", ".domain", b"api.example.com");
    let (exit, answer) = user.json(&["token", "import", "tokens"]);
    assert_eq!(exit, 0, "{answer}");
    let [imported] = answer["imported"].as_array().expect("a list").as_slice() else {
        panic!("{answer}")
    };
    assert_eq!(imported["origin"], "https://api.example.com:443");
    assert_eq!(
        (&imported["path"], &imported["method"], &imported["state"]),
        (&json!("*"), &Value::Null, &json!("used"))
    );
    assert_eq!(imported["expires_at"], 4_000_000_000_u64);
    let skipped = answer["skipped"].as_array().expect("a list");
    let reasons: Vec<&str> = skipped
        .iter()
        .filter_map(|file| file["reason"].as_str())
        .collect();
    assert_eq!(reasons.len(), 2, "{answer}");
    assert!(reasons[0].contains("not proven yet"), "{answer}");
    assert!(reasons[1].contains("torn"), "{answer}");
    let (exit, again) = user.json(&["token", "import", "tokens"]);
    assert_eq!(
        (exit, again["imported"].as_array().map(Vec::len)),
        (1, Some(0))
    );
    let (_, listed) = user.json(&["token", "list"]);
    assert_eq!(listed["tokens"].as_array().map(Vec::len), Some(1));
}

#[test]
fn one_file_needs_to_be_told_whose_it_is() {
    let (user, _) = importer();
    let file = "tokens/api.example.com/l402.token";
    let (exit, answer) = user.json(&["token", "import", file]);
    assert_eq!((exit, &answer["error"]["code"]), (2, &json!("usage")));
    let (exit, _) = user.json(&["token", "import", "nowhere"]);
    assert_eq!(exit, 2);
    let other = User::new();
    store(&other, "x", "l402.token", &crate::token::file(PREIMAGE));
    let arguments = [
        "token",
        "import",
        "tokens/x/l402.token",
        "--origin",
        "http://127.0.0.1:8081/x",
    ];
    let (exit, answer) = other.json(&arguments);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(answer["imported"][0]["origin"], "http://127.0.0.1:8081");
}

#[test]
fn secrets_are_shown_where_they_are_asked_for_and_nowhere_else() {
    let (user, id) = importer();
    for arguments in [
        &["token", "list"][..],
        &["token", "list", "--json"],
        &["token", "show", &id],
        &["token", "show", &id, "--json"],
        &["payments", "list", "--json"],
    ] {
        let ended = user.run(arguments);
        assert_eq!(ended.exit, 0, "{arguments:?}: {}", ended.stderr);
        let said = [ended.stdout, ended.stderr].concat();
        assert!(!said.contains(&secret()), "{arguments:?}");
        assert!(!said.contains(&macaroon().to_base64()), "{arguments:?}");
    }
    let (_, shown) = user.json(&["token", "show", &id, "--reveal"]);
    let whole = format!("L402 {}:{}", macaroon().to_base64(), secret());
    assert_eq!(shown["credential"], whole);
    let hash = Preimage::from_bytes(PREIMAGE).payment_hash().to_string();
    assert_eq!(shown["token"]["payment_hash"], hash);
    assert_eq!(
        shown["token"]["conditions"],
        json!(["services=weather:0", "weather_valid_until=4000000000"])
    );
    let revealed = user.run(&["token", "show", &id, "--reveal"]);
    assert!(revealed.stdout.contains(&whole));
}

#[test]
fn a_token_is_narrowed_for_somebody_else_and_never_widened() {
    let (user, id) = importer();
    let (exit, answer) = user.json(&[
        "token",
        "attenuate",
        &id,
        "--caveat",
        "weather_capabilities=read",
        "--valid-for",
        "1h",
        "--uses",
        "3",
        "--method",
        "GET",
        "--path",
        "/weather",
    ]);
    assert_eq!(exit, 0, "{answer}");
    let text = answer["credential"].as_str().expect("a credential");
    let header = |name: &str| (name == "authorization").then_some(text.as_bytes());
    let credential: L402Credential = farebox_wire::l402::credential::read(header)
        .expect("readable")
        .expect("there");
    assert!(matches!(credential.carriage, Carriage::Authorization(_)));
    assert!(credential.preimage.is(&Preimage::from_bytes(PREIMAGE)));
    let narrowed = credential.macaroon().expect("a macaroon");
    let verified = narrowed.verify(&ROOT_KEY).expect("signed by its minter");
    let caveats: Vec<String> = verified
        .caveats()
        .map(|caveat| String::from_utf8_lossy(caveat).into_owned())
        .collect();
    assert_eq!(caveats.len(), 7, "{caveats:?}");
    assert_eq!(caveats[2], "weather_capabilities=read");
    let (name, end) = caveats[3].split_once('=').expect("a condition");
    assert_eq!(name, "weather_valid_until");
    let end: u64 = end.parse().expect("a time");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    assert!((now + 3_000..=now + 3_600).contains(&end), "{end}");
    assert_eq!(
        caveats[4..],
        [
            "farebox_uses=3",
            "farebox_method=GET",
            "farebox_path=/weather"
        ]
    );
    // The one that is kept stays as it is.
    let (_, shown) = user.json(&["token", "show", &id, "--reveal"]);
    let kept = shown["credential"].as_str().expect("a credential");
    assert!(kept.contains(&macaroon().to_base64()));

    for wrong in [
        &["token", "attenuate", &id][..],
        &["token", "attenuate", &id, "--caveat", "nothing"],
        &["token", "attenuate", &id, "--uses", "0"],
        &["token", "attenuate", "tok_none", "--uses", "1"],
    ] {
        assert_eq!(user.json(wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn what_is_removed_is_gone() {
    let (user, id) = importer();
    let (exit, answer) = user.json(&["token", "remove", &id]);
    assert_eq!((exit, &answer["removed"]), (0, &json!(id)));
    let (exit, answer) = user.json(&["token", "remove", &id]);
    assert_eq!(
        (exit, &answer["error"]["code"]),
        (2, &json!("token_not_found"))
    );
    assert_eq!(user.json(&["token", "show", &id]).0, 2);
    assert_eq!(user.run(&["token", "list"]).stdout, "No tokens.\n");
}

#[test]
fn a_token_for_this_machine_lets_fetch_in_without_a_wallet() {
    use std::io::{Read as _, Write as _};

    let user = User::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let seller = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a buyer");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).expect("a request");
            request.extend_from_slice(&part[..read]);
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsunny";
        stream.write_all(answer.as_bytes()).expect("an answer");
        String::from_utf8_lossy(&request).into_owned()
    });
    store(
        &user,
        &format!("127.0.0.1_{}", address.port()),
        "l402.token",
        &file(PREIMAGE),
    );
    assert_eq!(user.json(&["token", "import", "tokens"]).0, 0);
    let (exit, answer) = user.json(&["fetch", &format!("http://{address}/weather")]);
    assert_eq!((exit, &answer["body"]), (0, &json!("sunny")), "{answer}");
    assert_eq!(answer["cost"]["amount"], "0");
    let request = seller.join().expect("no panic");
    let shown = format!(
        "authorization: L402 {}:{}",
        macaroon().to_base64(),
        secret()
    );
    assert!(request.contains(&shown), "{request}");
}
