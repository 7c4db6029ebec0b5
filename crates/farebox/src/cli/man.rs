//! `farebox man`: the manual, a page for each command, in the words of `--help`.
//!
//! Made from the same declarations as the parser. Beside the pages that `--dir` asks for it writes
//! nothing.

use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde_json::json;

use super::{Cli, Globals};
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox man | man -l -
  farebox man --dir ~/.local/share/man/man1     # then: man farebox-gate";

/// Print the manual page, or write the pages of all commands
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Manual {
    /// Write one page for each command into this directory, which is made where there is none
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A page and the name of its file.
struct Page {
    name: String,
    text: String,
}

impl Manual {
    pub(super) fn run(&self, globals: &Globals) -> Result<u8, Failure> {
        let mut cli = Cli::command();
        // Gives every command its full name.
        cli.build();
        let Some(dir) = &self.dir else {
            let Page { name, text } = page(&cli)?;
            match globals.json {
                true => output::json(&json!({"name": name, "page": text}))?,
                false => output::line(text.trim_end())?,
            }
            return Ok(0);
        };
        let mut pages = Vec::new();
        collect(&cli, &mut pages)?;
        let written = write(&pages, dir)?;
        if globals.json {
            output::json(&json!({"pages": written}))?;
        } else if !globals.quiet {
            output::say(&format!(
                "farebox: {} pages in {}",
                written.len(),
                dir.display()
            ));
        }
        Ok(0)
    }
}

/// The page of a command, then those of the commands below it.
fn collect(command: &Command, pages: &mut Vec<Page>) -> Result<(), Failure> {
    pages.push(page(command)?);
    command
        .get_subcommands()
        .try_for_each(|below| collect(below, pages))
}

fn page(command: &Command) -> Result<Page, Failure> {
    let failed =
        |error: std::io::Error| Failure::internal("man", format!("cannot make a page: {error}"));
    let after = command.get_after_help().map(ToString::to_string);
    // The text after the help is laid out line by line; it would be filled into one paragraph.
    let man = Man::new(command.clone().after_help(Resettable::Reset))
        .source(concat!("farebox ", env!("CARGO_PKG_VERSION")))
        .manual("Farebox");
    let mut bytes = Vec::new();
    man.render(&mut bytes).map_err(failed)?;
    let sections = sections(&after.unwrap_or_default());
    sections.to_writer(&mut bytes).map_err(failed)?;
    Ok(Page {
        name: man.get_filename(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// Sections of the text after the help: a line at the margin is a heading, what is indented stays
/// as it is.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut is_open = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(heading) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            if is_open {
                roff.control("fi", []);
            }
            roff.control("SH", [heading.to_uppercase().as_str()]);
            roff.control("nf", []);
            is_open = true;
        } else {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
    }
    if is_open {
        roff.control("fi", []);
    }
    roff
}

/// Writes the pages; the paths are in their order.
fn write(pages: &[Page], dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::config(
            "man_write",
            format!("cannot write to {}: {error}", dir.display()),
        )
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut written = Vec::with_capacity(pages.len());
    for page in pages {
        let path = dir.join(&page.name);
        std::fs::write(&path, &page.text).map_err(failed)?;
        written.push(path);
    }
    Ok(written)
}
