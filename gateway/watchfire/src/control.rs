//! What people ask of a running gateway that changes it, and the way there: one after another, each with an answer.
//! Knows neither the socket nor the signals over which it comes.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::upgrades::Ask;

/// Orders that may wait.
const WAITING_MAX: usize = 4;
/// What is said when nobody carries orders out.
const STOPPING: &str = "the gateway is starting or stopping; ask again when it runs";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// To read the configuration anew, and change what it has otherwise.
    Reload {
        /// Only to say what would be changed.
        dry_run: bool,
    },
    /// Something of the upgrade of a detector.
    Upgrade {
        /// Which.
        detector: String,
        /// What.
        ask: Ask,
    },
    /// How the gateway stands.
    Status,
    /// What a detector has learned.
    Model {
        /// Which.
        detector: String,
    },
    /// That a detector forget what it has learned.
    Forget {
        /// Which.
        detector: String,
        /// Of this signal alone, by its full name.
        signal: Option<String>,
    },
}

impl Order {
    /// Whether it changes nothing.
    pub const fn only_asks(&self) -> bool {
        matches!(self, Self::Status | Self::Upgrade { ask: Ask::Status, .. } | Self::Model { .. })
    }
}

/// What came of an order.
#[derive(Debug)]
pub struct Done {
    /// For people.
    pub told: String,
    /// What a detector has learned, in its plugin's own form.
    pub model: Option<Vec<u8>>,
}

impl From<String> for Done {
    fn from(told: String) -> Self {
        Self { told, model: None }
    }
}

/// An order on its way.
#[derive(Debug)]
pub struct Given {
    /// What.
    pub order: Order,
    /// Who gave it, as far as the system says.
    pub by: String,
    answer: oneshot::Sender<Result<Done, String>>,
}

impl Given {
    /// Answers whoever gave it.
    pub fn answer(self, answer: Result<Done, String>) {
        if self.answer.send(answer).is_err() {
            tracing::debug!("whoever gave the order no longer waits");
        }
    }
}

/// The way to whoever carries orders out.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<Given>);

impl Control {
    /// A new way.
    pub fn new() -> (Self, mpsc::Receiver<Given>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Gives an order and waits until it was carried out; what came of it.
    ///
    /// # Errors
    /// Why it was not.
    pub async fn give(&self, order: Order, by: String) -> Result<Done, String> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Given { order, by, answer }).await.map_err(|_| STOPPING.to_owned())?;
        answered.await.map_err(|_| STOPPING.to_owned())?
    }

    /// The same from a thread that may block.
    ///
    /// # Errors
    /// As [`Control::give`].
    pub fn give_blocking(&self, order: Order, by: String) -> Result<Done, String> {
        let (answer, answered) = oneshot::channel();
        self.0.blocking_send(Given { order, by, answer }).map_err(|_| STOPPING.to_owned())?;
        answered.blocking_recv().map_err(|_| STOPPING.to_owned())?
    }
}
