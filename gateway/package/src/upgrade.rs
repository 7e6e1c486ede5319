//! A detector on its way from one version of its plugin to another: which runs, which is tried beside it, and which
//! it ran before. Knows nothing of what a version is but its digest.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// One version of a detector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The component; `None`: what the configuration means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The name under which its state is kept.
    pub kept_as: String,
    /// Where the log ended when it began.
    #[serde(default)]
    pub since: u64,
    /// Where in the log it begins to learn when it cannot go on from the state of the version before.
    #[serde(default)]
    pub learns_from: u64,
}

/// A detector that was moved to another version, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// What the configuration meant then: when it means something else, that counts more.
    pub over: Digest,
    /// What it named then, a plugin or a file; `None` in what was written before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// The version that runs in shadow beside the detector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Version>,
    /// The version that it runs in place of what the configuration means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Version>,
    /// The version that it ran before, with the state that it had then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Version>,
}

/// What was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolledBack {
    /// The shadow ended; the detector never ran it.
    Beside(Version),
    /// The detector runs again what it ran before this version.
    Now(Version),
}

impl Upgrade {
    /// Nothing yet, over what the configuration means.
    #[must_use]
    pub const fn over(over: Digest) -> Self {
        Self { over, named: None, beside: None, now: None, before: None }
    }

    /// The name under which the state of what the detector runs is kept; its own where it never was moved.
    #[must_use]
    pub fn kept_as<'a>(&'a self, detector: &'a str) -> &'a str {
        self.now.as_ref().map_or(detector, |now| &now.kept_as)
    }

    /// The shadow takes over; what ran stays to be gone back to. `None` when there is no shadow.
    pub fn take_over(&mut self, detector: &str) -> Option<&Version> {
        let beside = self.beside.take()?;
        let configured = Version { digest: None, kept_as: detector.to_owned(), since: 0, learns_from: 0 };
        self.before = Some(self.now.replace(beside).unwrap_or(configured));
        self.now.as_ref()
    }

    /// Ends the shadow; where there is none, goes back to what ran before the last take-over. `None` when there is
    /// nothing to go back to.
    pub fn roll_back(&mut self, detector: &str) -> Option<RolledBack> {
        if let Some(beside) = self.beside.take() {
            return Some(RolledBack::Beside(beside));
        }
        let before = self.before.take()?;
        let own = before.digest.is_none() && before.kept_as == detector;
        let left = std::mem::replace(&mut self.now, (!own).then_some(before));
        left.map(RolledBack::Now)
    }

    /// Whether there is nothing left to be known of it.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.beside.is_none() && self.now.is_none() && self.before.is_none()
    }

    /// The components that must not be removed.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        [&self.beside, &self.now, &self.before].into_iter().flatten().filter_map(|version| version.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(byte: u8) -> Version {
        let digest = Some(Digest::of(&[byte]));
        Version { digest, kept_as: format!("hot/next.{byte}"), since: 9, learns_from: 3 }
    }

    #[test]
    fn a_detector_goes_forth_and_back_between_versions() {
        let mut upgrade = Upgrade::over(Digest::of(b"configured"));
        assert_eq!(upgrade.take_over("hot"), None);
        assert!(upgrade.is_over() && upgrade.kept_as("hot") == "hot");
        upgrade.beside = Some(version(1));
        assert_eq!(upgrade.roll_back("hot"), Some(RolledBack::Beside(version(1))));
        assert!(upgrade.is_over());

        upgrade.beside = Some(version(2));
        assert_eq!(upgrade.take_over("hot"), Some(&version(2)));
        assert_eq!(upgrade.kept_as("hot"), "hot/next.2");
        upgrade.beside = Some(version(3));
        assert_eq!(upgrade.roll_back("hot"), Some(RolledBack::Beside(version(3))), "the shadow before the detector");
        upgrade.beside = Some(version(3));
        upgrade.take_over("hot");
        assert_eq!(upgrade.digests().collect::<Vec<_>>(), [version(3).digest.unwrap(), version(2).digest.unwrap()]);
        assert_eq!(upgrade.roll_back("hot"), Some(RolledBack::Now(version(3))));
        assert_eq!(upgrade.kept_as("hot"), "hot/next.2");
        assert_eq!(upgrade.roll_back("hot"), None, "one version back and no more");

        let mut first = Upgrade::over(Digest::of(b"configured"));
        first.beside = Some(version(4));
        first.take_over("hot");
        assert_eq!(first.roll_back("hot"), Some(RolledBack::Now(version(4))));
        assert!(first.is_over() && first.kept_as("hot") == "hot");
    }
}
