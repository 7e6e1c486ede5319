//! Models: the file's bytes reach the plugin as they are, belong to what the detector is, and are bounded.

use std::path::{Path, PathBuf};

use watchfire_pipeline::{BindingSpec, DetectorFactory, DetectorIdentity, ModelFile, Quota};

use crate::setup::{binding, refusal, sandbox};

fn with(path: &Path, config: &str) -> BindingSpec {
    BindingSpec { model: Some(ModelFile { path: path.to_owned(), sha256: None }), ..binding("faulty", config, 1) }
}

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

async fn identity(spec: &BindingSpec) -> DetectorIdentity {
    sandbox().create(spec).await.unwrap().identity().clone()
}

#[tokio::test]
async fn a_model_reaches_the_plugin_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let model = written(&folder, "m.onnx", &[7, 0, 255]);
    let said = refusal(&sandbox(), &with(&model, r#"{"fault":"refuse-model"}"#)).await.to_string();
    assert_eq!(said, "plugin `faulty` refuses its model: it is Some([7, 0, 255])");
    let said = refusal(&sandbox(), &binding("faulty", r#"{"fault":"refuse-model"}"#, 1)).await.to_string();
    assert_eq!(said, "plugin `faulty` refuses its model: it is None");
}

/// A state is restored only where the hash is the same, see `Judge::fits`.
#[tokio::test]
async fn what_is_learned_with_one_model_is_not_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "m.onnx", b"one");
    let (none, one) = (identity(&binding("faulty", "{}", 1)).await, identity(&with(&path, "{}")).await);
    let copy = written(&folder, "copy.onnx", b"one");
    assert_eq!(identity(&with(&copy, "{}")).await, one, "only its bytes count");
    written(&folder, "m.onnx", b"two");
    let two = identity(&with(&path, "{}")).await;
    assert_eq!(none.model, None);
    assert_eq!(one.model.as_deref(), Some("7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"));
    assert_eq!(two.model.as_deref(), Some("3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"));
    assert!(none.config_hash != one.config_hash && one.config_hash != two.config_hash);
}

#[tokio::test]
async fn a_model_that_cannot_be_used_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let missing = with(&folder.path().join("none.onnx"), "{}");
    let a_folder = with(folder.path(), "{}");
    let mut large = with(&written(&folder, "large.onnx", &vec![0; (4 << 20) + 1]), "{}");
    large.quota = Quota { memory_bytes: 4 << 20, ..Quota::default() };
    let mut another = with(&written(&folder, "m.onnx", b"one"), "{}");
    another.model = another.model.map(|model| ModelFile { sha256: Some("00".repeat(32)), ..model });
    for (spec, words) in [
        (missing, "none.onnx` cannot be read: No such file"),
        (a_folder, "cannot be used: it is no file; name one"),
        (large, "it has more than 4194304 bytes, which is all the detector's memory (`memory_mb`)"),
        (another, "is sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed, but the detector's"),
    ] {
        let said = refusal(&sandbox(), &spec).await.to_string();
        assert!(said.contains(words), "{said}");
    }
}
