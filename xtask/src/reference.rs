//! `cargo xtask docs`: writes the tables of docs/configuration.md from the types that read the file.
//! `cargo xtask tidy` fails while they are not current. What stands outside the two marks is a person's.

use crate::repo::{self, File};

mod types;

use types::{Key, Types};

/// The document with the tables.
pub(crate) const DOCUMENT: &str = "docs/configuration.md";
/// Where the types are.
const SOURCES: &str = "crates/farebox/src/config/";
/// The type of the whole file.
const ROOT: &str = "File";
const BEGIN: &str = "<!-- begin: written by `cargo xtask docs` -->\n";
const END: &str = "<!-- end -->\n";
/// How a chain and a pair are called in headings.
const CHAIN: &str = "\"eip155:84532\"";
const PAIR: &str = "\"BTC/USD\"";

/// How the value of a type is written. A type that is missing here is an error.
const VALUES: &[(&str, &str)] = &[
    ("BTreeMap<String, String>", "table of texts"),
    ("Final", "`\"finalized\"` or number"),
    ("LogFormat", "`\"text\"` or `\"json\"`"),
    ("Listen", "address, `\"127.0.0.1:8402\"`"),
    (
        "MaxFee",
        "`\"1000 gwei\"`; on Lightning `\"10 sat\"` or `\"1%\"`",
    ),
    ("Part", "number from `0.0` to `1.0`"),
    ("Percent", "part, `\"10%\"`"),
    ("Price", "`\"0.001 USD\"`, `\"10 sat\"` or `\"1500 msat\"`"),
    ("References", "reference, or a list of them"),
    ("String", "text"),
    ("Timespan", "time, `\"60s\"`"),
    ("TokenUses", "number or `\"unlimited\"`"),
    ("Usd", "dollars, `\"0.05 USD\"`"),
    ("Wei", "gas money, `\"0.05 ETH\"` or `\"100 gwei\"`"),
    ("bool", "`true` or `false`"),
    ("u16", "number"),
    ("u32", "number"),
    ("u64", "number"),
    ("u8", "number"),
];

/// Writes the document.
pub(crate) fn run() -> Result<String, String> {
    let files = repo::files()?;
    let text = current(&files)?;
    std::fs::write(repo::root().join(DOCUMENT), &text)
        .map_err(|error| format!("cannot write {DOCUMENT}: {error}"))?;
    Ok(format!("docs: {DOCUMENT} is written"))
}

/// The document as it should be.
///
/// # Errors
/// What is missing or not understood.
pub(crate) fn current(files: &[File]) -> Result<String, String> {
    let mut types = Types::default();
    for file in files.iter().filter(|file| is_source(&file.path)) {
        types.read(&file.path, file.text().unwrap_or_default())?;
    }
    let tables = tables(&types)?;
    let document = files.iter().find(|file| file.path == DOCUMENT);
    let text = document
        .and_then(File::text)
        .ok_or("the document is missing")?;
    let (before, rest) = text.split_once(BEGIN).ok_or_else(no_marks)?;
    let (_, after) = rest.split_once(END).ok_or_else(no_marks)?;
    Ok(format!("{before}{BEGIN}{tables}{END}{after}"))
}

fn no_marks() -> String {
    format!("{DOCUMENT} lacks the marks {BEGIN:?} and {END:?}")
}

fn is_source(path: &str) -> bool {
    path.starts_with(SOURCES) && path.ends_with(".rs") && !path.ends_with("_tests.rs")
}

/// A section to be written: its path in the file, its type, and whether there may be several.
struct Place {
    path: String,
    kind: String,
    several: bool,
    doc: String,
}

/// A table for each section, from the top of the file down.
fn tables(types: &Types) -> Result<String, String> {
    let mut waiting = vec![Place {
        path: String::new(),
        kind: ROOT.to_owned(),
        several: false,
        doc: String::new(),
    }];
    let mut text = String::new();
    while let Some(place) = waiting.pop() {
        let section = types
            .sections
            .get(&place.kind)
            .ok_or_else(|| format!("there is no struct {}", place.kind))?;
        let mut below = Vec::new();
        let mut rows = String::new();
        for key in &section.keys {
            match nested(&place.path, key, types) {
                Some(nested) => below.push(nested),
                None => rows += &row(key, types)?,
            }
        }
        if !rows.is_empty() {
            text += &heading(&place);
            text += "| key | value | what it says |\n|---|---|---|\n";
            text += &rows;
        }
        // The first of them is written next.
        waiting.extend(below.into_iter().rev());
    }
    text.push('\n');
    Ok(text)
}

fn heading(place: &Place) -> String {
    let Place {
        path, several, doc, ..
    } = place;
    match (path.is_empty(), several) {
        (true, _) => "\n### At the top\n\n".to_owned(),
        (false, true) => format!("\n### `[[{path}]]`\n\n{doc}\n\n"),
        (false, false) => format!("\n### `[{path}]`\n\n{doc}\n\n"),
    }
}

/// The section that a key opens, if it opens one.
fn nested(path: &str, key: &Key, types: &Types) -> Option<Place> {
    let inner = |prefix: &str| {
        let kind = key.kind.strip_prefix(prefix)?;
        match prefix {
            "" => Some(kind),
            _ => kind.strip_suffix('>'),
        }
    };
    let shapes = [
        ("", "", false),
        ("Option<", "", false),
        ("Vec<", "", true),
        ("Option<Vec<", "", true),
        ("BTreeMap<ChainId, ", CHAIN, false),
        ("BTreeMap<String, ", PAIR, false),
    ];
    shapes.iter().find_map(|(prefix, name, several)| {
        let kind = inner(prefix)?.trim_end_matches('>');
        types.sections.get(kind)?;
        let parts = [path, &key.name, name];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        Some(Place {
            path: parts.collect::<Vec<_>>().join("."),
            kind: kind.to_owned(),
            several: *several,
            doc: key.doc.clone(),
        })
    })
}

fn row(key: &Key, types: &Types) -> Result<String, String> {
    let kind = key
        .kind
        .strip_prefix("Option<")
        .and_then(|kind| kind.strip_suffix('>'))
        .unwrap_or(&key.kind);
    let value = match kind
        .strip_prefix("Vec<")
        .and_then(|kind| kind.strip_suffix('>'))
    {
        Some(kind) => format!("list of {}", value(kind, types)?),
        None => value(kind, types)?,
    };
    if key.doc.is_empty() || key.doc.contains('|') {
        return Err(format!("`{}` needs a comment without bars", key.name));
    }
    let needed = if key.optional { "" } else { " Needed." };
    Ok(format!(
        "| `{}` | {value} | {}{needed} |\n",
        key.name, key.doc
    ))
}

fn value(kind: &str, types: &Types) -> Result<String, String> {
    if let Some(words) = types.words.get(kind) {
        let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
        return Ok(words.join(" or "));
    }
    let known = VALUES.iter().find(|(name, _)| *name == kind);
    known.map(|(_, how)| (*how).to_owned()).ok_or_else(|| {
        format!("how is a `{kind}` written in the configuration? Add it to VALUES in xtask/src/reference.rs")
    })
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
