//! Conformance: what the contract says a detector does, it does in every language. One detector, the reference, is
//! written in each (`plugins/reference`, whose README.md says what it does); all are taken through one course of calls,
//! and what each answers is held against one text, value for value and byte for byte of the saved state.
//!
//! Rust, C and Go by default; `WATCHFIRE_LANGUAGES=all` (`make conformance`) adds Python and JavaScript in both its
//! engines.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use watchfire_model::{Batch, BatchGap, Event, GapCause, Instant, Kind, Lsn, Quality, SignalId, SignalInfo};
use watchfire_pipeline::{BindingSpec, CreateError, Detector, DetectorFactory, Quota};
use watchfire_sandbox::{CacheAt, Sandbox, SandboxOptions};

use crate::harness::top;
use crate::plugins::all_languages;

const COURSE: &str = "tests/data/conformance.txt";
/// The reference detector in C as it was built and packed while the contract was 0.1.
const BEFORE_1_0: &str = "tests/data/reference-0.1.0.wasm";
const CONFIG: &str = r#"{"above": 90, "deadband": 2.5, "window": 3}"#;
/// An engine whose 64-bit numbers are doubles.
const ROUNDS: &str = "javascript";
/// The first second of the course.
const BEGIN_S: i64 = 1_767_225_600;

/// The reference detector as a component, by language.
fn components() -> Vec<(&'static str, PathBuf)> {
    let mut languages = vec!["c", "go"];
    if all_languages() {
        languages.extend(["python", "javascript", "javascript-exact"]);
    }
    let mut build = Command::new("python3");
    let built = build.arg(top().join("tests/languages/build.py")).args(&languages).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut components = vec![("rust", top().join("plugins/dist/reference.wasm"))];
    for language in languages {
        let made = top().join("third_party/languages/reference").join(language).join("detector.wasm");
        let packed = made.with_file_name("reference.wasm");
        let bytes = fs::read(made).unwrap();
        let component = if language == "go" { pack::component_without_wasi(&bytes) } else { pack::component(bytes) };
        fs::write(&packed, component.unwrap()).unwrap();
        components.push((language, packed));
    }
    components
}

fn signals() -> Vec<SignalInfo> {
    let signal = |id, name: &str, kind, unit: Option<&str>, range| SignalInfo {
        id: SignalId(id),
        name: name.into(),
        kind,
        unit: unit.map(Arc::from),
        range,
        sampling_ns: range.map(|_| 250_000_000),
        role: if id == 0 { "value".into() } else { "".into() },
        group: id * 7,
        events: false,
    };
    vec![
        signal(0, "plant/ofen-größe", Kind::Real, Some("Cel"), Some((-10.5, 1e-7))),
        signal(1, "plant/\"q\\", Kind::Signed, None, None),
        signal(2, "plant/flow", Kind::Real, Some("m3/h"), Some((0.0, 1e6))),
    ]
}

fn binding(component: &Path, config: &str) -> BindingSpec {
    BindingSpec {
        name: "conformance".to_owned(),
        plugin: component.display().to_string(),
        signals: signals(),
        config: config.to_owned(),
        places: Default::default(),
        model: None,
        seed: u64::MAX,
        alarms: Default::default(),
        quota: Quota::default(),
    }
}

/// A frame of rows: signal and value, one row a second.
fn batch(s: i64, rows: &[(u32, f64)]) -> Batch {
    let now = Instant::from_s(BEGIN_S + s);
    let mut batch = Batch { frame: Lsn(s as u64), now, ..Batch::default() };
    for (at, (signal, value)) in (0..).zip(rows) {
        batch.signal.push(*signal);
        batch.time.push(now.ns() + at * 1_000_000_000);
        batch.value.push(*value);
        batch.status.push(0);
        batch.quality.push(0);
    }
    batch
}

/// Rows that cannot be used, and everything that the smaller columns can hold.
fn odd() -> Vec<Batch> {
    let mut unusable = batch(30, &[(0, 5.0), (1, f64::NAN), (2, 7.0), (2, 8.0)]);
    unusable.status[0] = 0x8000_0000;
    unusable.status[3] = 0x4000_0000;
    unusable.quality[2] = 16;
    unusable.quality[3] = Quality::OVERFLOW.0 | Quality::SERVER_TIME.0;
    let mut full = batch(40, &[(1, 1.0), (1, f64::NAN), (0, 88.0)]);
    full.utc_offset_s = -3600;
    full.mode = 7;
    full.skew_ns = vec![0, -5, 1_000_000];
    full.exact = vec![(0, 1), (2, -(1 << 53))];
    full.text = vec![(1, "„zu“ \u{1f525}".to_owned()), (2, String::new())];
    let gap = |signal, cause| BatchGap { signal, since: Instant::from_s(1), until: Instant::from_s(2), cause };
    full.gaps = vec![gap(Some(1), GapCause::Overflow), gap(Some(0), GapCause::NotRecorded)];
    let mut gone = batch(50, &[]);
    gone.gaps = vec![gap(None, GapCause::SourceLost)];
    vec![unusable, full, batch(45, &[]), gone, batch(60, &[(2, 1.0)])]
}

/// Values on either side of the limit in turn, so that each makes a sentence.
fn numbers() -> Batch {
    let above = [91.015_625, 123_456.5, 123_457.5, 99_999.95, 1e15, 9.999_999e22, 1.5e300, 92.0, 314_159.265];
    let below = [0.015_625, 1.015_625, -7.000_000_5, 5e-324, -1e-5, 0.000_999_999_9, -0.0, 0.1 + 0.2, -123_456.75];
    let rows: Vec<(u32, f64)> = above.iter().zip(&below).flat_map(|(one, other)| [(2, *one), (2, *other)]).collect();
    batch(70, &rows)
}

/// What a detector answers to the course.
async fn walk(sandbox: &Sandbox, component: &Path) -> String {
    let mut said = String::new();
    let mut detector = sandbox.create(&binding(component, CONFIG)).await.unwrap();
    let identity = detector.identity();
    let (id, version, title) = (&identity.id, &identity.version, &identity.title);
    let (state, tick, warm_up) = (identity.state_version, identity.tick, identity.warm_up_samples);
    writeln!(said, "{id} {version} {title} {state} {tick:?} {warm_up}").unwrap();
    detector.conditions().iter().for_each(|condition| writeln!(said, "{condition:?}").unwrap());
    let asked = sandbox.inspect(component).await.unwrap();
    writeln!(said, "{:?} {} {:?}", asked.slots, asked.config_schema, asked.conditions).unwrap();

    tell(&mut said, &mut *detector, &batch(1, &[(0, 80.0), (1, -5.0), (2, 0.1)])).await;
    tell(&mut said, &mut *detector, &batch(10, &[(0, 90.0), (0, 90.5), (0, 87.5), (0, 87.25), (0, 91.0)])).await;
    tell(&mut said, &mut *detector, &batch(20, &[(1, 1e17), (1, 0.1), (1, 0.7), (1, -3.3)])).await;
    explain(&mut said, &mut *detector).await;
    for batch in odd() {
        tell(&mut said, &mut *detector, &batch).await;
    }
    explain(&mut said, &mut *detector).await;
    tell(&mut said, &mut *detector, &numbers()).await;
    let state = detector.save().await.unwrap().unwrap();
    writeln!(said, "state {}", hex(&state)).unwrap();

    let mut restored = sandbox.create(&binding(component, CONFIG)).await.unwrap();
    restored.load(1, &state).await.unwrap();
    assert_eq!(restored.save().await.unwrap().unwrap(), state, "a state that was restored is the same");
    explain(&mut said, &mut *restored).await;
    tell(&mut said, &mut *restored, &batch(100, &[(2, 3.0)])).await;
    tell(&mut said, &mut *restored, &batch(101, &[(0, 95.0)])).await;
    for (version, bytes) in [(2, &state[..]), (1, &state[1..]), (1, &[&state[..], &[0]].concat()), (1, &[])] {
        let mut fresh = sandbox.create(&binding(component, CONFIG)).await.unwrap();
        writeln!(said, "load {version}: {}", fresh.load(version, bytes).await.unwrap_err()).unwrap();
    }
    many(&mut said, &mut *restored).await;
    learn(&mut said, &mut *restored).await;
    observe(&mut said, &mut *restored).await;
    refused(&mut said, sandbox, component).await;
    said
}

/// What it learns beside what it judges, and what it is told to leave alone and to forget.
async fn learn(said: &mut String, detector: &mut dyn Detector) {
    assert!(detector.learns(), "it exports `learner`");
    let model = async |said: &mut String, detector: &mut dyn Detector| {
        writeln!(said, "model {:?}", String::from_utf8(detector.model().await.unwrap()).unwrap()).unwrap();
    };
    model(said, detector).await;
    for late in odd() {
        detector.learn(&late).await.unwrap();
    }
    detector.learn(&batch(300, &[(0, -4.5), (1, 0.25), (2, 1e300), (0, f64::NAN), (0, -5.0)])).await.unwrap();
    model(said, detector).await;
    detector.freeze(true).await.unwrap();
    detector.learn(&batch(301, &[(0, 1e6)])).await.unwrap();
    model(said, detector).await;
    detector.freeze(false).await.unwrap();
    detector.forget(Some(1)).await.unwrap();
    detector.learn(&batch(302, &[(1, -0.125)])).await.unwrap();
    model(said, detector).await;
    detector.forget(None).await.unwrap();
    model(said, detector).await;
}

fn event(source: u32, severity: u16, message: &str) -> Event {
    Event {
        time: Instant::from_s(BEGIN_S + i64::from(severity)).ns(),
        source,
        event_type: "i=2915".to_owned(),
        severity,
        user: None,
        message: message.to_owned(),
        fields: Vec::new(),
    }
}

/// Events with all that one can have, with nothing, and none at all.
async fn observe(said: &mut String, detector: &mut dyn Detector) {
    assert!(detector.observes(), "it exports `events-in`");
    let full = Event {
        user: Some("anna „ä“".to_owned()),
        fields: vec![("Comment".to_owned(), "\u{1f525}".to_owned()), ("Retain".to_owned(), String::new())],
        ..event(2, 900, "pump „3“ trips")
    };
    for events in [vec![full, event(0, 499, ""), event(1, 500, "on")], vec![event(0, 0, "off")], Vec::new()] {
        let now = Instant::from_s(BEGIN_S + 400);
        let outcome = detector.observe(Lsn(400), now, &events).await.unwrap();
        writeln!(said, "events {:?}", outcome.progress.unwrap()).unwrap();
        outcome.verdicts.iter().for_each(|verdict| writeln!(said, "  {verdict:?}").unwrap());
        writeln!(said, "  {:?}", outcome.scores).unwrap();
    }
}

/// A refusal ends the instance, so each has its own.
async fn refused(said: &mut String, sandbox: &Sandbox, component: &Path) {
    let mut learner = sandbox.create(&binding(component, CONFIG)).await.unwrap();
    let thirteen = Batch { mode: 13, ..batch(1, &[(0, 1.0)]) };
    writeln!(said, "learn: {}", learner.learn(&thirteen).await.unwrap_err()).unwrap();
    let mut observer = sandbox.create(&binding(component, CONFIG)).await.unwrap();
    let events = [event(0, 1, "refuse")];
    let answer = observer.observe(Lsn(1), Instant::from_s(BEGIN_S), &events).await;
    writeln!(said, "observe: {}", answer.unwrap_err()).unwrap();
}

async fn tell(said: &mut String, detector: &mut dyn Detector, batch: &Batch) {
    let outcome = detector.process(batch).await.unwrap();
    writeln!(said, "frame {} {:?}", batch.frame.0, outcome.progress.unwrap()).unwrap();
    outcome.verdicts.iter().for_each(|verdict| writeln!(said, "  {verdict:?}").unwrap());
    writeln!(said, "  {:?}", outcome.scores).unwrap();
}

async fn explain(said: &mut String, detector: &mut dyn Detector) {
    for (condition, instance) in [(1, 0), (1, 2), (0, 0)] {
        writeln!(said, "explain {:?}", detector.explain(condition, instance).await.unwrap()).unwrap();
    }
}

/// A batch of many rows: the sum of its scores' bits tells whether all are the same.
async fn many(said: &mut String, detector: &mut dyn Detector) {
    let rows: Vec<(u32, f64)> = (0..512_u32).map(|row| (row % 3, f64::from(row * 7919 % 1000) / 9.7)).collect();
    let outcome = detector.process(&batch(200, &rows)).await.unwrap();
    let sum = outcome.scores.score.iter().fold(0_u64, |sum, score| sum.rotate_left(1) ^ score.to_bits());
    let reasons: usize = outcome.verdicts.iter().map(|verdict| verdict.why.len()).sum();
    writeln!(said, "many {} {sum:016x} {} {reasons}", outcome.scores.score.len(), outcome.verdicts.len()).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What it compiled is kept, since each component is asked for again and again.
fn sandbox(kept: &Path) -> Arc<Sandbox> {
    let cache = CacheAt { folder: kept.join("cache"), key: kept.join("key") };
    Sandbox::new(SandboxOptions { cache: Some(cache), ..SandboxOptions::default() }).unwrap()
}

#[tokio::test]
async fn the_reference_detector_answers_the_same_in_every_language() {
    let kept = tempfile::tempdir().unwrap();
    let sandbox = sandbox(kept.path());
    let known = fs::read_to_string(top().join(COURSE)).unwrap_or_default();
    for (language, component) in components() {
        let said = walk(&sandbox, &component).await;
        let differs = said.lines().zip(known.lines()).find(|(said, known)| said != known);
        assert!(differs.is_none(), "{language} answers otherwise: {differs:#?}");
        assert_eq!(said.lines().count(), known.lines().count(), "{language} answers:\n{said}");
        assert_eq!(walk(&sandbox, &component).await, said, "{language} answers otherwise the second time");
        refuses(&sandbox, language, &component).await;
        times(&sandbox, language, &component).await;
    }
}

#[tokio::test]
async fn a_component_of_the_contract_before_answers_as_it_did() {
    let kept = tempfile::tempdir().unwrap();
    let (sandbox, component) = (sandbox(kept.path()), top().join(BEFORE_1_0));
    let exports = pack::shape(&fs::read(&component).unwrap()).unwrap().exports;
    assert!(exports.iter().all(|interface| interface.ends_with("@0.1.0")) && exports.len() == 4, "{exports:?}");
    let known = fs::read_to_string(top().join(COURSE)).unwrap();
    assert_eq!(walk(&sandbox, &component).await, known);
    refuses(&sandbox, "0.1.0", &component).await;
    times(&sandbox, "0.1.0", &component).await;
}

/// What is wrong with a configuration is told with whom to blame, and which key.
async fn refuses(sandbox: &Sandbox, language: &str, component: &Path) {
    let cases = [
        ("{}", "`above`: "),
        ("", "`above`: "),
        (r#"{"above": "hot"}"#, "`above`: "),
        (r#"{"above": true}"#, "`above`: "),
        (r#"{"above": 1, "abvoe": 2}"#, "`abvoe`: "),
        (r#"{"above": 1, "deadband": -0.5}"#, "`deadband`: it is negative"),
        (r#"{"above": 1, "window": 0}"#, "`window`: it is no whole number from 1 to 64"),
        (r#"{"above": 1, "window": 2.5}"#, "`window`: it is no whole number from 1 to 64"),
        (r#"{"above": 1, "window": 65}"#, "`window`: it is no whole number from 1 to 64"),
        ("[]", ""),
        ("above", ""),
        (r#"{"above": 1"#, ""),
    ];
    for (config, expected) in cases {
        let binding = binding(component, config);
        let refused = sandbox.create(&binding).await.map(|_| ()).unwrap_err();
        let wanted = format!("plugin `{}` refuses its configuration: {expected}", binding.plugin);
        let CreateError::Refused(said) = &refused else { panic!("{language}: {config}: {refused}") };
        assert!(said.starts_with(&wanted), "{language}: {config}: {said}");
    }
    for config in [r#"{"above": 1e1}"#, " { \"above\" : -0.125 , \"window\" : 64 } ", r#"{"above":123456.789012345}"#] {
        assert!(sandbox.create(&binding(component, config)).await.is_ok(), "{language}: {config}");
    }
}

/// Times and numbers of all 64 bits come back as they were, but for one engine, which is known to round.
async fn times(sandbox: &Sandbox, language: &str, component: &Path) {
    let mut detector = sandbox.create(&binding(component, CONFIG)).await.unwrap();
    let mut exact = batch(1, &[(0, 1.0), (1, 2.0), (2, 3.0)]);
    let wanted = [i64::MAX, 1_767_225_600_123_456_789, i64::MIN];
    exact.time = wanted.to_vec();
    exact.exact = vec![(0, 1_767_225_600_123_456_789)];
    let outcome = detector.process(&exact).await;
    if language == ROUNDS {
        exact.time = vec![-1, 1_767_225_600_123_456_789, 0];
        let mut detector = sandbox.create(&binding(component, CONFIG)).await.unwrap();
        let at = detector.process(&exact).await.unwrap().scores.at;
        let off = at.iter().zip(&exact.time).map(|(at, wanted)| (at.ns() - wanted).abs()).max().unwrap();
        assert!((1..=128).contains(&off), "{language} is off by {off} ns");
        return;
    }
    let outcome = outcome.unwrap();
    let of_scores: Vec<i64> = outcome.scores.at.iter().map(|at| at.ns()).collect();
    let of_verdicts: Vec<i64> = outcome.verdicts.iter().map(|verdict| verdict.at.ns()).collect();
    assert_eq!((&of_scores[..], &of_verdicts[..]), (&wanted[..], &wanted[..]), "{language}");
    let note = outcome.progress.unwrap().note;
    assert!(note.contains("exact 0=1767225600123456789 text"), "{language}: {note}");
}
