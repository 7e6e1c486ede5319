//! The demo, as a new user runs it: three faults within a minute of its start, and it ends when it is told to.

use std::process::Command;
use std::time::Duration;

use crate::harness::free_port;
use crate::harness::gateway::PROGRAM;
use crate::harness::process::{Process, Stream};

/// The longest that stopping may take on a machine that is busy with other things; else it takes a part of a second.
const STOP_MAX: Duration = Duration::from_secs(20);

fn demo(arguments: &[&str]) -> (Process, u16) {
    let port = free_port();
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--port", &port.to_string(), "--plant-port", &free_port().to_string()]).args(arguments);
    (Process::start("watchfire demo", &mut command), port)
}

#[test]
fn the_demo_catches_its_three_faults_within_a_minute_and_ends_by_itself() {
    let (mut demo, port) = demo(&["--for", "100s"]);
    demo.line("to say where an HMI connects", 0, |stream, line| {
        (stream == Stream::Out && line.contains(&format!("opc.tcp://localhost:{port}"))).then_some(())
    });
    for (fault, words) in [
        ("a bearing runs hot", ["ACTIVE", "bearing"]),
        ("a sensor is frozen", ["ACTIVE", "level"]),
        ("a value was never seen before", ["ACTIVE", "heater"]),
    ] {
        demo.line(fault, 0, |stream, line| {
            (stream == Stream::Out && words.iter().all(|word| line.contains(word))).then_some(())
        });
    }
    let status = demo.end();
    assert!(status.success(), "{status}");
}

#[test]
fn an_interrupt_ends_the_demo_at_once() {
    let (mut demo, _) = demo(&[]);
    demo.line("to receive values", 0, |stream, line| {
        (stream == Stream::Out && line.contains("1 of 1 sources up")).then_some(())
    });
    let (status, took) = demo.interrupt();
    assert!(status.success() && took < STOP_MAX, "{status} after {took:?}");
}
