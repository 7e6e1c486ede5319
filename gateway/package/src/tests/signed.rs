//! Whom a package comes from, and what that counts for.

use super::{manifest, now, package, publisher, trust};
use crate::key::SignatureText;
use crate::{Digest, Package, PackageError, Publisher, PublisherKey, Signer, SigningKey, Trust, make, new_key};

#[test]
fn a_package_says_what_it_is_and_who_signed_it() {
    let (key, acme) = publisher("acme");
    let bytes = package(Some(&key));
    let read = Package::read(&bytes).unwrap();
    assert_eq!((read.manifest.name.as_str(), read.manifest.version.as_str()), ("hot-oil", "1.2.0"));
    assert_eq!(read.component, b"\0asm and more");
    assert_eq!(&bytes[read.place()], read.component);
    assert_eq!(read.digest, Digest::of(b"\0asm and more"));
    assert_eq!(read.sbom.unwrap().0, "sbom.cdx.json");
    assert_eq!(read.files().collect::<Vec<_>>(), ["detector.wasm", "sbom.cdx.json"]);
    let (_, other) = publisher("other");
    let signer = trust(&[&other, &acme]).judge(&read, now()).unwrap();
    assert_eq!(signer, Signer::Publisher { name: "acme".to_owned(), key: acme.key.id(), expired: None });
}

#[test]
fn without_a_trusted_signature_only_the_bytes_that_are_allowed_are_taken() {
    let (key, acme) = publisher("acme");
    let (_, other) = publisher("other");
    for (bytes, told) in [(package(None), "it is not signed"), (package(Some(&key)), "which is no trusted publisher's")]
    {
        let read = Package::read(&bytes).unwrap();
        let refused = trust(&[&other]).judge(&read, now()).unwrap_err().to_string();
        assert!(refused.contains(told) && refused.contains(&format!("allow = [\"{}\"]", read.digest)), "{refused}");
        let allowed = Trust { allowed: [read.digest].into(), ..trust(&[&other]) };
        assert_eq!(allowed.judge(&read, now()).unwrap(), Signer::Allowed);
        let elsewhere = Trust { allowed: [Digest::of(b"other")].into(), ..trust(&[&other]) };
        elsewhere.judge(&read, now()).unwrap_err();
    }
    let unknown = trust(&[]).judge(&Package::read(&package(Some(&key))).unwrap(), now()).unwrap_err().to_string();
    assert!(unknown.contains(&acme.key.id()), "{unknown}");
}

#[test]
fn what_is_revoked_is_refused_whoever_signed_or_allows_it() {
    let (key, acme) = publisher("acme");
    for bytes in [package(None), package(Some(&key))] {
        let read = Package::read(&bytes).unwrap();
        let revoked = Trust {
            allowed: [read.digest].into(),
            revoked: [Digest::of(b"other"), read.digest].into(),
            ..trust(&[&acme])
        };
        for refused in [revoked.judge(&read, now()), revoked.bare(read.digest)] {
            let refused = refused.unwrap_err();
            assert!(matches!(&refused, PackageError::Revoked { digest } if *digest == read.digest), "{refused}");
        }
    }
}

#[test]
fn the_signature_of_another_package_under_a_trusted_key_is_refused_whatever_is_allowed() {
    let (key, acme) = publisher("acme");
    let bytes = package(Some(&key));
    let newer = crate::Manifest { version: "1.3.0".to_owned(), ..manifest() };
    let (_, newer) = make(newer, b"\0asm and more", &[], Some(&key)).unwrap();
    let (read, mut mixed) = (Package::read(&bytes).unwrap(), Package::read(&newer).unwrap());
    mixed.signature = read.signature;
    let all = Trust { allowed: [mixed.digest].into(), ..trust(&[&acme]) };
    let refused = all.judge(&mixed, now()).unwrap_err();
    assert!(matches!(&refused, PackageError::Forged { publisher, .. } if publisher == "acme"), "{refused}");
}

#[test]
fn a_key_with_the_same_id_signs_for_nobody_else() {
    let (key, acme) = publisher("acme");
    let (_, other) = publisher("other");
    // The id of one key with the point of another.
    let swap = |a: &PublisherKey, b: &PublisherKey| {
        use base64::Engine;
        let engine = base64::engine::general_purpose::STANDARD;
        let (mut a, b) = (engine.decode(a.to_string()).unwrap(), engine.decode(b.to_string()).unwrap());
        a[2..10].copy_from_slice(&b[2..10]);
        engine.encode(a).parse::<PublisherKey>().unwrap()
    };
    let liar = Publisher { key: swap(&other.key, &acme.key), ..other };
    assert_eq!(liar.key.id(), acme.key.id());
    let bytes = package(Some(&key));
    let refused = trust(&[&liar]).judge(&Package::read(&bytes).unwrap(), now()).unwrap_err();
    assert!(matches!(refused, PackageError::Forged { .. }), "{refused}");
}

#[test]
fn a_key_that_counts_no_longer_is_told_and_takes_nothing_new() {
    let (key, acme) = publisher("acme");
    let bytes = package(Some(&key));
    let read = Package::read(&bytes).unwrap();
    for (until, ended) in [("2026-11-23T10:00:00Z", true), ("2026-11-23T10:00:01Z", false)] {
        let until = watchfire_model::Instant::parse(until);
        let acme = Publisher { until, ..acme.clone() };
        let signer = trust(&[&acme]).judge(&read, now()).unwrap();
        assert_eq!(matches!(&signer, Signer::Publisher { expired, .. } if expired.is_some()), ended);
        let new = signer.for_new(read.digest);
        assert_eq!(matches!(&new, Err(PackageError::Expired { publisher, .. }) if publisher == "acme"), ended);
        let allowed = Trust { allowed: [read.digest].into(), ..trust(&[&acme]) };
        allowed.judge(&read, now()).unwrap().for_new(read.digest).unwrap();
    }
}

#[test]
fn a_secret_key_opens_with_its_password_alone() {
    let (secret, public, key) = new_key(Some("correct horse")).unwrap();
    assert!(public.starts_with("untrusted comment: ") && public.contains(&key.to_string()), "{public}");
    assert!(matches!(SigningKey::open(&secret, None), Err(PackageError::NeedsPassword)));
    assert!(matches!(SigningKey::open(&secret, Some("battery")), Err(PackageError::WrongPassword)));
    let opened = SigningKey::open(&secret, Some("correct horse")).unwrap();
    let acme = Publisher { name: "acme".to_owned(), key, until: None };
    let bytes = package(Some(&opened));
    trust(&[&acme]).judge(&Package::read(&bytes).unwrap(), now()).unwrap();
    for text in ["", "one line", &public, "untrusted comment: x\nAAAA\n"] {
        assert!(matches!(SigningKey::open(text, None), Err(PackageError::NoKey { .. })), "{text}");
    }
}

#[test]
fn a_text_that_is_no_key_or_digest_is_refused() {
    let (_, acme) = publisher("acme");
    let line = acme.key.to_string();
    for text in ["", "RW", &line[1..], &line[..55], &format!("{line}A"), &line.replacen("RW", "AA", 1)] {
        assert!(text.parse::<PublisherKey>().is_err(), "{text}");
    }
    let digest = Digest::of(b"x");
    assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    let hex = digest.hex();
    for text in ["", &hex, "sha256:", &format!("sha256:{}", &hex[1..]), &format!("sha256:{}g", &hex[1..])] {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}

#[test]
fn names_and_texts_that_would_mislead_cannot_be_packed() {
    type Change = fn(&mut crate::Manifest);
    let changes: [Change; 7] = [
        |m| m.name = "Hot Oil".to_owned(),
        |m| m.name = "../hot".to_owned(),
        |m| m.name = String::new(),
        |m| m.version = "1.0/../..".to_owned(),
        |m| m.licence = "MIT\nsigner: acme".to_owned(),
        |m| m.licence = " ".to_owned(),
        |m| m.description = "\u{1b}[2J".to_owned(),
    ];
    for change in changes {
        let mut manifest = manifest();
        change(&mut manifest);
        let refused = make(manifest.clone(), b"x", &[], None);
        assert!(matches!(refused, Err(PackageError::Unmakeable { .. })), "{manifest:?}");
    }
    for name in ["", ".hidden", "a/b", "manifest.toml", "detector.wasm", "manifest.toml.minisig", "ü"] {
        let refused = make(manifest(), b"x", &[(name.to_owned(), Vec::new())], None);
        assert!(matches!(refused, Err(PackageError::Unmakeable { .. })), "{name}");
    }
}

/// Made with minisign 0.11 (`-G -W`, then `-S -t`): its secret key, its public one, and a signature over one line.
const STOCK_SECRET: &str = "untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAHwtRCmZ2nPJy3UwO6sH3rihl3R6gavrecYI5Vge+AwZnvlX9IHCcll6MLfArkXTlujSRPD0L38v+HIhHma7UgSwa8ZlvA/GgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
";
const STOCK_PUBLIC: &str = "RWQfC1EKZnac8l6MLfArkXTlujSRPD0L38v+HIhHma7UgSwa8ZlvA/Gg";
const STOCK_SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQfC1EKZnac8md8Kh3MHRHgTBNcTcsqbBhwo65cxaenls8AKMHZWrCxK9gFuMXMKccKW/sNIvFK+O2XDkXHA29XEWZdO4FdMwo=
trusted comment: stock comment
Aouo1tZGhWy/ZsmAqApQf6jfd7UDTIWZjSrCO2vLlSRVsdnEeKuHDY+/9MX2xH/9VE8RCsqt0nEWRv+nQjODDA==
";

#[test]
fn what_minisign_itself_makes_is_taken() {
    let key: PublisherKey = STOCK_PUBLIC.parse().unwrap();
    assert_eq!(key.id(), "F29C76660A510B1F");
    let signature = SignatureText::read(STOCK_SIGNATURE).unwrap();
    assert_eq!(key.signed(b"form of a stock signature\n", &signature), Some(true));
    assert_eq!(key.signed(b"form of a stock signaturE\n", &signature), Some(false));
    let secret = SigningKey::open(STOCK_SECRET, None).unwrap();
    let stock = Publisher { name: "stock".to_owned(), key, until: None };
    let bytes = package(Some(&secret));
    trust(&[&stock]).judge(&Package::read(&bytes).unwrap(), now()).unwrap();
}
