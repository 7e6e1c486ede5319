//! A detector's model as its file is at this start: read whole, bounded, held against what the configuration binds.
//! Does not know what a model is; the plugin does.

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
    let bytes = bytes(file, binding.quota.memory_bytes)
        .map_err(|error| CreateError::Plugin(format!("model `{shown}` cannot be used: {error}")))?;
    let sha256 = crate::sandbox::hex(&Sha256::digest(&bytes));
    match &file.sha256 {
        Some(bound) if *bound != sha256 => Err(CreateError::Plugin(format!(
            "model `{shown}` is sha256:{sha256}, but the detector's `model_digest` is sha256:{bound}; where it was changed \
             on purpose, correct the configuration"
        ))),
        _ => Ok(Some(Model { bytes, sha256 })),
    }
}

/// A file's bytes, unless there are more than fit into the detector.
fn bytes(file: &ModelFile, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let opened = File::open(&file.path)?;
    if !opened.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file; name one"));
    }
    // Counted while it is read: a file may grow.
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    opened.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let message = format!("it has more than {bytes_max} bytes, which is all the detector's memory (`memory_mb`)");
        return Err(std::io::Error::other(message));
    }
    Ok(bytes)
}
