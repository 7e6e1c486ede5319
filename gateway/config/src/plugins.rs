//! `[plugins]` and `[[publisher]]`: whose detectors, and which, may run.

use std::collections::BTreeSet;

use watchfire_model::Instant;
use watchfire_package::{Digest, Publisher, PublisherKey, Trust};

use crate::names::{self, Unique};
use crate::section::{Section, Text};

/// Reads both. A mistake in either is reported, and leaves out what it concerns.
pub(crate) fn read_trust(plugins: Section<'_>, publishers: Vec<Section<'_>>) -> Trust {
    let digests = |key: &'static str| {
        let texts = plugins.texts(key).into_iter();
        let read: Vec<(Digest, usize)> =
            texts.filter_map(|text| Some((digest(&plugins, key, text)?, text.at))).collect();
        read
    };
    let allowed: BTreeSet<Digest> = digests("allow").into_iter().map(|(digest, _)| digest).collect();
    let revoked = digests("revoked");
    for (digest, at) in revoked.iter().filter(|(digest, _)| allowed.contains(digest)) {
        plugins.wrong(*at, format_args!("`revoked`: {digest} stands under `allow` too; take it out of one of them"));
    }
    let revoked = revoked.into_iter().map(|(digest, _)| digest).collect();
    plugins.close();
    let mut unique = Unique::new("publisher");
    let publishers = publishers.into_iter().filter_map(|section| publisher(section, &mut unique));
    Trust { publishers: publishers.collect(), allowed, revoked }
}

/// A digest, or a report of what is wrong with it.
pub(crate) fn digest(section: &Section<'_>, key: &str, text: Text<'_>) -> Option<Digest> {
    text.text.parse().map_err(|error| section.wrong(text.at, format_args!("`{key}`: {error}"))).ok()
}

fn publisher(section: Section<'_>, unique: &mut Unique) -> Option<Publisher> {
    let name = names::required(&section, "name", &[], unique);
    let way_out = "give the line that begins with `RW`, as `watchfire plugin keygen` prints it";
    let key = section.required_text("key", way_out).and_then(|text| {
        let key: Result<PublisherKey, _> = text.text.parse();
        key.map_err(|error| section.wrong(text.at, format_args!("`key`: {error}"))).ok()
    });
    let until = section.text("until").and_then(|text| {
        let until = Instant::parse(text.text);
        if until.is_none() {
            let message = format!("\"{}\" is no time; write a date such as `\"2027-12-31\"`", text.text.escape_debug());
            section.wrong(text.at, format_args!("`until`: {message}"));
        }
        until
    });
    section.close();
    Some(Publisher { name: name?.text.to_owned(), key: key?, until })
}
