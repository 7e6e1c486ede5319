//! A guest written by hand: a core module of the contract whose functions each have room for a misdeed, made a
//! component. Without misdeeds it is a detector that answers nothing.
//!
//! Memory below 4,096 holds what it answers; the addresses are for misdeeds to write to.

/// The component, with an empty core module in its place.
const SHELL: &str = include_str!("guest.wat");
/// The same with `learner` and `events-in`.
const LISTENER: &str = include_str!("listener.wat");
const PLACE: &str = "(core module $main)";

/// What `describe` answers: id, version, title, state version, schema, one condition, no slots, no tick, no warm-up.
const DESCRIPTION: [u32; 20] = [16, 7, 32, 5, 96, 7, 1, 112, 2, 512, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// A condition `value` for each signal, decided by the plugin.
const CONDITION: [u32; 10] = [48, 5, 0x0001_0000, 64, 18, 500, 96, 7, 96, 7];
/// What `init` answers: the condition.
const STARTED: [u32; 3] = [0, 512, 1];
/// A verdict: condition 0, instance 0, active, without a score, with a reason and no evidence.
const VERDICT: [u32; 14] = [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 96, 7, 0, 0];

/// Where a misdeed can stand; `defs` is outside of all functions.
const PLACES: [&str; 8] = ["defs", "realloc", "describe", "init", "process", "explain", "save", "load"];
/// Those of one that has `learner` and `events-in`: it has them as soon as one of these is given.
const LISTENING: [&str; 5] = ["learn", "freeze", "forget", "model", "observe"];

/// The component.
pub fn guest(misdeeds: &[(&str, &str)]) -> Vec<u8> {
    for (place, _) in misdeeds {
        assert!(PLACES.contains(place) || LISTENING.contains(place), "there is no place `{place}`");
    }
    let listens = misdeeds.iter().any(|(place, _)| LISTENING.contains(place));
    let at = |place: &str| -> String { misdeeds.iter().filter(|(p, _)| *p == place).map(|(_, wat)| *wat).collect() };
    let memory = if at("defs").contains("(memory") { "" } else { r#"(memory (export "memory") 2)"# };
    let text = format!(
        r#"(core module $main
            (import "watchfire:detector/log@1.0.0" "write" (func $log (param i32 i32 i32)))
            {memory} {defs}
            (global $next (mut i32) (i32.const 4096))
            (global $calls (mut i32) (i32.const 0))
            (data (i32.const 16) "hostile") (data (i32.const 32) "0.1.0") (data (i32.const 48) "value")
            (data (i32.const 64) "OffNormalAlarmType") (data (i32.const 96) "A test.") (data (i32.const 112) "{{}}")
            (data (i32.const 128) "\ff\fe\fd") (data (i32.const 136) "a\1b[31mred")
            (data (i32.const 256) "{description}") (data (i32.const 512) "{condition}")
            (data (i32.const 640) "{started}") (data (i32.const 896) "{verdict}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                {realloc}
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "watchfire:detector/detector@1.0.0#describe") (result i32)
                {describe} (i32.const 256))
            (func (export "watchfire:detector/detector@1.0.0#init")
                (param i32 i32 i32 i32 i64 i32 i32 i32) (result i32)
                {init} (global.set $next (i32.const 4096)) (i32.const 640))
            (func (export "watchfire:detector/detector@1.0.0#process") (param i32) (result i32) (local $n i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                {process} (global.set $next (i32.const 4096)) (i32.const 704))
            (func (export "watchfire:detector/detector@1.0.0#explain") (param i32 i32) (result i32)
                {explain} (i32.const 1024))
            (func (export "watchfire:detector/state@1.0.0#save") (result i32) {save} (i32.const 1152))
            (func (export "watchfire:detector/state@1.0.0#load") (param i32 i32 i32) (result i32)
                {load} (i32.const 1280))
            {listening})"#,
        defs = at("defs"),
        realloc = at("realloc"),
        describe = at("describe"),
        init = at("init"),
        process = at("process"),
        explain = at("explain"),
        save = at("save"),
        load = at("load"),
        listening = if listens { listening(at) } else { String::new() },
        description = data(&DESCRIPTION),
        condition = data(&CONDITION),
        started = data(&STARTED),
        verdict = data(&VERDICT),
    );
    let shell = if listens { LISTENER } else { SHELL };
    assert!(shell.contains(PLACE));
    wat::parse_str(shell.replace(PLACE, &text)).unwrap()
}

/// The functions of `learner` and `events-in`.
fn listening(at: impl Fn(&str) -> String) -> String {
    format!(
        r#"(func (export "watchfire:detector/learner@1.0.0#learn") (param i32) (result i32)
                {learn} (global.set $next (i32.const 4096)) (i32.const 1344))
            (func (export "watchfire:detector/learner@1.0.0#freeze") (param i32) {freeze})
            (func (export "watchfire:detector/learner@1.0.0#forget") (param i32 i32) {forget})
            (func (export "watchfire:detector/learner@1.0.0#model") (result i32) {model} (i32.const 1408))
            (func (export "watchfire:detector/events-in@1.0.0#observe") (param i64 i64 i32 i32) (result i32)
                {observe} (global.set $next (i32.const 4096)) (i32.const 1472))"#,
        learn = at("learn"),
        freeze = at("freeze"),
        forget = at("forget"),
        model = at("model"),
        observe = at("observe"),
    )
}

/// Words as the text of a data segment.
fn data(words: &[u32]) -> String {
    words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("\\{byte:02x}")).collect()
}
