//! The demo plant: a pump that fills a tank, a heater behind it and a motor that stirs, simulated behind an OPC UA
//! server of its own. Faults come by a schedule, so that a demonstration shows each of them within a minute.
//!
//! It knows nothing of the gateway that watches it: whatever the gateway finds, it finds as it would in a real plant.

mod catalog;
mod error;
mod fault;
pub mod load;
mod noise;
mod plant;
mod process;
mod serve;

pub use catalog::{NAMESPACE, PlantSignal, signals};
pub use error::PlantError;
pub use fault::{Fault, FaultSchedule, FaultWindow};
pub use plant::{Plant, PlantLimits, PlantOptions};
pub use process::{Mode, Process};
