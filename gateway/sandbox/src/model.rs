//! A detector's model as its file is at this start: read whole, bounded, held against what the configuration binds.
//! Does not know what a model is; the plugin does. Whether another one than before is taken, the shelf says.

use std::fs::File;
use std::io::Read as _;

use sha2::{Digest as _, Sha256};
use watchfire_pipeline::{BindingSpec, CreateError, ModelFile};

/// The bytes of a model.
pub(crate) struct Model {
    pub bytes: Vec<u8>,
    /// Their SHA-256, hexadecimal.
    pub sha256: String,
}

/// Reads a binding's model, where it has one. Blocks.
///
/// # Errors
/// When it cannot be read, is larger than the detector's memory, or is not the one that the configuration binds.
pub(crate) fn read(binding: &BindingSpec) -> Result<Option<Model>, CreateError> {
    let Some(file) = &binding.model else { return Ok(None) };
    let shown = file.path.display();
    let bytes = bytes(file, binding.quota.memory_bytes).map_err(|unusable| match unusable {
        Unusable::Not(reason) => CreateError::Plugin(format!("model `{shown}` cannot be used: {reason}")),
        Unusable::Now(error) => CreateError::NotNow(format!("model `{shown}` cannot be read: {error}")),
    })?;
    let sha256 = crate::sandbox::hex(&Sha256::digest(&bytes));
    match &file.sha256 {
        Some(bound) if *bound != sha256 => Err(CreateError::Plugin(format!(
            "model `{shown}` is sha256:{sha256}, but the detector's `model_digest` is sha256:{bound}; where it was changed \
             on purpose, correct the configuration"
        ))),
        _ => Ok(Some(Model { bytes, sha256 })),
    }
}

/// Why a file gives no model.
enum Unusable {
    /// It is none.
    Not(String),
    /// It cannot be read.
    Now(std::io::Error),
}

impl From<std::io::Error> for Unusable {
    fn from(error: std::io::Error) -> Self {
        Self::Now(error)
    }
}

/// A file's bytes, unless there are more than fit into the detector.
fn bytes(file: &ModelFile, bytes_max: usize) -> Result<Vec<u8>, Unusable> {
    let opened = File::open(&file.path)?;
    if !opened.metadata()?.is_file() {
        return Err(Unusable::Not("it is no file; name one".to_owned()));
    }
    // Counted while it is read: a file may grow.
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    opened.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let message = format!("it has more than {bytes_max} bytes, which is all the detector's memory (`memory_mb`)");
        return Err(Unusable::Not(message));
    }
    Ok(bytes)
}
