//! The program: reads the command line and calls what it names. Everything else lives in the rooms.

mod alarms;
mod allocator;
mod assemble;
mod backup;
mod browse;
mod certificate_ends;
mod certs;
mod cli;
mod control;
mod counts;
mod data;
mod demo;
mod doctor;
mod every;
mod exchange;
mod found;
mod gaps;
mod history;
mod learned;
mod live;
mod password;
mod plugin;
mod prints;
mod provenance;
mod query;
mod rationalise;
mod reload;
mod replay;
mod run;
mod shelf;
mod status;
mod surveys;
mod terminal;
mod texts;
mod trial;
mod upgrades;
mod verify;
mod view;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

// Detectors are caught at their task when one of our own panics: unwinding is part of the design.
#[cfg(panic = "abort")]
compile_error!("watchfire contains faults by unwinding; build it with `panic = \"unwind\"`");

/// Exit code for a configuration that is refused.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = if matches!(cli.command, Command::Run(_)) { "info" } else { "warn" };
    terminal::log_to_stderr(cli.log.as_deref().unwrap_or(level));
    if !matches!(cli.command, Command::Run(_) | Command::Demo(_)) {
        terminal::end_with_the_reader();
    }
    let done = match cli.command {
        Command::Run(options) => {
            allocator::begin_lean();
            run::run(&options)
        }
        Command::Demo(options) => demo::demo(&options),
        Command::Check(options) => run::check(&options),
        Command::Doctor(options) => doctor::doctor(&options),
        Command::Browse(options) => browse::browse(&options),
        Command::Certs(options) => certs::certs(&options),
        Command::History(options) => history::history(&options),
        Command::Alarms(options) => alarms::alarms(&options),
        Command::Backup(options) => backup::backup(&options),
        Command::Restore(options) => backup::restore(&options),
        Command::Status(options) => status::status(&options),
        Command::Reload(options) => reload::reload(&options),
        Command::Replay(options) => replay::replay(&options),
        Command::Plugin(options) => plugin::plugin(&options),
        Command::CompilePlugin { limits } => Ok(watchfire_sandbox::compile_confined(&limits)),
        Command::Password(options) => password::password(&options),
    };
    match done {
        Ok(code) => code,
        Err(error) if error.is::<watchfire_config::ConfigErrors>() => {
            eprintln!("{error}");
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            eprintln!("watchfire: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, without those that the one before has already told.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.is_empty() {
            cause
        } else if told.ends_with(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    })
}
