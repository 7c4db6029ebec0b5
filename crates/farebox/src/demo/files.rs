//! The files that make a seller and a buyer of local networks: what `farebox devnet --write` leaves and the demonstration
//! runs on.
//!
//! Everything that is written here is for those networks alone: the keys are public knowledge.

use std::path::Path;

use crate::config::create_private;
use crate::failure::Failure;
use crate::output;

/// What one network adds.
#[derive(Default)]
pub(crate) struct Part {
    /// Tables of `seller.toml` that no other network has.
    pub(crate) seller: String,
    /// Tables of `buyer.toml` that no other network has.
    pub(crate) buyer: String,
    /// Its line of the seller's `[pay_to]`.
    pub(crate) pay_to: Option<String>,
    /// Its place in the `signer` of the seller's `[facilitator]`.
    pub(crate) signer: Option<String>,
    /// Its line of the buyer's `[wallet]`.
    pub(crate) wallet: Option<String>,
    /// Names and contents of the files that those tables name.
    pub(crate) secrets: Vec<(String, Vec<u8>)>,
}

/// Leaves `seller.toml`, `buyer.toml` and what they name in `dir`, created if needed.
///
/// # Errors
/// Exit 2 where the directory cannot be written.
pub(crate) fn write(dir: &Path, parts: &[Part]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let why = format!("cannot write to {}: {error}", dir.display());
        Failure::config("devnet_write", why)
    };
    create_private(dir).map_err(failed)?;
    for stale in ["seller.db", "buyer.db"].map(|name| dir.join(name)) {
        if stale.exists() {
            output::say(&format!(
                "farebox: {} is the ledger of an earlier chain; remove it, or its payments will not be found",
                stale.display()
            ));
        }
    }
    for (name, bytes) in parts.iter().flat_map(|part| &part.secrets) {
        write_private(&dir.join(name), bytes).map_err(failed)?;
    }
    let tables = |of: fn(&Part) -> &String| {
        let tables: Vec<&str> = parts.iter().map(|part| of(part).as_str()).collect();
        tables.join("\n")
    };
    let seller = format!(
        "# A seller on the local networks, for `farebox gate --config`.\n\
         ledger = \"sqlite:seller.db\"\n\n{}{}",
        tables(|part| &part.seller),
        shared_by_sellers(parts),
    );
    let buyer = format!(
        "# A buyer on the local networks, for `farebox fetch --config`.\n\
         ledger = \"sqlite:buyer.db\"\n\n{}{}\n\
         [budget]\nper_payment = \"1 USD\"\nper_day = \"10 USD\"\ntotal = \"10 USD\"\n\n\
         [policy]\nallow_private = [\"127.0.0.1/32\"]\n",
        tables(|part| &part.buyer),
        table("wallet", parts, |part| &part.wallet),
    );
    for (name, text) in [("seller.toml", seller), ("buyer.toml", buyer)] {
        write_private(&dir.join(name), text.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

/// `[pay_to]` and `[facilitator]`, where a network has a part in them.
fn shared_by_sellers(parts: &[Part]) -> String {
    let signers: Vec<&str> = parts
        .iter()
        .filter_map(|part| part.signer.as_deref())
        .collect();
    let facilitator = match signers.as_slice() {
        [] => String::new(),
        signers => format!(
            "\n[facilitator]\nurls = [\"local\"]\nsigner = {{ {} }}\n",
            signers.join(", ")
        ),
    };
    table("pay_to", parts, |part| &part.pay_to) + &facilitator
}

/// A table to which each network adds a line; nothing where none does.
fn table(name: &str, parts: &[Part], line: fn(&Part) -> &Option<String>) -> String {
    let lines: Vec<&str> = parts
        .iter()
        .filter_map(|part| line(part).as_deref())
        .collect();
    match lines.as_slice() {
        [] => String::new(),
        lines => format!("\n[{name}]\n{}\n", lines.join("\n")),
    }
}

/// What to run next, for people: with the files, where there are any. Of several rails the buyer names one.
pub(crate) fn next(written: Option<&Path>, rails: &[&str]) -> String {
    let Some(dir) = written.map(Path::display) else {
        return "Add --write DIR for files that `farebox gate` and `farebox fetch` can use."
            .to_owned();
    };
    let buy = |rail: &str| {
        format!("Buy:   farebox fetch --config {dir}/buyer.toml{rail} http://127.0.0.1:8402/")
    };
    let mut lines = vec![format!(
        "Sell:  farebox gate --config {dir}/seller.toml --upstream http://127.0.0.1:3000 --price \"0.001 USD\" --listen 127.0.0.1:8402"
    )];
    match rails {
        [_] => lines.push(buy("")),
        rails => lines.extend(rails.iter().map(|rail| buy(&format!(" --rail {rail}")))),
    }
    lines.join("\n")
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(path)?, bytes)
}
