//! The gateway never writes to the process: this room has no word of the services that could, but for one method that
//! changes nothing outside its own subscription.

use std::fs;
use std::path::Path;

const FORBIDDEN: [&str; 12] = [
    "WriteValue",
    "WriteRequest",
    "services::Write",
    "Write::new",
    "session.write",
    "CallMethod",
    "CallRequest",
    "services::Call",
    "session.call",
    "HistoryUpdate",
    "AddNodes",
    "DeleteNodes",
];

#[test]
fn no_service_that_changes_a_server_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        files += 1;
        if entry.file_name() == "refresh.rs" {
            let methods: Vec<_> = text.match_indices("MethodId::").map(|(at, _)| &text[at..]).collect();
            assert!(methods.len() == 1 && methods[0].starts_with("MethodId::ConditionType_ConditionRefresh."));
            assert_eq!(text.matches("session.call").count(), 1);
            continue;
        }
        assert!(!text.contains("MethodId::"), "{} names a method", entry.path().display());
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} names `{word}`", entry.path().display());
        }
    }
    assert!(files > 10, "the files of this room have been read");
}
