//! What the benchmarks measure the gateway against and with: a loaded server, a client that only counts, and a signal
//! that crosses a limit at known times. Each is a process of its own, driven by `tests/bench/run.py` through standard
//! input: a line asks for a count, the end ends it. It knows nothing of what the figures mean.

mod client;
mod count;
mod latency;
mod serve;

use std::error::Error;
use std::process::ExitCode;

/// Whatever ends a benchmark.
type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "usage: bench serve SIGNALS RATE_HZ
       bench count URL SIGNALS PUBLISHING_MS SAMPLING_MS QUEUE
       bench latency PUBLISHING_MS CHANGES PAUSE_MIN_MS PAUSE_MAX_MS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match *arguments {
            ["serve", signals, rate_hz] => serve::serve(signals.parse()?, rate_hz.parse()?).await,
            ["count", url, signals, publishing_ms, sampling_ms, queue] => {
                let subscribed = client::Subscribed {
                    signals: signals.parse()?,
                    publishing_ms: publishing_ms.parse()?,
                    sampling_ms: sampling_ms.parse()?,
                    queue: queue.parse()?,
                };
                count::count(url, &subscribed).await
            }
            ["latency", publishing_ms, changes, pause_min_ms, pause_max_ms] => {
                let pauses_ms = pause_min_ms.parse()?..pause_max_ms.parse()?;
                latency::latency(publishing_ms.parse()?, changes.parse()?, pauses_ms).await
            }
            _ => Err(USAGE.into()),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    done
}
