//! The chores of the house: `cargo xtask tidy | floors | docs | soak`. Called by `.ci/run`, the justfile and people.
//! It reads the repository and starts cargo; it changes no file but the one that `docs` writes, and never touches the
//! network by itself.

use std::process::ExitCode;

mod floors;
mod reference;
mod repo;
mod soak;
mod tidy;

const USAGE: &str = "usage: cargo xtask tidy | floors | docs | soak [--seed N] [--tenth] [--minutes N] [--job NAME]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((chore, [])) if chore == "tidy" => tidy::run(),
        Some((chore, [])) if chore == "floors" => floors::run(),
        Some((chore, [])) if chore == "docs" => reference::run(),
        Some((chore, rest)) if chore == "soak" => soak::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
