//! Who turns a component into machine code, and within which limits. Knows no file and no cache.

use std::fmt;
use std::time::Duration;

use watchfire_pipeline::Quota;

use crate::engine;

/// The limits of one compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Memory of the compiling process, bytes.
    pub memory_bytes: usize,
    /// CPU time; by the clock, [`CLOCK_SHARE`] times as much.
    pub cpu: Duration,
    /// Machine code that may come of it, bytes.
    pub code_bytes: usize,
}

/// How much longer than its CPU time a compilation may take by the clock, where the machine is busy.
pub const CLOCK_SHARE: u32 = 5;

/// Why there is no machine code. Each names the setting that allows more, where one does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is no valid component.
    #[error("is damaged or cut short ({0}); build or copy it again")]
    Damaged(String),
    /// The compiler wanted more memory.
    #[error("takes more than {} MB to compile; ask its maker for a simpler one, or raise `compile_mb`", .0 >> 20)]
    Memory(usize),
    /// The compiler wanted more time.
    #[error("takes more than {} s to compile; ask its maker for a simpler one, or raise `compile_s`", .0.as_secs())]
    Time(Duration),
    /// The machine was too busy to compile it, though it had CPU time left.
    #[error("was not compiled within {} s by the clock, since the machine is busy; see what else runs there, or raise `compile_s`", .0.as_secs())]
    Clock(Duration),
    /// More machine code came of it.
    #[error("becomes more than {} MB of machine code; ask its maker for a simpler one, or raise `code_mb`", .0 >> 20)]
    Code(usize),
    /// The compiling process ended otherwise.
    #[error("cannot be compiled: the compiler ended with {0}; ask its maker, and tell ours")]
    Died(String),
    /// The compiling process cannot be started or reached.
    #[error("cannot be compiled: the compiling process cannot be run: {0}; see that memory and processes are left")]
    Process(String),
}

/// Turns a component into machine code for [`crate::Sandbox`].
///
/// What it answers is run: whoever implements it is trusted as the gateway itself is.
pub trait Compiler: fmt::Debug + Send + Sync {
    /// Compiles a component. Blocks: 20 ms for a small one, half a minute for a Python one.
    ///
    /// # Errors
    /// When it is no component, or a limit does not suffice.
    fn compile(&self, component: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, CompileError>;
}

/// Compiles in the gateway's own process, within no limit but that of the code: for components one has made oneself.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl Compiler for InProcess {
    fn compile(&self, component: &[u8], limits: &CompileLimits) -> Result<Vec<u8>, CompileError> {
        let code = compile(component)?;
        if code.len() > limits.code_bytes { Err(CompileError::Code(limits.code_bytes)) } else { Ok(code) }
    }
}

impl From<&Quota> for CompileLimits {
    fn from(quota: &Quota) -> Self {
        Self { memory_bytes: quota.compile_bytes, cpu: quota.compile, code_bytes: quota.code_bytes }
    }
}

/// Compiles, here and now.
pub(crate) fn compile(component: &[u8]) -> Result<Vec<u8>, CompileError> {
    let engine =
        engine::engine(Quota::default().stack_bytes).map_err(|error| CompileError::Process(error.to_string()))?;
    engine.precompile_component(component).map_err(|error| CompileError::Damaged(format!("{error:#}")))
}
