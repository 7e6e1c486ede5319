//! The surveys of a running gateway: asks every server that has to be asked, begins with what was found the last time
//! where one does not answer, goes on asking, and tells when the gateway should take another list over.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant as Timer;
use watchfire_config::{Config, Found, SelectConfig, SourceConfig};
use watchfire_model::Clock;
use watchfire_source::{Survey, survey};

use crate::found::FoundFolder;

/// How long a start waits for servers to answer.
const START_MAX: Duration = Duration::from_secs(10);
/// How long one survey may take.
const SURVEY_MAX: Duration = Duration::from_secs(600);
/// The first and the longest wait before a server is asked again.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// The least time between two times that the gateway takes lists over while it runs.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(300);
/// What is told of one list; the rest is counted.
const TOLD_MAX: usize = 20;

/// What came of asking one server once.
struct News {
    source: String,
    outcome: Result<Survey, String>,
}

/// What is known of the servers, and the tasks that ask them.
pub struct Surveys {
    /// Nothing once every server has been surveyed and the gateway has it all: at plant scale it is tens of megabytes.
    known: Option<Known>,
    folder: FoundFolder,
    clock: Arc<dyn Clock>,
    /// The sources whose servers have yet to be surveyed.
    open: HashSet<String>,
    in_use: u64,
    news: mpsc::Receiver<News>,
    taken_over: Option<Timer>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Known {
    config: Config,
    found: HashMap<String, Found>,
}

impl Surveys {
    /// Begins to ask, and waits until every server has answered or failed to, ten seconds at the most. `data` is the
    /// data folder, held by this process.
    pub async fn begin(config: Config, data: &Path, pki: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let folder = FoundFolder::of(data);
        let (tell, news) = mpsc::channel(16);
        let (mut tasks, mut found, mut waiting) = (JoinSet::new(), HashMap::new(), HashSet::new());
        for source in config.sources.iter().filter(|source| source.needs_survey()) {
            if let Some(list) = folder.load(&source.name) {
                found.insert(source.name.clone(), list);
            }
            waiting.insert(source.name.clone());
            tasks.spawn(ask(source.clone(), pki.clone(), clock.clone(), tell.clone()));
        }
        let open = waiting.clone();
        let known = Some(Known { config, found });
        let mut surveys = Self { known, folder, clock, open, in_use: 0, news, taken_over: None, _tasks: tasks };
        let end = Timer::now() + START_MAX;
        while !waiting.is_empty() {
            match tokio::time::timeout_at(end, surveys.news.recv()).await {
                Ok(Some(news)) => {
                    waiting.remove(&news.source);
                    surveys.take(news).await;
                }
                Ok(None) => break,
                Err(_) => {
                    for source in &waiting {
                        tracing::warn!(source, "the server takes long to survey: starting without waiting for it");
                    }
                    break;
                }
            }
        }
        if let Some(known) = &surveys.known {
            let selecting = known.config.sources.iter().filter(|source| !source.selects.is_empty());
            for SourceConfig { name, .. } in selecting.filter(|source| !known.found.contains_key(&source.name)) {
                tracing::error!(source = name, "what it has is not known yet: starting without its selected signals");
            }
        }
        surveys
    }

    /// The configuration with all that is known now; what cannot be had is told in the log. `None` once it was given
    /// with every server surveyed: nothing is known better later.
    pub fn config(&mut self) -> Option<Config> {
        let known = self.known.take()?;
        let (config, untaken) = if self.open.is_empty() {
            known.applied()
        } else {
            let known = self.known.insert(known);
            known.clone().applied()
        };
        for what in untaken.iter().take(TOLD_MAX) {
            tracing::warn!(what, "left out");
        }
        if untaken.len() > TOLD_MAX {
            tracing::warn!(more = untaken.len() - TOLD_MAX, "and others are left out as well");
        }
        self.in_use = digest(&config);
        Some(config)
    }

    /// The configuration has no source any more whose server must be asked.
    pub fn forget(&mut self) {
        self.known = None;
        self.open.clear();
        self._tasks.abort_all();
    }

    /// Waits until the gateway should take over another list than the one it got, at most once every five minutes.
    pub async fn changed(&mut self) {
        let mut due = false;
        loop {
            let earliest = self.taken_over.map_or_else(Timer::now, |before| before + TAKE_OVER_EVERY);
            tokio::select! {
                Some(news) = self.news.recv() => {
                    self.take(news).await;
                    let Some(known) = self.known.clone() else { continue };
                    let now = digest(&known.applied().0);
                    if now != self.in_use && !due {
                        let wait_s = earliest.saturating_duration_since(Timer::now()).as_secs();
                        tracing::info!(wait_s, "servers have other signals than those in use: taking them over");
                    }
                    due = now != self.in_use;
                }
                () = tokio::time::sleep_until(earliest), if due => {
                    self.taken_over = Some(Timer::now());
                    return;
                }
                else => std::future::pending().await,
            }
        }
    }

    async fn take(&mut self, news: News) {
        let News { source, outcome } = news;
        let Some(Known { config, found: lists }) = &mut self.known else { return };
        let Some(config) = config.sources.iter().find(|known| known.name == source) else { return };
        let survey = match outcome {
            Ok(survey) => survey,
            Err(error) => {
                let known = lists.get(&source).map_or(0, |found| found.signals.len());
                tracing::warn!(source, error, known, "the server cannot be surveyed; what was found before is used");
                return;
            }
        };
        self.open.remove(&source);
        for trouble in &survey.troubles {
            tracing::warn!(source, trouble, "surveyed");
        }
        let found = match lists.get(&source) {
            Some(earlier) => {
                let (found, gone) = survey.found.over(&still_wanted(earlier, config));
                if gone > 0 {
                    let list = self.folder.file(&source);
                    tracing::warn!(
                        source,
                        gone,
                        list = %list.display(),
                        "signals were found before and are not there now: they are kept; remove the list to forget them"
                    );
                }
                found
            }
            None => survey.found,
        };
        tracing::info!(source, selected = found.signals.len(), described = found.described.len(), "surveyed");
        if lists.get(&source) == Some(&found) {
            return;
        }
        let (folder, now, kept) = (self.folder.clone(), self.clock.now(), found.clone());
        let name = source.clone();
        match tokio::task::spawn_blocking(move || folder.keep(&name, &kept, now)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(source, error = format!("{error:#}"), "make room or give the right"),
            Err(error) => tracing::error!(source, %error, "what was found is not kept"),
        }
        lists.insert(source, found);
    }
}

impl Known {
    /// The configuration with what was found; second, what could not be put in.
    fn applied(self) -> (Config, Vec<String>) {
        if self.config.sources.iter().any(SourceConfig::needs_survey) {
            self.config.with_found(&self.found)
        } else {
            (self.config, Vec::new())
        }
    }
}

/// A configuration with what was found the last time, asking nobody; blocks on files.
pub fn stored(config: Config) -> Config {
    let folder = FoundFolder::of(&config.gateway.data);
    let asked = config.sources.iter().filter(|source| source.needs_survey());
    let found = asked.filter_map(|source| Some((source.name.clone(), folder.load(&source.name)?))).collect();
    config.with_found(&found).0
}

/// What an earlier list has of that which is configured now.
fn still_wanted(earlier: &Found, config: &SourceConfig) -> Found {
    let keys: HashSet<String> = config.selects.iter().map(SelectConfig::key).collect();
    let nodes: HashMap<&str, String> =
        config.signals.iter().map(|signal| (signal.name.as_str(), signal.node.to_string())).collect();
    let mut found = earlier.clone();
    found.signals.retain(|signal| keys.contains(&signal.select));
    found.described.retain(|one| nodes.get(one.name.as_str()) == Some(&one.node));
    found
}

/// What of a configuration makes it worth to take it over: its signals as detectors know them, not their descriptions.
fn digest(config: &Config) -> u64 {
    let mut hasher = DefaultHasher::new();
    for signal in config.sources.iter().flat_map(|source| &source.signals) {
        signal.name.hash(&mut hasher);
        signal.node.hash(&mut hasher);
        signal.unit.hash(&mut hasher);
        signal.range.map(|(low, high)| (low.to_bits(), high.to_bits())).hash(&mut hasher);
    }
    hasher.finish()
}

/// Asks one server until it has answered.
async fn ask(source: SourceConfig, pki: PathBuf, clock: Arc<dyn Clock>, tell: mpsc::Sender<News>) {
    let mut wait = RETRY.0;
    let mut last = String::new();
    loop {
        let asked = tokio::time::timeout(SURVEY_MAX, survey(&source, pki.clone(), clock.clone())).await;
        let error = match asked {
            Ok(Ok(survey)) => {
                drop(tell.send(News { source: source.name.clone(), outcome: Ok(survey) }).await);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not done within {} minutes", SURVEY_MAX.as_secs() / 60),
        };
        // The same trouble is told once.
        if error != last {
            last.clone_from(&error);
            drop(tell.send(News { source: source.name.clone(), outcome: Err(error) }).await);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}
