//! Who is let in: users, roles, certificates, at both ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{Gateway, PROGRAM, Site, signal_table, source, upper_limit};
use crate::harness::hmi::{As, Hmi, KINDS, Kind, node_id};
use crate::harness::peer::Peer;
use crate::harness::recording::Recorded;
use crate::harness::{free_port, top, wait_for};

const CONDITION: &str = "level/limit/plant/reactor_level";

/// The hash of a password, as the program makes it.
fn hash(password: &str) -> String {
    let mut child = Command::new(PROGRAM).arg("password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn users() -> String {
    let user = |name: &str, password: &str, role: &str| {
        format!("[[server.user]]\nname = \"{name}\"\npassword_hash = \"{}\"\nrole = \"{role}\"\n\n", hash(password))
    };
    user("operator", "open sesame 1", "operate") + &user("viewer", "only looking", "view")
}

/// The EventId of the alarm, which was there before the HMI.
fn raised(hmi: &mut Hmi) -> String {
    let shown = hmi.refresh();
    let event = shown.iter().find(|event| event["conditionId"] == node_id(CONDITION)).unwrap();
    event["event"].as_str().unwrap().to_owned()
}

fn acknowledge(hmi: &mut Hmi) -> String {
    let raised = raised(hmi);
    hmi.call("acknowledge", CONDITION, &raised, Some("seen"))
}

#[test]
fn a_wrong_password_is_refused_and_a_viewer_may_not_acknowledge() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let rest =
        source("plant", &recorded.url(), &["reactor_level"]) + &upper_limit("level", "plant/reactor_level", 80.0);
    site.configure_with("security = [\"none\"]\nanonymous = \"none\"", &(users() + &rest));
    let mut server = recorded.start();
    let gateway = site.start();
    server.set("reactor_level", 1.0, 90.0, 0);
    gateway.logged(&["detector started", "level"]);
    let as_user = |user| As { user, pki: None };
    for kind in KINDS {
        let hmis = [None, Some(("operator", "open sesame 2")), Some(("nobody", "open sesame 1"))]
            .map(|user| Hmi::begin(kind, &site.url(), as_user(user)));
        for hmi in hmis {
            hmi.peer.ready().expect_err("refused");
        }
        let mut viewer = Hmi::connect_as(kind, &site.url(), as_user(Some(("viewer", "only looking")))).unwrap();
        assert_eq!(acknowledge(&mut viewer), "BadUserAccessDenied", "{kind:?}");
    }
    gateway.logged(&["log-in", "nobody"]);
    let mut operator =
        Hmi::connect_as(Kind::Asyncua, &site.url(), as_user(Some(("operator", "open sesame 1")))).unwrap();
    let mut viewer = Hmi::connect_as(Kind::Asyncua, &site.url(), as_user(Some(("viewer", "only looking")))).unwrap();
    let request = format!("{CONDITION}#Values/AcknowledgeRequest");
    let raised = raised(&mut viewer);
    assert_eq!(viewer.write(&request, &raised), "BadUserAccessDenied");
    assert_eq!(acknowledge(&mut operator), "Good");
    let acknowledged = viewer.event(0, CONDITION, |event| event["acked"] == true);
    assert_eq!(acknowledged["user"], "operator");
    gateway.stop();
}

#[test]
fn a_source_that_refuses_our_password_is_an_alarm_that_names_the_user() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST)).user("gateway", "right");
    let site = Site::new();
    let password = site.folder().join("password");
    std::fs::write(&password, "wrong\n").unwrap();
    let login = "user = \"gateway\"\npassword_file = \"password\"\npublishing_interval_ms";
    site.configure(&source("plant", &recorded.url(), &["a_feed"]).replacen("publishing_interval_ms", login, 1));
    let mut server = recorded.start();
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let refused = hmi.event(0, "gateway/source/plant", |event| event["active"] == true);
    assert!(refused["message"].as_str().unwrap().contains("gateway"), "{refused}");
    std::fs::write(&password, "right\n").unwrap();
    hmi.event(0, "gateway/source/plant", |event| event["active"] == false);
    server.set("a_feed", 1.0, 0.5, 0);
    wait_for("a value", || value(&mut hmi, "signal:plant/a_feed", 0.5));
    gateway.stop();
}

/// The file that the log says to move, moved to where it says.
fn trust_as_the_log_says(gateway: &Gateway, words: &[&str], rejected: &Path, trusted: &Path) {
    gateway.logged(words);
    let files: Vec<PathBuf> = std::fs::read_dir(rejected).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one certificate is rejected: {files:?}") };
    let line = gateway.logged(&[&file.display().to_string()]);
    assert!(line.contains(&trusted.display().to_string()), "the log says where to move it: {line}");
    std::fs::rename(file, trusted.join(file.file_name().unwrap())).unwrap();
}

#[test]
fn encrypted_at_both_ends_a_certificate_is_refused_until_a_person_trusts_it() {
    let site = Site::new();
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST)).encrypted(&site.folder().join("server"));
    let encrypted = source("plant", &recorded.url(), &["reactor_level"]).replace("\"none\"", "\"basic256sha256\"");
    let rest = users() + &encrypted + &upper_limit("level", "plant/reactor_level", 80.0);
    site.configure_with("security = [\"basic256sha256\"]\nanonymous = \"none\"", &rest);
    let mut server = recorded.start();
    let gateway = site.start();
    let (rejected, trusted) = (site.data().join("pki/rejected"), site.data().join("pki/trusted"));

    trust_as_the_log_says(&gateway, &["plant", "not trusted"], &rejected, &trusted);
    gateway.logged(&["watching", "plant"]);
    server.set("reactor_level", 1.0, 90.0, 0);

    for kind in KINDS {
        let folder = site.folder().join(format!("{kind:?}"));
        let who = As { user: Some(("operator", "open sesame 1")), pki: Some(&folder) };
        Hmi::connect_as(kind, &site.url(), who).expect_err("its certificate is unknown");
        trust_as_the_log_says(&gateway, &["a certificate was refused"], &rejected, &trusted);
        let mut hmi = Hmi::connect_as(kind, &site.url(), who).unwrap();
        let wanted = if kind == Kind::Asyncua { "Good" } else { "BadConditionBranchAlreadyAcked" };
        assert_eq!(acknowledge(&mut hmi), wanted, "{kind:?}");
    }
    gateway.stop();
}

/// A server of node-opcua that speaks every safe policy, with what a plant's authority has given out.
struct Secured {
    peer: Peer,
    made: PathBuf,
    url: String,
}

impl Secured {
    fn start(site: &Site, certificate: &str, more: &[&str]) -> Self {
        let made = site.folder().join("made");
        let script = top().join("tests/peers/make_certificates.py");
        let mut python = Command::new(top().join("third_party/python/bin/python"));
        let done = python.arg(script).arg(&made).arg("urn:watchfire:test:secured-server").status().unwrap();
        assert!(done.success());
        let port = free_port();
        let file = |name: &str| made.join(name).display().to_string();
        let (number, folder) = (port.to_string(), file("server-pki"));
        let (certificate, key) = (file(certificate), file("server.pem"));
        let mut arguments = vec!["--port", &number, "--certificate", &certificate, "--key", &key, "--pki", &folder];
        arguments.extend(more);
        let peer = Peer::node("secured_server", "secured_server.mjs", arguments);
        peer.ready().unwrap();
        Self { peer, made, url: format!("opc.tcp://127.0.0.1:{port}/") }
    }

    fn source(&self, name: &str, settings: &str) -> String {
        let url = &self.url;
        format!("[[source]]\nname = \"{name}\"\nurl = \"{url}\"\npublishing_interval_ms = 50\n{settings}\n\n")
            + &signal_table("answer", "ns=1;s=answer")
    }

    /// Puts what was made into a folder of the gateway's certificates.
    fn give(&self, site: &Site, file: &str, folder: &str) {
        let folder = site.data().join("pki").join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(self.made.join(file), folder.join(file)).unwrap();
    }
}

#[test]
fn every_safe_policy_is_spoken_with_another_stack() {
    let site = Site::new();
    let server = Secured::start(&site, "chain.der", &[]);
    let mut names = Vec::new();
    let mut rest = String::new();
    for policy in ["basic256sha256", "aes128_sha256_rsaoaep", "aes256_sha256_rsapss"] {
        for mode in ["sign", "sign_and_encrypt"] {
            let name = format!("{policy}-{mode}");
            let settings =
                format!("security = \"{policy}\"\nmessage_mode = \"{mode}\"\ntrust_server_certificate = true");
            rest += &server.source(&name, &settings);
            names.push(name);
        }
    }
    site.configure(&rest);
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    for name in names {
        wait_for(&name, || value(&mut hmi, &format!("signal:{name}/answer"), 42.0));
    }
    gateway.stop();
    drop(server.peer);
}

#[test]
fn a_server_is_believed_through_its_authority_until_that_takes_its_certificate_back() {
    let site = Site::new();
    let server = Secured::start(&site, "server.der", &[]);
    site.configure(&server.source("plant", ""));
    server.give(&site, "root.der", "trusted");
    server.give(&site, "none.crl", "crl");
    let gateway = site.start();
    gateway.logged(&["plant", "its authority", "is not known either"]);
    server.give(&site, "plant.der", "issuers");
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    wait_for("a value", || value(&mut hmi, "signal:plant/answer", 42.0));
    gateway.stop();
    server.give(&site, "server.crl", "crl");
    let gateway = site.start();
    gateway.logged(&["plant", "has been revoked by", "CN=plant"]);
    gateway.stop();
}

#[test]
fn a_user_certificate_lets_the_gateway_in() {
    let site = Site::new();
    let user = site.folder().join("made/user.der").display().to_string();
    let server = Secured::start(&site, "server.der", &["--user-certificate", &user]);
    let login = "trust_server_certificate = true\nuser_certificate = \"made/user.der\"\nuser_key = \"made/user.pem\"";
    site.configure(&server.source("plant", login));
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    wait_for("a value", || value(&mut hmi, "signal:plant/answer", 42.0));
    gateway.stop();
}
