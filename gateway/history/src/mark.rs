//! The mark outside the store: how far it had promised to be. A store that opens at less has lost what was durable.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use watchfire_model::Lsn;
use watchfire_pipeline::PortError;

/// Reads the mark; 0 where there is none yet.
///
/// # Errors
/// When it cannot be read.
pub fn read(folder: &Path) -> Result<Lsn, PortError> {
    let path = folder.join("sealed");
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Lsn).map_err(|_| crate::kv::damaged(&path, "it does not hold a number")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lsn(0)),
        Err(source) => Err(PortError::Io { doing: format!("reading `{}`", path.display()), source }),
    }
}

/// Sets the mark durably.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, sealed: Lsn) -> Result<(), PortError> {
    let (path, fresh) = (folder.join("sealed"), folder.join("sealed.new"));
    let written = File::create(&fresh).and_then(|mut file| {
        writeln!(file, "{sealed}")?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| std::fs::rename(&fresh, &path)).and_then(|()| File::open(folder)?.sync_all());
    renamed.map_err(|source| PortError::Io { doing: format!("writing `{}`", path.display()), source })
}
