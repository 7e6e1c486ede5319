//! An HMI of one question: what a person at a terminal asks of the gateway's alarms, over its own OPC UA server and with
//! the rights of the user that logs in. It knows no store and no engine: whatever it shows, every other HMI can see.

mod alarm;
mod commands;
mod connect;
mod error;
mod figures;
mod list;
mod past;

pub use alarm::Alarm;
pub use commands::{Command, Doing};
pub use connect::{Console, Door};
pub use error::ConsoleError;
