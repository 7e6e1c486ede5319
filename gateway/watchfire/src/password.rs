//! `watchfire password`: the hash of a password, and the users of a `users_file`. A password is never an argument, where
//! others see it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHasher, SaltString};
use clap::Args;
use watchfire_config::{UserConfig, UsersFile, roles_of};

use crate::terminal;

/// The shortest password.
const PASSWORD_CHARS_MIN: usize = 8;

/// Options of `password`.
#[derive(Args, Debug)]
pub struct Password {
    /// The user whose password it is (default: nobody's; its hash is printed, for a `[[server.user]]`).
    #[arg(requires = "file")]
    name: Option<String>,
    /// The `users_file` of the configuration: a line is added to it, or put in the place of this user's.
    #[arg(long, value_name = "FILE", requires = "name")]
    file: Option<PathBuf>,
    /// What the user is, such as `operator`; may be given again (default: what the user was).
    #[arg(long = "role", value_name = "ROLE", requires = "name")]
    roles: Vec<String>,
    /// The language in which the user is told, such as `de` (default: what it was).
    #[arg(long, value_name = "LOCALE", requires = "name")]
    locale: Option<String>,
    /// Change roles or language, and leave the password as it is.
    #[arg(long, requires = "name")]
    keep: bool,
    /// Take the user out of the file.
    #[arg(long, requires = "name", conflicts_with_all = ["roles", "locale", "keep"])]
    remove: bool,
}

/// Prints a hash (Argon2id, RFC 9106), or changes a user's line.
///
/// # Errors
/// When the password is too short or cannot be read, when anything in the file or in what is to be put there is wrong, or
/// it cannot be written; nothing is changed then.
pub fn password(options: &Password) -> Result<ExitCode> {
    let (Some(name), Some(file)) = (&options.name, &options.file) else {
        println!("{}", hash(&terminal::password()?)?);
        return Ok(ExitCode::SUCCESS);
    };
    // A link stays one: what it leads to is written anew.
    let file = &fs::canonicalize(file).unwrap_or_else(|_| file.clone());
    // Before anybody is asked for a password.
    let there = known(file)?;
    let told = if options.remove {
        check_known(&there, name, file)?;
        change(file, |users| {
            check_known(users, name, file)?;
            users.remove(name);
            Ok(format!("user `{name}`: removed"))
        })?
    } else {
        let wanted = wanted(options, name, &there)?;
        change(file, |users| {
            let replaced = users.put(&wanted).map_err(|why| anyhow!(why))?;
            Ok(format!("user `{name}`: {}", if replaced { "replaced" } else { "added" }))
        })?
    };
    println!("{told}; `watchfire reload` has a running gateway take it up");
    Ok(ExitCode::SUCCESS)
}

fn check_known(users: &UsersFile, name: &str, file: &Path) -> Result<()> {
    let known: Vec<String> = users.users().map(|(_, user)| format!("`{}`", user.name)).collect();
    match users.find(name) {
        Some(_) => Ok(()),
        None if known.is_empty() => bail!("there is no user in `{}`", file.display()),
        None => bail!("there is no user `{name}` in `{}`; there are {}", file.display(), known.join(", ")),
    }
}

/// A user as the line is to be.
fn wanted(options: &Password, name: &str, there: &UsersFile) -> Result<UserConfig> {
    let before = there.find(name);
    let roles = match before {
        Some(before) if options.roles.is_empty() => before.roles,
        None if options.roles.is_empty() => bail!("`{name}` is new; say what the user is, such as `--role operator`"),
        _ => roles_of(options.roles.iter().map(String::as_str)).map_err(|why| anyhow!(why))?,
    };
    let locale = options.locale.clone().or_else(|| before.and_then(|before| before.locale.clone()));
    let mut user = UserConfig { name: name.to_owned(), password_hash: None, certificate: None, roles, locale };
    user.password_hash = match before {
        Some(before) if options.keep => before.password_hash.clone(),
        None if options.keep => bail!("`{name}` is new, so there is no password to keep; leave `--keep` out"),
        _ => {
            // What else is wrong with the line is told before anybody types a password.
            let tried = UserConfig { password_hash: Some(hash("tried, and thrown away")?), ..user.clone() };
            UsersFile::default().put(&tried).map_err(|why| anyhow!(why))?;
            Some(hash(&terminal::password()?)?)
        }
    };
    Ok(user)
}

fn hash(password: &str) -> Result<String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        bail!("a password has at least {PASSWORD_CHARS_MIN} characters");
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| anyhow!("the password cannot be hashed: {error}"))
}

/// The file as it is; empty where there is none.
fn known(file: &Path) -> Result<UsersFile> {
    if fs::symlink_metadata(file).is_ok() { Ok(UsersFile::load(file)?) } else { Ok(UsersFile::default()) }
}

/// Changes the file in one step, alone among those who change it so: whoever reads it has the old one or the new one,
/// also after a power cut. A new one is its owner's alone; an old one keeps its owner, its group, and whether that may read
/// it.
fn change(file: &Path, change: impl FnOnce(&mut UsersFile) -> Result<String>) -> Result<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |path: &Path| format!("cannot write `{}`", path.display());
    let lock = File::open(folder).with_context(|| cannot(folder))?;
    lock.lock().with_context(|| format!("cannot wait for others who change `{}`", file.display()))?;
    let mut users = known(file)?;
    let told = change(&mut users)?;
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // What a kill has left there is nobody's: the lock is ours.
    drop(fs::remove_file(&new));
    let written = write(&new, file, &users.text()).and_then(|()| {
        fs::rename(&new, file)?;
        lock.sync_all()
    });
    if written.is_err() {
        drop(fs::remove_file(&new));
    }
    written.with_context(|| cannot(file))?;
    Ok(told)
}

#[cfg(unix)]
fn write(new: &Path, old: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    if let Ok(before) = fs::metadata(old) {
        let now = out.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            fchown(&out, Some(before.uid()), Some(before.gid()))?;
        }
        out.set_permissions(Permissions::from_mode(before.mode() & 0o640))?;
    }
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

#[cfg(not(unix))]
fn write(new: &Path, _: &Path, text: &str) -> std::io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).open(new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_users_file_is_changed_in_one_step_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        let user = |name: &str| UserConfig {
            name: name.into(),
            password_hash: Some(hash("correct horse").unwrap()),
            certificate: None,
            roles: roles_of(["operator"]).unwrap(),
            locale: None,
        };
        // Left by one who was killed.
        fs::write(folder.path().join("users.new"), "junk").unwrap();
        change(&file, |users| users.put(&user("ann")).map(|_| String::new()).map_err(|why| anyhow!(why))).unwrap();
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        symlink(&file, &link).unwrap();
        let options = |remove| Password {
            name: Some("ann".into()),
            file: Some(link.clone()),
            roles: if remove { vec![] } else { vec!["supervisor".into(), "security_admin".into()] },
            locale: None,
            keep: !remove,
            remove,
        };
        let before = UsersFile::load(&file).unwrap().find("ann").unwrap().clone();
        password(&options(false)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&file), 0o640, "its group may read it as before");
        let after = UsersFile::load(&file).unwrap().find("ann").unwrap().clone();
        assert_eq!(after.password_hash, before.password_hash);
        assert_eq!(after.roles, roles_of(["supervisor", "security_admin"]).unwrap());
        let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
        let whole = fs::read(&file).unwrap();
        change(&file, |_| bail!("no")).unwrap_err();
        assert_eq!((fs::read(&file).unwrap(), names(folder.path())), (whole, 2));
        password(&options(true)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        let gone = password(&options(true)).unwrap_err().to_string();
        assert!(gone.starts_with("there is no user in `"), "{gone}");
    }
}
