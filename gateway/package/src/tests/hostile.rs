//! Packages that somebody has changed, cut or made up. Each is refused by name, or means what it meant before.

use proptest::prelude::*;

use super::{now, package, publisher, trust};
use crate::archive::{Entry, write};
use crate::{Digest, Package, PackageError, Signer};

/// The manifest of a package with these files, as text.
fn manifest_of(files: &[(&str, &[u8])]) -> String {
    let listed: String =
        files.iter().map(|(name, bytes)| format!("\"{name}\" = \"{}\"\n", Digest::of(bytes))).collect();
    format!("form = 1\nname = \"x\"\nversion = \"1\"\nlicence = \"MIT\"\ncontract = \"0.1.0\"\n\n[files]\n{listed}")
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    write(&entries.iter().map(|(name, bytes)| Entry::new(name, bytes)).collect::<Vec<_>>())
}

/// A header whose sum is right again.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[148..156].fill(b' ');
    let sum: u64 = bytes[..512].iter().map(|byte| u64::from(*byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes
}

/// What a gateway would take: everything that it uses.
fn meaning(bytes: &[u8]) -> Option<(crate::Manifest, Vec<u8>, Option<Vec<u8>>)> {
    let package = Package::read(bytes).ok()?;
    Some((package.manifest.clone(), package.component.to_vec(), package.sbom.map(|(_, bytes)| bytes.to_vec())))
}

#[test]
fn each_byte_that_is_flipped_is_found_or_changes_nothing() {
    let (key, acme) = publisher("acme");
    let whole = package(Some(&key));
    let trust = trust(&[&acme]);
    let signer = trust.judge(&Package::read(&whole).unwrap(), now()).unwrap();
    let meant = meaning(&whole);
    assert!(meant.is_some() && matches!(signer, Signer::Publisher { .. }));
    let mut unhurt = 0;
    for place in 0..whole.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = whole.clone();
            changed[place] ^= bit;
            let Ok(package) = Package::read(&changed) else { continue };
            let Ok(found) = trust.judge(&package, now()) else { continue };
            assert_eq!((meaning(&changed), found), (meant.clone(), signer.clone()), "byte {place} by {bit:#x}");
            unhurt += 1;
        }
    }
    // The comment that minisign itself calls untrusted, and blanks after numbers.
    assert!(unhurt < 300, "{unhurt} changes went unseen");
}

#[test]
fn each_package_that_is_cut_short_is_refused() {
    let (key, _) = publisher("acme");
    let whole = package(Some(&key));
    for len in 0..whole.len() {
        let refused = Package::read(&whole[..len]);
        assert!(refused.is_err(), "{len} of {} bytes", whole.len());
    }
    let mut longer = whole.clone();
    longer.extend_from_slice(&[0; 9 * 1024]);
    assert_eq!(meaning(&longer), meaning(&whole), "other tars fill up to 10 KiB");
    longer.push(1);
    assert!(Package::read(&longer).is_err());
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../detector.wasm", "/etc/passwd", "a/b", "a\\b", ".profile", "a b", "C:x", "x\u{7f}", "ü"] {
        let bytes = archive(&[("manifest.toml", manifest_of(&[]).as_bytes()), (name, b"x")]);
        let refused = Package::read(&bytes).unwrap_err();
        assert!(matches!(refused, PackageError::EntryName { .. }), "{name}: {refused}");
        assert!(!refused.to_string().chars().any(char::is_control), "{refused}");
    }
}

#[test]
fn links_folders_and_devices_are_refused() {
    let whole = archive(&[("detector.wasm", b"x")]);
    for kind in b"1234567xgLKSVD" {
        let mut changed = whole.clone();
        changed[156] = *kind;
        let refused = Package::read(&summed(changed)).unwrap_err();
        assert!(matches!(refused, PackageError::EntryKind { .. }), "{}: {refused}", char::from(*kind));
    }
    let mut linked = whole.clone();
    linked[157] = b'x';
    assert!(matches!(Package::read(&summed(linked)), Err(PackageError::EntryKind { .. })));
    let mut prefixed = whole;
    prefixed[345..347].copy_from_slice(b"..");
    assert!(matches!(Package::read(&summed(prefixed)), Err(PackageError::EntryName { .. })));
}

#[test]
fn sizes_that_lie_are_refused() {
    let whole = archive(&[("detector.wasm", b"x")]);
    for size in
        [&b"77777777777\0"[..], b"00000100000\0", b"-0000000001\0", b"0x000000001\0", b"\x80\0\0\0\0\0\0\0\0\0\0\x01"]
    {
        let mut changed = whole.clone();
        changed[124..136].copy_from_slice(size);
        let refused = Package::read(&summed(changed)).unwrap_err();
        assert!(matches!(refused, PackageError::CutShort { .. } | PackageError::NoPackage { .. }), "{refused}");
    }
    let mut full = whole.clone();
    full[124..136].copy_from_slice(b"777777777777");
    assert!(Package::read(&summed(full)).is_err());
}

#[test]
fn what_is_there_twice_missing_or_unknown_is_refused() {
    let component: (&str, &[u8]) = ("detector.wasm", b"x");
    let manifest = manifest_of(&[component]);
    let listed = ("manifest.toml", manifest.as_bytes());
    assert!(Package::read(&archive(&[listed, component])).is_ok());
    let error = |entries: &[(&str, &[u8])]| Package::read(&archive(entries)).unwrap_err();
    assert!(matches!(error(&[listed, component, component]), PackageError::Twice { .. }));
    assert!(matches!(error(&[listed, listed, component]), PackageError::Twice { .. }));
    assert!(matches!(error(&[component]), PackageError::Missing { name } if name == "manifest.toml"));
    assert!(matches!(error(&[listed]), PackageError::Missing { name } if name == "detector.wasm"));
    assert!(
        matches!(error(&[listed, component, ("README", b"")]), PackageError::Unlisted { name } if name == "README")
    );
    assert!(matches!(error(&[listed, ("detector.wasm", b"y")]), PackageError::Changed { .. }));
    let none = manifest_of(&[]);
    assert!(matches!(error(&[("manifest.toml", none.as_bytes()), component]), PackageError::Unlisted { .. }));
    let itself = manifest_of(&[component, ("manifest.toml", b"x")]);
    assert!(matches!(error(&[("manifest.toml", itself.as_bytes()), component]), PackageError::Unlisted { .. }));
    let many: Vec<String> = (0..20).map(|count| format!("f{count}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(matches!(error(&many), PackageError::TooMany { .. }));
}

#[test]
fn manifests_that_nest_flood_or_lie_are_refused() {
    let good = manifest_of(&[("detector.wasm", b"x")]);
    let bad = [
        good.replace("form = 1", "form = 2"),
        good.replace("name = \"x\"", "name = \"../x\""),
        good.replace("name = \"x\"", "name = \"x\"\nextra = 1"),
        good.replace("licence = \"MIT\"\n", ""),
        good.replace("sha256:", "sha512:"),
        format!("x = {}{}\n{good}", "[".repeat(20_000), "]".repeat(20_000)),
        format!("{}\n{good}", "[\n".repeat(20_000)),
        format!("{} = 1\n{good}", vec!["a"; 20_000].join(".")),
        format!("x = {{{} = 1}}\n{good}", vec!["a"; 20_000].join(".")),
        format!("{good}\n# {}", "x".repeat(70_000)),
        "\u{feff}\0".to_owned(),
        String::new(),
    ];
    for manifest in bad {
        let bytes = archive(&[("manifest.toml", manifest.as_bytes()), ("detector.wasm", b"x")]);
        let refused = Package::read(&bytes).unwrap_err();
        let told = refused.to_string();
        assert!(matches!(refused, PackageError::Manifest { .. }), "{told}");
        assert!(told.len() < 600 && told.lines().count() == 1, "{told}");
    }
    let invalid = archive(&[("manifest.toml", b"\xff"), ("detector.wasm", b"x")]);
    assert!(matches!(Package::read(&invalid), Err(PackageError::Manifest { .. })));
}

#[test]
fn signatures_that_are_none_are_refused() {
    let (key, acme) = publisher("acme");
    let whole = package(Some(&key));
    let signature = Package::read(&whole).unwrap().signature.unwrap().to_owned();
    let lines: Vec<&str> = signature.lines().collect();
    let legacy = lines[1].replacen("RU", "RW", 1);
    let bad = [
        String::new(),
        "x".repeat(4096),
        lines[..3].join("\n"),
        format!("{signature}{signature}"),
        [lines[0], "AAAA", lines[2], lines[3]].join("\n"),
        [lines[0], lines[1], "comment", lines[3]].join("\n"),
        [lines[0], lines[1], lines[2], "AAAA"].join("\n"),
    ];
    let judge = |signature: &str| {
        let mut package = Package::read(&whole).unwrap();
        package.signature = Some(signature);
        trust(&[&acme]).judge(&package, now())
    };
    for signature in &bad {
        assert!(matches!(judge(signature), Err(PackageError::Signature { .. })), "{signature}");
    }
    // A signature of another kind, and one whose trusted comment was changed.
    assert_ne!(legacy, lines[1]);
    assert!(matches!(judge(&[lines[0], &legacy, lines[2], lines[3]].join("\n")), Err(PackageError::Forged { .. })));
    let comment = lines[2].replace("hot-oil", "cold-oil");
    assert!(matches!(judge(&[lines[0], lines[1], &comment, lines[3]].join("\n")), Err(PackageError::Forged { .. })));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(Package::read(&bytes).is_err());
    }

    #[test]
    fn no_change_of_a_package_makes_the_reader_panic(places in proptest::collection::vec((0..6000_usize, any::<u8>()), 1..20), sum: bool) {
        let mut bytes = package(None);
        for (place, byte) in places {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        if sum {
            bytes = summed(bytes);
        }
        let _ = meaning(&bytes);
    }
}
