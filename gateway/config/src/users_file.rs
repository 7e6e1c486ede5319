//! `users_file`: who may log in, a user a line, apart from the configuration, as `NAME:HASH:ROLES` or
//! `NAME:HASH:ROLES:LOCALE`. What is not a user's line (comments, empty ones) stays as it is when a line is changed. How
//! a hash is made, and how the file gets to the disk, is not known here.

use std::path::Path;

use crate::names;
use crate::nearest::nearest;
use crate::open_to_others::open_to_others;
use crate::read::read_text;
use crate::section::listed;
use crate::server::{ROLES, is_argon2id, reserved};
use crate::texts::is_locale;
use crate::{ConfigError, ConfigErrors, Roles, UserConfig};

/// What stands between the parts of a line.
const BETWEEN: char = ':';
/// A line with this at its beginning is for people.
const COMMENT: char = '#';
/// What is said where there is no such file, and where it cannot be read.
const MAKE_IT: &str = "`watchfire password NAME --role operator --file FILE` makes it";
const LET_READ: &str = "make it readable by the user the gateway runs as";

/// The lines of such a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsersFile(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// Kept as it is.
    Other(String),
    User(UserConfig),
}

impl UsersFile {
    /// Reads a file. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong with it: that it cannot be read, or that others could read or write it; each line that is
    /// no user's, with its number and the way out.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let way_out = if path.exists() { LET_READ } else { MAKE_IT };
        let text = read_text(path, way_out).map_err(|error| ConfigErrors(vec![error]))?;
        let error = |line, message| ConfigError { file: path.display().to_string(), line, message };
        // Whoever can write it makes himself a user, whoever can read it can try passwords against its hashes for as long
        // as he likes.
        let mut wrong: Vec<ConfigError> = open_to_others(path).into_iter().map(|message| error(0, message)).collect();
        match Self::parse(&text) {
            Ok(users) if wrong.is_empty() => return Ok(users),
            Ok(_) => {}
            Err(lines) => wrong.extend(lines.into_iter().map(|(line, message)| error(line, message))),
        }
        Err(ConfigErrors(wrong))
    }

    /// Reads its text; what is wrong has the number of its line, from 1. Nothing of a line is repeated but a name and a
    /// role: it may hold a password.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let (mut lines, mut wrong) = (Vec::new(), Vec::new());
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with(COMMENT) {
                lines.push(Line::Other(line.to_owned()));
                continue;
            }
            match user(line) {
                Err(messages) => wrong.extend(messages.into_iter().map(|message| (number, message))),
                Ok(user) => {
                    let same = |line: &Line| matches!(line, Line::User(other) if other.name == user.name);
                    if lines.iter().any(same) {
                        let name = user.name.escape_debug();
                        wrong.push((number, format!("the user `{name}` stands in an earlier line too; keep one")));
                    }
                    lines.push(Line::User(user));
                }
            }
        }
        if wrong.is_empty() { Ok(Self(lines)) } else { Err(wrong) }
    }

    /// The users, each with the number of its line, from 1.
    pub fn users(&self) -> impl Iterator<Item = (usize, &UserConfig)> {
        (1..).zip(&self.0).filter_map(|(number, line)| match line {
            Line::User(user) => Some((number, user)),
            Line::Other(_) => None,
        })
    }

    /// A user's line.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&UserConfig> {
        self.users().map(|(_, user)| user).find(|user| user.name == name)
    }

    /// Puts a user's line in the place of the one before, or at the end; whether there was one before.
    ///
    /// # Errors
    /// What is wrong with it, as it would be told of the file.
    pub fn put(&mut self, new: &UserConfig) -> Result<bool, String> {
        // One with a `:` would be read as another user, whose hash is none.
        names::well_formed(&new.name, &[BETWEEN])
            .map_err(|why| format!("the name \"{}\" {why}", new.name.escape_debug()))?;
        let read = user(&written(new)).map_err(|messages| messages.join("; "))?;
        let old = self.0.iter_mut().find(|line| matches!(line, Line::User(user) if user.name == read.name));
        let was_there = old.is_some();
        match old {
            Some(old) => *old = Line::User(read),
            None => self.0.push(Line::User(read)),
        }
        Ok(was_there)
    }

    /// Takes a user's line out; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|line| !matches!(line, Line::User(user) if user.name == name));
        self.0.len() < before
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |line: &Line| match line {
            Line::Other(text) => text.clone() + "\n",
            Line::User(user) => written(user) + "\n",
        };
        self.0.iter().map(line).collect()
    }
}

/// Roles by their words in the configuration.
///
/// # Errors
/// The first word that is no role, with what was meant.
pub fn roles_of<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Roles, String> {
    let role = |word: &'w str| {
        ROLES.iter().find(|(known, _)| *known == word).map(|(_, role)| *role).ok_or_else(|| {
            let known = || ROLES.iter().map(|(known, _)| *known);
            let way_out = match nearest(word, known()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", listed(known())),
            };
            format!("there is no role `{}`; {way_out}", word.escape_debug())
        })
    };
    words.into_iter().map(role).collect()
}

fn written(user: &UserConfig) -> String {
    let roles: Vec<&str> = user.roles.iter().map(crate::Role::word).collect();
    let hash = user.password_hash.as_deref().unwrap_or_default();
    let mut line = format!("{}{BETWEEN}{hash}{BETWEEN}{}", user.name, roles.join(","));
    if let Some(locale) = &user.locale {
        line.push(BETWEEN);
        line += locale;
    }
    line
}

fn user(line: &str) -> Result<UserConfig, Vec<String>> {
    let parts: Vec<&str> = line.split(BETWEEN).map(str::trim).collect();
    let (name, hash, roles, locale) = match parts.as_slice() {
        [name, hash, roles] => (*name, *hash, *roles, None),
        [name, hash, roles, locale] => (*name, *hash, *roles, Some(*locale)),
        _ => {
            let count = parts.len();
            return Err(vec![format!(
                "has {count} part{} between `:`; write `NAME:HASH:ROLES` or `NAME:HASH:ROLES:LOCALE`",
                if count == 1 { "" } else { "s" }
            )]);
        }
    };
    let mut wrong = Vec::new();
    let shown = name.escape_debug();
    if name.is_empty() {
        wrong.push("has no name; begin the line with one".to_owned());
    } else if let Err(why) = names::well_formed(name, &[BETWEEN]) {
        wrong.push(format!("the name \"{shown}\" {why}"));
    } else if name.starts_with(COMMENT) {
        wrong.push(format!("the name \"{shown}\" begins with a `{COMMENT}`; leave it out"));
    } else if let Some(whom) = reserved(name) {
        wrong.push(format!("the name \"{shown}\" stands for {whom}"));
    }
    if !is_argon2id(hash) {
        // Not repeated: it may be a password.
        wrong.push(format!(
            "user `{shown}`: the second part is no Argon2id hash in PHC form (`$argon2id$…`); `watchfire password {shown} \
             --file FILE` puts one in"
        ));
    }
    let roles = if roles.is_empty() {
        wrong.push(format!("user `{shown}` has no role; write one, such as `operator`, or several with `,` between"));
        Roles::default()
    } else {
        roles_of(roles.split(',').map(str::trim)).unwrap_or_else(|message| {
            wrong.push(format!("user `{shown}`: {message}"));
            Roles::default()
        })
    };
    if let Some(locale) = locale.filter(|locale| !is_locale(locale)) {
        let locale = locale.escape_debug();
        wrong.push(format!("user `{shown}`: \"{locale}\" is no language; write it as `de` or `pt-BR`"));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let locale = locale.map(str::to_owned);
    Ok(UserConfig { name: name.to_owned(), password_hash: Some(hash.to_owned()), certificate: None, roles, locale })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Role};

    /// Of "open sesame".
    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA";

    /// The messages that a configuration with this file gets, without the folder's name.
    fn told(users: &str, mode: u32, server: &str) -> Result<Config, Vec<String>> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        std::fs::write(&file, users).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let text = format!(
            "[[source]]\nname = 's'\nurl = 'opc.tcp://a'\n[server]\nusers_file = 'users'\nanonymous = 'none'\n{server}"
        );
        let place = format!("{}/", folder.path().display());
        Config::parse(&text, "w.toml", folder.path())
            .map_err(|ConfigErrors(all)| all.iter().map(|error| error.to_string().replace(&place, "")).collect())
    }

    #[test]
    fn users_of_a_file_are_users_like_those_of_the_configuration() {
        let text = format!("# the shift\n\nann:{HASH}:view\n bob : {HASH} : engineer, security_admin : en \n");
        let other = format!("[[server.user]]\nname = 'eve'\npassword_hash = '{HASH}'\nrole = 'operate'\n");
        let users = told(&text, 0o640, &other).unwrap().server.users;
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["eve", "ann", "bob"]);
        assert_eq!(users[1].password_hash.as_deref(), Some(HASH));
        assert_eq!(users[1].roles, Roles::of(&[Role::Observer]));
        assert_eq!(users[2].roles, Roles::of(&[Role::Engineer, Role::SecurityAdmin]));
        assert_eq!(users[2].locale.as_deref(), Some("en"));
        assert!(told(&text, 0o600, "").is_ok(), "they are enough where nobody comes in otherwise");
    }

    #[test]
    fn every_mistake_of_a_users_file_is_told_with_its_line_and_no_password_is_repeated() {
        let text = format!(
            "ann:{HASH}:view\nhunter2\nbob:hunter2:operate\nAnonymous:{HASH}:view\nann:{HASH}:view\neve:{HASH}:operater\n\
             max:{HASH}:\n:{HASH}:view\nleo:{HASH}:view:german!\nmia:{HASH}:view:de\nzoe:{HASH}:view\n"
        );
        let other = format!("[[server.user]]\nname = 'zoe'\npassword_hash = '{HASH}'\nrole = 'view'\n");
        assert_eq!(
            told(&text, 0o600, &other).unwrap_err(),
            [
                "users:2: has 1 part between `:`; write `NAME:HASH:ROLES` or `NAME:HASH:ROLES:LOCALE`",
                "users:3: user `bob`: the second part is no Argon2id hash in PHC form (`$argon2id$…`); `watchfire password \
                 bob --file FILE` puts one in",
                "users:4: the name \"Anonymous\" stands for clients that do not log in; what they may do is `anonymous` in \
                 `[server]`",
                "users:5: the user `ann` stands in an earlier line too; keep one",
                "users:6: user `eve`: there is no role `operater`; did you mean `operate`?",
                "users:7: user `max` has no role; write one, such as `operator`, or several with `,` between",
                "users:8: has no name; begin the line with one",
                "users:9: user `leo`: \"german!\" is no language; write it as `de` or `pt-BR`",
            ]
        );
        let good: String = text.lines().skip(9).map(|line| format!("{line}\n")).collect();
        assert_eq!(
            told(&good, 0o600, &other).unwrap_err(),
            [
                "users:1: user `mia`: the language is \"de\", but nothing is translated to it; give it a column in the \
                 table that `texts_csv` in `[gateway]` names",
                "users:2: the user in line 8 of w.toml is named `zoe` too; names must differ",
            ]
        );
    }

    #[test]
    fn a_users_file_that_is_open_to_others_or_not_there_is_refused() {
        let text = format!("ann:{HASH}:view\n");
        for (mode, shown) in [(0o604, "604"), (0o660, "660"), (0o644, "644"), (0o602, "602")] {
            let error = told(&text, mode, "").unwrap_err().remove(0);
            let wanted =
                format!("users: can be read or written by others than its owner (its mode is {shown}); `chmod 600");
            assert!(error.starts_with(&wanted), "{error}");
        }
        let error = told(&text, 0o600, "").map(|_| ()).and_then(|()| {
            let text = "[[source]]\nname = 's'\nurl = 'opc.tcp://a'\n[server]\nusers_file = 'none'\n";
            Config::parse(text, "w.toml", Path::new("/nowhere")).map(|_| ()).map_err(|told| vec![told.to_string()])
        });
        let error = error.unwrap_err().remove(0);
        assert!(error.starts_with("/nowhere/none: cannot be read: No such file"), "{error}");
        assert!(error.contains(MAKE_IT), "{error}");
    }

    #[test]
    fn a_line_is_changed_and_everything_else_stays() {
        let mut users = UsersFile::parse(&format!("# shift\nann:{HASH}:view\n\nbob:{HASH}:operate:de\n")).unwrap();
        let changed = UserConfig { roles: Roles::of(&[Role::Supervisor]), ..users.find("ann").unwrap().clone() };
        assert_eq!(users.put(&changed), Ok(true));
        let new = UserConfig { name: "eve".into(), locale: Some("pt-BR".into()), ..changed.clone() };
        assert_eq!(users.put(&new), Ok(false));
        let refused = users.put(&UserConfig { name: "a:b".into(), ..changed.clone() });
        assert_eq!(refused, Err("the name \"a:b\" has a `:` in it; leave it out".to_owned()));
        assert!(users.put(&UserConfig { name: "# a".into(), ..changed }).is_err());
        assert!(users.remove("bob") && !users.remove("bob"));
        let text = format!("# shift\nann:{HASH}:supervisor\n\neve:{HASH}:supervisor:pt-BR\n");
        assert_eq!(users.text(), text);
        assert_eq!(UsersFile::parse(&text).unwrap(), users);
    }
}
