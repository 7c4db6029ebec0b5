//! What can be obtained, and where it is kept.

use super::*;

fn plan(domains: &[&str]) -> Result<Plan, PlanError> {
    let domains: Vec<String> = domains.iter().map(|name| (*name).to_owned()).collect();
    Plan::new(Path::new("/data/acme"), &domains, &[], LETS_ENCRYPT)
}

#[test]
fn names_that_cannot_be_proven_are_refused() {
    for name in [
        "*.example.com",
        "127.0.0.1",
        "::1",
        "",
        "a..b",
        "a/b",
        "../x",
        "a b",
        "x.com.",
        "é.com",
    ] {
        let refused = plan(&["api.example.com", name]);
        assert!(
            matches!(&refused, Err(PlanError::Domain(text, _)) if text == name),
            "{name}: {refused:?}"
        );
    }
    assert_eq!(plan(&[]).expect_err("nothing"), PlanError::NoDomain);
    assert_eq!(
        plan(&["a.example"; 101]).expect_err("many"),
        PlanError::TooMany(101)
    );
    let plan = plan(&["API.example.com", "localhost"]).expect("names");
    assert_eq!(plan.domains(), ["api.example.com", "localhost"]);
}

#[test]
fn directories_and_contacts_are_refused_that_nobody_would_take() {
    let names = ["api.example.com".to_owned()];
    let folder = Path::new("/data/acme");
    for directory in ["http://ca.example/directory", "ca.example", "", "https://"] {
        let refused = Plan::new(folder, &names, &[], directory);
        assert!(
            matches!(refused, Err(PlanError::Directory(_))),
            "{directory}"
        );
    }
    for contact in [
        "ops@example.com",
        "mailto:",
        "mailto:ops",
        "mailto:a@b.example,c@d.example",
        "tel:1",
    ] {
        let refused = Plan::new(folder, &names, &[contact.to_owned()], LETS_ENCRYPT);
        assert!(matches!(refused, Err(PlanError::Contact(_))), "{contact}");
    }
    let contact = ["mailto:ops@example.com".to_owned()];
    assert!(Plan::new(folder, &names, &contact, LETS_ENCRYPT).is_ok());
}

#[test]
fn lists_of_names_and_directories_never_share_a_file() {
    let one = plan(&["a.example", "b.example"]).expect("a plan");
    let turned = plan(&["b.example", "a.example"]).expect("a plan");
    let other = plan(&["a.example", "c.example"]).expect("a plan");
    assert_ne!(one.bundle(), other.bundle());
    // The same names are the same certificate for the authority; ours are called by the first.
    assert_ne!(one.bundle(), turned.bundle());
    let names = ["a.example".to_owned()];
    let folder = Path::new("/data/acme");
    let places = ["https://ca.example/a/b", "https://ca.example/a-b"].map(|directory| {
        let plan = Plan::new(folder, &names, &[], directory).expect("a plan");
        (plan.account(), plan.bundle())
    });
    assert_ne!(places[0], places[1]);
    for path in [
        one.bundle(),
        one.tries(),
        one.account(),
        one.lock(),
        one.challenges(),
    ] {
        assert!(path.starts_with(folder), "{}", path.display());
        assert!(!path.to_string_lossy().contains(".."), "{}", path.display());
    }
    // Answers are shared: whoever is asked has them all.
    assert_eq!(one.challenges(), other.challenges());
}
