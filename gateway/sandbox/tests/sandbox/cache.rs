//! The cache of compiled plugins: used when it is ours, never when it is not.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use watchfire_pipeline::DetectorFactory;
use watchfire_sandbox::{CacheAt, Sandbox, SandboxError, SandboxOptions};

use crate::setup::{batch, binding, bundled};

fn at(cache: &Path) -> CacheAt {
    CacheAt { folder: cache.to_owned(), key: cache.with_extension("key") }
}

/// Makes a sandbox with this cache and runs a detector in it.
async fn run(cache: &Path) {
    let options = SandboxOptions { cache: Some(at(cache)), bundled: bundled(), ..SandboxOptions::default() };
    let sandbox = Sandbox::new(options).unwrap();
    let mut detector = sandbox.create(&binding("limit", r#"{"high":10}"#, 1)).await.unwrap();
    assert_eq!(detector.process(&batch(1, &[11.0])).await.unwrap().verdicts.len(), 1);
}

fn compiled(cache: &Path) -> PathBuf {
    let files = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let mut compiled: Vec<_> = files.filter(|path| path.extension().is_some_and(|ext| ext == "compiled")).collect();
    assert_eq!(compiled.len(), 1);
    compiled.remove(0)
}

/// A file that is written anew is another file.
fn written(cache: &Path) -> u64 {
    std::fs::metadata(compiled(cache)).unwrap().ino()
}

#[tokio::test]
async fn compiled_code_is_used_again_only_while_it_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("made/here");
    run(&cache).await;
    let key = at(&cache).key;
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);

    let first = written(&cache);
    run(&cache).await;
    assert_eq!(written(&cache), first, "a second start compiles nothing");

    let code = std::fs::read(compiled(&cache)).unwrap();
    for (what, changed) in [
        ("code", {
            let mut c = code.clone();
            let last = c.len() - 100;
            c[last] ^= 1;
            c
        }),
        ("mac", {
            let mut c = code.clone();
            c[40] ^= 1;
            c
        }),
        ("entry", {
            let mut c = code.clone();
            c[0] ^= 1;
            c
        }),
        ("length", code[..code.len() - 1].to_vec()),
        ("nothing", Vec::new()),
    ] {
        // The hard link keeps the changed file's number from being given out again.
        std::fs::write(compiled(&cache), changed).unwrap();
        let link = folder.path().join(what);
        std::fs::hard_link(compiled(&cache), &link).unwrap();
        let before = written(&cache);
        run(&cache).await;
        assert_ne!(written(&cache), before, "{what}: what was changed is compiled again");
        assert_eq!(std::fs::read(compiled(&cache)).unwrap().len(), code.len());
    }

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let secret = std::fs::read(&key).unwrap();
    run(&cache).await;
    assert_ne!(std::fs::read(&key).unwrap(), secret, "a key that others could read is one no more");
}

#[test]
fn a_cache_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let cache = Some(at(&file.join("cache")));
    let Err(error) = Sandbox::new(SandboxOptions { cache, ..SandboxOptions::default() }) else {
        panic!("a file is no folder");
    };
    assert!(matches!(&error, SandboxError::Cache { path, .. } if *path == file.join("cache")), "{error}");
}

#[cfg(unix)]
#[test]
fn a_key_that_cannot_be_used_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = CacheAt { folder: folder.path().join("cache"), key: folder.path().join("own.key") };
    std::os::unix::fs::symlink("elsewhere", &at.key).unwrap();
    let open = || Sandbox::new(SandboxOptions { cache: Some(at.clone()), ..SandboxOptions::default() });
    let Err(error) = open() else { panic!("a link is no key") };
    assert!(matches!(&error, SandboxError::Key { path, .. } if *path == at.key), "{error}");
    let told = error.to_string();
    assert!(told.starts_with(&format!("the key `{}`", at.key.display())) && told.contains("; remove it"), "{told}");
    std::fs::remove_file(&at.key).unwrap();
    open().unwrap();
}

/// Who can write the folder of compiled plugins, and nothing else, brings nothing to run: with a key of theirs they could.
#[tokio::test]
async fn who_can_write_the_cache_alone_has_no_key_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    run(&cache).await;
    let names = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| name.ends_with(".compiled")));
    let inside = CacheAt { key: cache.join("key"), folder: cache };
    let Err(error) = Sandbox::new(SandboxOptions { cache: Some(inside), ..SandboxOptions::default() }) else {
        panic!("a key beside what it authenticates is none");
    };
    assert!(error.to_string().contains("the key may not lie where it authenticates"), "{error}");
}

#[tokio::test]
async fn what_was_kept_first_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let sparse = |name: &str, bytes: u64, age_s: u64| {
        let path = folder.path().join(name);
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(bytes).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 - age_s)).unwrap();
        path
    };
    let oldest = sparse("a.compiled", 1 << 30, 300);
    let other = sparse("b.other", 1 << 30, 400);
    let newer = sparse("c.compiled", 1 << 20, 100);
    run(folder.path()).await;
    assert!(!oldest.exists() && other.exists() && newer.exists());
}
