//! Packages as their publishers make them, and as others change them.

mod hostile;
mod signed;
mod stored;

use watchfire_model::Instant;

use crate::{Manifest, Publisher, SigningKey, Trust, make, new_key};

/// A key without a password and the publisher that it belongs to.
fn publisher(name: &str) -> (SigningKey, Publisher) {
    let (secret, _, key) = new_key(None).unwrap();
    (SigningKey::open(&secret, None).unwrap(), Publisher { name: name.to_owned(), key, until: None })
}

fn manifest() -> Manifest {
    let description = "finds hot oil".to_owned();
    Manifest { description, ..Manifest::new("hot-oil", "1.2.0", "Apache-2.0 OR MIT", "0.1.0") }
}

/// A small package with a bill of materials.
fn package(key: Option<&SigningKey>) -> Vec<u8> {
    let sbom = ("sbom.cdx.json".to_owned(), b"{\"bomFormat\": \"CycloneDX\"}".to_vec());
    let (name, bytes) = make(manifest(), b"\0asm and more", &[sbom], key).unwrap();
    assert_eq!(name, "hot-oil-1.2.0.wfpkg");
    bytes
}

fn trust(publishers: &[&Publisher]) -> Trust {
    Trust { publishers: publishers.iter().map(|publisher| (*publisher).clone()).collect(), ..Trust::default() }
}

fn now() -> Instant {
    Instant::parse("2026-11-23T10:00:00Z").unwrap()
}
