//! `farebox completions`: scripts for shells.

use std::process::Command;

use crate::help::PAGES;
use crate::support::User;

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "powershell", "elvish"];

#[test]
fn the_script_of_every_shell_names_every_command() {
    let user = User::new();
    for shell in SHELLS {
        let ended = user.run(&["completions", shell]);
        assert_eq!((ended.exit, ended.stderr.as_str()), (0, ""), "{shell}");
        let words: Vec<&str> = ended
            .stdout
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .collect();
        for name in PAGES.iter().copied().flatten() {
            assert!(words.contains(name), "{name} in the script for {shell}");
        }
        assert!(ended.stdout.contains("max-cost"), "{shell} knows flags");
    }
}

#[test]
fn a_shell_that_nobody_knows_is_refused() {
    let (exit, answer) = User::new().json(&["completions", "csh"]);
    assert_eq!(exit, 2);
    assert_eq!(answer["error"]["code"], "usage");
}

#[test]
fn with_json_the_script_is_a_text_in_the_object() {
    let user = User::new();
    let (exit, answer) = user.json(&["completions", "fish"]);
    assert_eq!((exit, &answer["shell"]), (0, &"fish".into()));
    let script = answer["script"].as_str().expect("a text");
    assert_eq!(
        user.run(&["completions", "fish"]).stdout.trim_end(),
        script.trim_end()
    );
}

/// What bash offers after these words, by the script itself. `None` where there is no bash.
fn offered(user: &User, words: &[&str]) -> Option<String> {
    let ask = format!(
        "set -e; source farebox.bash; COMP_WORDS=({}); COMP_CWORD={}; _farebox farebox {} {}; echo \"${{COMPREPLY[*]}}\"",
        words.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let asked = Command::new("bash")
        .args(["--norc", "-c", &ask])
        .current_dir(user.dir())
        .output();
    let output = asked.ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn bash_reads_its_script_and_completes_with_it() {
    let user = User::new();
    user.write("farebox.bash", &user.run(&["completions", "bash"]).stdout);
    let checked = Command::new("bash")
        .args(["-n", "farebox.bash"])
        .current_dir(user.dir())
        .output();
    let Ok(checked) = checked else {
        eprintln!("there is no bash here: its script was not tried");
        return;
    };
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(
        offered(&user, &["farebox", "faci"]).as_deref(),
        Some("facilitator\n")
    );
    assert_eq!(
        offered(&user, &["farebox", "budget", "s"]).as_deref(),
        Some("set show\n")
    );
    assert_eq!(
        offered(&user, &["farebox", "fetch", "--max-c"]).as_deref(),
        Some("--max-cost\n")
    );
}
