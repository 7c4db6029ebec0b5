//! The tables of the configuration.

use super::*;

const SOURCE: &str = "
/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// Where it listens,
    /// by default nowhere.
    pub(crate) listen: Option<Listen>,
    /// Chains.
    pub(crate) network: BTreeMap<ChainId, Chain>,
    /// When.
    pub(crate) settle: Settle,
}

/// Not read from the file.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) what: Unknown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chain {
    /// Nodes.
    #[serde(rename = \"rpc\")]
    pub(crate) nodes: Vec<String>,
    /// Tokens.
    #[serde(default)]
    pub(crate) asset: Vec<Token>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// Digits.
    decimals: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = \"lowercase\")]
pub(crate) enum Settle {
    /// First.
    Before,
    #[serde(rename = \"404\")]
    Never,
}
";

fn files(source: &str, document: &str) -> Vec<File> {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    vec![
        file("crates/farebox/src/config/file.rs", source),
        file(
            "crates/farebox/src/config/file_tests.rs",
            "#[serde(flatten)]",
        ),
        file(DOCUMENT, document),
    ]
}

fn marked(tables: &str) -> String {
    format!("# By hand\n{BEGIN}{tables}{END}\nMore by hand\n")
}

#[test]
fn every_key_of_the_types_is_in_the_tables_and_the_rest_stays() {
    let written = current(&files(SOURCE, &marked("old\n"))).expect("it is understood");
    let tables = r#"
### At the top

| key | value | what it says |
|---|---|---|
| `listen` | address, `"127.0.0.1:8402"` | Where it listens, by default nowhere. |
| `settle` | `"before"` or `"404"` | When. |

### `[network."eip155:84532"]`

Chains.

| key | value | what it says |
|---|---|---|
| `rpc` | list of text | Nodes. Needed. |

### `[[network."eip155:84532".asset]]`

Tokens.

| key | value | what it says |
|---|---|---|
| `decimals` | number | Digits. Needed. |

"#;
    assert_eq!(written, marked(tables));
}

#[test]
fn what_is_not_understood_is_refused_and_not_left_out() {
    let rows = [
        ("Option<Listen>", "Option<Port>", "`Port`"),
        ("#[serde(default)]", "#[serde(flatten)]", "flatten"),
        ("    /// Nodes.\n", "", "`rpc` needs a comment"),
        ("    decimals: u8,", "    decimals:", "no field"),
        ("    Never,", "    Never(u8),", "no word"),
        ("struct File ", "struct Files ", "no struct File"),
    ];
    for (before, after, why) in rows {
        assert!(SOURCE.contains(before), "{before}");
        let source = SOURCE.replacen(before, after, 1);
        let error = current(&files(&source, &marked(""))).expect_err(after);
        assert!(error.contains(why), "{after}: {error}");
    }
    let error = current(&files(SOURCE, "no marks")).expect_err("no marks");
    assert!(error.contains("marks"), "{error}");
}
