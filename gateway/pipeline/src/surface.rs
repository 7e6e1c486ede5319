//! The port to what shows alarms: states out, commands in. Knows no OPC UA.

use tokio::sync::{mpsc, oneshot};
use watchfire_alarms::RefusedCommand;
pub use watchfire_alarms::Transition as ConditionView;
use watchfire_model::{AlarmCommand, PlainEvent};

/// Commands that may wait; more are refused as "busy".
const COMMANDS_MAX: usize = 1024;

/// What shows alarms to people. Called by the annunciator alone, after the states are durable, in order.
pub trait Surface: Send + Sync {
    /// Shows new states. Must not block; a surface that falls behind drops events, marks itself stale and refreshes.
    fn publish(&self, changes: Vec<ConditionView>);

    /// Tells of findings that are no alarms, once they are durable, in order. Must not block; what it cannot tell is on
    /// record all the same.
    fn tell(&self, _events: Vec<PlainEvent>) {}

    /// What stood before the start is published: from now on whoever asks can be told how things stand. Told once that is
    /// so, and after some seconds in any case, so perhaps twice; what is published later of before has appeared. Must not
    /// block.
    fn complete(&self) {}
}

/// A command and where its answer goes.
#[derive(Debug)]
pub struct CommandRequest {
    /// The command.
    pub command: AlarmCommand,
    /// Answered once its effect is durable, or at once when it is refused.
    pub reply: oneshot::Sender<Result<(), RefusedCommand>>,
}

/// The way in for commands.
#[derive(Clone, Debug)]
pub struct Commands(mpsc::Sender<CommandRequest>);

/// A new way in, and the annunciator's end of it.
#[must_use]
pub fn commands() -> (Commands, mpsc::Receiver<CommandRequest>) {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    (Commands(sender), receiver)
}

impl Commands {
    /// Gives a command and waits for its answer: `Ok` means that its effect is durable.
    ///
    /// # Errors
    /// Why it was refused; [`RefusedCommand::Busy`] when too many wait or the gateway is stopping.
    pub async fn give(&self, command: AlarmCommand) -> Result<(), RefusedCommand> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(CommandRequest { command, reply }).map_err(|_| RefusedCommand::Busy)?;
        answer.await.unwrap_or(Err(RefusedCommand::Busy))
    }
}
