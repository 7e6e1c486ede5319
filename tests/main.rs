//! The project's integration tests: the program as it is installed, with peers that are not ours. They are declared by
//! the program's package, so that they get the program as it was just built.
//!
//! A test starts what it needs on ports of its own with a data folder of its own, so all run at once. None sleeps for a
//! time and hopes: each waits for what it wants to see, with a deadline. Nothing outlives its test.
#![expect(clippy::disallowed_methods, reason = "deadlines of other processes are in real time")]

/// Guests written by hand, as the sandbox's own tests have them.
#[cfg(test)]
#[path = "../gateway/sandbox/tests/sandbox/guest.rs"]
mod guest;
#[cfg(test)]
mod harness;

#[cfg(test)]
mod alarms;
#[cfg(test)]
mod backfill;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod end_to_end;
#[cfg(test)]
mod events;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod learners;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod redundancy;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod security;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod small;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod users;
