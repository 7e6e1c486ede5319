//! The ports between the rooms, and the tasks that run between them: ingest, detect, annunciate, supervise, shut down.
//!
//! It knows neither OPC UA nor sled nor wasmtime: whoever implements a port is handed in by the program.

mod inlet;
mod latest;
mod ports;
mod surface;

pub use inlet::{Arrival, ArrivalReceiver, Inlet, inlet};
pub use latest::Latest;
pub use ports::{
    BindingSpec, Checkpoint, CreateError, Detector, DetectorFactory, DetectorFault, DetectorIdentity, History, Journal,
    JournalSync, PortError, Quota, RecordReader, Source,
};
pub use surface::{CommandRequest, Commands, ConditionView, Surface, commands};
pub use watchfire_model::Sample;
