//! The store: what was accepted outlasts the process, and a damaged list is told.

use super::package;
use crate::{Bound, Digest, Package, PackageError, Store};

#[test]
fn what_is_put_in_and_accepted_is_there_again() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::of(data.path());
    assert_eq!((store.bound().unwrap(), store.packages().unwrap()), (Bound::default(), Vec::new()));
    let bytes = package(None);
    let digest = Package::read(&bytes).unwrap().digest;
    let path = store.put(digest, &bytes).unwrap();
    store
        .bind(|bound| {
            bound.installed.insert("hot-oil".to_owned(), digest);
            bound.detector.insert("oil \"x\" = 1".to_owned(), Digest::of(b"file"));
        })
        .unwrap();
    let again = Store::of(data.path());
    assert_eq!(again.packages().unwrap(), std::slice::from_ref(&path));
    assert_eq!(Store::read(&path).unwrap(), bytes);
    let bound = again.bound().unwrap();
    assert_eq!(bound.installed["hot-oil"], digest);
    assert_eq!(bound.detector["oil \"x\" = 1"], Digest::of(b"file"));
    again.remove(&path).unwrap();
    assert!(again.packages().unwrap().is_empty() && again.remove(&path).is_err());
}

#[test]
fn those_who_bind_at_once_lose_nothing() {
    let data = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for count in 0..8_u8 {
            let store = Store::of(data.path());
            scope.spawn(move || {
                store.bind(|bound| _ = bound.detector.insert(format!("d{count}"), Digest::of(&[count]))).unwrap();
            });
        }
    });
    assert_eq!(Store::of(data.path()).bound().unwrap().detector.len(), 8);
}

#[test]
fn a_damaged_list_is_refused_and_not_overwritten() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::of(data.path());
    store.bind(|bound| _ = bound.installed.insert("a".to_owned(), Digest::of(b"a"))).unwrap();
    let list = data.path().join("plugins/bound.toml");
    for text in ["[installed]\na = 1", "[other]", "\u{0}", "[installed]\na = \"sha256:00\""] {
        std::fs::write(&list, text).unwrap();
        let refused = store.bound().unwrap_err();
        assert!(matches!(refused, PackageError::Damaged { .. }), "{refused}");
        assert!(store.bind(|bound| _ = bound.installed.remove("a")).is_err());
        assert_eq!(std::fs::read_to_string(&list).unwrap(), text);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_what_it_is() {
    let data = tempfile::tempdir().unwrap();
    let told = |path: &std::path::Path| Store::read(path).unwrap_err().to_string();
    let missing = data.path().join("none.wfpkg");
    let wanted = format!("`{}` is not there; give the path of a file that is", missing.display());
    assert_eq!(told(&missing), wanted);
    let folder = told(data.path());
    assert!(folder.contains("cannot be read: ") && folder.ends_with("a file that this user may read"), "{folder}");
}
