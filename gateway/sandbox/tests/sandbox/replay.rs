//! Same input, same answers, bit for bit; and a state saved anywhere carries all that a detector knows.

use watchfire_detector::{Batch as Columns, Detector as _, Row, Setup, Signal};
use watchfire_detector_novelty::Novelty;
use watchfire_model::{Batch, BatchGap, GapCause, Instant};
use watchfire_pipeline::Detector;

use crate::setup::{batch, create};

const SIGNALS: u32 = 3;
const DETECTORS: [(&str, &str); 3] = [
    ("limit", r#"{"high":8,"low":2,"deadband":0.5,"rate_per_s":3}"#),
    ("stuck", r#"{"learn_dwells":20,"least_s":3}"#),
    ("novelty", r#"{"warm_up_samples":100,"hold_off_samples":20}"#),
];

/// Batches that look like a plant on a bad day: noise, jumps, bad values, silence, gaps. Same every time.
fn batches() -> Vec<Batch> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let one = |s: i64| {
        let wave = 5.0 + 3.0 * (s as f64 / 40.0).sin();
        let mut values: Vec<f64> = (0..SIGNALS).map(|_| wave + random()).collect();
        match s {
            _ if s % 97 == 0 => values[0] = f64::NAN,
            _ if s % 131 == 0 => values[1] = 50.0 * random(),
            300..330 => values[2] = 4.0,
            _ => {}
        }
        let mut batch = batch(s, &values);
        if s % 61 == 0 {
            batch.status[1] = 0x8000_0000;
            let at = Instant::from_s(s);
            batch.gaps.push(BatchGap { signal: Some(2), since: at, until: at, cause: GapCause::Overflow });
        }
        if s % 89 == 0 {
            batch.text.push((0, "text beside".into()));
            batch.exact.push((1, i64::MIN));
            batch.skew_ns = vec![-5; 3];
        }
        batch
    };
    (1..700).map(one).collect()
}

/// What a detector answers, explanations of each reported score included, as bytes.
async fn answers(detector: &mut Box<dyn Detector>, batches: &[Batch]) -> Vec<u8> {
    let mut all = Vec::new();
    for batch in batches {
        let outcome = detector.process(batch).await.unwrap();
        let scores = &outcome.scores;
        for ((condition, instance), score) in scores.condition.iter().zip(&scores.instance).zip(&scores.score) {
            let why = detector.explain(*condition, *instance).await.unwrap();
            assert_eq!(why.is_some(), *score > 0.0);
            serde_json::to_writer(&mut all, &why).unwrap();
        }
        serde_json::to_writer(&mut all, &outcome).unwrap();
    }
    all
}

#[tokio::test]
async fn the_same_batches_give_the_same_bytes() {
    let batches = batches();
    for (plugin, config) in DETECTORS {
        let (mut first, mut second) = (create(plugin, config, SIGNALS).await, create(plugin, config, SIGNALS).await);
        let answer = answers(&mut first, &batches).await;
        assert!(answer.len() > 1_000);
        assert_eq!(answer, answers(&mut second, &batches).await, "{plugin}");
        assert_eq!(first.save().await.unwrap(), second.save().await.unwrap(), "{plugin}");
    }
}

#[tokio::test]
async fn going_on_from_a_saved_state_is_as_never_having_stopped() {
    let batches = batches();
    for (plugin, config) in DETECTORS {
        let mut whole = create(plugin, config, SIGNALS).await;
        for cut in [1, 150, 400] {
            let (before, after) = batches.split_at(cut);
            let mut first = create(plugin, config, SIGNALS).await;
            answers(&mut first, before).await;
            let state = first.save().await.unwrap().unwrap();
            let mut second = create(plugin, config, SIGNALS).await;
            second.load(first.identity().state_version, &state).await.unwrap();
            // The first call tells standing levels again; from then on both say the same.
            let (next, rest) = after.split_first().unwrap();
            first.process(next).await.unwrap();
            second.process(next).await.unwrap();
            assert_eq!(answers(&mut first, rest).await, answers(&mut second, rest).await, "{plugin} cut at {cut}");
            let end = second.save().await.unwrap();
            assert_eq!(first.save().await.unwrap(), end, "{plugin} cut at {cut}");
            if cut == 1 {
                answers(&mut whole, &batches).await;
                assert_eq!(whole.save().await.unwrap(), end, "{plugin}: saving and explaining changed something");
            }
        }
    }
}

/// A guest computes on two numbers at once where its host does so one by one.
#[tokio::test]
async fn novelty_says_in_the_sandbox_what_it_says_natively_to_the_last_bit() {
    let (plugin, config) = DETECTORS[2];
    let mut guest = create(plugin, config, SIGNALS).await;
    let signals = vec![Signal::default(); SIGNALS as usize];
    let setup = Setup { config: config.to_owned(), signals, ..Setup::default() };
    let mut native = Novelty::init(setup).map_err(|refusal| refusal.message).unwrap().0;
    let mut scored = 0;
    for batch in batches() {
        let mut columns = Columns { now: batch.now.ns(), utc_offset_s: batch.utc_offset_s, ..Columns::default() };
        for (row, signal) in batch.signal.iter().enumerate() {
            let (time, value) = (batch.time[row], batch.value[row]);
            let (status, quality) = (batch.status[row], batch.quality[row]);
            columns.push(Row { signal: *signal, time, value, status, quality });
        }
        let expected = native.process(&columns).map_err(|refusal| refusal.message).unwrap().scores;
        let said = guest.process(&batch).await.unwrap().scores;
        let bits = |scores: &[f64]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert_eq!((&said.instance, bits(&said.score)), (&expected.instance, bits(&expected.score)), "{batch:?}");
        scored += said.score.len();
    }
    assert!(scored > 50, "{scored}");
    assert_eq!(guest.save().await.unwrap().unwrap(), native.save());
}
