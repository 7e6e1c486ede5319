//! Questions to a running gateway, over a socket in its data folder: the stores can be open in one process only.
//! Answers the same as reading the stores directly.
//!
//! Both sides hold a few pages at a time: the next is made when the one before was taken. On the socket each answer
//! has its length before it, four bytes, the least first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use watchfire_model::{Instant, Rows, SignalId};
use watchfire_pipeline::{Log, Samples, samples, samples_with_gaps};

use crate::control::Order;
use crate::{every, gaps};

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// The samples of a signal.
    Samples(Span),
    /// The same, with where values are missing.
    SamplesAndGaps(Span),
    /// What the samples of a signal come to.
    Every {
        /// Which.
        span: Span,
        /// How long the intervals are.
        every: Duration,
    },
    /// Where values are missing.
    Gaps(gaps::Wanted),
    /// The names of all signals that were ever recorded.
    Signals,
    /// Whether everything stored is what was written.
    Verify {
        /// A hash of the chain of records that somebody has noted, in hexadecimal digits.
        noted: Option<String>,
    },
    /// That a file's samples be taken.
    Import {
        /// The file.
        file: PathBuf,
        /// Its form, where its name does not say it.
        format: Option<String>,
    },
    /// A backup.
    Backup {
        /// Its folder.
        to: PathBuf,
    },
    /// To change something.
    Order(Order),
}

/// A signal and a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Span {
    /// The signal, `source/name`.
    pub signal: String,
    /// From this time on.
    pub from: Instant,
    /// Up to, and without, this time.
    pub to: Instant,
}

/// The samples of a signal from the stores, page by page; blocks.
///
/// # Errors
/// When the signal is unknown or a store fails.
pub fn ask_stores<'l>(log: &'l Log, span: &Span) -> Result<Samples<'l>> {
    Ok(samples(log, id_of(log, &span.signal)?, span.from, span.to)?)
}

/// The same, with rows in it that say where values are missing; blocks.
///
/// # Errors
/// As [`ask_stores`].
pub fn ask_stores_with_gaps<'l>(log: &'l Log, span: &Span) -> Result<Samples<'l>> {
    Ok(samples_with_gaps(log, id_of(log, &span.signal)?, span.from, span.to)?)
}

/// The id of a signal.
///
/// # Errors
/// When there is none.
pub fn id_of(log: &Log, name: &str) -> Result<SignalId> {
    let known = log.history().known_signals().context("cannot read the list of signals")?;
    known.get(name).copied().with_context(|| {
        format!("there is no signal `{name}` in this data; names read `source/name`, as in the configuration")
    })
}

#[cfg(unix)]
mod socket {
    //! The socket itself.

    use anyhow::bail;
    use serde::{Deserialize, Serialize};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::{Semaphore, mpsc};

    use std::sync::Arc;

    use super::{Context, Path, PathBuf, Question, Result, Rows, Samples, ask_stores, ask_stores_with_gaps, every};
    use crate::control::Control;
    use crate::data::{Data, Stores};
    use crate::exchange::WayIn;
    use crate::socket_path::{SocketPath, is_nobody_there};
    use crate::verify::Report;
    use crate::{backup, exchange, gaps, verify};

    /// The longest question, bytes.
    const QUESTION_BYTES_MAX: u64 = 1 << 16;
    /// Questions that are answered at once: one whose asker is slow holds a thread.
    const ANSWERING_MAX: usize = 4;
    /// The longest page that is believed, bytes.
    const ANSWER_BYTES_MAX: u32 = 1 << 30;

    /// What is answered: any number of pages, then why there are no more.
    #[derive(Debug, Serialize, Deserialize)]
    enum Answer {
        /// Some of the samples, in their order.
        Rows(Rows),
        /// Some of the intervals, in their order.
        Every(Vec<every::Told>),
        /// Some of the gaps, in their order.
        Gaps(Vec<gaps::Told>),
        /// What was found.
        Report(Report),
        /// What was done.
        Told(String),
        /// Names.
        Names(Vec<String>),
        /// What a detector has learned.
        Model(Vec<u8>),
        /// Why there are none, or no more.
        Error(String),
        /// That was all.
        End,
    }

    /// What answers.
    struct Asked {
        stores: Stores,
        folder: PathBuf,
        way_in: WayIn,
        control: Control,
    }

    /// The door at which questions arrive.
    pub struct Door(Option<UnixListener>, PathBuf);

    /// Opens the door, before anyone can notice that the folder is held. Must be called on a Tokio runtime.
    pub fn open(folder: &Path) -> Door {
        let path = Data::socket(folder);
        // The folder is ours alone (its lock is held), so a socket that is there is left from a killed gateway.
        drop(std::fs::remove_file(&path));
        let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        let bound = SocketPath::of(&path).and_then(|socket| UnixListener::bind(socket.path()));
        let bound = bound.and_then(|door| std::fs::set_permissions(&path, only_us).map(|()| door));
        if let Err(error) = &bound {
            tracing::warn!(
                path = %path.display(),
                %error,
                "`watchfire status`, `reload`, `backup` and `history` cannot reach this gateway while it runs"
            );
        }
        Door(bound.ok(), folder.to_owned())
    }

    /// Answers for as long as it is polled.
    pub async fn answer(door: Door, stores: Stores, way_in: WayIn, control: Control) {
        let Some(listener) = door.0 else { return std::future::pending().await };
        let asked = Arc::new(Asked { stores, folder: door.1, way_in, control });
        let places = Arc::new(Semaphore::new(ANSWERING_MAX));
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (places, asked) = (places.clone(), asked.clone());
                    drop(tokio::spawn(async move {
                        let place = places.acquire().await;
                        one(stream, asked).await;
                        drop(place);
                    }));
                }
                Err(error) => {
                    tracing::warn!(%error, "a question could not be taken");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn one(mut stream: UnixStream, asked: Arc<Asked>) {
        let mut bytes = Vec::new();
        if (&mut stream).take(QUESTION_BYTES_MAX).read_to_end(&mut bytes).await.is_err() {
            return;
        }
        let by = stream.peer_cred().map_or_else(|_| "the socket".to_owned(), |peer| format!("user {}", peer.uid()));
        let (pages, mut next) = mpsc::channel::<Answer>(1);
        let answering = tokio::task::spawn_blocking(move || answer_all(&asked, &bytes, by, &pages));
        while let Some(answer) = next.recv().await {
            let Ok(bytes) = postcard::to_allocvec(&answer) else { break };
            let Ok(length) = u32::try_from(bytes.len()) else { break };
            let head = stream.write_all(&length.to_le_bytes()).await;
            if let Err(error) = head.and(stream.write_all(&bytes).await) {
                tracing::debug!(%error, "whoever asked has gone");
                break;
            }
        }
        drop(next);
        drop(answering.await);
    }

    /// Makes the answers, as long as they are taken.
    fn answer_all(asked: &Asked, question: &[u8], by: String, pages: &mpsc::Sender<Answer>) {
        let Asked { stores, folder, way_in, control } = asked;
        let give = |samples: Samples<'_>| {
            for page in samples {
                if pages.blocking_send(Answer::Rows(page?)).is_err() {
                    break;
                }
            }
            Ok(Answer::End)
        };
        let answered = match serde_json::from_slice::<Question>(question) {
            Ok(Question::Samples(span)) => ask_stores(&stores.log, &span).and_then(give),
            Ok(Question::SamplesAndGaps(span)) => ask_stores_with_gaps(&stores.log, &span).and_then(give),
            Ok(Question::Every { span, every }) => {
                let take = |page| pages.blocking_send(Answer::Every(page)).is_ok();
                every::ask_stores(&stores.log, &span, every, take).map(|()| Answer::End)
            }
            Ok(Question::Gaps(wanted)) => {
                let take = |page| Ok(pages.blocking_send(Answer::Gaps(page)).is_ok());
                gaps::ask_stores(&stores.log, &wanted, take).map(|()| Answer::End)
            }
            Ok(Question::Signals) => {
                let known = stores.log.history().known_signals().context("cannot read the list of signals");
                known.map(|known| Answer::Names(known.into_keys().collect()))
            }
            Ok(Question::Import { file, format }) => {
                exchange::running(stores, &file, format.as_deref(), way_in).map(Answer::Report)
            }
            Ok(Question::Verify { noted }) => verify::look_noted(stores, noted.as_deref()).map(Answer::Report),
            Ok(Question::Backup { to }) => backup::make(stores, folder, &to).map(Answer::Told),
            Ok(Question::Order(order)) => {
                let done = control.give_blocking(order, by).map_err(|reason| anyhow::anyhow!(reason));
                done.map(|done| {
                    if let Some(model) = done.model {
                        // Whoever asked may have gone.
                        drop(pages.blocking_send(Answer::Model(model)));
                    }
                    Answer::Told(done.told)
                })
            }
            Err(error) => Err(anyhow::anyhow!("the gateway does not know this question: {error}")),
        };
        drop(pages.blocking_send(answered.unwrap_or_else(|error| Answer::Error(format!("{error:#}")))));
    }

    /// The pages that a running gateway answers.
    pub struct Answers(UnixStream);

    impl Answers {
        /// The next page; `None` after the last.
        ///
        /// # Errors
        /// When the gateway refuses, or its answer is cut short.
        pub async fn next(&mut self) -> Result<Option<Rows>> {
            match self.answer().await? {
                Answer::Rows(rows) => Ok(Some(rows)),
                Answer::End => Ok(None),
                other => bail!("the gateway answers something else: {other:?}"),
            }
        }

        /// The next page of intervals; `None` after the last.
        ///
        /// # Errors
        /// As [`Answers::next`].
        pub async fn every(&mut self) -> Result<Option<Vec<every::Told>>> {
            match self.answer().await? {
                Answer::Every(page) => Ok(Some(page)),
                Answer::End => Ok(None),
                other => bail!("the gateway answers something else: {other:?}"),
            }
        }

        /// The next page of gaps; `None` after the last.
        ///
        /// # Errors
        /// As [`Answers::next`].
        pub async fn gaps(&mut self) -> Result<Option<Vec<gaps::Told>>> {
            match self.answer().await? {
                Answer::Gaps(page) => Ok(Some(page)),
                Answer::End => Ok(None),
                other => bail!("the gateway answers something else: {other:?}"),
            }
        }

        /// What was found; `None` when something else is answered.
        ///
        /// # Errors
        /// As [`Answers::next`].
        pub async fn report(&mut self) -> Result<Option<Report>> {
            Ok(if let Answer::Report(report) = self.answer().await? { Some(report) } else { None })
        }

        /// What was done.
        ///
        /// # Errors
        /// As [`Answers::next`].
        pub async fn told(&mut self) -> Result<String> {
            match self.answer().await? {
                Answer::Told(told) => Ok(told),
                other => bail!("the gateway answers something else: {other:?}"),
            }
        }

        /// What a detector has learned.
        ///
        /// # Errors
        /// As [`Answers::next`].
        pub async fn model(&mut self) -> Result<Vec<u8>> {
            match self.answer().await? {
                Answer::Model(model) => Ok(model),
                other => bail!("the gateway answers something else: {other:?}"),
            }
        }

        /// Names.
        ///
        /// # Errors
        /// As [`Answers::next`].
        pub async fn names(&mut self) -> Result<Vec<String>> {
            match self.answer().await? {
                Answer::Names(names) => Ok(names),
                other => bail!("the gateway answers something else: {other:?}"),
            }
        }

        async fn answer(&mut self) -> Result<Answer> {
            let length = self.0.read_u32_le().await.context(CUT_SHORT)?;
            if length > ANSWER_BYTES_MAX {
                bail!("the gateway's answer is not one that this program knows; use the gateway's own program");
            }
            let mut bytes = vec![0; usize::try_from(length)?];
            self.0.read_exact(&mut bytes).await.context(CUT_SHORT)?;
            match postcard::from_bytes(&bytes)? {
                Answer::Error(error) => bail!(error),
                answer => Ok(answer),
            }
        }
    }

    const CUT_SHORT: &str = "the gateway ended before its answer did; ask again";

    /// Asks the gateway that runs on `folder`; `None` when none does.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn ask(folder: &Path, question: &Question) -> Result<Option<Answers>> {
        let path = Data::socket(folder);
        let connected = match SocketPath::of(&path) {
            Ok(socket) => UnixStream::connect(socket.path()).await,
            Err(error) => Err(error),
        };
        let mut stream = match connected {
            Ok(stream) => stream,
            Err(error) if is_nobody_there(&error) => return Ok(None),
            Err(error) => {
                let doing = format!(
                    "cannot ask whether a gateway runs on `{}`: `{}` cannot be reached; run this as the user that the \
                     gateway runs as",
                    folder.display(),
                    path.display()
                );
                return Err(anyhow::Error::from(error).context(doing));
            }
        };
        stream.write_all(&serde_json::to_vec(question)?).await?;
        stream.shutdown().await?;
        Ok(Some(Answers(stream)))
    }
}

#[cfg(not(unix))]
mod socket {
    //! Where there are no such sockets, a running gateway is not asked.

    use std::convert::Infallible;

    use super::{Path, Question, Result, Rows, every, gaps};
    use crate::data::Stores;
    use crate::verify::Report;

    /// No door.
    pub struct Door;

    /// Opens none.
    pub fn open(_: &Path) -> Door {
        Door
    }

    /// Never answers.
    pub async fn answer(_: Door, _: Stores, _: crate::exchange::WayIn, _: crate::control::Control) {
        std::future::pending().await
    }

    /// None.
    pub struct Answers(Infallible);

    impl Answers {
        /// Never asked.
        pub async fn next(&mut self) -> Result<Option<Rows>> {
            match self.0 {}
        }

        /// Never asked.
        pub async fn every(&mut self) -> Result<Option<Vec<every::Told>>> {
            match self.0 {}
        }

        /// Never asked.
        pub async fn gaps(&mut self) -> Result<Option<Vec<gaps::Told>>> {
            match self.0 {}
        }

        /// Never asked.
        pub async fn report(&mut self) -> Result<Option<Report>> {
            match self.0 {}
        }

        /// Never asked.
        pub async fn names(&mut self) -> Result<Vec<String>> {
            match self.0 {}
        }

        /// Never asked.
        pub async fn model(&mut self) -> Result<Vec<u8>> {
            match self.0 {}
        }

        /// Never asked.
        pub async fn told(&mut self) -> Result<String> {
            match self.0 {}
        }
    }

    /// Never has an answer.
    pub async fn ask(_: &Path, _: &Question) -> Result<Option<Answers>> {
        Ok(None)
    }
}

pub use socket::{answer, ask, open};
