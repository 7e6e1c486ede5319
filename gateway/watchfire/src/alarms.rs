//! `watchfire alarms`: the alarm list at a terminal, over the gateway's own server and with the rights of whoever logs in.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use watchfire_config::{Config, PasswordFrom, Security};
use watchfire_console::{Alarm, Command, Console, ConsoleError, Doing, Door};
use watchfire_model::{Clock, SystemClock, plain};

use crate::cli::{Alarms, AlarmsCommand, Deed};
use crate::run;
use crate::{rationalise, texts};

/// Where the password is, unless a file is named.
const PASSWORD: &str = "WATCHFIRE_PASSWORD";

/// Answers one question, or does one thing.
///
/// # Errors
/// When the gateway cannot be reached, does not let the user in, or refuses.
pub fn alarms(options: &Alarms) -> Result<ExitCode> {
    match &options.command {
        AlarmsCommand::Export { file } => return rationalise::export(&options.config, file),
        AlarmsCommand::Import { file } => return rationalise::import(&options.config, file),
        AlarmsCommand::Texts { file } => return texts::export(&options.config, file),
        _ => {}
    }
    let config = Config::load(&options.config)?;
    let door = door(&config, options)?;
    run::runtime()?.block_on(async {
        let console = Console::open(&door).await?;
        let done = answer(&console, &options.command).await;
        console.close().await;
        done
    })
}

/// Where the gateway's server is, and as whom it is asked.
///
/// # Errors
/// When a user is to log in and nobody says with which password.
fn door(config: &Config, options: &Alarms) -> Result<Door> {
    let server = &config.server;
    let host = match server.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" | "[::]" => "[::1]",
        host => host,
    };
    if let (Some(user), None) = (&options.user, &options.password_file)
        && std::env::var_os(PASSWORD).is_none_or(|password| password.is_empty())
    {
        bail!(
            "there is no password for `{user}`: put it into the environment variable {PASSWORD}, or name a file that has \
             it with `--password-file`"
        );
    }
    let login = options.user.as_ref().map(|user| {
        let file = options.password_file.clone().map(PasswordFrom::File);
        (user.clone(), file.unwrap_or_else(|| PasswordFrom::Environment(PASSWORD.to_owned())))
    });
    // What is encrypted before what is not.
    let security = server.security.iter().copied().find(|one| *one != Security::None).unwrap_or(Security::None);
    Ok(Door {
        url: options.url.clone().unwrap_or_else(|| format!("opc.tcp://{host}:{}/", server.port)),
        security,
        pki: config.gateway.data.join("pki"),
        login,
    })
}

async fn answer(console: &Console, command: &AlarmsCommand) -> Result<ExitCode> {
    let give = |doing: Doing, deed: &Deed, done: &'static str| give(console, doing, deed.clone(), done);
    match command {
        AlarmsCommand::List { json } => {
            let list = console.list().await?;
            print(&list, *json, "no alarm stands or waits for anybody")?;
        }
        AlarmsCommand::Show { condition } => print!("{}", table(&console.show(condition).await?)),
        AlarmsCommand::Ack(deed) => give(Doing::Acknowledge, deed, "acknowledged").await?,
        AlarmsCommand::Confirm(deed) => give(Doing::Confirm, deed, "confirmed").await?,
        AlarmsCommand::Comment(deed) => {
            if deed.comment.is_none() {
                bail!("give the comment with `--comment`");
            }
            give(Doing::Comment, deed, "commented").await?;
        }
        AlarmsCommand::Mark { condition, genuine, comment, event } => {
            let deed = Deed { condition: condition.clone(), comment: comment.clone(), event: event.clone() };
            let done = if *genuine { "marked as true" } else { "marked as false" };
            give(Doing::Mark(*genuine), &deed, done).await?;
        }
        AlarmsCommand::Shelve { lasting, deed, .. } => {
            let doing = lasting.map_or(Doing::ShelveOnce, Doing::Shelve);
            give(doing, deed, "shelved").await?;
        }
        AlarmsCommand::Unshelve(deed) => give(Doing::Unshelve, deed, "unshelved").await?,
        AlarmsCommand::Suppress(deed) => give(Doing::Suppress, deed, "suppressed").await?,
        AlarmsCommand::Unsuppress(deed) => give(Doing::Unsuppress, deed, "suppressed no longer").await?,
        AlarmsCommand::OutOfService { lasting, from, deed } => {
            let (doing, done) = match (*lasting, *from) {
                (Some(lasting), Some(from)) => {
                    (Doing::PlanRemovalFromService { from, lasting }, "will be out of service")
                }
                (Some(lasting), None) => (Doing::RemoveFromServiceFor(lasting), "out of service"),
                (None, _) => (Doing::RemoveFromService, "out of service"),
            };
            give(doing, deed, done).await?;
        }
        AlarmsCommand::InService(deed) => give(Doing::PlaceInService, deed, "in service").await?,
        AlarmsCommand::Silence(deed) => give(Doing::Silence, deed, "silenced").await?,
        AlarmsCommand::Reset(deed) => give(Doing::Reset, deed, "reset").await?,
        AlarmsCommand::Enable(deed) => give(Doing::Enable, deed, "enabled").await?,
        AlarmsCommand::Disable(deed) => give(Doing::Disable, deed, "disabled").await?,
        AlarmsCommand::History { condition, from, to, most, json } => {
            let wanted = |name: &str| condition.as_deref().is_none_or(|pattern| fits(pattern, name));
            let mut found = Vec::new();
            let to = to.unwrap_or_else(|| SystemClock.now());
            console
                .past(*from, to, |alarm| {
                    if found.len() < *most && wanted(&alarm.condition) {
                        found.push(alarm);
                    }
                    found.len() < *most
                })
                .await?;
            print(&found, *json, "no alarm told anything then")?;
        }
        // Done without the gateway.
        AlarmsCommand::Export { .. } | AlarmsCommand::Import { .. } | AlarmsCommand::Texts { .. } => {}
        AlarmsCommand::Metrics { of: Some(name) } => {
            // An area may be called as a console is: then both are meant.
            let is_console = console.consoles().await?.contains(name);
            if is_console {
                print!("console {name}\n{}", table(&console.figures_of_console(name).await?));
            }
            match console.figures(name).await {
                Ok(figures) => print!("{name}\n{}", table(&figures)),
                Err(ConsoleError::Unknown(_)) if is_console => {}
                Err(ConsoleError::Unknown(_)) => {
                    return Err(ConsoleError::Unknown(format!("console or area `{name}`")).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        AlarmsCommand::Metrics { of: None } => {
            for operator in console.consoles().await? {
                print!("console {operator}\n{}", table(&console.figures_of_console(&operator).await?));
            }
            for area in console.areas().await? {
                print!("{area}\n{}", table(&console.figures(&area).await?));
            }
            for detector in console.detectors().await? {
                print!("detector {detector}\n{}", table(&console.trusted(&detector).await?));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn give(console: &Console, doing: Doing, deed: Deed, done: &str) -> Result<()> {
    let event = deed.event.as_deref().map(bytes).transpose()?;
    let command = Command { condition: &deed.condition, doing, event, comment: deed.comment.as_deref() };
    console.give(&command).await?;
    println!("{}: {done}", deed.condition);
    Ok(())
}

fn bytes(hexadecimal: &str) -> Result<Vec<u8>> {
    let digits = hexadecimal.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>());
    bytes.flatten().with_context(|| format!("`{hexadecimal}` is no EventId; give it as `list --json` shows it"))
}

fn print(alarms: &[Alarm], json: bool, none: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut write = || -> Result<(), io::Error> {
        if alarms.is_empty() && !json {
            return writeln!(out, "{none}");
        }
        for alarm in alarms {
            if json {
                writeln!(out, "{}", serde_json::to_string(alarm)?)?;
            } else {
                writeln!(out, "{}", line(alarm))?;
            }
        }
        Ok(())
    };
    match write() {
        // Whoever reads it, such as `head`, has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// An alarm in a line, its texts without what could move a terminal's cursor.
fn line(alarm: &Alarm) -> String {
    let mut state = if alarm.active { "active" } else { "over" }.to_owned();
    if !alarm.acknowledged {
        state += ", unacknowledged";
    } else if !alarm.confirmed {
        state += ", unconfirmed";
    }
    for aside in &alarm.aside {
        let _ = write!(state, ", {aside}");
    }
    if alarm.branch {
        state += ", earlier occurrence";
    }
    let mut line = format!(
        "{:<30} {:>4}  {state}  {}  {}",
        alarm.time.to_string(),
        alarm.severity,
        plain(&alarm.condition),
        plain(&alarm.message)
    );
    if !alarm.comment.is_empty() {
        let _ = write!(line, "  [{}: {}]", plain(&alarm.user), plain(&alarm.comment));
    }
    line
}

fn table(pairs: &[(&'static str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    pairs.iter().fold(String::new(), |mut table, (name, value)| {
        let _ = writeln!(table, "  {name:<width$}  {}", plain(value));
        table
    })
}

/// Whether a name fits a pattern, in which each `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut left) = name.strip_prefix(begin) else { return false };
    let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in between.split('*') {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_wherever_it_is() {
        const NAME: &str = "hot/limit/press/oil_temp";
        for pattern in
            [NAME, "*", "**", "hot/*", "hot/**", "*_temp", "hot/*_temp", "hot/**/oil_temp", "*/press/*", "h*l*t*p"]
        {
            assert!(fits(pattern, NAME), "{pattern}");
        }
        for pattern in
            ["", "hot", "hot/limit", "hot/*/oil", "cold/*", "*_flow", "*/press/*/x", "hot/limit/press/oil_temp*temp"]
        {
            assert!(!fits(pattern, NAME), "{pattern}");
        }
    }

    #[test]
    fn an_event_id_is_read_as_it_was_printed() {
        assert_eq!(bytes("00ff1a").unwrap(), [0, 255, 26]);
        for wrong in ["0", "0g", "é0", "00 1"] {
            assert!(bytes(wrong).unwrap_err().to_string().contains("is no EventId"), "{wrong}");
        }
    }
}
