//! `farebox completions`: the script that lets a shell complete this command line.
//!
//! Made from the same declarations as the parser, so it knows every command and flag of this build.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Globals};
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox completions bash > ~/.local/share/bash-completion/completions/farebox
  farebox completions zsh > ~/.zfunc/_farebox      # with fpath+=~/.zfunc before compinit
  farebox completions fish > ~/.config/fish/completions/farebox.fish
  farebox completions powershell >> $PROFILE";

/// Print a script with which a shell completes commands and flags
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// Shell that reads it
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, globals: &Globals) -> Result<u8, Failure> {
        let mut cli = Cli::command();
        let name = cli.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli, name, &mut script);
        let script = String::from_utf8_lossy(&script);
        if globals.json {
            output::json(&json!({"shell": self.shell.to_string(), "script": script}))?;
        } else {
            output::line(script.trim_end())?;
        }
        Ok(0)
    }
}
