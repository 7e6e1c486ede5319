//! `watchfire doctor` and `watchfire check --online`: what stands between the gateway and the servers it is to read.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use watchfire_config::{Config, SourceConfig};
use watchfire_model::{SystemClock, plain};
use watchfire_source::{Finding, Verdict, check_online, diagnose, survey};

use crate::browse::source;
use crate::cli::Doctor;
use crate::run;

/// Examines a source's server step by step. Exit code 1 when a step fails.
///
/// # Errors
/// When the source is not configured.
pub fn doctor(options: &Doctor) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let source = source(&config, &options.source)?;
    let failed = AtomicBool::new(false);
    let tell = |finding: Finding| {
        let verdict = match finding.verdict {
            Verdict::Ok => "OK",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        failed.fetch_or(finding.verdict == Verdict::Fail, Ordering::Relaxed);
        println!("{verdict:<5}{:<14}{}", finding.step, plain(&finding.text));
    };
    let pki = config.gateway.data.join("pki");
    run::runtime()?.block_on(diagnose(source, pki, Arc::new(SystemClock), tell));
    Ok(if failed.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Holds every configured signal and selection against the live servers; prints all that is wrong. Exit code 1 when
/// something is.
///
/// # Errors
/// When the program cannot start its threads.
pub fn online(config: &Config) -> Result<ExitCode> {
    let runtime = run::runtime()?;
    let mut wrong = 0;
    for source in &config.sources {
        let told = runtime.block_on(one(config, source));
        for line in &told {
            println!("source `{}`: {}", source.name, plain(line));
        }
        wrong += told.len();
    }
    match wrong {
        0 => println!("the servers have all of it"),
        1 => println!("1 problem"),
        count => println!("{count} problems"),
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with one source.
async fn one(config: &Config, source: &SourceConfig) -> Vec<String> {
    let (pki, clock) = (config.gateway.data.join("pki"), Arc::new(SystemClock));
    let mut wrong = match check_online(source, pki.clone(), clock.clone()).await {
        Err(error) => return vec![format!("{error}; run `watchfire doctor {}`", source.name)],
        Ok(online) => {
            println!(
                "source `{}`: {} of {} signals are good, the server keeps history of {}",
                source.name,
                source.signals.len() - online.wrong.len(),
                source.signals.len(),
                online.with_history
            );
            online.wrong
        }
    };
    if !source.selects.is_empty() {
        match survey(source, pki, clock).await {
            Ok(survey) => {
                println!("source `{}`: the selections name {} signals", source.name, survey.found.signals.len());
                wrong.extend(survey.troubles);
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    wrong
}
