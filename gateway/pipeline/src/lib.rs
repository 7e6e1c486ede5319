//! The ports between the rooms, and the tasks that run between them: ingest, detect, annunciate, supervise, shut down.
//!
//! It knows neither OPC UA nor sled nor wasmtime: whoever implements a port is handed in by the program.

mod annunciate;
mod awaited;
mod beginning;
mod binding;
#[cfg(test)]
mod binding_tests;
mod budget;
mod changes;
mod compare;
mod consoles;
mod damage;
mod defined;
mod detect;
mod disk;
mod ends;
mod faults;
mod figures;
mod figures_v1;
mod followed;
mod gaps;
mod gates;
mod gateway;
mod holes;
mod import;
mod ingest;
mod inlet;
mod judge;
mod late;
mod late_findings;
mod late_rows;
mod latest;
mod learned;
mod log;
mod maintenance;
mod marked;
mod marks;
mod mode;
mod notices;
mod observed;
mod over;
mod own;
mod parts;
mod past;
mod place;
mod plain_event;
mod ports;
mod publish;
mod readers;
mod recorded;
mod recover;
mod replay;
mod roster;
mod samples;
mod seal;
mod settings;
#[cfg(test)]
mod simulation;
mod stand_in;
mod stats;
mod summed;
mod supervise;
mod surface;
mod tails;
mod terms;
mod told;
mod tried;
mod watching;

pub use annunciate::Annunciator;
pub use binding::{Beside, BindingPlan, Mode};
pub use changes::{Change, ChangeRequests, Changes, Stopping, changes};
pub use compare::{Compared, Differing};
pub use consoles::OperatorConsole;
pub use ends::{CertificatePurpose, EndingCertificate, FirstToEnd};
pub use figures::{AlarmFigures, area_parts};
pub use followed::Followed;
pub(crate) use gaps::gaps_after;
pub use gaps::{GapBegins, GapsOnRecord, OnRecord, gaps};
pub use gateway::{Gateway, GatewayError};
pub use import::{not_yet_recorded, record_late};
pub use ingest::{Ingest, Site};
pub use inlet::{Arrival, ArrivalReceiver, Inlet, inlet};
pub use judge::{Judge, Judgement};
pub use latest::Latest;
pub use learned::{Learned, LearnedError, forget, learned};
pub use log::{Cursor, CursorError, Log, read_stores};
pub use marked::{Marked, push_gap, take_gaps, trace_with_gaps};
pub use marks::MarkedCondition;
pub use notices::{NoticeReceiver, Notices};
pub use own::{OWN_BINDING, OwnConditions};
pub use past::{Past, PastEvent, PastPlace, PastWanted, past};
pub use place::place_at;
pub use ports::{
    BindingSpec, Checkpoint, CreateError, Detector, DetectorFactory, DetectorFault, DetectorIdentity, Disk, Encoded,
    Ends, Gaps, History, Journal, JournalSync, ModelFile, Page, PortError, Quota, RecordReader, RecordRun, Room,
    Source, Summaries, Told, Wanted,
};
pub use readers::SignalsOf;
pub use recover::{Last, LastTimes, Recovered, recover};
pub use replay::{Difference, ReplayError, ReplayReport, replay};
pub use samples::{Recorded, Samples, Trace, Traced, samples, samples_with_gaps, trace, without_repeated};
pub use seal::seal_all;
pub use stats::{DetectorHealth, SourceHealth, Stats};
pub use summed::{Stretch, summed, walk};
pub use surface::{CommandRequest, Commands, ConditionView, Surface, commands};
pub use terms::{Given, Term, Terms};
pub use tried::Tried;
pub use watchfire_model::Sample;
