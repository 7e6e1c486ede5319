//! A file of users apart from the configuration: made at the terminal, read anew by a gateway that runs.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::end_to_end::FIRST;
use crate::harness::gateway::{PROGRAM, Site, source, upper_limit};
use crate::harness::hmi::{As, Hmi, Kind, node_id};
use crate::harness::recording::Recorded;
use crate::harness::wait_for;

const CONDITION: &str = "level/limit/plant/reactor_level";

/// What `watchfire password` says, and whether it did it.
fn password(file: &Path, words: &[&str], typed: &str) -> (bool, String) {
    let mut command = Command::new(PROGRAM);
    command.arg("password").args(words).arg("--file").arg(file);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have said no before it reads.
    drop(child.stdin.take().unwrap().write_all(typed.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn reload(site: &Site) -> (Option<i32>, String) {
    let output = site.run("reload", &[]);
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn acknowledge(hmi: &mut Hmi) -> String {
    let raised = wait_for("the alarm", || {
        let shown = hmi.refresh();
        let event = shown.iter().find(|event| event["conditionId"] == node_id(CONDITION))?;
        Some(event["event"].as_str().unwrap().to_owned())
    });
    hmi.call("acknowledge", CONDITION, &raised, Some("seen"))
}

#[test]
fn users_of_a_file_come_and_go_while_the_gateway_runs() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let file = site.folder().join("users");
    let rest =
        source("plant", &recorded.url(), &["reactor_level"]) + &upper_limit("level", "plant/reactor_level", 80.0);
    site.configure_with("security = [\"none\"]\nanonymous = \"none\"\nusers_file = \"users\"", &rest);
    let (fine, said) = password(&file, &["ann"], "correct horse\n");
    assert!(!fine && said.contains("`ann` is new; say what the user is"), "{said}");
    let (fine, said) = password(&file, &["ann", "--role", "operater"], "correct horse\n");
    assert!(!fine && said.contains("did you mean `operate`?"), "{said}");
    let (fine, said) = password(&file, &["ann", "--role", "operator"], "short\n");
    assert!(!fine && said.contains("at least 8 characters") && !file.exists(), "{said}");
    let (fine, said) = password(&file, &["ann", "--role", "operator"], "correct horse\n");
    assert!(fine && said.starts_with("user `ann`: added; `watchfire reload`"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("ann:$argon2id$v=19$") && written.ends_with(":operator\n"), "{written}");

    let mut server = recorded.start();
    let gateway = site.start();
    server.set("reactor_level", 1.0, 90.0, 0);
    let log_in =
        |kind, name, password| Hmi::connect_as(kind, &site.url(), As { user: Some((name, password)), pki: None });
    let mut ann = log_in(Kind::Asyncua, "ann", "correct horse").unwrap();
    assert_eq!(acknowledge(&mut ann), "Good");
    let acknowledged = ann.event(0, CONDITION, |event| event["acked"] == true);
    assert_eq!(acknowledged["user"], "ann");

    assert!(password(&file, &["bob", "--role", "supervisor", "--role", "security_admin"], "battery staple").0);
    assert!(password(&file, &["ann", "--role", "view", "--keep"], "").0);
    log_in(Kind::NodeOpcua, "bob", "battery staple").expect_err("nobody has read the file anew");
    let (code, told) = reload(&site);
    let expected = "user `ann`: has other roles\nuser `bob`: added\nreloaded: 2 changes\n";
    assert_eq!((code, told.as_str()), (Some(0), expected));
    let bob = log_in(Kind::NodeOpcua, "bob", "battery staple").unwrap();
    assert_eq!(acknowledge(&mut ann), "BadUserAccessDenied", "at once, in the session that she has");
    let (before, _) = (bob.mark(), server.set("reactor_level", 2.0, 70.0, 0));
    bob.event(before, CONDITION, |event| event["active"] == false);

    // What is wrong changes nothing.
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}eve:battery staple:operator\n")).unwrap();
    let (code, told) = reload(&site);
    assert!(code == Some(2) && told.contains("users:3: user `eve`: the second part is no Argon2id hash"), "{told}");
    assert!(!told.contains("battery"), "{told}");
    std::fs::write(&file, &good).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, told) = reload(&site);
    assert!(
        code == Some(2) && told.contains("can be read or written by others") && told.contains("chmod 600"),
        "{told}"
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    log_in(Kind::Asyncua, "ann", "correct horse").unwrap();

    assert!(password(&file, &["bob", "--remove"], "").0);
    let (fine, said) = password(&file, &["bob", "--remove"], "");
    assert!(!fine && said.contains("there is no user `bob`") && said.contains("there are `ann`"), "{said}");
    let (_, told) = reload(&site);
    assert_eq!(told, "user `bob`: removed; its sessions end\nreloaded: 1 change\n");
    drop(bob);
    log_in(Kind::NodeOpcua, "bob", "battery staple").expect_err("who was removed");
    gateway.logged(&["carried out", "user `bob`: removed"]);
    gateway.stop();
}
