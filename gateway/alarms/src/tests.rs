//! What must hold of the engine: each rule by example, then all of them over random lives of a condition.

mod aside;
mod bench;
mod branches;
mod disabled;
mod groups;
mod lives;
mod maintenance;
mod metrics;
mod moves;
mod rules;
mod settle;
mod time;
