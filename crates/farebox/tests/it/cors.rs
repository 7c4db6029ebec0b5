//! Which pages may pay at a gate, as its file says.

use crate::support::User;

/// What the gate says to a file that ends with this section; it never starts.
fn refused(section: &str) -> String {
    let user = User::new();
    let file = format!(
        "{section}\n[[route]]\nmatch = \"/*\"\nupstream = \"http://127.0.0.1:1\"\nprice = \"0 USD\"\n"
    );
    user.write("gate.toml", &file);
    let (exit, answer) = user.json(&["gate", "--config", "gate.toml", "--listen", "127.0.0.1:0"]);
    assert_eq!(exit, 2, "{answer}");
    assert_eq!(answer["error"]["code"], "config_invalid");
    answer["error"]["message"]
        .as_str()
        .expect("a sentence")
        .to_owned()
}

#[test]
fn origins_that_no_page_has_and_cookies_for_everybody_are_refused() {
    for (section, names) in [
        (
            "[cors]\norigins = [\"https://app.example/\"]",
            "https://app.example/",
        ),
        ("[cors]\norigins = [\"null\"]", "null"),
        (
            "[cors]\norigins = [\"*\", \"https://app.example\"]",
            "\"*\"",
        ),
        ("[cors]\ncredentials = true", "origins"),
        ("[cors]\norigins = [\"*\"]\ncredentials = true", "origins"),
    ] {
        let message = refused(section);
        assert!(message.contains(names), "{message}");
    }
}
