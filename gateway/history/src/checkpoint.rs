//! Detectors' states: parts first, the manifest that names them last, the earlier parts removed after. A kill at any
//! point leaves the earlier checkpoint or the new one, whole.

use serde::{Deserialize, Serialize};
use watchfire_model::Lsn;
use watchfire_pipeline::{Checkpoint, PortError};

use crate::kv::{Database, Writes};
use crate::parts;

const TREE: &str = "checkpoints";

#[derive(Serialize, Deserialize)]
struct Manifest {
    generation: u64,
    plugin: String,
    state_version: u32,
    config_hash: String,
    frame: Lsn,
    bytes: u64,
    digest: [u8; 32],
}

fn manifest_key(binding: &str) -> Vec<u8> {
    [b"m", binding.as_bytes()].concat()
}

/// The binding's name cannot hold a zero, so no prefix is another's.
fn parts_key(binding: &str, generation: u64) -> Vec<u8> {
    [b"p", binding.as_bytes(), &[0], &generation.to_be_bytes()].concat()
}

fn manifest(db: &Database, binding: &str) -> Result<Option<Manifest>, PortError> {
    let bytes = db.get(TREE, &manifest_key(binding))?;
    Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
}

/// Saves a checkpoint in place of the binding's earlier one.
pub fn save(db: &Database, checkpoint: &Checkpoint) -> Result<(), PortError> {
    let Checkpoint { binding, plugin, state_version, config_hash, frame, bytes, host } = checkpoint;
    let earlier = manifest(db, binding)?.map(|manifest| manifest.generation);
    let generation = earlier.map_or(0, |generation| generation.wrapping_add(1));
    let whole = [bytes.as_slice(), host.as_slice()].concat();
    let too_long = || PortError::Damaged {
        what: format!("the state of detector `{binding}`"),
        detail: "it is too long to be saved".into(),
    };
    let mut writes = Writes::new();
    parts::split(&parts_key(binding, generation), &whole, &mut writes).ok_or_else(too_long)?;
    db.write(TREE, &writes)?;
    db.flush()?;
    let manifest = Manifest {
        generation,
        plugin: plugin.clone(),
        state_version: *state_version,
        config_hash: config_hash.clone(),
        frame: *frame,
        bytes: bytes.len() as u64,
        digest: *blake3::hash(&whole).as_bytes(),
    };
    let manifest = postcard::to_allocvec(&manifest).map_err(|_| too_long())?;
    db.write(TREE, &Writes::from([(manifest_key(binding), Some(manifest))]))?;
    db.flush()?;
    if let Some(earlier) = earlier {
        let old = db.prefix(TREE, &parts_key(binding, earlier))?;
        db.write(TREE, &old.into_iter().map(|(key, _)| (key, None)).collect())?;
    }
    Ok(())
}

/// The binding's checkpoint; one whose bytes do not fit its digest counts as none, and is told.
pub fn load(db: &Database, binding: &str) -> Result<Option<Checkpoint>, PortError> {
    let Some(manifest) = manifest(db, binding)? else { return Ok(None) };
    let found = db.prefix(TREE, &parts_key(binding, manifest.generation))?;
    let whole = parts::join(found.iter().map(|(_, value)| value.as_slice()));
    let whole = whole.filter(|whole| *blake3::hash(whole).as_bytes() == manifest.digest);
    let split = usize::try_from(manifest.bytes).ok();
    let halves = whole.as_ref().zip(split).and_then(|(whole, at)| whole.split_at_checked(at));
    let Some((bytes, host)) = halves else {
        tracing::error!(detector = binding, "the saved state is damaged; the detector begins anew");
        return Ok(None);
    };
    Ok(Some(Checkpoint {
        binding: binding.to_owned(),
        plugin: manifest.plugin,
        state_version: manifest.state_version,
        config_hash: manifest.config_hash,
        frame: manifest.frame,
        bytes: bytes.to_vec(),
        host: host.to_vec(),
    }))
}
