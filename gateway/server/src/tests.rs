//! The server over a real socket, with the real alarm engine behind it and the stack's own client before it.

mod access;
mod address_space;
mod areas;
mod aside;
mod audit;
mod certificates;
mod client;
mod deaf;
mod devices;
mod events;
mod filtered;
mod followed;
mod groups;
mod history;
pub(crate) mod house;
mod limits;
mod maintenance;
mod many;
mod marks;
mod methods;
mod metrics;
mod misuse;
mod part_9;
mod past;
mod plain_events;
mod refresh;
mod tongues;
