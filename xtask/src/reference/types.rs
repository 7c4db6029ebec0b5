//! Reads the types of the configuration out of their source: structs with their keys, and the words of enums.
//!
//! Called by `reference.rs`. rustfmt keeps every field on one line, so lines are enough; what is not understood is
//! an error, never left out. Whether serde reads the same keys is for a test of the binary to say.

use std::collections::BTreeMap;

/// A section of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// What stands above it.
    pub(super) doc: String,
    /// Its keys, in their order.
    pub(super) keys: Vec<Key>,
}

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// As it is written in the file.
    pub(super) name: String,
    /// The type of its field.
    pub(super) kind: String,
    /// What stands above it.
    pub(super) doc: String,
    /// Whether the file may leave it out.
    pub(super) optional: bool,
}

/// All types that are read from the file.
#[derive(Debug, Default)]
pub(super) struct Types {
    /// Structs by name.
    pub(super) sections: BTreeMap<String, Section>,
    /// Words of enums by name.
    pub(super) words: BTreeMap<String, Vec<String>>,
}

/// Attributes that have come since the last item.
#[derive(Default)]
struct Above {
    doc: Vec<String>,
    serde: Vec<String>,
    is_read: bool,
}

impl Above {
    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn says(&self, word: &str) -> bool {
        self.serde.iter().any(|said| said == word)
    }

    /// The value of `word = "value"`.
    fn value(&self, word: &str) -> Option<&str> {
        let mut values = self.serde.iter().filter_map(|said| {
            let (name, value) = said.split_once(" = ")?;
            (name == word).then(|| value.trim_matches('"'))
        });
        values.next()
    }
}

/// What the line is inside of.
enum Inside {
    Nothing,
    Struct(String, Section, bool),
    Enum(String, Vec<String>, bool),
}

/// Words of `#[serde(...)]` that change nothing about the names of keys, or that are understood.
const UNDERSTOOD: [&str; 4] = ["deny_unknown_fields", "default", "rename", "rename_all"];

impl Types {
    /// Adds the types of one source file.
    ///
    /// # Errors
    /// The line that is not understood.
    pub(super) fn read(&mut self, path: &str, text: &str) -> Result<(), String> {
        let mut above = Above::default();
        let mut inside = Inside::Nothing;
        for (index, line) in text.lines().enumerate() {
            let at = |what: &str| format!("{path}:{}: {what}", index + 1);
            let trimmed = line.trim();
            let is_body = matches!(inside, Inside::Nothing) && line.starts_with(' ');
            if is_body
                || trimmed.is_empty()
                || (trimmed.starts_with("//") && !trimmed.starts_with("///"))
            {
                continue;
            }
            if let Some(doc) = trimmed.strip_prefix("///") {
                above.doc.push(doc.trim().to_owned());
            } else if trimmed.starts_with("#[") {
                attribute(trimmed, &mut above)
                    .map_err(|word| at(&format!("serde's `{word}` is not understood here")))?;
            } else if matches!(inside, Inside::Nothing) {
                inside = opened(line, &above.take());
            } else if line == "}" {
                self.close(std::mem::replace(&mut inside, Inside::Nothing));
                above.take();
            } else {
                member(trimmed, &above.take(), &mut inside).map_err(|what| at(&what))?;
            }
        }
        Ok(())
    }

    fn close(&mut self, inside: Inside) {
        match inside {
            Inside::Struct(name, section, _) => {
                self.sections.insert(name, section);
            }
            Inside::Enum(name, words, _) => {
                self.words.insert(name, words);
            }
            Inside::Nothing => {}
        }
    }
}

/// Takes one attribute; a word of serde that is not known comes back.
fn attribute(line: &str, above: &mut Above) -> Result<(), String> {
    if line.starts_with("#[derive(") {
        above.is_read |= line.contains("Deserialize");
    }
    let Some(words) = line.strip_prefix("#[serde(") else {
        return Ok(());
    };
    for word in words.strip_suffix(")]").unwrap_or("(").split(", ") {
        let name = word.split(" = ").next().unwrap_or_default();
        if !UNDERSTOOD.contains(&name) {
            return Err(name.to_owned());
        }
        above.serde.push(word.to_owned());
    }
    Ok(())
}

/// What a line at the margin opens; types that are not derived from their source have values of their own.
fn opened(line: &str, above: &Above) -> Inside {
    let name_of = |kind: &str| {
        let rest = line.strip_prefix("pub(crate) ").unwrap_or(line);
        let name = rest.strip_prefix(kind)?.strip_suffix(" {")?;
        above.is_read.then(|| name.to_owned())
    };
    if let Some(name) = name_of("struct ") {
        let section = Section {
            doc: above.doc.join(" "),
            keys: Vec::new(),
        };
        return Inside::Struct(name, section, above.says("default"));
    }
    match name_of("enum ") {
        Some(name) => Inside::Enum(
            name,
            Vec::new(),
            above.value("rename_all") == Some("lowercase"),
        ),
        None => Inside::Nothing,
    }
}

/// A field or a variant.
fn member(line: &str, above: &Above, inside: &mut Inside) -> Result<(), String> {
    let renamed = above.value("rename").map(str::to_owned);
    match inside {
        Inside::Struct(_, section, defaulted) => {
            let field = line.strip_prefix("pub(crate) ").unwrap_or(line);
            let (name, kind) = field
                .strip_suffix(',')
                .and_then(|field| field.split_once(": "))
                .ok_or_else(|| format!("no field: {line:?}"))?;
            section.keys.push(Key {
                name: renamed.unwrap_or_else(|| name.to_owned()),
                kind: kind.to_owned(),
                doc: above.doc.join(" "),
                optional: *defaulted || above.says("default") || kind.starts_with("Option<"),
            });
        }
        Inside::Enum(_, words, lowercase) => {
            let name = line
                .strip_suffix(',')
                .filter(|name| name.chars().all(char::is_alphanumeric))
                .ok_or_else(|| format!("no word: {line:?}"))?;
            words.push(renamed.unwrap_or_else(|| match *lowercase {
                true => name.to_lowercase(),
                false => name.to_owned(),
            }));
        }
        Inside::Nothing => {}
    }
    Ok(())
}
