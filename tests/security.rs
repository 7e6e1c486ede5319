//! Who is let in: users, roles, certificates, at both ends.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{Gateway, PROGRAM, Site, signal_table, source, upper_limit};
use crate::harness::hmi::{As, Hmi, KINDS, Kind, node_id};
use crate::harness::peer::Peer;
use crate::harness::process::Stream;
use crate::harness::recording::Recorded;
use crate::harness::{free_port, top, wait_for};

const CONDITION: &str = "level/limit/plant/reactor_level";

/// The hash of a password, as the program makes it.
pub fn hash(password: &str) -> String {
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
    wait_for("the alarm", || {
        let shown = hmi.refresh();
        let event = shown.iter().find(|event| event["conditionId"] == node_id(CONDITION))?;
        Some(event["event"].as_str().unwrap().to_owned())
    })
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
        // Anonymous and AuthenticatedUser, which everybody has who logs in, and Observer: look and listen, call nothing.
        let looks = json!([["i=15644", 2083], ["i=15656", 2083], ["i=15668", 2083]]);
        assert_eq!(viewer.permissions(CONDITION), looks, "{kind:?}");
    }
    gateway.logged(&["log-in", "nobody"]);
    let mut operator =
        Hmi::connect_as(Kind::Asyncua, &site.url(), as_user(Some(("operator", "open sesame 1")))).unwrap();
    let mut viewer = Hmi::connect_as(Kind::Asyncua, &site.url(), as_user(Some(("viewer", "only looking")))).unwrap();
    let profiles = viewer.peer.ask("read", json!({ "nodes": ["i=2269"] }))["values"][0]["value"].to_string();
    for told in ["/ACBaseCondition", "/ACNon-ExclusiveAlarming", "#None", "/UserToken/Server/UserNamePassword"] {
        assert!(profiles.contains(told), "{profiles}");
    }
    assert!(!profiles.contains("#Basic256Sha256") && !profiles.contains("/Anonymous"), "{profiles}");
    let request = format!("{CONDITION}#Values/AcknowledgeRequest");
    let raised = raised(&mut viewer);
    assert_eq!(viewer.write(&request, &raised), "BadUserAccessDenied");
    for what in ["Acknowledge by viewer", "Value written by viewer"] {
        gateway.logged(&["a request was refused", what, "BadUserAccessDenied"]);
    }
    let operates = json!([["i=15644", 2083], ["i=15656", 2083], ["i=15680", 6179]]);
    assert_eq!(operator.permissions(CONDITION), operates);
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

#[test]
fn a_password_from_the_environment_lets_the_gateway_in_and_is_shown_nowhere() {
    const SECRET: &str = "correct horse battery";
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST)).user("gateway", SECRET);
    let site = Site::new();
    let login = "user = \"gateway\"\npassword_env = \"PLANT_PASSWORD\"\npublishing_interval_ms";
    site.configure(&source("plant", &recorded.url(), &["a_feed"]).replacen("publishing_interval_ms", login, 1));
    let _server = recorded.start();
    let doctor = |password: Option<&str>| {
        let mut command = site.command("doctor");
        command.arg("plant").args(["--log", "trace"]).envs(password.map(|password| ("PLANT_PASSWORD", password)));
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let without = doctor(None);
    assert!(without.contains("FAIL login") && without.contains("PLANT_PASSWORD"), "{without}");
    let gateway = site.start_by(site.command("run").env("PLANT_PASSWORD", SECRET));
    gateway.logged(&["watching", "plant", "watched=1"]);
    let (right, wrong) = (doctor(Some(SECRET)), doctor(Some("correct horse stable")));
    assert!(right.contains("OK   login") && wrong.contains("FAIL login"), "{right}{wrong}");
    let logged = [Stream::Out, Stream::Error].map(|stream| gateway.process.lines(stream).join("\n"));
    for said in [&right, &wrong, &logged[0], &logged[1]] {
        assert!(!said.contains("horse"), "a password is shown: {said}");
    }
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
    // A new certificate is shown from the next start on; until then the old one goes on.
    let (good, said) = certs(&site, &["renew"]);
    assert!(good && said.contains("once the gateway is started again"), "{said}");
    for kind in KINDS {
        let folder = site.folder().join(format!("{kind:?}"));
        let who = As { user: Some(("operator", "open sesame 1")), pki: Some(&folder) };
        Hmi::connect_as(kind, &site.url(), who).unwrap_or_else(|why| panic!("{kind:?} is shut out: {why}"));
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
        Self::at(free_port(), made, certificate, more)
    }

    /// One at a certain port, with what was made before.
    fn at(port: u16, made: PathBuf, certificate: &str, more: &[&str]) -> Self {
        let file = |name: &str| made.join(name).display().to_string();
        let (number, folder) = (port.to_string(), file("server-pki"));
        let key =
            if certificate == "chain.der" { "server.pem".to_owned() } else { certificate.replace(".der", ".pem") };
        let (certificate, key) = (file(certificate), file(&key));
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

/// Runs `watchfire certs`; whether it went well, and what it said.
fn certs(site: &Site, words: &[&str]) -> (bool, String) {
    let output = site.run("certs", words);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The line of a doctor's report that says a thing.
#[track_caller]
fn doctor(site: &Site, wanted: &[&str]) -> Vec<String> {
    let output = site.run("doctor", &["plant"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let mut rest: Vec<String> = said.lines().map(str::to_owned).collect();
    for want in wanted {
        let at =
            rest.iter().position(|line| line.contains(want)).unwrap_or_else(|| panic!("`{want}`, in order: {said}"));
        rest.drain(..at);
    }
    said.lines().map(str::to_owned).collect()
}

#[test]
fn what_the_certs_command_does_counts_while_the_gateway_runs() {
    let site = Site::new();
    let server = Secured::start(&site, "server.der", &[]);
    site.configure(&server.source("plant", ""));
    assert!(certs(&site, &["list"]).1.contains("none yet"));
    assert!(certs(&site, &["renew"]).1.contains("no certificate yet"));
    let gateway = site.start();
    let refused = gateway.logged(&["plant", "watchfire certs trust"]);
    let (_, rest) = refused.split_once("watchfire certs trust ").unwrap();
    let thumbprint: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    let (_, listed) = certs(&site, &["list"]);
    assert!(listed.contains("rejected: ") && listed.contains(&thumbprint.to_uppercase()), "{listed}");
    assert!(listed.contains("used by      source `plant`"), "ours: {listed}");

    for (words, wanted) in [
        (&["trust", "00000000"][..], "no certificate has a thumbprint that begins with"),
        (&["trust", "no/such/file.der"], "neither a file nor a thumbprint"),
        (&["trust", &site.config().display().to_string()], "neither a certificate nor a revocation list"),
        (&["trust", &site.folder().display().to_string()], "is a folder"),
        (&["trust", &thumbprint, "--issuer"], "is no authority's"),
    ] {
        let (good, said) = certs(&site, words);
        assert!(!good && said.contains(wanted), "{words:?}: {said}");
    }

    let (good, said) = certs(&site, &["trust", &thumbprint]);
    assert!(good && said.contains("`CN=server`") && said.contains("is trusted"), "{said}");
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    wait_for("a value", || value(&mut hmi, "signal:plant/answer", 42.0));
    let (_, listed) = certs(&site, &["list"]);
    let (_, trusted) = listed.split_once("\ntrusted: ").unwrap();
    assert!(trusted.contains("used by      source `plant`"), "{listed}");
    gateway.stop();

    assert!(certs(&site, &["reject", &thumbprint]).0);
    let gateway = site.start();
    gateway.logged(&["plant", "was rejected by a person"]);
    let own = || std::fs::read(site.data().join("pki/own/cert.der")).unwrap();
    let before = own();
    let (good, said) = certs(&site, &["renew"]);
    assert!(good && said.contains(&format!("the server of source `plant`, {}", server.url)), "{said}");
    assert_ne!(own(), before);
    let kept: Vec<_> = std::fs::read_dir(site.data().join("pki/own/old")).unwrap().flatten().collect();
    assert!(kept.iter().any(|file| std::fs::read(file.path()).unwrap() == before), "{kept:?}");
    assert!(certs(&site, &["trust", &thumbprint]).0);
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    wait_for("a value, with the new certificate", || value(&mut hmi, "signal:plant/answer", 42.0));
    gateway.stop();
}

#[test]
fn what_runs_out_is_an_alarm_that_says_what_mends_it() {
    let site = Site::new();
    let server = Secured::start(&site, "soon.der", &[]);
    site.configure(&server.source("plant", ""));
    let made = |file: &str| server.made.join(file).display().to_string();
    for words in
        [&["trust", &made("root.der")][..], &["trust", &made("plant.der"), "--issuer"], &["trust", &made("none.crl")]]
    {
        let (good, said) = certs(&site, words);
        assert!(good, "{said}");
    }
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let alarm = hmi.event(0, "gateway/certificates", |event| {
        let message = event["message"].as_str().unwrap_or_default();
        event["active"] == true && message.contains("`CN=soon` of the server of source `plant` expires on")
    });
    let message = alarm["message"].as_str().unwrap();
    assert!(message.contains("the revocation list of `CN=plant`"), "{message}");
    assert!(message.contains("watchfire certs trust FILE") && !message.contains("own certificate"), "{message}");
    gateway.stop();

    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replacen("[gateway]\n", "[gateway]\ncertificate_warning_days = 2\n", 1))
        .unwrap();
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    hmi.event(0, "gateway/certificates", |event| event["active"] == false);
    gateway.stop();
}

#[test]
fn a_server_with_another_certificate_than_at_first_is_refused_and_shown_and_one_whose_time_is_over_too() {
    let site = Site::new();
    let server = Secured::start(&site, "server.der", &[]);
    site.configure(&server.source("plant", "trust_server_certificate = true"));
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    wait_for("a value", || value(&mut hmi, "signal:plant/answer", 42.0));
    let (made, url) = (server.made.clone(), server.url.clone());
    let port: u16 = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let refused = |begin: usize, hmi: &Hmi, why: &str| {
        hmi.event(begin, "gateway/source/plant", |event| {
            event["active"] == true && event["message"].as_str().is_some_and(|message| message.contains(why))
        });
    };
    drop(server);
    let begin = hmi.mark();
    let other = Secured::at(port, made.clone(), "server2.der", &[]);
    refused(begin, &hmi, "not the one that was pinned at the first connection");
    doctor(&site, &["OK   address", "FAIL certificates", "watchfire certs trust"]);
    let (good, said) = certs(&site, &["trust", &made.join("server2.der").display().to_string()]);
    assert!(good, "{said}");
    hmi.event(begin, "gateway/source/plant", |event| event["active"] == false);
    drop(other);
    let begin = hmi.mark();
    let _expired = Secured::at(port, made, "expired.der", &[]);
    refused(begin, &hmi, "has expired");
    gateway.stop();
}

#[test]
fn every_policy_and_a_user_certificate_work_with_a_second_stack_and_the_doctor_says_so() {
    let site = Site::new();
    let secured = Secured::start(&site, "server.der", &[]);
    let user = secured.made.join("user.der");
    let recorded =
        Recorded::new("tep_normal.csv", Some(FIRST)).encrypted(&site.folder().join("server")).user_certificate(&user);
    let login = "trust_server_certificate = true\nuser_certificate = \"made/user.der\"\nuser_key = \"made/user.pem\"\n";
    let mut rest = String::new();
    let mut names = Vec::new();
    for policy in ["basic256sha256", "aes128_sha256_rsaoaep", "aes256_sha256_rsapss"] {
        for mode in ["sign", "sign_and_encrypt"] {
            let name = if names.is_empty() { "plant".to_owned() } else { format!("{policy}-{mode}") };
            let settings = format!("security = \"{policy}\"\nmessage_mode = \"{mode}\"\n{login}");
            rest += &source(&name, &recorded.url(), &["a_feed"]).replacen("security = \"none\"\n", &settings, 1);
            names.push(name);
        }
    }
    site.configure(&rest);
    let mut server = recorded.start();
    server.set("a_feed", 1.0, 0.5, 0);
    let said = doctor(
        &site,
        &[
            "OK   address",
            "Basic256Sha256/Sign (user certificate), security level",
            "OK   endpoint      Basic256Sha256/Sign",
            "OK   certificates  ours is",
            "OK   certificates  the server's is",
            "OK   certificates  the gateway trusts",
            "OK   certificates  the server trusts ours",
            "OK   login         the user certificate",
            "limits",
            "OK   clock",
            "OK   subscription",
            "history",
        ],
    );
    assert!(!said.iter().any(|line| line.starts_with("FAIL")), "{said:?}");
    assert!(said.iter().filter(|line| line.contains(" offers ")).count() == 6, "{said:?}");
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    for name in names {
        wait_for(&name, || value(&mut hmi, &format!("signal:{name}/a_feed"), 0.5));
    }
    gateway.stop();
    drop(secured);

    // The same way to the other stack, whose server nobody trusts yet.
    let secured = Secured::start(&site, "server.der", &[]);
    site.configure(&secured.source("plant", ""));
    let said = doctor(
        &site,
        &["offers        Aes256_Sha256_RsaPss/SignAndEncrypt", "FAIL certificates", "watchfire doctor plant"],
    );
    let failed = said.last().unwrap();
    let (_, rest) = failed.split_once("watchfire certs trust ").unwrap_or_else(|| panic!("{failed}"));
    let thumbprint: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    assert!(certs(&site, &["trust", &thumbprint]).0);
    doctor(&site, &["OK   certificates  the server trusts ours", "OK   login", "OK   subscription"]);
}

#[test]
fn hmis_come_in_over_every_policy_and_never_in_the_clear_unless_that_is_configured() {
    let site = Site::new();
    let settings = "security = [\"basic256sha256\", \"aes128_sha256_rsaoaep\", \"aes256_sha256_rsapss\"]";
    let away = Recorded::new("tep_normal.csv", Some(FIRST));
    site.configure_with(settings, &source("plant", &away.url(), &["a_feed"]));
    let gateway = site.start();
    for kind in KINDS {
        let folder = site.folder().join(format!("{kind:?}"));
        Hmi::connect_by(kind, &site.url(), "Basic256Sha256", &folder).expect_err("its certificate is unknown");
        let (_, listed) = certs(&site, &["list"]);
        let (_, rejected) = listed.split_once("\nrejected: ").unwrap();
        let (_, rest) = rejected.split_once("thumbprint   ").unwrap();
        assert!(certs(&site, &["trust", rest.get(..12).unwrap()]).0);
        for policy in ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] {
            let mut hmi = Hmi::connect_by(kind, &site.url(), policy, &folder).unwrap();
            assert_eq!(hmi.read(&["gateway/clock#Active"]).len(), 1, "{kind:?} {policy}");
        }
        Hmi::connect_as(kind, &site.url(), As::default()).expect_err("nothing is offered in the clear");
    }
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

#[test]
fn a_person_logs_in_with_a_certificate_and_leaves_a_name_and_an_audit_trail() {
    let site = Site::new();
    let made = site.folder().join("made");
    let script = top().join("tests/peers/make_certificates.py");
    let mut python = Command::new(top().join("third_party/python/bin/python"));
    assert!(python.arg(script).arg(&made).arg("urn:watchfire:test:people").status().unwrap().success());
    let user = "[[server.user]]\nname = \"shift-lead\"\ncertificate = \"made/user.der\"\nrole = \"operate\"\n\n";
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let rest =
        source("plant", &recorded.url(), &["reactor_level"]) + &upper_limit("level", "plant/reactor_level", 80.0);
    site.configure_with("security = [\"basic256sha256\"]\nanonymous = \"none\"", &(user.to_owned() + &rest));
    let mut server = recorded.start();
    let gateway = site.start();
    server.set("reactor_level", 1.0, 90.0, 0);
    gateway.logged(&["detector started", "level"]);
    for kind in KINDS {
        let folder = site.folder().join(format!("{kind:?}"));
        Hmi::log_in_by(kind, &site.url(), &folder, &made.join("user.der")).expect_err("its application is unknown");
        let (_, listed) = certs(&site, &["list"]);
        let (_, rejected) = listed.split_once("\nrejected: ").unwrap();
        let (_, rest) = rejected.split_once("thumbprint   ").unwrap();
        assert!(certs(&site, &["trust", rest.get(..12).unwrap()]).0);
        Hmi::log_in_by(kind, &site.url(), &folder, &made.join("server.der")).expect_err("no user's certificate");
        gateway.logged(&["a request was refused", "CN=server", "is no user's"]);
        let mut hmi = Hmi::log_in_by(kind, &site.url(), &folder, &made.join("user.der")).unwrap();
        let begin = hmi.mark();
        let shown = raised(&mut hmi);
        assert_eq!(hmi.call("comment", CONDITION, &shown, Some("looking")), "Good", "{kind:?}");
        let said = hmi.event(begin, CONDITION, |event| event["user"] == "shift-lead");
        assert_eq!(said["user"], "shift-lead");
    }
    gateway.stop();
}

#[test]
fn a_key_of_ours_that_cannot_be_used_is_named_by_the_doctor_and_at_a_start() {
    let site = Site::new();
    let server = Secured::start(&site, "server.der", &[]);
    site.configure_with("", &server.source("plant", "trust_server_certificate = true"));
    let doctor = || {
        let output = site.run("doctor", &["plant"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told, _) = doctor();
    assert_eq!(code, Some(0), "it has made a certificate and a key: {told}");
    std::fs::write(site.data().join("pki/own/private.pem"), "hunter2").unwrap();
    let wanted = "own/private.pem`: it is no RSA private key in PEM without a pass phrase; put the right one back";
    let (code, told, complaint) = doctor();
    let failed: Vec<&str> = told.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(failed.len() == 1 && failed[0].starts_with("FAIL certificates") && failed[0].contains(wanted), "{told}");
    assert!(code == Some(1) && complaint.is_empty() && !told.contains("hunter2"), "{complaint}");
    let output = site.run("run", &[]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && complaint.contains(wanted), "{complaint}");
}
