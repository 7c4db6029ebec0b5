//! What a line has of a path.

use super::*;

#[test]
fn a_line_has_the_beginning_of_a_long_path_cut_between_characters() {
    assert_eq!(path_in_line("/short"), "/short");
    let long = format!("/{}", "é".repeat(PATH_BYTES_MAX));
    let shown = path_in_line(&long);
    // One byte and 511 characters of two.
    assert_eq!(shown.len(), PATH_BYTES_MAX - 1);
    assert!(long.starts_with(&shown));
}
