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
mod credentials;
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
#[cfg(test)]
mod page_commands;
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
#[cfg(unix)]
mod socket_path;
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

/// An error with its causes, without those that the ones before have already told. What is closed to this user is most
/// often open to another.
fn told(error: &anyhow::Error) -> String {
    let told = error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.is_empty() {
            cause
        } else if told.contains(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    });
    let is_closed = |cause: &(dyn std::error::Error + 'static)| {
        let refused = cause.downcast_ref::<std::io::Error>();
        refused.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    if error.chain().any(is_closed) && !told.contains("run this as") {
        format!("{told}; run this as the user that the gateway runs as, or let this one have it")
    } else {
        told
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_is_told_once_with_its_causes_and_what_is_closed_with_the_way_out() {
        let failed = |kind: std::io::ErrorKind| anyhow::Error::from(std::io::Error::from(kind));
        let inside = failed(std::io::ErrorKind::AddrInUse);
        let cause = inside.to_string();
        let whole = inside.context(format!("cannot listen: {cause}; set another `port`")).context("no server");
        assert_eq!(told(&whole), format!("no server: cannot listen: {cause}; set another `port`"));
        let closed: anyhow::Result<()> = Err(failed(std::io::ErrorKind::PermissionDenied)).context("opening `ctl`");
        let closed = told(&closed.unwrap_err());
        assert_eq!(
            closed,
            "opening `ctl`: permission denied; run this as the user that the gateway runs as, or let this one have it"
        );
        assert_eq!(
            told(&failed(std::io::ErrorKind::PermissionDenied).context("run this as root")).matches("run this").count(),
            1
        );
    }
}
