//! The source against the simulated plant over real sockets. Waits are for events, each with a deadline.

mod awaited;
mod backpressure;
mod catalogue;
mod certificates;
mod demo;
pub(crate) mod harness;
mod liars;
mod nodes;
mod outages;
mod panics;
mod proxy;
mod read_only;
mod survey;
mod unanswered;
mod unreadable;
mod ways;
