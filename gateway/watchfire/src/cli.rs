//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use watchfire_model::Instant;

use crate::gaps::Form;
use crate::password::Password;
use crate::plugin::Plugin;
use crate::reload::Reload;
use crate::status::StatusOptions;

/// OPC UA gateway that watches process values, runs sandboxed detectors and publishes their alarms.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What to log: a level, or levels by room, such as `info,watchfire_source=debug` (default: info; demo: warn).
    #[arg(long, global = true, env = "WATCHFIRE_LOG")]
    pub log: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway until it is told to stop.
    Run(ConfigFile),
    /// Run a simulated plant with the gateway on it, and watch faults being caught.
    Demo(Demo),
    /// Check a configuration and say everything that is wrong with it.
    Check(Check),
    /// Examine the way to a source's server step by step, and say what mends what does not work.
    Doctor(Doctor),
    /// Show what the server of a source has, as a tree or as entries for the configuration.
    Browse(Browse),
    /// List, trust, reject and renew certificates, while the gateway runs or not.
    Certs(Certs),
    /// Print what was recorded of a signal, or look through all of it, while the gateway runs or afterwards.
    History(History),
    /// See the gateway's alarms and deal with them, as in an HMI, with the rights of the user that logs in.
    Alarms(Alarms),
    /// Show how the running gateway and its alarms are doing, and what needs a person (exit code 3).
    Status(StatusOptions),
    /// Copy the data folder as a whole, while the gateway runs or afterwards.
    Backup(Backup),
    /// Make a data folder from a backup; it must be empty.
    Restore(Restore),
    /// Have the running gateway read its configuration anew and change what it has otherwise; everything else goes on.
    Reload(Reload),
    /// Run the detectors again over what was recorded, and compare with what they said then.
    Replay(Replay),
    /// Check, pack and try detectors that you have made.
    Plugin(Plugin),
    /// The gateway's own compiler: a component on standard input, machine code on standard output.
    #[command(hide = true)]
    CompilePlugin {
        /// Bytes of memory and seconds of CPU time.
        limits: Vec<String>,
    },
    /// Make the hash of a password for `[[server.user]]`, or add, replace or remove a user of a `users_file`; the password
    /// is asked for, or read from standard input.
    Password(Password),
}

/// Which configuration.
#[derive(Args, Debug)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "watchfire.toml")]
    pub config: PathBuf,
}

/// Options of `history verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The end of the chain of records that an earlier look printed: whether it is still a part of it.
    #[arg(long, value_name = "HASH")]
    pub noted: Option<String>,
}

/// Options of `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Ask the servers as well, whether they have what is configured.
    #[arg(long)]
    pub online: bool,
}

/// Options of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// The source, by its name in the configuration.
    pub source: String,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Options of `certs`.
#[derive(Args, Debug)]
pub struct Certs {
    /// What to do.
    #[command(subcommand)]
    pub command: CertsCommand,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "watchfire.toml", global = true)]
    pub config: PathBuf,
}

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Show every certificate and revocation list: whose it is, until when it is valid, who uses it.
    List,
    /// Trust a certificate: a server's, an HMI's, or an authority's with all that it vouches for. Or take a revocation
    /// list.
    Trust {
        /// The beginning of its thumbprint, as `list` shows it, or a file: DER or PEM.
        #[arg(value_name = "THUMBPRINT|FILE")]
        certificate: String,
        /// It is an authority's that is not trusted by itself, but stands between a trusted one and others.
        #[arg(long)]
        issuer: bool,
    },
    /// Trust a certificate no longer, whoever vouches for it.
    Reject {
        /// The beginning of its thumbprint, as `list` shows it, or a file: DER or PEM.
        #[arg(value_name = "THUMBPRINT|FILE")]
        certificate: String,
    },
    /// Make a new certificate for the gateway itself; the old one is kept.
    Renew {
        /// Although an authority has given out the old one.
        #[arg(long)]
        self_signed: bool,
    },
}

/// Stands for the file where `browse --config` names none.
const NO_FILE: &str = "-";

/// Options of `browse`.
#[derive(Args, Debug)]
pub struct Browse {
    /// The source, by its name in the configuration.
    pub source: String,
    /// Where to begin: a browse path such as `/Plant/Pump` or a node id (default: the Objects folder).
    pub path: Option<String>,
    /// How many levels (default: 4, for entries all).
    #[arg(long, value_name = "LEVELS")]
    pub depth: Option<usize>,
    /// The configuration file (default: watchfire.toml). Without FILE: write entries, as `--toml` does.
    #[arg(long, short, value_name = "FILE", num_args = 0..=1, default_missing_value = NO_FILE)]
    pub config: Option<PathBuf>,
    /// Write `[[source.signal]]` entries for the variables that are not configured yet.
    #[arg(long)]
    pub toml: bool,
}

impl Browse {
    /// The configuration file.
    pub fn file(&self) -> &Path {
        let given = self.config.as_deref().filter(|file| *file != Path::new(NO_FILE));
        given.unwrap_or(Path::new("watchfire.toml"))
    }

    /// Whether entries are wanted instead of a tree.
    pub fn writes_entries(&self) -> bool {
        self.toml || self.config.as_deref().is_some_and(|file| file == Path::new(NO_FILE))
    }
}

/// Options of the demo.
#[derive(Args, Debug)]
pub struct Demo {
    /// End after so long, such as `90s` or `5m`.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasting: Option<Duration>,
    /// Port of the gateway's OPC UA server, to which HMIs connect.
    #[arg(long, default_value_t = 4840)]
    pub port: u16,
    /// Port of the simulated plant's OPC UA server.
    #[arg(long, default_value_t = 4841)]
    pub plant_port: u16,
    /// Keep the data here instead of in a temporary folder.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

/// Options of `alarms`.
#[derive(Args, Debug)]
pub struct Alarms {
    /// What to do.
    #[command(subcommand)]
    pub command: AlarmsCommand,
    /// Which configuration: it says where the gateway's server is.
    #[arg(long, short, value_name = "FILE", default_value = "watchfire.toml", global = true)]
    pub config: PathBuf,
    /// Log in as this user (default: as nobody in particular); the password is read from the environment variable
    /// WATCHFIRE_PASSWORD.
    #[arg(long, value_name = "NAME", global = true)]
    pub user: Option<String>,
    /// Read the password from the first line of this file instead.
    #[arg(long, value_name = "FILE", requires = "user", global = true)]
    pub password_file: Option<PathBuf>,
    /// Where the gateway's server is, if not where the configuration says, such as `opc.tcp://192.0.2.7:4840`.
    #[arg(long, value_name = "URL", global = true)]
    pub url: Option<String>,
}

/// What can be done with alarms.
#[derive(Debug, Subcommand)]
pub enum AlarmsCommand {
    /// List what stands or waits for somebody, worst first.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show all there is to know of a condition: why, since when, what to do.
    Show {
        /// Its name, as `list` shows it: `detector/condition/signal`.
        condition: String,
    },
    /// Acknowledge an alarm.
    Ack(Deed),
    /// Confirm an alarm.
    Confirm(Deed),
    /// Comment on an alarm.
    Comment(Deed),
    /// Say whether an alarm was a true one or a false one: it is counted, and changes nothing else.
    Mark {
        /// The condition's name, as `list` shows it.
        condition: String,
        /// What it was.
        #[arg(value_name = "true|false", action = clap::ArgAction::Set)]
        genuine: bool,
        /// Why, for whoever reads it later.
        #[arg(long, short = 'm', value_name = "TEXT")]
        comment: Option<String>,
        /// The event that is meant, as `list --json` shows it (default: the newest).
        #[arg(long, value_name = "HEX")]
        event: Option<String>,
    },
    /// Put an alarm aside: for a time, or once, until it has ended.
    Shelve {
        /// For so long, such as `30m` or `8h`.
        #[arg(long = "for", value_name = "TIME", value_parser = duration, required_unless_present = "once")]
        lasting: Option<Duration>,
        /// Until it has ended.
        #[arg(long, conflicts_with = "lasting")]
        once: bool,
        /// Which.
        #[command(flatten)]
        deed: Deed,
    },
    /// Take up again what was shelved.
    Unshelve(Deed),
    /// Suppress an alarm until somebody lifts it.
    Suppress(Deed),
    /// Suppress it no longer, whatever the reason was.
    Unsuppress(Deed),
    /// Take an alarm out of service for maintenance. It stays out until somebody puts it back; after the stated time an
    /// alarm reminds of it.
    OutOfService {
        /// For so long, such as `30m` or `8h` (default: without an end, and without a reminder).
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasting: Option<Duration>,
        /// Not now but from this time on, RFC 3339 or a date.
        #[arg(long, value_name = "TIME", value_parser = time, requires = "lasting")]
        from: Option<Instant>,
        /// Which.
        #[command(flatten)]
        deed: Deed,
    },
    /// Put it back into service.
    InService(Deed),
    /// Silence an alarm until the next.
    Silence(Deed),
    /// Let go of a latched alarm that is over and dealt with.
    Reset(Deed),
    /// Enable a condition.
    Enable(Deed),
    /// Disable a condition.
    Disable(Deed),
    /// List what alarms told in the past, newest first.
    History {
        /// Of this condition only, or of all that fit a pattern such as `detector/*` or `*/oil_temp`: `*` stands for anything.
        condition: Option<String>,
        /// From this time on, RFC 3339 or a date (default: the beginning).
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<Instant>,
        /// Up to, and without, this time (default: now).
        #[arg(long, value_name = "TIME", value_parser = time)]
        to: Option<Instant>,
        /// At most so many.
        #[arg(long, short = 'n', default_value_t = 100)]
        most: usize,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Write what is settled of every alarm into a CSV file, for rationalisation: priority, cause, consequence, response.
    Export {
        /// The file, which must not be there yet.
        file: PathBuf,
    },
    /// Check such a file and put it where the configuration's `alarms_csv` says; `watchfire reload` takes it up.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Write what operators are told into a CSV file, to be translated, with what is translated already; `texts_csv` names
    /// such a file.
    Texts {
        /// The file, which must not be there yet.
        file: PathBuf,
    },
    /// Show how many alarms there are, and whether they are few enough (ISA-18.2).
    Metrics {
        /// Of this operator console or area (default: all consoles, and the areas at the top).
        #[arg(value_name = "CONSOLE")]
        of: Option<String>,
    },
}

/// What is done to one alarm.
#[derive(Args, Clone, Debug)]
pub struct Deed {
    /// The condition's name, as `list` shows it.
    pub condition: String,
    /// Why, for whoever reads it later.
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
    /// The event that is meant, as `list --json` shows it (default: the newest): nobody then acknowledges what nobody saw.
    #[arg(long, value_name = "HEX")]
    pub event: Option<String>,
}

/// Options of `backup`.
#[derive(Args, Debug)]
pub struct Backup {
    /// The backup's folder, empty or not there yet.
    pub to: PathBuf,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Options of `restore`.
#[derive(Args, Debug)]
pub struct Restore {
    /// The backup's folder.
    pub from: PathBuf,
    /// Which configuration: its data folder is made.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// What can be done with all of history.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Read every record, chunk, mark and checkpoint again, and say what is damaged.
    Verify(Verify),
    /// List where values are missing, why, and whether they were fetched later.
    Gaps(Gaps),
    /// Write what was recorded into a Parquet or CSV file, bit for bit.
    Export(Export),
    /// Take samples from a Parquet or CSV file, as late data; those that are there already are left out.
    Import(Import),
}

/// Options of `history export`.
#[derive(Args, Debug)]
pub struct Export {
    /// The file, which must not be there yet.
    pub file: PathBuf,
    /// `csv` or `parquet` (default: as the file's name ends).
    #[arg(long, value_parser = ["csv", "parquet"])]
    pub format: Option<String>,
    /// This signal, as `source/name`, or all whose names begin as `source/*`; may be given again (default: all).
    #[arg(long = "signal", value_name = "NAME")]
    pub signals: Vec<String>,
    /// From this time on, RFC 3339 or a date (default: the beginning).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Instant>,
    /// Up to, and without, this time (default: everything).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Instant>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Options of `history gaps`.
#[derive(Args, Debug)]
pub struct Gaps {
    /// This signal, as `source/name`, or all whose names begin as `source/*` (default: all).
    #[arg(value_name = "SIGNAL")]
    pub signals: Vec<String>,
    /// Those that end at this time or later, RFC 3339 or a date (default: all).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Instant>,
    /// Those that begin at this time or earlier (default: all).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Instant>,
    /// Comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

impl Gaps {
    /// How they are printed.
    pub const fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Table,
        }
    }
}

/// Options of `history import`.
#[derive(Args, Debug)]
pub struct Import {
    /// The file; a running gateway reads it itself.
    pub file: PathBuf,
    /// `csv` or `parquet` (default: as the file's name ends).
    #[arg(long, value_parser = ["csv", "parquet"])]
    pub format: Option<String>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Options of `history`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct History {
    /// What to do with all of it, in place of printing a signal.
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    /// The signal, as `source/name`.
    #[arg(required = true)]
    pub signal: Option<String>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// From this time on, RFC 3339 or a date (default: the beginning).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Instant>,
    /// Up to, and without, this time (default: everything).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Instant>,
    /// What the samples come to by intervals of so long, such as `1h` or `1d`: count, least, mean, greatest, last. By hours
    /// also where the samples are no longer kept.
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub every: Option<Duration>,
    /// Comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

impl History {
    /// How intervals are printed.
    pub const fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Table,
        }
    }
}

/// Options of `replay`.
#[derive(Args, Debug)]
pub struct Replay {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// This detector only (default: all).
    #[arg(long, value_name = "NAME")]
    pub detector: Option<String>,
    /// Move everything from the journal into the store of record first.
    #[arg(long)]
    pub seal_first: bool,
    /// Replay so many detectors at once (default: 1). They say the same.
    #[arg(long, value_name = "N")]
    pub at_once: Option<usize>,
}

fn time(text: &str) -> Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| format!("`{text}` is no time; write it as 2026-03-01T12:00:00Z or 2026-03-01"))
}

/// A time span, for the command line.
///
/// # Errors
/// How it is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "s" | "" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(format!("`{text}` is no time span; write it as 90s, 5m, 1h or 7d")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time span; write it as 90s, 5m, 1h or 7d"))?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

/// A time span that has a length.
fn interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|span| {
        if span.is_zero() { Err(format!("`{text}` has no length; write it as 1m, 1h or 1d")) } else { Ok(span) }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let history = |words: &[&str]| {
            let parsed = Cli::try_parse_from([&["watchfire", "history"], words].concat())?;
            let Command::History(history) = parsed.command else { panic!("{parsed:?}") };
            Ok::<_, clap::Error>((history.signal, history.command.is_some()))
        };
        assert_eq!(history(&["a/verify", "--csv"]).unwrap(), (Some("a/verify".to_owned()), false));
        assert_eq!(history(&["verify", "--config", "x"]).unwrap(), (None, true));
        assert!(history(&[]).is_err() && history(&["verify", "a/b"]).is_err());
    }

    #[test]
    fn browse_takes_a_file_or_writes_entries() {
        for (line, file, entries) in [
            (&["watchfire", "browse", "press"][..], "watchfire.toml", false),
            (&["watchfire", "browse", "press", "--config"], "watchfire.toml", true),
            (&["watchfire", "browse", "press", "/Plant", "--toml", "--config", "a.toml"], "a.toml", true),
            (&["watchfire", "browse", "press", "-c", "a.toml"], "a.toml", false),
        ] {
            let Command::Browse(browse) = Cli::parse_from(line).command else { panic!("{line:?}") };
            assert_eq!((browse.file(), browse.writes_entries()), (Path::new(file), entries), "{line:?}");
        }
    }

    #[test]
    fn time_spans_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert!(duration("soon").is_err());
        assert!(duration("5 fortnights").is_err());
    }
}
