//! Loads the vectors in `conformance/`.

use std::path::PathBuf;

use serde_json::Value;

/// The file `name` below `conformance/`.
pub(crate) fn load(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("a vector file is JSON")
}

/// Its cases; a file without any would make a test that cannot fail.
pub(crate) fn cases(name: &str) -> Vec<Value> {
    list(name, "cases")
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    assert!(!list.is_empty());
    list.iter().map(|t| t.as_str().expect("a text")).collect()
}

/// A text of a case.
pub(crate) fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().expect(field)
}

/// The cases of one list of a file.
pub(crate) fn list(name: &str, list: &str) -> Vec<Value> {
    let cases = load(name)[list].as_array().expect(list).clone();
    assert!(!cases.is_empty(), "{name}: {list}");
    cases
}
