//! `farebox doctor` and `--check`: every finding is provoked by the mistake that it explains.

mod books;
mod chains;
mod check;
mod files;
mod shop;
mod solana;

use serde_json::Value;

use crate::support::User;

/// What the doctor says: whether all is well, which its exit code repeats, and the findings.
pub(crate) struct Diagnosis {
    pub(crate) ok: bool,
    findings: Vec<Value>,
    whole: Value,
}

impl Diagnosis {
    /// Runs a command that examines.
    pub(crate) fn of(user: &User, arguments: &[&str]) -> Self {
        let (exit, answer) = user.json(arguments);
        let ok = answer["ok"].as_bool().expect("a verdict");
        assert_eq!(exit, i32::from(!ok), "{answer}");
        let findings = answer["findings"].as_array();
        Self {
            ok,
            findings: findings
                .unwrap_or_else(|| panic!("findings in {answer}"))
                .clone(),
            whole: answer,
        }
    }

    /// The doctor's word on a file.
    pub(crate) fn on(user: &User, config: &str) -> Self {
        Self::of(user, &["doctor", "--config", config])
    }

    /// The severity of a finding.
    pub(crate) fn severity(&self, id: &str) -> &str {
        self.find(id)["severity"].as_str().expect("a severity")
    }

    pub(crate) fn find(&self, id: &str) -> &Value {
        let found = self.findings.iter().find(|finding| finding["id"] == id);
        let found = found.unwrap_or_else(|| panic!("{id} in {}", self.whole));
        let has_advice = found["severity"] != "ok";
        assert_eq!(found["advice"].is_string(), has_advice, "{found}");
        found
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.findings.iter().any(|finding| finding["id"] == id)
    }

    /// Text of a finding.
    pub(crate) fn text(&self, id: &str, key: &str) -> &str {
        self.find(id)[key].as_str().expect("a text")
    }
}

#[test]
fn what_devnet_writes_is_well_and_looking_makes_nothing() {
    let user = User::new();
    let _net = user.devnet();
    for (config, findings) in [
        ("net/seller.toml", &["payee", "chain", "token", "gas"][..]),
        ("net/buyer.toml", &["chain", "token"]),
    ] {
        let diagnosis = Diagnosis::on(&user, config);
        assert!(diagnosis.ok);
        for id in findings {
            assert_eq!(diagnosis.severity(id), "ok");
        }
        assert_eq!(diagnosis.severity("ledger_missing"), "warning");
    }
    assert!(!user.path("net/seller.db").exists() && !user.path("net/buyer.db").exists());
    assert!(!user.path("data").exists());
}

#[test]
fn people_get_one_line_for_each_finding_and_a_sum() {
    let user = User::new();
    let _net = user.devnet();
    let ended = user.run(&["doctor", "--config", "net/seller.toml"]);
    assert_eq!((ended.exit, ended.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(
        lines[0].starts_with("warning ledger_missing: net/seller.db: "),
        "{}",
        ended.stdout
    );
    assert_eq!(lines.last(), Some(&"0 errors, 1 warning"));
    assert!(
        lines[1..lines.len() - 1]
            .iter()
            .all(|line| line.starts_with("ok      "))
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_usage_error() {
    let user = User::new();
    let (exit, answer) = user.json(&["doctor", "--config", "missing.toml"]);
    assert_eq!(
        (exit, answer["error"]["code"].as_str()),
        (2, Some("config_unreadable"))
    );
    user.write(
        "farebox.toml",
        "[network.\"eip155:1\"]\nconfirmations = 0\n",
    );
    let (exit, answer) = user.json(&["doctor", "--config", "farebox.toml"]);
    assert_eq!(
        (exit, answer["error"]["code"].as_str()),
        (2, Some("config_invalid"))
    );
}

#[test]
fn a_buyer_without_key_and_budget_is_told_what_to_run() {
    let user = User::new();
    let diagnosis = Diagnosis::of(&user, &["doctor"]);
    assert!(!diagnosis.ok);
    assert!(
        diagnosis
            .text("key_missing", "advice")
            .contains("farebox wallet create")
    );
    assert!(
        diagnosis
            .text("budget_missing", "advice")
            .contains("farebox budget set")
    );
    assert!(!user.path("data").exists(), "looking makes nothing");
    assert_eq!(
        user.run(&["budget", "set", "--per-payment", "1 USD"]).exit,
        0
    );
    let diagnosis = Diagnosis::of(&user, &["doctor"]);
    assert!(diagnosis.ok && !diagnosis.has("budget_missing"));
}
