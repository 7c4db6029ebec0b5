//! What counts as code, comment and function.

use super::*;

#[test]
fn strings_and_comments_are_not_code() {
    let source =
        split("let a = \"} // {\"; // note }\nlet b = r#\"\" }\"#; /* } /* } */ } */ let c = '}';");
    assert_eq!(source.code.matches('}').count(), 0);
    assert!(source.code.contains("let c ="));
    assert!(source.comments.contains("// note }"));
    assert_eq!(source.code.lines().count(), 2);
}

#[test]
fn a_lifetime_does_not_open_a_string() {
    let source = split("fn f<'a>(x: &'a str) -> &'a str { x } // end");
    assert!(source.code.contains("{ x }"));
    assert_eq!(source.comments.trim(), "// end");
}

#[test]
fn an_escaped_quote_does_not_close_a_string() {
    let source = split(r#"let a = "\"}"; let b = '\''; let c = b'\\'; done"#);
    assert!(!source.code.contains('}'));
    assert!(source.code.ends_with("done"));
}

#[test]
fn a_function_counts_the_lines_that_hold_code() {
    let code = split("fn a() {\n    // why\n\n    b();\n}\nfn c();\ntype F = fn(u8) -> u8;\n").code;
    let found = functions(&code);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].line, found[0].lines),
        ("a", 1, 3)
    );
}

#[test]
fn array_lengths_in_a_signature_do_not_end_it() {
    let found = functions("fn a(x: [u8; 4]) -> [u8; 2] { [x[0]; 2] }");
    assert_eq!(found.len(), 1);
}

#[test]
fn tests_are_known_by_their_attribute() {
    let code = "#[test]\nfn a() {}\n#[tokio::test(flavor = \"x\")]\n#[ignore]\nasync fn b() {}\n#[cfg(test)]\nmod m { fn c() {} }";
    let found = functions(&split(code).code);
    let tests: Vec<(&str, bool)> = found.iter().map(|f| (f.name.as_str(), f.is_test)).collect();
    assert_eq!(tests, [("a", true), ("b", true), ("c", false)]);
}
