//! Questions to a running gateway, over a socket in its data folder: the stores can be open in one process only.
//! Answers the same as reading the stores directly; changes nothing.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use watchfire_model::{Instant, Rows};
use watchfire_pipeline::{Log, samples};

/// What can be asked: the samples of a signal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    /// The signal, `source/name`.
    pub signal: String,
    /// From this time on.
    pub from: Instant,
    /// Up to, and without, this time.
    pub to: Instant,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The samples.
    Rows(Rows),
    /// Why there is none.
    Error(String),
}

/// Answers a question from the stores; blocks.
///
/// # Errors
/// When the signal is unknown or a store fails.
pub fn ask_stores(log: &Log, question: &Question) -> Result<Rows> {
    let known = log.history().known_signals().context("cannot read the list of signals")?;
    let id = known.get(&question.signal).copied().with_context(|| {
        let name = &question.signal;
        format!("there is no signal `{name}` in this data; names read `source/name`, as in the configuration")
    })?;
    Ok(samples(log, id, question.from, question.to)?)
}

#[cfg(unix)]
mod socket {
    //! The socket itself.

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::{Answer, Arc, Log, Path, Question, Result, ask_stores};
    use crate::data::Data;

    /// The longest question, bytes.
    const QUESTION_BYTES_MAX: u64 = 1 << 16;

    /// The door at which questions arrive.
    pub struct Door(Option<UnixListener>);

    /// Opens the door, before anyone can notice that the folder is held. Must be called on a Tokio runtime.
    pub fn open(folder: &Path) -> Door {
        let path = Data::socket(folder);
        // The folder is ours alone (its lock is held), so a socket that is there is left from a killed gateway.
        drop(std::fs::remove_file(&path));
        let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        let bound = UnixListener::bind(&path).and_then(|door| std::fs::set_permissions(&path, only_us).map(|()| door));
        if let Err(error) = &bound {
            tracing::warn!(path = %path.display(), %error, "`watchfire history` works only while the gateway is stopped");
        }
        Door(bound.ok())
    }

    /// Answers for as long as it is polled.
    pub async fn answer(door: Door, log: Arc<Log>) {
        let Some(listener) = door.0 else { return std::future::pending().await };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(one(stream, log.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "a question could not be taken");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn one(mut stream: UnixStream, log: Arc<Log>) {
        let mut bytes = Vec::new();
        if (&mut stream).take(QUESTION_BYTES_MAX).read_to_end(&mut bytes).await.is_err() {
            return;
        }
        let answered = tokio::task::spawn_blocking(move || {
            let answer = match serde_json::from_slice::<Question>(&bytes) {
                Ok(question) => {
                    ask_stores(&log, &question).map_or_else(|e| Answer::Error(format!("{e:#}")), Answer::Rows)
                }
                Err(error) => Answer::Error(format!("not a question: {error}")),
            };
            postcard::to_allocvec(&answer).unwrap_or_default()
        });
        if let Ok(answer) = answered.await
            && let Err(error) = stream.write_all(&answer).await
        {
            tracing::debug!(%error, "whoever asked has gone");
        }
    }

    /// Asks the gateway that runs on `folder`; `None` when none does.
    ///
    /// # Errors
    /// When it refuses or its answer is cut short.
    pub async fn ask(folder: &Path, question: &Question) -> Result<Option<Answer>> {
        let Ok(mut stream) = UnixStream::connect(Data::socket(folder)).await else { return Ok(None) };
        stream.write_all(&serde_json::to_vec(question)?).await?;
        stream.shutdown().await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(Some(postcard::from_bytes(&bytes)?))
    }
}

#[cfg(not(unix))]
mod socket {
    //! Where there are no such sockets, a running gateway is not asked.

    use super::{Answer, Arc, Log, Path, Question, Result};

    /// No door.
    pub struct Door;

    /// Opens none.
    pub fn open(_: &Path) -> Door {
        Door
    }

    /// Never answers.
    pub async fn answer(_: Door, _: Arc<Log>) {
        std::future::pending().await
    }

    /// Never has an answer.
    pub async fn ask(_: &Path, _: &Question) -> Result<Option<Answer>> {
        Ok(None)
    }
}

pub use socket::{answer, ask, open};
