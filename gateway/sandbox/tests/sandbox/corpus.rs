//! The corpus of plugins that mean harm: what each does, and what the operator reads of it. For tests and for the benchmark
//! of what a neighbour loses by them.

use watchfire_model::{Batch, Event, Instant, Lsn};
use watchfire_pipeline::{Detector, Quota};

/// A misdeed: where it stands and what is done there.
pub type Misdeed = (&'static str, &'static str);
/// The name, what it does, and what the operator reads: nothing for what does no harm.
pub type Case = (&'static str, &'static [Misdeed], &'static str);

pub const CASES: &[Case] = &[
    ("harmless", &[], ""),
    (
        "endless-loop",
        &[("process", "(loop $l (br $l))")],
        "used up its fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`)",
    ),
    ("slow-loop-under-the-limit", &[("process", SLOW)], ""),
    (
        "memory-bomb",
        &[("process", "(loop $l (drop (memory.grow (i32.const 100))) (br $l))")],
        "used up its memory: it wanted more than 67108864 bytes (`memory_mb`)",
    ),
    (
        "table-bomb",
        &[("defs", "(table $t 0 funcref)"), ("process", TABLES)],
        "used up its tables: it wanted more than 131072 elements (`table_elements`)",
    ),
    (
        "first-table-too-large",
        &[("defs", "(table $t 9000000 funcref)")],
        "plugin `first-table-too-large` cannot be started: used up its tables: it wanted more than 131072 elements (`table_elements`); ask its maker",
    ),
    (
        "deep-recursion",
        &[("defs", "(func $dig (result i32) (i32.add (call $dig) (i32.const 1)))"), ("process", "(drop (call $dig))")],
        "used up its stack: it called too deep (`stack_kb`)",
    ),
    ("unreachable", &[("process", "unreachable")], "trapped: wasm trap: wasm `unreachable` instruction executed"),
    (
        "trap-at-the-third-call",
        &[("process", "(if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))")],
        "trapped: wasm trap: wasm `unreachable` instruction executed",
    ),
    (
        "division-by-zero",
        &[("process", "(drop (i32.div_u (i32.const 1) (local.get $n)))")],
        "trapped: wasm trap: integer divide by zero",
    ),
    (
        "read-out-of-memory",
        &[("process", "(drop (i32.load (i32.const -4)))")],
        "trapped: wasm trap: out of bounds memory access",
    ),
    (
        "call-of-nothing",
        &[("defs", "(type $f (func)) (table $t 1 funcref)"), ("process", "(call_indirect (type $f) (i32.const 0))")],
        "trapped: wasm trap: uninitialized element",
    ),
    (
        "return-out-of-range",
        &[("process", "(return (i32.const -8))")],
        "broke the contract: pointer out of bounds of memory",
    ),
    ("return-unaligned", &[("process", "(return (i32.const 705))")], "broke the contract: return pointer not aligned"),
    (
        "result-of-no-case",
        &[("process", "(i32.store8 (i32.const 704) (i32.const 7))")],
        "broke the contract: invalid expected discriminant",
    ),
    (
        "list-of-2-to-the-32",
        &[("process", "(i32.store (i32.const 744) (i32.const 896)) (i32.store (i32.const 748) (i32.const -1))")],
        "broke the contract: list pointer/length out of bounds of memory",
    ),
    (
        "column-of-2-to-the-32",
        &[("process", "(i32.store (i32.const 740) (i32.const -1))")],
        "broke the contract: list pointer/length out of bounds of memory",
    ),
    (
        "text-of-4-gigabytes",
        &[("process", VERDICT), ("process", "(i32.store (i32.const 940) (i32.const -1))")],
        "broke the contract: string pointer/length out of bounds of memory",
    ),
    (
        "text-no-utf-8",
        &[
            ("process", VERDICT),
            ("process", "(i32.store (i32.const 936) (i32.const 128)) (i32.store (i32.const 940) (i32.const 3))"),
        ],
        "broke the contract: invalid utf-8 sequence of 1 bytes from index 0",
    ),
    (
        "text-of-control-characters",
        &[("process", VERDICT), ("process", "(i32.store (i32.const 936) (i32.const 136))")],
        "broke the contract: a verdict's reason holds control characters",
    ),
    (
        "ten-million-verdicts",
        &[(
            "process",
            "(drop (memory.grow (i32.const 8600))) (i32.store (i32.const 744) (i32.const 4096)) (i32.store (i32.const 748) (i32.const 10000000))",
        )],
        "used up its result: it answered with more bytes than one call may (`result_kb`)",
    ),
    (
        "verdict-for-a-foreign-signal",
        &[("process", VERDICT), ("process", "(i32.store (i32.const 900) (i32.const 2))")],
        "broke the contract: condition `value` has no instance 2",
    ),
    (
        "verdict-for-a-foreign-condition",
        &[("process", VERDICT), ("process", "(i32.store16 (i32.const 896) (i32.const 65535))")],
        "broke the contract: condition index 65535, there are 1 conditions",
    ),
    (
        "level-of-no-case",
        &[("process", VERDICT), ("process", "(i32.store8 (i32.const 912) (i32.const 200))")],
        "broke the contract: unexpected discriminant: 200",
    ),
    (
        "nan-with-a-payload",
        &[
            ("process", VERDICT),
            (
                "process",
                "(i32.store8 (i32.const 920) (i32.const 1)) (i64.store (i32.const 928) (i64.const 0x7ff4deadbeef0001))",
            ),
        ],
        "broke the contract: the score NaN is no number",
    ),
    (
        "columns-of-unequal-lengths",
        &[("process", "(i32.store (i32.const 740) (i32.const 3))")],
        "broke the contract: score columns of unequal lengths 0, 0, 0 and 3",
    ),
    (
        "log-flood",
        &[(
            "process",
            "(loop $l (call $log (i32.const 1) (i32.const 96) (i32.const 7)) (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))",
        )],
        "",
    ),
    (
        "log-of-4-gigabytes",
        &[("process", "(call $log (i32.const 1) (i32.const 96) (i32.const -1))")],
        "broke the contract: string pointer/length out of bounds of memory",
    ),
    (
        "log-of-megabytes",
        &[(
            "process",
            "(drop (memory.grow (i32.const 512))) (call $log (i32.const 1) (i32.const 96) (i32.const 33554432))",
        )],
        "used up its result: it answered with more bytes than one call may (`result_kb`)",
    ),
    (
        "log-no-utf-8",
        &[("process", "(call $log (i32.const 1) (i32.const 128) (i32.const 3))")],
        "broke the contract: invalid utf-8 sequence of 1 bytes from index 0",
    ),
    (
        "allocates-out-of-range",
        &[("realloc", "(return (i32.const -8))")],
        "broke the contract: realloc return: beyond end of memory",
    ),
    (
        "allocates-without-end",
        &[("realloc", "(loop $l (br $l))")],
        "used up its fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`)",
    ),
    (
        "starts-without-end",
        &[("defs", "(func $s (loop $l (br $l))) (start $s)")],
        "plugin `starts-without-end` cannot be started: used up its fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`); ask its maker",
    ),
    (
        "first-memory-too-large",
        &[("defs", r#"(memory (export "memory") 4096)"#)],
        "plugin `first-memory-too-large` cannot be started: used up its memory: it wanted more than 67108864 bytes (`memory_mb`); ask its maker",
    ),
    (
        "data-out-of-memory",
        &[("defs", r#"(data (i32.const 131070) "more than fits")"#)],
        "plugin `data-out-of-memory` cannot be started: trapped: wasm trap: out of bounds memory access; ask its maker",
    ),
    (
        "describe-never-returns",
        &[("describe", "(loop $l (br $l))")],
        "plugin `describe-never-returns` does not say what it is: used up its fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`); ask its maker",
    ),
    (
        "describe-changes",
        &[("describe", "(i32.store (i32.const 260) (i32.sub (i32.load (i32.const 260)) (i32.const 1)))")],
        "",
    ),
    (
        "describe-a-path",
        &[("describe", "(i32.store (i32.const 256) (i32.const 136))")],
        r"plugin `describe-a-path` does not say what it is: broke the contract: the id `a\u{1b}[31mr` is no name; letters, digits, `-`, `_` and `.` make one; ask its maker",
    ),
    (
        "a-title-of-two-lines",
        &[("defs", r#"(data (i32.const 160) "good\0adigest       sha256:00")"#), ("describe", TITLE)],
        "plugin `a-title-of-two-lines` does not say what it is: broke the contract: the title holds control characters; ask its maker",
    ),
    (
        "a-title-that-runs-backwards",
        &[("defs", r#"(data (i32.const 160) "\e2\80\aeexe.good             ")"#), ("describe", TITLE)],
        "plugin `a-title-that-runs-backwards` does not say what it is: broke the contract: the title holds control characters; ask its maker",
    ),
    (
        "init-never-returns",
        &[("init", "(loop $l (br $l))")],
        "used up its fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`)",
    ),
    (
        "init-a-thousand-conditions",
        &[("init", "(i32.store (i32.const 644) (i32.const 16384)) (i32.store (i32.const 648) (i32.const 1000))")],
        "broke the contract: 1000 conditions, 256 are allowed",
    ),
    (
        "explain-out-of-range",
        &[("explain", "(return (i32.const -8))")],
        "broke the contract: pointer out of bounds of memory",
    ),
    (
        "snapshot-of-a-gigabyte",
        &[("save", "(drop (memory.grow (i32.const 16384))) (i32.store (i32.const 1156) (i32.const 0x40000000))")],
        "used up its state: it is larger than one may be (`state_kb`)",
    ),
    (
        "learn-never-returns",
        &[("learn", "(loop $l (br $l))")],
        "used up its fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`)",
    ),
    (
        "learn-of-no-case",
        &[("learn", "(i32.store8 (i32.const 1344) (i32.const 7))")],
        "broke the contract: invalid expected discriminant",
    ),
    (
        "learn-grows-without-end",
        &[("learn", GROW)],
        "used up its memory: it wanted more than 67108864 bytes (`memory_mb`)",
    ),
    ("freeze-traps", &[("freeze", "unreachable")], "trapped: wasm trap: wasm `unreachable` instruction executed"),
    (
        "forget-digs",
        &[("defs", "(func $dig (result i32) (i32.add (call $dig) (i32.const 1)))"), ("forget", "(drop (call $dig))")],
        "used up its stack: it called too deep (`stack_kb`)",
    ),
    (
        "model-of-a-gigabyte",
        &[("model", "(drop (memory.grow (i32.const 16384))) (i32.store (i32.const 1412) (i32.const 0x40000000))")],
        "used up its state: it is larger than one may be (`state_kb`)",
    ),
    (
        "model-out-of-memory",
        &[("model", "(i32.store (i32.const 1408) (i32.const -8)) (i32.store (i32.const 1412) (i32.const 16))")],
        "broke the contract: list pointer/length out of bounds of memory",
    ),
    (
        "observe-never-returns",
        &[("observe", "(loop $l (br $l))")],
        "used up its fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`)",
    ),
    (
        "observe-a-signal-never-given",
        &[("observe", OBSERVED), ("observe", "(i32.store (i32.const 900) (i32.const 9))")],
        "broke the contract: condition `value` has no instance 9",
    ),
    (
        "observe-list-of-2-to-the-32",
        &[("observe", OBSERVED), ("observe", "(i32.store (i32.const 1516) (i32.const -1))")],
        "broke the contract: list pointer/length out of bounds of memory",
    ),
    ("observe-without-harm", &[("observe", OBSERVED)], ""),
    (
        "snapshot-does-not-restore",
        &[("load", "unreachable")],
        "trapped: wasm trap: wasm `unreachable` instruction executed",
    ),
];

/// Under 200 million of fuel.
const SLOW: &str = "(loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) \
    (i32.const 20000000))))";
const TABLES: &str = "(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l))";
const GROW: &str = "(loop $l (drop (memory.grow (i32.const 100))) (br $l))";
/// One verdict is answered to events.
const OBSERVED: &str = "(i32.store (i32.const 1512) (i32.const 896)) (i32.store (i32.const 1516) (i32.const 1))";
/// The title is what lies at 160.
const TITLE: &str = "(i32.store (i32.const 272) (i32.const 160)) (i32.store (i32.const 276) (i32.const 24))";
/// One verdict is answered.
const VERDICT: &str = "(i32.store (i32.const 744) (i32.const 896)) (i32.store (i32.const 748) (i32.const 1))";

/// The misdeeds that need room to be done at all.
pub const ROOMY: [&str; 3] = ["ten-million-verdicts", "snapshot-of-a-gigabyte", "model-of-a-gigabyte"];

/// The bounds that a misdeed is given.
pub fn quota(name: &str) -> Quota {
    let memory_bytes = if ROOMY.contains(&name) { 2 << 30 } else { Quota::default().memory_bytes };
    Quota { memory_bytes, ..Quota::default() }
}

/// Asks a detector all that it can be asked, frames first; what the operator reads where it fails.
pub async fn ask(detector: &mut dyn Detector, frames: [Batch; 4]) -> Result<(), String> {
    let [learned, judged @ ..] = frames;
    for frame in judged {
        detector.process(&frame).await.map_err(|fault| fault.to_string())?;
    }
    detector.explain(0, 0).await.map_err(|fault| fault.to_string())?;
    if detector.learns() {
        detector.learn(&learned).await.map_err(|fault| fault.to_string())?;
        detector.freeze(true).await.map_err(|fault| fault.to_string())?;
        detector.forget(Some(1)).await.map_err(|fault| fault.to_string())?;
        detector.model().await.map_err(|fault| fault.to_string())?;
    }
    if detector.observes() {
        let event = Event { event_type: "i=2915".into(), message: "a valve".into(), ..Event::default() };
        detector.observe(Lsn(5), Instant::from_s(5), &[event]).await.map_err(|fault| fault.to_string())?;
    }
    let state = detector.save().await.map_err(|fault| fault.to_string())?.unwrap_or_default();
    detector.load(1, &state).await.map_err(|fault| fault.to_string())
}
