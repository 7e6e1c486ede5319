//! Checkpoints: a detector's state in pieces that fit the database. Pieces first, durably, then the manifest with
//! their hash, then the pieces of the one before go; so a kill leaves the old one or the new one, whole. A state that is
//! what it was keeps its pieces: most detectors of a calm plant write nothing but a manifest.

use serde::{Deserialize, Serialize};
use watchfire_model::Lsn;
use watchfire_pipeline::{Checkpoint, PortError};

use crate::ctl::{Alone, Ctl, Kind, named};
use crate::key_value::{Pair, VALUE_BYTES_MAX};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    plugin: String,
    state_version: u32,
    config_hash: String,
    frame: Lsn,
    /// Which of the binding's sets of pieces.
    generation: u64,
    bytes: u32,
    host: u32,
    hash: [u8; 32],
}

fn pieces_key(binding: &str, generation: u64) -> Vec<u8> {
    [named(Kind::Piece, binding).as_slice(), &generation.to_be_bytes()].concat()
}

fn piece_key(pieces: &[u8], number: u32) -> Vec<u8> {
    [pieces, &number.to_be_bytes()].concat()
}

fn length(bytes: &[u8], binding: &str) -> Result<u32, PortError> {
    u32::try_from(bytes.len()).map_err(|_| refused(binding, "it is larger than 4 GB"))
}

fn refused(binding: &str, why: &str) -> PortError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, why.to_owned());
    PortError::Io { doing: format!("saving the checkpoint of `{binding}`"), source }
}

fn manifest(ctl: &Ctl, binding: &str) -> Result<Option<Manifest>, PortError> {
    let Some(bytes) = ctl.value(&named(Kind::Checkpoint, binding))? else { return Ok(None) };
    match postcard::from_bytes(&bytes) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) => {
            tracing::error!(detector = binding, %error, "the saved state is unreadable; the detector begins anew");
            Ok(None)
        }
    }
}

/// Saves a checkpoint in place of the binding's earlier one.
///
/// # Errors
/// When the store fails; the earlier one then stays.
pub fn save(ctl: &Ctl, checkpoint: &Checkpoint) -> Result<(), PortError> {
    let binding = checkpoint.binding.as_str();
    let alone = ctl.alone();
    let before = manifest(ctl, binding)?;
    let whole = [checkpoint.bytes.as_slice(), &checkpoint.host].concat();
    let mut saved = Manifest {
        plugin: checkpoint.plugin.clone(),
        state_version: checkpoint.state_version,
        config_hash: checkpoint.config_hash.clone(),
        frame: checkpoint.frame,
        generation: before.as_ref().map_or(0, |before| before.generation),
        bytes: length(&checkpoint.bytes, binding)?,
        host: length(&checkpoint.host, binding)?,
        hash: *blake3::hash(&whole).as_bytes(),
    };
    // Read all the same: a piece that has gone bad is to be noticed while the state is here to put it right.
    let has_pieces = match before.filter(|before| before.has_pieces_of(&saved)) {
        Some(before) => before.fits(&pieces(ctl, binding, before.generation)?),
        None => false,
    };
    if !has_pieces {
        saved.generation = saved.generation.wrapping_add(1);
        put_pieces(ctl, &alone, &pieces_key(binding, saved.generation), &whole)?;
    }
    let encoded = postcard::to_stdvec(&saved).map_err(|error| refused(binding, &error.to_string()))?;
    alone.commit(vec![ctl.replace(&named(Kind::Checkpoint, binding), &encoded)?])?;
    if has_pieces {
        return Ok(());
    }
    // Not urgent: durable with whatever is committed next.
    alone.write(ctl.remove_under(&named(Kind::Piece, binding), Some(&pieces_key(binding, saved.generation)))?)
}

fn pieces(ctl: &Ctl, binding: &str, generation: u64) -> Result<Vec<u8>, PortError> {
    Ok(ctl.under(&pieces_key(binding, generation))?.into_iter().flat_map(|(_, piece)| piece).collect())
}

/// Makes a state's pieces durable.
fn put_pieces(ctl: &Ctl, alone: &Alone<'_>, pieces: &[u8], whole: &[u8]) -> Result<(), PortError> {
    // What a kill left of an earlier try would otherwise stand among the new pieces.
    alone.write(ctl.remove_under(pieces, None)?)?;
    let each = whole.chunks(VALUE_BYTES_MAX).zip(0_u32..);
    alone.lay(each.map(|(piece, number)| -> Pair { (piece_key(pieces, number), piece.to_vec()) }).collect())?;
    alone.commit(Vec::new())
}

/// The binding's checkpoint; one that is not what was saved counts as none, and is told. May be called while another
/// one is saved: the answer is then the one or the other.
///
/// # Errors
/// When the store fails.
pub fn load(ctl: &Ctl, binding: &str) -> Result<Option<Checkpoint>, PortError> {
    let mut saved = manifest(ctl, binding)?;
    loop {
        let Some(found) = saved else { return Ok(None) };
        let bytes = pieces(ctl, binding, found.generation)?;
        if found.fits(&bytes) {
            return Ok(Some(found.with(binding, bytes)));
        }
        // A save that ended between the two reads has removed these pieces, and has left its own.
        saved = manifest(ctl, binding)?;
        if saved.as_ref() == Some(&found) {
            tracing::error!(detector = binding, "the saved state is damaged; the detector begins anew");
            return Ok(None);
        }
    }
}

impl Manifest {
    /// Whether another one's state is in the same pieces.
    fn has_pieces_of(&self, other: &Self) -> bool {
        (self.bytes, self.host, self.hash) == (other.bytes, other.host, other.hash)
    }

    fn fits(&self, bytes: &[u8]) -> bool {
        let length = u64::from(self.bytes) + u64::from(self.host);
        bytes.len() as u64 == length && *blake3::hash(bytes).as_bytes() == self.hash
    }

    fn with(self, binding: &str, mut bytes: Vec<u8>) -> Checkpoint {
        let host = bytes.split_off(self.bytes as usize);
        let Self { plugin, state_version, config_hash, frame, .. } = self;
        Checkpoint { binding: binding.to_owned(), plugin, state_version, config_hash, frame, bytes, host }
    }
}
