//! The detector `onnx` in the sandbox: models against what onnxruntime makes of them, and models that nobody would train.
//! A test binary of its own, since the detector takes minutes to build: `make onnx` builds it and runs these.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use watchfire_model::{Batch, Instant, Lsn, SignalId, SignalInfo};
use watchfire_pipeline::{BindingSpec, CreateError, Detector, DetectorFactory, ModelFile, Quota};
use watchfire_sandbox::{CacheAt, Sandbox, SandboxOptions};

const PROGRAM: &str = env!("CARGO_BIN_EXE_watchfire");
const GUIDE: &str = "docs/detectors.md";
const MEAN_AND_STD: &str = r#""normalise": "given", "mean": [40.0, 3.0, 12.0, 1450.0], "std": [6.0, 0.5, 1.5, 40.0]"#;
const ALL: [&str; 4] = ["flow", "pressure", "current", "speed"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn data(name: &str) -> PathBuf {
    top().join("tests/data/onnx").join(name)
}

fn component() -> PathBuf {
    let component = top().join("plugins/dist/onnx.wasm");
    assert!(component.exists(), "it is not built; run `make onnx`");
    component
}

/// What was compiled is kept: it takes longer than all of these tests.
fn sandbox() -> Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx");
    let cache = Some(CacheAt { key: folder.with_extension("key"), folder });
    SANDBOX.get_or_init(|| Sandbox::new(SandboxOptions { cache, ..SandboxOptions::default() }).unwrap()).clone()
}

fn binding(model: PathBuf, config: &str, signals: &[&str]) -> BindingSpec {
    let signal = |(id, name): (u32, &&str)| SignalInfo {
        id: SignalId(id),
        name: format!("pump/{name}").into(),
        ..SignalInfo::default()
    };
    BindingSpec {
        name: "model".to_owned(),
        plugin: component().display().to_string(),
        signals: (0..).zip(signals).map(signal).collect(),
        config: config.to_owned(),
        places: Default::default(),
        model: Some(ModelFile { path: model, sha256: None }),
        seed: 0,
        alarms: Default::default(),
        quota: Quota::default(),
    }
}

/// A frame for each second of the samples, of some of the signals.
fn batches(signals: &[&str]) -> Vec<Batch> {
    let text = fs::read_to_string(data("pump.csv")).unwrap();
    let rows: Vec<(Instant, usize, f64)> = (text.lines().skip(1))
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let signal = signals.iter().position(|name| cells[0] == format!("pump/{name}"))?;
            Some((Instant::parse(cells[1]).unwrap(), signal, cells[3].parse().unwrap()))
        })
        .collect();
    let cut = |(frame, rows): (u64, &[(Instant, usize, f64)])| {
        let now = Instant::from_ns(rows[0].0.ns() + 50_000_000);
        let mut batch = Batch { frame: Lsn(frame), now, ..Batch::default() };
        for (at, signal, value) in rows {
            batch.signal.push(u32::try_from(*signal).unwrap());
            batch.time.push(at.ns());
            batch.value.push(*value);
            batch.status.push(0);
            batch.quality.push(0);
        }
        batch
    };
    (1..).zip(rows.chunks(signals.len())).map(cut).collect()
}

/// Times in seconds, and scores.
async fn scores(detector: &mut Box<dyn Detector>, batches: &[Batch]) -> Vec<(i64, f64)> {
    let mut found = Vec::new();
    for batch in batches {
        let scores = detector.process(batch).await.unwrap().scores;
        found.extend(scores.at.iter().map(|at| at.ns() / 1_000_000_000).zip(scores.score.iter().copied()));
    }
    found
}

/// Model, configuration, signals.
fn models() -> [(&'static str, String, &'static [&'static str]); 3] {
    [
        ("autoencoder", format!("{{{MEAN_AND_STD}}}"), &ALL),
        (
            "filters",
            r#"{"window": 16, "stride": 4, "layout": "signal-time", "normalise": "learned", "learn_rows": 50}"#
                .to_owned(),
            &ALL[1..3],
        ),
        ("sequence", format!(r#"{{"window": 8, "score": "output", "output_index": 1, {MEAN_AND_STD}}}"#), &ALL),
    ]
}

#[tokio::test]
async fn scores_are_those_of_another_implementation() {
    for (name, config, signals) in models() {
        let spec = binding(data(&format!("{name}.onnx")), &config, signals);
        let mut detector = sandbox().create(&spec).await.unwrap();
        let found = scores(&mut detector, &batches(signals)).await;
        let golden = fs::read_to_string(data(&format!("{name}.jsonl"))).unwrap();
        let golden: Vec<(i64, f64)> = (golden.lines())
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| (line["at"].as_i64().unwrap(), line["score"].as_f64().unwrap()))
            .collect();
        assert_eq!(found.len(), golden.len(), "{name}");
        for ((at, score), (known_at, known)) in found.into_iter().zip(golden) {
            assert_eq!(at, known_at, "{name}");
            assert!((score - known).abs() <= 1e-5 * known.abs().max(0.1), "{name} at {at}: {score}, known is {known}");
        }
    }
}

#[tokio::test]
async fn a_restored_detector_goes_on_as_if_nothing_had_been() {
    for (name, config, signals) in models() {
        let spec = binding(data(&format!("{name}.onnx")), &config, signals);
        let batches = batches(signals);
        let mut whole = sandbox().create(&spec).await.unwrap();
        let expected = scores(&mut whole, &batches).await;
        for cut in [3, 40, 203] {
            let mut first = sandbox().create(&spec).await.unwrap();
            let mut found = scores(&mut first, &batches[..cut]).await;
            let state = first.save().await.unwrap().unwrap();
            let mut second = sandbox().create(&spec).await.unwrap();
            second.load(second.identity().state_version, &state).await.unwrap();
            found.extend(scores(&mut second, &batches[cut..]).await);
            assert_eq!(found, expected, "{name}, cut after {cut}");
            assert_eq!(second.save().await.unwrap(), whole.save().await.unwrap(), "{name}, cut after {cut}");
        }
    }
}

#[tokio::test]
async fn an_alarm_says_which_signals_the_model_does_not_know() {
    let spec = binding(data("autoencoder.onnx"), &models()[0].1, &ALL);
    let mut detector = sandbox().create(&spec).await.unwrap();
    scores(&mut detector, &batches(&ALL)).await;
    let verdict = detector.explain(0, 0).await.unwrap().unwrap();
    assert!(verdict.why.starts_with("the model does not know this: mean squared error 2.357"), "{}", verdict.why);
    assert_eq!(verdict.evidence.len(), 4);
    let shares: f64 = verdict.evidence.iter().map(|finding| finding.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
}

/// What an operator reads of each, and that the next detector runs as before.
#[tokio::test]
async fn models_that_nobody_would_train_end_themselves_alone() {
    let mut good = sandbox().create(&binding(data("autoencoder.onnx"), &models()[0].1, &ALL)).await.unwrap();
    let mut lines = String::new();
    let mut names: Vec<PathBuf> = fs::read_dir(data("hostile")).unwrap().map(|file| file.unwrap().path()).collect();
    names.sort();
    let batch = &batches(&ALL[..1])[..1];
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let said = told(binding(path, "{}", &ALL[..1]), batch).await;
        lines.push_str(&format!("{name}: {said}\n"));
        assert_eq!(good.process(&batches(&ALL)[0]).await.unwrap().verdicts, []);
        good = sandbox().create(&binding(data("autoencoder.onnx"), &models()[0].1, &ALL)).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(data("sequence.onnx")).unwrap();
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("no ONNX", b"#!/bin/sh\nexit 0\n".to_vec()),
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
        ("cut at the end", whole[..whole.len() - 1].to_vec()),
        ("zeros", vec![0; 4096]),
    ] {
        let path = folder.path().join("m.onnx");
        fs::write(&path, bytes).unwrap();
        lines.push_str(&format!("{name}: {}\n", told(binding(path, &models()[2].1, &ALL), batch).await));
    }
    let file = data("hostile.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &lines).unwrap();
    }
    assert_eq!(lines, fs::read_to_string(&file).unwrap(), "where this is right, `UPDATE=1` writes it");
}

/// What is said of a model when it is opened, or else of its first window.
async fn told(spec: BindingSpec, batches: &[Batch]) -> String {
    let short = |said: String| said.replace(&spec.plugin, "onnx.wasm");
    match sandbox().create(&spec).await {
        Err(CreateError::Fault(fault)) => short(format!("fault: {fault}")),
        Err(error) => short(error.to_string()),
        Ok(mut detector) => match detector.process(&batches[0]).await {
            Ok(outcome) => format!("runs: {:?}", outcome.scores.score),
            Err(fault) => short(format!("on its first window: {fault}")),
        },
    }
}

/// Any bytes at all in place of a model's: a sentence, or a model.
#[tokio::test]
async fn changed_bytes_are_refused_or_harmless() {
    let whole = fs::read(data("sequence.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let (mut state, batches) = (0x9E37_79B9_7F4A_7C15_u64, batches(&ALL));
    for _ in 0..200 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let place = usize::try_from(state >> 16).unwrap() % bytes.len();
            bytes[place] = (state & 0xff) as u8;
        }
        fs::write(&path, &bytes).unwrap();
        let said = told(binding(path.clone(), &models()[2].1, &ALL), &batches).await;
        assert!(!said.is_empty());
    }
}

/// The commands and the configuration of the page.
#[test]
fn the_guide_leads_to_a_model_that_runs() {
    let text = fs::read_to_string(top().join(GUIDE)).unwrap();
    let (_, part) = text.split_once("\n## A model of your own\n").unwrap();
    let commands = part.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink(PROGRAM, tools.join("watchfire")).unwrap();
    fs::copy(component(), folder.path().join("onnx.wasm")).unwrap();
    fs::copy(data("autoencoder.onnx"), folder.path().join("pump.onnx")).unwrap();
    fs::copy(data("pump.csv"), folder.path().join("pump.csv")).unwrap();
    let config = part.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    fs::write(folder.path().join("pump.json"), config).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.arg("-euc").arg(commands).current_dir(folder.path()).env("PATH", path);
    let tmp = env!("CARGO_TARGET_TMPDIR");
    let ran = shell.env("XDG_CACHE_HOME", tmp).env("XDG_STATE_HOME", tmp).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("the model does not know this"), "{said}");
    assert!(said.contains("ns/sample"), "{said}");
}
