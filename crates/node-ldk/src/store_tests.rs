//! Both storages, and the search for a hash.

use super::*;

fn stores() -> (tempfile::TempDir, [Store; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = Store::sqlite(dir.path()).unwrap();
    (dir, [Store::memory(MemoryStore::default()), sqlite])
}

#[test]
fn both_places_keep_names_apart_and_forget_what_is_deleted() {
    let (_dir, stores) = stores();
    for store in stores {
        let space = ("a", "b");
        assert_eq!(store.get(space, "x").unwrap(), None);
        store.put(space, "x", vec![1]).unwrap();
        store.put(("a", "c"), "x", vec![2]).unwrap();
        store.put(("ab", ""), "y", vec![3]).unwrap();
        store.put(space, "y", vec![4]).unwrap();
        let mut names = store.names(space).unwrap();
        names.sort();
        assert_eq!(names, ["x", "y"]);
        assert_eq!(store.get(space, "x").unwrap(), Some(vec![1]));
        store.delete(space, "x").unwrap();
        store.delete(space, "x").unwrap();
        assert_eq!(store.get(space, "x").unwrap(), None);
        assert_eq!(store.get(("a", "c"), "x").unwrap(), Some(vec![2]));
    }
}

#[test]
fn a_hash_is_found_wherever_ldk_writes_it() {
    let hash = PaymentHash([7; 32]);
    let mut with = vec![1, 2, 7];
    with.extend([7; 32]);
    with.push(9);
    let places = [
        ("", "", MANAGER),
        (MONITORS, "", "m"),
        (ARCHIVED_MONITORS, "", "m"),
        (MONITOR_UPDATES, "m", "3"),
    ];
    for (primary, secondary, name) in places {
        let store = Store::memory(MemoryStore::default());
        store.put((MONITORS, ""), "m", vec![7; 31]).unwrap();
        assert!(!store.mentions(hash).unwrap());
        store.put((primary, secondary), name, with.clone()).unwrap();
        assert!(
            store.mentions(hash).unwrap(),
            "{primary}/{secondary}/{name}"
        );
    }
}
