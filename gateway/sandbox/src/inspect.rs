//! What a plugin's author wants to know of it before anyone binds it: what it says it is, and what it costs. The same
//! compilation, bounds and checks as for a bound plugin.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use watchfire_model::{Batch, ConditionSpec};
use watchfire_pipeline::{BindingSpec, CreateError, Quota};

use crate::bindings::wit::Kind;
use crate::compiler::CompileLimits;
use crate::instance::Instance;
use crate::sandbox::{Sandbox, lost, no_engine, not_started, sha256};
use crate::{check, log};

/// What a plugin says it is, and what it takes before it does anything.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its id, the same for all its versions.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One line.
    pub title: String,
    /// The version of its saved state.
    pub state_version: u32,
    /// JSON Schema of its configuration.
    pub config_schema: String,
    /// What it can find with any configuration.
    pub conditions: Vec<ConditionSpec>,
    /// The signals it takes, one line each.
    pub slots: Vec<String>,
    /// How often it wants to be called without rows.
    pub tick: Option<Duration>,
    /// Samples it needs before it can judge.
    pub warm_up_samples: u64,
    /// Memory of an instance that has described itself, bytes.
    pub memory_bytes: usize,
}

/// What a run of batches cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Rows that were judged.
    pub rows: u64,
    /// Time of all calls, with handing over and checking the answers.
    pub time: Duration,
    /// Fuel of all calls.
    pub fuel: u64,
    /// Memory at the end, bytes; it never shrinks.
    pub memory_bytes: usize,
}

impl Sandbox {
    /// Compiles a component and asks it what it is, within the default bounds.
    ///
    /// # Errors
    /// What the gateway would refuse it with.
    pub async fn inspect(&self, path: &Path) -> Result<Inspection, CreateError> {
        let name = path.display().to_string();
        let bytes = self.bytes(&name).await?;
        let maker = self.maker(&Quota::default()).map_err(no_engine)?;
        let limits = CompileLimits::from(&Quota::default());
        let sha256 = sha256(&bytes);
        let interfaces = self.interfaces(&maker, &name, bytes, &sha256, limits).await?;
        let ask = async move {
            let mut instance =
                Instance::new(&maker.engine, &interfaces, Quota::default(), name.as_str().into()).await?;
            let said = instance.describe().await?;
            let conditions = check::conditions(said.conditions)?;
            let slots = said.slots.iter().map(|slot| {
                let kinds: Vec<&str> = slot.kinds.iter().map(|kind| kind_name(*kind)).collect();
                let most = slot.most.map_or("any number".to_owned(), |most| most.to_string());
                format!("`{}`: {} to {most} of {}", log::one_line(&slot.role), slot.least, kinds.join(", "))
            });
            Ok(Inspection {
                id: said.id,
                version: said.version,
                title: said.title,
                state_version: said.state_version,
                config_schema: said.config_schema,
                conditions,
                slots: slots.collect(),
                tick: said.tick_ns.map(Duration::from_nanos),
                warm_up_samples: said.warm_up_samples,
                memory_bytes: instance.memory_bytes(),
            })
        };
        self.executor.start(ask).await.map_err(lost)?
    }

    /// Runs batches through a fresh instance and measures the calls.
    ///
    /// # Errors
    /// When it cannot be started, or fails on a batch.
    pub async fn measure(&self, binding: &BindingSpec, batches: Vec<Batch>) -> Result<Cost, CreateError> {
        let cell = self.plugin(binding).await?;
        let model = self.model(binding).await?.map(|model| model.bytes);
        let (maker, spec) = (self.maker(&binding.quota).map_err(no_engine)?, binding.clone());
        let run = async move {
            let Some(plugin) = cell.get() else { return Err(lost(crate::executor::Lost::Ended)) };
            let detector = spec.name.as_str().into();
            let mut instance = Instance::new(&maker.engine, &plugin.interfaces, spec.quota, detector).await?;
            instance.init(&spec, model).await.map_err(|not| not_started(&spec.plugin, not))?;
            let mut cost = Cost::default();
            for batch in &batches {
                let begun = Instant::now();
                instance.process(batch).await?;
                cost.time += begun.elapsed();
                cost.rows += batch.len() as u64;
                cost.fuel += instance.fuel_used(batch.len());
            }
            cost.memory_bytes = instance.memory_bytes();
            Ok(cost)
        };
        self.executor.run(run).await.map_err(lost)?
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Signed => "signed",
        Kind::Unsigned => "unsigned",
        Kind::Real => "real",
        Kind::Enumeration => "enumeration",
        Kind::Text => "text",
        Kind::Time => "time",
    }
}
