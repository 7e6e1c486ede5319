//! Packages of third parties: made, signed, installed and run; and nothing run that nobody who is trusted has signed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use watchfire_package::Digest;

use crate::end_to_end::FIRST;
use crate::guest::guest;
use crate::harness::gateway::{PROGRAM, Site, detector, source, upper_limit};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::recording::Recorded;
use crate::harness::{top, wait_for};
use crate::plugins::commands;

/// What follows a detector's name: an upper limit.
const HIGH: &str = "[detector.config]\nhigh = 80.0\ndeadband = 0.0";
/// The signal that they watch.
const LEVEL: &str = "plant/reactor_level";

/// Runs `watchfire plugin` in a folder; what it printed, and its exit code.
fn plugin(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    let output = command.arg("plugin").args(words).current_dir(folder).env("KEY_PASSWORD", "correct horse").output();
    let Output { status, stdout, stderr } = output.unwrap();
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

/// The same, where it must succeed.
#[track_caller]
fn done(folder: &Path, words: &[&str]) -> String {
    let (code, told) = plugin(folder, words);
    assert_eq!(code, Some(0), "{words:?}: {told}");
    told
}

/// Makes a publisher's key in `folder`; its entry for configurations.
fn publisher(folder: &Path, name: &str) -> String {
    let key = format!("{name}.key");
    let told = done(folder, &["keygen", &key, "--password-env", "KEY_PASSWORD"]);
    let entry = told.split("[[publisher]]").nth(1).unwrap().replace("YOUR NAME", name);
    format!("[[publisher]]{entry}\n")
}

/// Signs a bundled component as somebody's package; the package's name.
#[track_caller]
fn signed(folder: &Path, component: &str, by: &str, name: &str, version: &str) -> String {
    let component = top().join(format!("plugins/dist/{component}.wasm")).display().to_string();
    let key = format!("{by}.key");
    let words = ["sign", &component, "--key", &key, "--password-env", "KEY_PASSWORD", "--name", name];
    done(folder, &[&words[..], &["--version", version, "--licence", "Apache-2.0"]].concat());
    format!("{name}-{version}.wfpkg")
}

/// The digest that `sign` and `list` show of a bundled component.
fn digest(component: &str) -> String {
    let bytes = fs::read(top().join(format!("plugins/dist/{component}.wasm"))).unwrap();
    watchfire_package::Digest::of(&bytes).to_string()
}

/// Waits until the gateway says that a detector does not run, and why.
#[track_caller]
fn refusal(hmi: &Hmi, detector: &str) -> String {
    let failed = hmi.event(0, &format!("gateway/detector/{detector}"), |event| event["active"] == true);
    failed["message"].as_str().unwrap().to_owned()
}

/// What HMIs are shown of a detector; empty for what is not known.
#[derive(Clone, Copy, Default)]
struct Shown<'a> {
    plugin: &'a str,
    version: &'a str,
    digest: &'a str,
    signer: &'a str,
    licence: &'a str,
}

impl Shown<'_> {
    #[track_caller]
    fn by(self, hmi: &mut Hmi, detector: &str) {
        let properties = [
            ("Plugin", self.plugin),
            ("Version", self.version),
            ("Digest", self.digest),
            ("Signer", self.signer),
            ("Licence", self.licence),
        ];
        for (property, expected) in properties {
            let node = format!("detector:{detector}#{property}");
            let read = hmi.read(&[&node]).remove(0);
            assert_eq!(read["value"].as_str().unwrap_or_default(), expected, "{node}: {read}");
        }
    }
}

#[test]
fn a_signed_package_runs_and_a_changed_one_is_refused_alone() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let at = site.folder();
    let acme = publisher(at, "acme");
    let installed = signed(at, "limit", "acme", "level-guard", "1.0.0");
    let filed = signed(at, "limit", "acme", "other-guard", "2.0.0");
    fs::rename(at.join(&filed), at.join("guard.wfpkg")).unwrap();
    let rest = source("plant", &recorded.url(), &["reactor_level"])
        + &detector("installed", "level-guard", &[LEVEL], HIGH)
        + &detector("filed", "guard.wfpkg", &[LEVEL], HIGH)
        + &upper_limit("plain", LEVEL, 80.0);

    // Nobody is trusted yet.
    site.configure(&rest);
    let config = site.config().display().to_string();
    let (code, told) = plugin(at, &["install", &installed, "--config", &config]);
    assert!(code == Some(1) && told.contains("which is no trusted publisher's"), "{told}");
    assert!(told.contains(&format!("allow = [\"{}\"]", digest("limit"))), "{told}");

    site.configure(&(acme.clone() + &rest));
    let told = done(at, &["install", &installed, "--config", &config]);
    assert!(told.contains("signer       acme (key ") && told.contains("used by      installed"), "{told}");
    let mut server = recorded.start();
    let gateway = site.start();
    let logged = gateway.logged(&["detector's plugin is accepted", "detector=\"installed\""]);
    for part in ["version=\"1.0.0\"", "signer=\"acme\"", "licence=\"Apache-2.0\"", &digest("limit")] {
        assert!(logged.contains(part), "{logged}");
    }
    let mut hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let shown = Shown {
        plugin: "level-guard",
        version: "1.0.0",
        digest: &digest("limit"),
        signer: "acme",
        licence: "Apache-2.0",
    };
    shown.by(&mut hmi, "installed");
    shown.by(&mut Hmi::connect(Kind::Asyncua, &site.url()), "installed");
    let own = env!("CARGO_PKG_VERSION");
    let shown =
        Shown { plugin: "limit", version: own, signer: "part of the program", licence: "Apache-2.0 OR MIT", ..shown };
    shown.by(&mut hmi, "plain");
    server.serve(20, 100);
    server.set("reactor_level", 90_000.0, 91.0, 0);
    for name in ["installed", "filed", "plain"] {
        hmi.event(0, &format!("{name}/limit/{LEVEL}"), |event| event["active"] == true);
    }
    server.set("reactor_level", 90_001.0, 50.0, 0);
    for name in ["installed", "filed", "plain"] {
        hmi.event(0, &format!("{name}/limit/{LEVEL}"), |event| event["active"] == false);
    }
    gateway.stop();
    let told = done(at, &["list", "--config", &config]);
    assert!(told.contains("level-guard 1.0.0\n") && told.contains("used by      installed"), "{told}");
    let (code, told) = plugin(at, &["remove", "level-guard", "--config", &config]);
    assert!(code == Some(1) && told.contains("`level-guard` is used by installed"), "{told}");

    // Somebody changes one byte of the installed package, and puts another package of the same publisher in the
    // file's place.
    let stored = site.data().join("plugins").join(format!("{}.wfpkg", &digest("limit")[7..]));
    let mut bytes = fs::read(&stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&stored, bytes).unwrap();
    let other = signed(at, "stuck", "acme", "other-guard", "2.0.1");
    fs::rename(at.join(&other), at.join("guard.wfpkg")).unwrap();
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let told = refusal(&hmi, "installed");
    let wanted =
        "detector `installed`: plugin `level-guard`: `detector.wasm` of the package was changed: it is sha256:";
    assert!(told.starts_with(wanted) && told.contains(&format!("the manifest says {}", digest("limit"))), "{told}");
    let file = at.join("guard.wfpkg").display().to_string();
    Shown { plugin: &file, ..Shown::default() }.by(&mut Hmi::connect(Kind::Asyncua, &site.url()), "filed");
    let told = refusal(&hmi, "filed");
    let wanted = format!(
        "detector `filed`: plugin `{}`: it was changed: it is {} now, and {} was accepted for detector `filed`; where it \
         was changed on purpose, run `watchfire plugin accept filed`; given up until `watchfire reload` or the gateway's \
         next start",
        file,
        digest("stuck"),
        digest("limit")
    );
    assert_eq!(told, wanted);
    server.set("reactor_level", 90_002.0, 92.0, 0);
    let raised = hmi.event(0, &format!("plain/limit/{LEVEL}"), |event| event["active"] == true);
    assert_eq!(raised["quality"], Value::from("Good"), "the other detector is unharmed");
    gateway.stop();
    let (code, told) = plugin(at, &["list", "--config", &config]);
    assert!(code == Some(1) && told.contains("filed: refused: plugin `"), "{told}");

    // A person says that it is meant so, and installs what was damaged again.
    let again = signed(at, "limit", "acme", "other-guard", "2.0.0");
    fs::rename(at.join(&again), at.join("guard.wfpkg")).unwrap();
    let told = done(at, &["accept", "filed", "--config", &config]);
    assert!(told.contains("(signer: acme)"), "{told}");
    done(at, &["install", &installed, "--config", &config]);
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.set("reactor_level", 90_003.0, 50.0, 0);
    server.set("reactor_level", 90_004.0, 93.0, 0);
    for name in ["installed", "filed", "plain"] {
        hmi.event(0, &format!("{name}/limit/{LEVEL}"), |event| event["active"] == true);
    }
    gateway.stop();

    // The publisher is trusted no longer: nothing of it runs, whatever was accepted.
    site.configure(&rest);
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    for name in ["installed", "filed"] {
        let told = refusal(&hmi, name);
        assert!(told.contains("which is no trusted publisher's"), "{told}");
    }
    gateway.stop();
}

#[test]
fn what_nobody_signed_runs_only_where_the_configuration_names_its_bytes() {
    let site = Site::new();
    let at = site.folder();
    fs::copy(top().join("plugins/dist/limit.wasm"), at.join("own.wasm")).unwrap();
    let sourced = source("plant", "opc.tcp://127.0.0.1:9", &["reactor_level"]);
    let own = |more: &str| detector("own", "own.wasm", &[LEVEL], &format!("{more}\n{HIGH}"));
    let config = site.config().display().to_string();
    let listed = |rest: &str| {
        site.configure(&(sourced.clone() + rest));
        plugin(at, &["list", "--config", &config])
    };
    let (code, told) = listed(&own(""));
    assert!(code == Some(1) && told.contains("it is not signed; ask for a signed package"), "{told}");
    let check = site.run("check", &[]);
    let told = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.code() == Some(1) && told.contains("but detector `own` would not run: plugin `"), "{told}");
    let limit = digest("limit");
    let (code, told) = listed(&own(&format!("digest = \"{limit}\"")));
    assert_eq!(site.run("check", &[]).status.code(), Some(0));
    assert!(code == Some(0) && told.contains("signer: nobody; allowed by the configuration"), "{told}");
    let (code, _) = listed(&(own("") + &format!("[plugins]\nallow = [\"{limit}\"]\n")));
    assert_eq!(code, Some(0));
    // Revoked, it runs nowhere: not where a detector asks for just these bytes, not as a part of the program.
    let part = detector("part", "limit", &[LEVEL], HIGH);
    let revoked = format!("[plugins]\nrevoked = [\"{limit}\"]\n");
    let (code, told) = listed(&(own(&format!("digest = \"{limit}\"")) + &part + &revoked));
    let says = "it is revoked by the configuration (`revoked` under `[plugins]`";
    assert!(code == Some(1) && told.matches(says).count() == 3, "{told}");
    let gateway = site.start();
    gateway.logged(&["detector's plugin is refused", says, "own.wasm"]);
    gateway.stop();
    let stuck = digest("stuck");
    let (code, told) = listed(&own(&format!("digest = \"{stuck}\"")));
    assert!(code == Some(1) && told.contains("it is not signed"), "{told}");
    // A package without a signature is no better.
    let component = at.join("own.wasm").display().to_string();
    let words = ["sign", &component, "--unsigned", "--name", "own", "--version", "1", "--licence", "MIT"];
    done(at, &words);
    site.configure(&sourced);
    let (code, told) = plugin(at, &["install", "own-1.wfpkg", "--config", &config]);
    assert!(code == Some(1) && told.contains("refused      it is not signed"), "{told}");
    site.configure(&(sourced.clone() + &format!("[plugins]\nallow = [\"{limit}\"]\n")));
    done(at, &["install", "own-1.wfpkg", "--config", &config]);
    let told = done(at, &["remove", "own", "--config", &config]);
    assert!(told.contains("removed      `own` 1"), "{told}");
    // Nor can one take the name of what is part of the program.
    let words = ["sign", &component, "--unsigned", "--name", "limit", "--version", "1", "--licence", "MIT"];
    done(at, &words);
    let (code, told) = plugin(at, &["install", "limit-1.wfpkg", "--config", &config]);
    assert!(code == Some(1) && told.contains("part of the program"), "{told}");
}

#[test]
fn keys_are_guarded_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    publisher(at, "acme");
    assert_eq!(fs::metadata(at.join("acme.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let cases: [(&[&str], &str); 4] = [
        (&["keygen", "acme.key", "--no-password"], "a key is never overwritten"),
        (&["keygen", "new.key"], "`--no-password` to go without"),
        (&["keygen", "new.key", "--password-env", "NOT_SET_ANYWHERE"], "`NOT_SET_ANYWHERE` is not set"),
        (&["keygen", "none/new.key", "--no-password"], "cannot write `none/new.key`"),
    ];
    for (words, part) in cases {
        let (code, told) = plugin(at, words);
        assert!(code == Some(1) && told.contains(part), "{words:?}: {told}");
    }
    let component = top().join("plugins/dist/limit.wasm").display().to_string();
    let sign = ["sign", &component, "--name", "x", "--version", "1", "--licence", "MIT", "--key", "acme.key"];
    let (code, told) = plugin(at, &sign);
    assert!(code == Some(1) && told.contains("protected by a password; give it with"), "{told}");
    fs::write(at.join("wrong"), "battery staple\n").unwrap();
    let (code, told) = plugin(at, &[&sign[..], &["--password-file", "wrong"]].concat());
    assert!(code == Some(1) && told.contains("the password does not open the key"), "{told}");
    assert!(!told.contains("battery"), "{told}");
    let (code, told) = plugin(at, &["sign", &component, "--unsigned", "--name", "x"]);
    assert!(code == Some(1) && told.contains("does not say its version; give `--version`"), "{told}");
}

/// Runs commands of the operator's page with the program as it was just built.
#[track_caller]
fn shell(commands: &str, folder: &Path) -> String {
    let bin = folder.join("bin");
    if !bin.exists() {
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(PROGRAM, bin.join("watchfire")).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-e", "-x", "-c", commands])
        .current_dir(folder)
        .env("PATH", path)
        .env("ACME_PASSWORD", "correct horse");
    let Output { status, stdout, stderr } = shell.output().unwrap();
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{told}");
    assert!(!told.contains("correct horse"), "{told}");
    told
}

#[test]
fn the_pages_commands_lead_from_a_key_to_an_installed_plugin() {
    const PAGE: &str = "docs/plugins.md";
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::copy(top().join("plugins/dist/limit.wasm"), at.join("hot-oil.wasm")).unwrap();
    fs::write(at.join("sbom.cdx.json"), "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.6\"}").unwrap();
    let told = shell(&commands(PAGE, "watchfire plugin keygen"), at);
    let wanted =
        ["files        detector.wasm, sbom.cdx.json: as the manifest says", "signer       the given key", "good "];
    assert!(wanted.iter().all(|part| told.contains(part)), "{told}");

    let public = fs::read_to_string(at.join("acme.key.pub")).unwrap();
    let entry = format!("[[publisher]]\nname = \"acme\"\nkey = \"{}\"\n", public.lines().last().unwrap());
    let rest = source("press", "opc.tcp://127.0.0.1:9", &["oil"]);
    fs::write(at.join("watchfire.toml"), rest + &entry + &detector("oil", "hot-oil", &["press/**"], HIGH)).unwrap();
    let told = shell(&commands(PAGE, "watchfire plugin verify"), at);
    let wanted = ["signer       acme (key ", "used by      oil, from", "oil: `hot-oil` 1.0.0 sha256:"];
    assert!(wanted.iter().all(|part| told.contains(part)), "{told}");

    // Every system opens a package, and finds in it what the manifest says.
    let told = shell("tar xf hot-oil-1.0.0.wfpkg; sha256sum detector.wasm; cat manifest.toml", at);
    let digest = digest("limit");
    assert!(told.contains(&format!("{}  detector.wasm", &digest[7..])), "{told}");
    assert!(told.contains(&format!("\"detector.wasm\" = \"{digest}\"")), "{told}");
    // And what other programs pack is taken as well: here in GNU's form, with owners and times.
    shell("tar cf other.wfpkg manifest.toml manifest.toml.minisig sbom.cdx.json detector.wasm", at);
    done(at, &["verify", "other.wfpkg", "--config", "watchfire.toml"]);
    // A version before it stays beside it, for whom its digest is configured.
    let told = done(at, &["verify", "hot-oil-1.0.0.wfpkg", "--config", "watchfire.toml"]);
    assert!(told.contains(&format!("digest       {digest}")), "{told}");
}

#[test]
fn a_backup_holds_what_was_installed_and_accepted() {
    let site = Site::new();
    let at = site.folder();
    let acme = publisher(at, "acme");
    let package = signed(at, "limit", "acme", "level-guard", "1.0.0");
    let rest = acme + &source("plant", "opc.tcp://127.0.0.1:9", &["reactor_level"]);
    site.configure(&(rest + &detector("level", "level-guard", &[LEVEL], HIGH)));
    let config = site.config().display().to_string();
    done(at, &["install", &package, "--config", &config]);
    let copy = at.join("copy").display().to_string();
    let made = site.run("backup", &[&copy]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::remove_dir_all(site.data()).unwrap();
    let (code, told) = plugin(at, &["list", "--config", &config]);
    assert!(code == Some(1) && told.contains("nor installed; install its package with"), "{told}");
    let restored = site.run("restore", &[&copy]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let told = done(at, &["list", "--config", &config]);
    assert!(told.contains("level: `level-guard` 1.0.0 sha256:") && told.contains("signer: acme"), "{told}");
}

#[test]
fn two_versions_run_side_by_side_where_a_digest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let acme = publisher(at, "acme");
    // Another program under the same name stands for another version.
    let old = signed(at, "limit", "acme", "guard", "1.0.0");
    let new = signed(at, "stuck", "acme", "guard", "2.0.0");
    let digest_line = format!("digest = \"{}\"\n{HIGH}", digest("limit"));
    let rest = acme
        + &source("plant", "opc.tcp://127.0.0.1:9", &["reactor_level"])
        + &detector("kept", "guard", &[LEVEL], &digest_line)
        + &detector("moved", "guard", &[LEVEL], "");
    fs::write(at.join("watchfire.toml"), rest).unwrap();
    done(at, &["install", &old]);
    let told = done(at, &["install", &new]);
    assert!(told.contains(&format!("is {} from now on; it was {}", digest("stuck"), digest("limit"))), "{told}");
    assert!(told.contains("used by      moved, from"), "{told}");
    let told = done(at, &["list"]);
    assert!(told.contains(&format!("kept: `guard` 1.0.0 {}", digest("limit"))), "{told}");
    assert!(told.contains(&format!("moved: `guard` 2.0.0 {}", digest("stuck"))), "{told}");
    for (words, part) in [
        (["remove", "guard"], "`guard` is installed 2 times; give a digest: "),
        (["remove", &digest("limit")], "`guard` is used by kept; take it out of the configuration first"),
        (["remove", "sha256:00"], "`sha256:00` is not installed"),
    ] {
        let (code, told) = plugin(at, &words);
        assert!(code == Some(1) && told.contains(part), "{words:?}: {told}");
    }
    // Whoever can write the data folder can point a name elsewhere, and is told of it.
    let list = at.join("data/plugins/bound.toml");
    let bound = fs::read_to_string(&list).unwrap();
    fs::write(&list, bound.replace("guard = ", "guard = \"x\"\nother = ")).unwrap();
    let (code, told) = plugin(at, &["list"]);
    assert!(code == Some(1) && told.contains("bound.toml` cannot be read: "), "{told}");
    fs::write(&list, bound.replace("guard = ", "other = ")).unwrap();
    let config = fs::read_to_string(at.join("watchfire.toml")).unwrap();
    fs::write(at.join("watchfire.toml"), config.replace("plugin = \"guard\"", "plugin = \"other\"")).unwrap();
    let (code, told) = plugin(at, &["list"]);
    assert!(code == Some(1) && told.contains("its package says that it is `guard`; install the right one"), "{told}");
}

#[test]
fn a_model_is_read_beside_the_configuration_shown_by_its_digest_and_bound_by_it() {
    let site = Site::new();
    let at = site.folder();
    fs::copy(top().join("plugins/dist/faulty.wasm"), at.join("own.wasm")).unwrap();
    fs::write(at.join("m.onnx"), [7, 0, 255]).unwrap();
    let model = Digest::of(&[7, 0, 255]).to_string();
    let config = site.config().display().to_string();
    let tried = |more: &str, fault: &str| {
        let rest = format!("digest = \"{}\"\nmodel = \"m.onnx\"\n{more}\nconfig.fault = \"{fault}\"", digest("faulty"));
        let sourced = source("plant", "opc.tcp://127.0.0.1:9", &["reactor_level"]);
        site.configure(&(sourced + &detector("own", "own.wasm", &[LEVEL], &rest)));
        let check = site.run("check", &[]);
        (check.status.code(), String::from_utf8(check.stdout).unwrap())
    };
    let (code, told) = tried("", "none");
    assert!(code == Some(0), "{told}");
    let (_, told) = plugin(at, &["list", "--config", &config]);
    assert!(told.contains(&format!("m.onnx` {model}")), "{told}");
    let (code, told) = tried(&format!("model_digest = \"{model}\""), "refuse-model");
    assert!(code == Some(1) && told.contains("refuses its model: it is Some([7, 0, 255])"), "{told}");
    let (code, told) = tried(&format!("model_digest = \"{}\"", digest("limit")), "none");
    assert!(
        code == Some(1) && told.contains(&format!("m.onnx` is {model}, but the detector's `model_digest`")),
        "{told}"
    );
}

#[test]
fn a_model_that_is_replaced_under_a_running_detector_is_refused_until_a_person_accepts_it() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let at = site.folder();
    fs::copy(top().join("plugins/dist/faulty.wasm"), at.join("own.wasm")).unwrap();
    fs::write(at.join("m.onnx"), b"first").unwrap();
    let rest = format!(
        "digest = \"{}\"\nmodel = \"m.onnx\"\nconfig = {{ fault = \"trap\", at_value = 66.0 }}",
        digest("faulty")
    );
    site.configure(
        &(source("plant", &recorded.url(), &["reactor_level"]) + &detector("own", "own.wasm", &[LEVEL], &rest)),
    );
    let config = site.config().display().to_string();
    let mut server = recorded.start();
    let gateway = site.start();
    server.serve(20, 100);
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.set("reactor_level", 90_000.0, 101.0, 0);
    hmi.event(0, &format!("own/above/{LEVEL}"), |event| event["active"] == true);

    // Somebody replaces the file, and the detector fails over something else.
    fs::write(at.join("m.onnx"), b"second").unwrap();
    server.set("reactor_level", 90_100.0, 66.0, 0);
    let changed = format!(
        "m.onnx` was changed: it is {} now, and {} was accepted for detector `own`; where it was changed on purpose, run \
         `watchfire plugin accept own`",
        Digest::of(b"second"),
        Digest::of(b"first")
    );
    hmi.event(0, "gateway/detector/own", |event| event["message"].as_str().unwrap().contains(&changed));
    let (code, told) = plugin(at, &["list", "--config", &config]);
    assert!(code == Some(1) && told.contains("own: refused: model `") && told.contains(&changed), "{told}");

    let told = done(at, &["accept", "own", "--config", &config]);
    assert!(told.contains(&format!("judges by the model {}", Digest::of(b"second"))), "{told}");
    let told = site.run("reload", &[]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    hmi.event(0, "gateway/detector/own", |event| event["active"] == false);
    gateway.stop();
}

/// Runs `watchfire plugin upgrade` of the detector `level` until what it prints has all of `parts`.
#[track_caller]
fn upgrade_tells(site: &Site, words: &[&str], parts: &[&str]) -> String {
    let config = site.config().display().to_string();
    let words = [&["upgrade", "level"], words, &["--config", &config]].concat();
    wait_for(&format!("`watchfire plugin {}` to tell {parts:?}", words.join(" ")), || {
        let (_, told) = plugin(site.folder(), &words);
        parts.iter().all(|part| told.contains(part)).then_some(told)
    })
}

/// The bundled component with a note in it: the same detector with another digest. Signed by `acme`; the package's name
/// and its digest.
#[track_caller]
fn noted(folder: &Path, component: &str, name: &str, version: &str) -> (String, String) {
    let mut bytes = fs::read(top().join(format!("plugins/dist/{component}.wasm"))).unwrap();
    // A custom section: its kind, how long it is, how long its name is, its name.
    bytes.extend_from_slice(b"\x00\x05\x04note");
    *bytes.last_mut().unwrap() = version.as_bytes()[0];
    signed_bytes(folder, &bytes, name, version)
}

/// A component, signed by `acme`; the package's name and the component's digest.
#[track_caller]
fn signed_bytes(folder: &Path, bytes: &[u8], name: &str, version: &str) -> (String, String) {
    let file = folder.join(format!("{name}-{version}.wasm"));
    fs::write(&file, bytes).unwrap();
    let file = file.display().to_string();
    let words = ["sign", &file, "--key", "acme.key", "--password-env", "KEY_PASSWORD", "--name", name];
    done(folder, &[&words[..], &["--version", version, "--licence", "Apache-2.0"]].concat());
    (format!("{name}-{version}.wfpkg"), watchfire_package::Digest::of(bytes).to_string())
}

#[test]
fn another_version_is_tried_beside_its_detector_takes_over_and_is_rolled_back() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let at = site.folder();
    let acme = publisher(at, "acme");
    let old = signed(at, "limit", "acme", "guard", "1.0.0");
    let (new, new_digest) = noted(at, "limit", "guard", "2.0.0");
    let (other, _) = noted(at, "stuck", "guard", "3.0.0");
    let old_digest = digest("limit");
    let rest = source("plant", &recorded.url(), &["reactor_level"]) + &detector("level", "guard", &[LEVEL], HIGH);
    site.configure(&(acme + &rest));
    let config = site.config().display().to_string();
    let status = ["upgrade", "level", "--status", "--config", &config];
    let (code, told) = plugin(at, &status);
    assert!(code == Some(1) && told.contains("no gateway runs on `"), "{told}");
    done(at, &["install", &old, "--config", &config]);
    let mut server = recorded.start();
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let high = format!("level/limit/{LEVEL}");
    server.set("reactor_level", 1.0, 91.0, 0);
    hmi.event(0, &high, |event| event["active"] == true);
    let (code, told) = plugin(at, &["upgrade", "level", "--take-over", "--config", &config]);
    assert!(code == Some(1) && told.contains("nothing runs beside detector `level`"), "{told}");

    // Trust is the same as for whatever runs.
    let words = ["sign", "guard-3.0.0.wasm", "--unsigned", "--name", "other", "--version", "9", "--licence", "MIT"];
    done(at, &words);
    let (code, told) = plugin(at, &["upgrade", "level", "other-9.wfpkg", "--config", &config]);
    assert!(code == Some(1) && told.contains("it is not signed"), "{told}");
    let (code, told) = plugin(at, &["upgrade", "level", &old, "--config", &config]);
    assert!(code == Some(1) && told.contains("runs just that already"), "{told}");

    // One that refuses the configuration harms nobody and cannot take over.
    done(at, &["upgrade", "level", &other, "--config", &config]);
    upgrade_tells(&site, &["--status"], &["does not run: ", "refuses its configuration"]);
    let (code, told) = plugin(at, &["upgrade", "level", "--take-over", "--config", &config]);
    assert!(code == Some(1) && told.contains("the new version does not run"), "{told}");
    let told = done(at, &["upgrade", "level", "--roll-back", "--config", &config]);
    assert!(told.contains("no longer runs beside detector `level`"), "{told}");

    let told = done(at, &["upgrade", "level", &new, "--config", &config]);
    assert!(told.contains(&new_digest) && told.contains("runs in shadow beside detector `level`"), "{told}");
    let (code, told) = plugin(at, &["upgrade", "level", &other, "--config", &config]);
    assert!(code == Some(1) && told.contains("take over or roll back first"), "{told}");
    // It goes on from what the other has learned: both say the same, once it has been compiled and runs.
    upgrade_tells(&site, &["--status"], &["it           runs ("]);
    server.set("reactor_level", 2.0, 50.0, 0);
    hmi.event(0, &high, |event| event["active"] == false);
    upgrade_tells(
        &site,
        &["--status"],
        &["it           runs (", "verdicts     1 the same, 0 of the old version alone, 0 of"],
    );

    // A version in shadow survives the gateway, also a kill.
    drop(hmi);
    gateway.kill();
    let gateway = site.start();
    gateway.logged(&["detector started", "level/next."]);
    let mut hmi_after = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.set("reactor_level", 3.0, 92.0, 0);
    hmi_after.event(0, &high, |event| event["active"] == true);
    upgrade_tells(&site, &["--status"], &["verdicts     2 the same, 0 of the old version alone, 0 of", &new_digest]);
    let mark = hmi_after.mark();
    let told = done(at, &["upgrade", "level", "--take-over", "--config", &config]);
    assert!(
        told.contains(&format!("detector `level` is {new_digest} from now on; its alarms keep their state")),
        "{told}"
    );
    let shown = hmi_after.read(&["detector:level#Digest", "detector:level#Version", &format!("{high}#ActiveState/Id")]);
    assert_eq!((&shown[0]["value"], &shown[1]["value"]), (&Value::from(new_digest.as_str()), &Value::from("2.0.0")));
    assert_eq!(shown[2]["value"], true);
    server.set("reactor_level", 4.0, 50.0, 0);
    let over = hmi_after.event(mark, &high, |_| true);
    assert_eq!(over["active"], false, "nothing was told of it between: {over}");
    let told = done(at, &["list", "--config", &config]);
    assert!(told.contains(&format!("level: `guard` 2.0.0 {new_digest}")), "{told}");
    let (code, told) = plugin(at, &["remove", &new_digest, "--config", &config]);
    assert!(code == Some(1) && told.contains("is what detector `level` was upgraded to, or from"), "{told}");

    // What took over survives as well, and so does the way back.
    gateway.stop();
    let replayed = site.run("replay", &["--detector", "level"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
    let gateway = site.start();
    let mut hmi_last = Hmi::connect(Kind::NodeOpcua, &site.url());
    let shown = hmi_last.read(&["detector:level#Digest"]);
    assert_eq!(shown[0]["value"], Value::from(new_digest.as_str()));
    server.set("reactor_level", 5.0, 93.0, 0);
    hmi_last.event(0, &high, |event| event["active"] == true);
    let told = done(at, &["upgrade", "level", "--roll-back", "--config", &config]);
    assert!(told.contains(&format!("detector `level` is {old_digest} again, with the state that it had")), "{told}");
    server.set("reactor_level", 6.0, 50.0, 0);
    hmi_last.event(0, &high, |event| event["active"] == false);
    let shown = hmi_last.read(&["detector:level#Digest"]);
    assert_eq!(shown[0]["value"], Value::from(old_digest.as_str()));
    let (code, told) = plugin(at, &["upgrade", "level", "--roll-back", "--config", &config]);
    assert!(code == Some(1) && told.contains("has no version to go back to"), "{told}");
    gateway.stop();
    let replayed = site.run("replay", &["--detector", "level"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
}

/// A detector that learns the highest value it has seen, and finds those above. Its second version keeps a state of
/// another layout, and reads that of the first.
fn of_state_version(version: u32) -> Vec<u8> {
    let defs = "(global $highest (mut f64) (f64.const -inf)) (global $value (mut f64) (f64.const 0))
        (global $level (mut i32) (i32.const 0)) (global $told (mut i32) (i32.const -1))";
    let describe = format!("(i32.store (i32.const 280) (i32.const {version}))");
    // One verdict where the level is another one after all of the batch's rows.
    let process = "(i32.store (i32.const 744) (i32.const 896)) (i32.store (i32.const 748) (i32.const 0))
        (block $end (loop $rows
            (br_if $end (i32.ge_u (local.get $n) (i32.load offset=44 (local.get 0))))
            (global.set $value (f64.load
                (i32.add (i32.load offset=40 (local.get 0)) (i32.mul (local.get $n) (i32.const 8)))))
            (global.set $level (i32.mul (i32.const 5) (i32.and
                (f64.gt (global.get $value) (global.get $highest))
                (f64.gt (global.get $highest) (f64.const -inf)))))
            (global.set $highest (select (global.get $value) (global.get $highest)
                (f64.gt (global.get $value) (global.get $highest))))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br $rows)))
        (if (local.get $n) (then
            (i64.store (i32.const 904) (i64.load (i32.load offset=32 (local.get 0))))
            (i32.store8 (i32.const 912) (global.get $level))
            (i32.store (i32.const 748) (i32.ne (global.get $level) (global.get $told)))
            (global.set $told (global.get $level))))";
    // The second has eight bytes before the value.
    let (at, bytes) = if version == 1 { (0, 8) } else { (8, 16) };
    let save = format!(
        "(f64.store offset={at} (i32.const 1160) (global.get $highest))
         (i32.store (i32.const 1152) (i32.const 1160)) (i32.store (i32.const 1156) (i32.const {bytes}))"
    );
    let load = format!(
        "(if (i32.gt_u (local.get 0) (i32.const {version}))
             (then (i32.store8 (i32.const 1280) (i32.const 1)))
             (else (global.set $told (i32.const 0)) (global.set $highest (f64.load (i32.add (local.get 1)
                 (select (i32.const 0) (i32.const {at}) (i32.eq (local.get 0) (i32.const 1))))))))"
    );
    let places = [("defs", defs), ("describe", &describe), ("process", process), ("save", &save), ("load", &load)];
    guest(&places)
}

#[test]
fn a_version_with_another_state_takes_over_and_keeps_what_was_learned() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let at = site.folder();
    let acme = publisher(at, "acme");
    let (first, _) = signed_bytes(at, &of_state_version(1), "highest", "1.0.0");
    let (second, digest) = signed_bytes(at, &of_state_version(2), "highest", "2.0.0");
    let rest = source("plant", &recorded.url(), &["reactor_level"]) + &detector("level", "highest", &[LEVEL], "");
    site.configure(&(acme + &rest));
    let config = site.config().display().to_string();
    done(at, &["install", &first, "--config", &config]);
    let mut server = recorded.start();
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    let highest = format!("level/value/{LEVEL}");
    gateway.logged(&["watching", "plant"]);
    // Whether or not it saw the value before them, one of these is the highest.
    server.set("reactor_level", 1.0, 95.0, 0);
    server.set("reactor_level", 2.0, 96.0, 0);
    hmi.event(0, &highest, |event| event["active"] == true);
    server.set("reactor_level", 3.0, 80.0, 0);
    hmi.event(0, &highest, |event| event["active"] == false);

    // One that had learned nothing would find 90 after 85.
    done(at, &["upgrade", "level", &second, "--config", &config]);
    upgrade_tells(&site, &["--status"], &["it           runs ("]);
    let mark = hmi.mark();
    for (place, value) in [(4.0, 85.0), (5.0, 90.0), (6.0, 97.0)] {
        server.set("reactor_level", place, value, 0);
    }
    hmi.event(mark, &highest, |event| event["active"] == true);
    upgrade_tells(
        &site,
        &["--status"],
        &["verdicts     1 the same, 0 of the old version alone, 0 of the new one alone"],
    );
    server.set("reactor_level", 7.0, 80.0, 0);
    hmi.event(mark, &highest, |event| event["active"] == false);
    upgrade_tells(
        &site,
        &["--status"],
        &["verdicts     2 the same, 0 of the old version alone, 0 of the new one alone"],
    );
    done(at, &["upgrade", "level", "--take-over", "--config", &config]);
    let shown = hmi.read(&["detector:level#Digest"]);
    assert_eq!(shown[0]["value"], Value::from(digest.as_str()));

    // It has kept it over a kill as well, now in its own layout.
    drop(hmi);
    gateway.kill();
    let gateway = site.start();
    let hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.set("reactor_level", 8.0, 96.5, 0);
    server.set("reactor_level", 9.0, 98.0, 0);
    let found = hmi.event(0, &highest, |event| event["active"] == true);
    assert!(found["message"].to_string().contains("A test."), "{found}");
    gateway.stop();
    let replayed = site.run("replay", &["--detector", "level"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
}

#[test]
fn the_pages_commands_change_a_running_gateway() {
    const PAGE: &str = "docs/changes.md";
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let at = site.folder();
    let acme = publisher(at, "acme");
    let old = signed(at, "limit", "acme", "hot-oil", "1.0.0");
    let (_, new) = noted(at, "limit", "hot-oil", "1.1.0");
    let press = source("press", &recorded.url(), &["reactor_level"]);
    site.configure(&(acme + &press + &detector("oil", "hot-oil", &["press/**"], HIGH)));
    std::os::unix::fs::symlink(site.config(), at.join("watchfire.toml")).unwrap();
    done(at, &["install", &old]);
    let mut server = recorded.start();
    let gateway = site.start();
    let told = shell(&commands(PAGE, "watchfire check"), at);
    assert!(told.contains(" is good: ") && told.matches("nothing differs from what runs").count() == 2, "{told}");
    server.set("reactor_level", 1.0, 50.0, 0);
    shell(&commands(PAGE, "watchfire plugin upgrade oil hot-oil"), at);
    gateway.logged(&["detector started", "oil/next."]);
    wait_for("the new version to run", || {
        shell(&commands(PAGE, "watchfire plugin upgrade oil --status"), at)
            .contains("it           runs (")
            .then_some(())
    });
    let told = shell(&commands(PAGE, "watchfire plugin upgrade oil --take-over"), at);
    assert!(told.contains(&format!("detector `oil` is {new} from now on")), "{told}");
    let told = shell(&commands(PAGE, "watchfire plugin upgrade oil --roll-back"), at);
    assert!(told.contains(&format!("detector `oil` is {} again", digest("limit"))), "{told}");
    gateway.stop();
}
