//! `watchfire backup` and `watchfire restore`: a copy of the data folder that is whole, made while the gateway runs or
//! afterwards, and a data folder made from it.
//!
//! A backup is a data folder with a list of its files and their hashes, written last. Its marks (`ctl.mark`,
//! `wal.mark`) are its own: they promise what the copy holds, so that a folder made from it guards itself from there on.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use watchfire_config::Config;
use watchfire_journal::FileJournal;
use watchfire_model::{Clock, Lsn, SystemClock};
use watchfire_pipeline::{Journal, PortError, RecordReader};

use crate::cli::{Backup, Restore};
use crate::data::{Data, RESTORING, Stores};
use crate::query::{self, Question};
use crate::{run, verify};

/// The list of a backup's files.
const LIST: &str = "backup.json";
/// The form of the list.
const FORM: u32 = 1;
/// Rows read from the journal at once.
const READ_ROWS_MAX: usize = 1 << 16;
/// How often it is looked whether everything is durable, and how many times: a disk that hangs is no reason to wait for
/// ever.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS_MAX: u32 = 500;
/// Certificates and their keys, without which the gateway would be another one to every server and HMI.
const PKI: &str = "pki";
/// What servers were found to have, without which detectors would have other signals while a server is away.
const FOUND: &str = "found";
/// Installed plugins, and which bytes were accepted.
const PLUGINS: &str = "plugins";

#[derive(Debug, Serialize, Deserialize)]
struct List {
    form: u32,
    program: String,
    made: String,
    /// The last record in it.
    upto: u64,
    files: Vec<Listed>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    path: PathBuf,
    bytes: u64,
    blake3: String,
}

/// Makes a backup, by the running gateway where one runs.
///
/// # Errors
/// When the folder is not empty or cannot be written, or a store is damaged.
pub fn backup(options: &Backup) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    let to = std::path::absolute(&options.to)?;
    let runtime = run::runtime()?;
    let told = match runtime.block_on(query::ask(folder, &Question::Backup { to: to.clone() }))? {
        Some(mut answers) => runtime.block_on(answers.told())?,
        None if folder.exists() => {
            let data = Data::open(folder)?;
            make(&data.stores, folder, &to)?
        }
        None => bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display()),
    };
    println!("{told}");
    Ok(ExitCode::SUCCESS)
}

/// Makes a backup of open stores: everything that was durable when it was asked for. Blocks for as long as it takes to
/// read and write all of it; the gateway goes on meanwhile.
///
/// # Errors
/// As [`backup`].
pub fn make(stores: &Stores, folder: &Path, to: &Path) -> Result<String> {
    vacant(to)?;
    std::fs::create_dir_all(to).with_context(|| format!("cannot make the folder `{}`", to.display()))?;
    everything_durable(stores);
    let mut upto = Lsn(0);
    let copied = stores.history.back_up(to, |sealed| {
        upto = copy_journal(stores, to, sealed)?;
        Ok(())
    });
    let copied =
        copied.with_context(|| format!("cannot make the backup `{}`; remove what there is of it", to.display()))?;
    for whole in [PKI, FOUND, PLUGINS] {
        let from = folder.join(whole);
        if from.exists() {
            copy_folder(&from, &to.join(whole))?;
        }
    }
    let mut files = Vec::new();
    list(to, to, &mut files)?;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let made = SystemClock.now().to_string();
    let list = List { form: FORM, program: env!("CARGO_PKG_VERSION").to_owned(), made, upto: upto.0, files };
    write_durably(&to.join(LIST), &serde_json::to_vec_pretty(&list)?)?;
    let (days, mib) = (copied.days, bytes >> 20);
    Ok(format!("everything up to record {upto} is in `{}`: {days} days of samples, {mib} MiB", to.display()))
}

/// What was received before it was asked for belongs to a backup, though quiet samples wait to be durable.
fn everything_durable(stores: &Stores) {
    let asked = stores.log.tail();
    stores.log.hurry();
    let mut looks = 0;
    while stores.log.durable_tail() < asked && looks < LOOKS_MAX {
        std::thread::sleep(LOOK_EVERY);
        looks += 1;
    }
}

/// Copies what is not sealed and was durable; answers the last of it.
fn copy_journal(stores: &Stores, to: &Path, sealed: Lsn) -> Result<Lsn, PortError> {
    let durable = stores.log.durable_tail().max(sealed);
    let copy = FileJournal::begin(to, sealed.next())?;
    while copy.tail() < durable {
        let next = copy.tail().next();
        let records = stores.journal.read(next, READ_ROWS_MAX)?;
        for record in records.iter().take_while(|record| record.lsn <= durable) {
            let lsn = copy.append(&record.body)?;
            if lsn != record.lsn {
                let what = format!("the journal from record {lsn} on");
                return Err(PortError::Damaged { what, detail: format!("record {} stands there", record.lsn) });
            }
        }
        if copy.tail() < next {
            let what = format!("the journal from record {next} on");
            return Err(PortError::Damaged {
                what,
                detail: "it cannot be read; run `watchfire history verify`".to_owned(),
            });
        }
    }
    copy.syncer().sync()?;
    Ok(copy.tail())
}

/// Makes a data folder from a backup.
///
/// # Errors
/// When the backup is not whole, the folder is not empty, or what was restored is not what was backed up.
pub fn restore(options: &Restore) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let (from, to) = (&options.from, &config.gateway.data);
    let list = read_list(from)?;
    vacant(to)?;
    std::fs::create_dir_all(to).with_context(|| format!("cannot make the folder `{}`", to.display()))?;
    write_durably(&to.join(RESTORING), b"")?;
    for listed in &list.files {
        let (source, target) = (from.join(&listed.path), to.join(&listed.path));
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make the folder `{}`", parent.display()))?;
        }
        std::fs::copy(&source, &target)
            .and_then(|_| File::open(&target)?.sync_all())
            .with_context(|| format!("cannot copy `{}` to `{}`", source.display(), target.display()))?;
        // What has arrived counts, not what was read.
        if hash(&target)? != (listed.bytes, listed.blake3.clone()) {
            bail!(
                "`{}` is not what was backed up: it is damaged; take another backup, and empty `{}` first",
                source.display(),
                to.display()
            );
        }
    }
    sync_folders(to)?;
    std::fs::remove_file(to.join(RESTORING)).context("cannot end the restoring")?;
    sync_folders(to)?;
    let data = Data::open(to)?;
    println!("restored `{}` of {}: everything up to record {}", from.display(), list.made, list.upto);
    if data.log.tail().0 != list.upto {
        bail!("the restored data ends at record {}, but the backup at {}", data.log.tail(), list.upto);
    }
    Ok(verify::print(&verify::look(&data.stores)))
}

fn read_list(from: &Path) -> Result<List> {
    let path = from.join(LIST);
    let bytes = std::fs::read(&path)
        .with_context(|| format!("`{}` is no backup that was made to its end: it has no `{LIST}`", from.display()))?;
    let list: List = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{}` cannot be read; take another backup", path.display()))?;
    if list.form != FORM {
        bail!("the backup is of form {}, this program knows {FORM}; use the program that made it", list.form);
    }
    let is_inside = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if let Some(outside) = list.files.iter().find(|listed| !is_inside(&listed.path)) {
        bail!("`{}` names `{}`, which lies outside; take another backup", path.display(), outside.path.display());
    }
    Ok(list)
}

/// Refuses a folder that holds anything.
fn vacant(folder: &Path) -> Result<()> {
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(false) => bail!("`{}` is not empty; name an empty folder, or move away what is there", folder.display()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot look into `{}`", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Copies a folder of files with their permissions.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let doing = || format!("cannot copy `{}` to `{}`", from.display(), to.display());
    std::fs::create_dir_all(to).with_context(doing)?;
    for entry in std::fs::read_dir(from).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            let target = to.join(name);
            std::fs::copy(&path, &target).and_then(|_| File::open(&target)?.sync_all()).with_context(doing)?;
        }
    }
    std::fs::set_permissions(to, std::fs::metadata(from).with_context(doing)?.permissions()).with_context(doing)
}

/// Lists every file below `folder`, in the order of their names.
fn list(top: &Path, folder: &Path, files: &mut Vec<Listed>) -> Result<()> {
    let doing = || format!("cannot list `{}`", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(doing)? {
        paths.push(entry.with_context(doing)?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list(top, &path, files)?;
        } else {
            let (bytes, blake3) = hash(&path)?;
            files.push(Listed { path: path.strip_prefix(top)?.to_owned(), bytes, blake3 });
        }
    }
    Ok(())
}

fn hash(path: &Path) -> Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
    let bytes = read.with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok((bytes, hasher.finalize().to_hex().to_string()))
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Makes the entries of a folder and of those below it durable.
fn sync_folders(folder: &Path) -> Result<()> {
    let doing = || format!("cannot make `{}` durable", folder.display());
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(doing)?;
    for entry in std::fs::read_dir(folder).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    Ok(())
}
