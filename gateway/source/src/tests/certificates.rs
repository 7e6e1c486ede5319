//! Secured connections and logins: what is refused says what to do, and works once it is done.

use std::fs;
use std::path::Path;

use watchfire_config::{MessageMode, PasswordFrom, Security, UserCertificate};
use watchfire_model::SourceState;
use watchfire_plant::PlantOptions;
use watchfire_ua::{Application, Pki};

use super::harness::{config, healthy, of_plant, quick, start_plant, start_source};

/// Does what a person does: moves the one file of a `rejected` folder to `trusted`.
fn trust_what_was_rejected(pki: &Path) {
    let files: Vec<_> = fs::read_dir(pki.join("rejected")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::rename(files[0].path(), pki.join("trusted").join(files[0].file_name())).unwrap();
}

#[tokio::test]
async fn both_sides_refuse_unknown_certificates_until_a_person_trusts_them() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("gateway/pki"), dir.path().join("plant/pki"));
    let plant = start_plant(PlantOptions { pki_dir: Some(theirs.clone()), ..healthy(0) }).await;
    let mut config = config(&plant.url, of_plant(&["pump/flow"]));
    config.security = Security::Basic256Sha256;
    let mut source = start_source(config, ours.clone(), quick());

    let reason = source.until_down_with("not trusted").await;
    assert!(reason.contains(&*ours.join("trusted").to_string_lossy()), "{reason}");
    trust_what_was_rejected(&ours);

    let reason = source.until_down_with("refuses our certificate").await;
    assert!(reason.contains(&*ours.join("own/cert.der").to_string_lossy()), "{reason}");
    trust_what_was_rejected(&theirs);

    source.until_state(SourceState::Up).await;
    source.until_values(1).await;
    source.stop().await;
}

#[tokio::test]
async fn a_login_needs_the_right_password() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("gateway/pki"), dir.path().join("plant/pki"));
    let user = Some(("reader".to_owned(), "right".to_owned()));
    let options = PlantOptions { user, pki_dir: Some(theirs.clone()), ..healthy(0) };
    let plant = start_plant(options).await;
    let password = dir.path().join("password");
    let mut config = config(&plant.url, of_plant(&["pump/flow"]));
    let anonymous = start_source(config.clone(), ours.clone(), quick());
    let mut anonymous = anonymous;
    let reason = anonymous.until_down_with("does not offer").await;
    assert!(reason.contains("(user)"), "{reason}");
    anonymous.stop().await;

    config.user = Some("reader".to_owned());
    config.password_from = Some(PasswordFrom::File(password.clone()));
    config.security = Security::Basic256Sha256;
    config.trust_server_certificate = true;
    let mut source = start_source(config, ours, quick());
    source.until_down_with("password file").await;
    fs::write(&password, "wrong").unwrap();
    source.until_down_with("refuses our certificate").await;
    trust_what_was_rejected(&theirs);
    source.until_down_with("refuses to log in user `reader`").await;
    fs::write(&password, "right").unwrap();
    source.until_state(SourceState::Up).await;
    source.until_values(1).await;
    source.stop().await;
}

#[tokio::test]
async fn a_server_without_the_wanted_security_says_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let plant = start_plant(healthy(0)).await;
    let mut config = config(&plant.url, of_plant(&["pump/flow"]));
    config.security = Security::Basic256Sha256;
    let mut source = start_source(config, dir.path().join("pki"), quick());
    let reason = source.until_down_with("does not offer security `basic256sha256`").await;
    assert!(reason.contains("None/None (anonymous)"), "{reason}");
    source.stop().await;
}

/// Both sides' certificates, ours trusted by the plant.
fn known_to_the_plant(ours: &Path, theirs: &Path) {
    let pki = Pki::new(ours);
    pki.ensure_own(&Application::gateway()).unwrap();
    let certificate = opcua::crypto::CertificateStore::read_cert(&pki.own_certificate_path()).unwrap();
    let trusted = theirs.join("trusted");
    fs::create_dir_all(&trusted).unwrap();
    let name = opcua::crypto::CertificateStore::cert_file_name(&certificate);
    fs::copy(pki.own_certificate_path(), trusted.join(name)).unwrap();
}

#[tokio::test]
async fn every_safe_policy_is_spoken_in_both_modes() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("gateway/pki"), dir.path().join("plant/pki"));
    known_to_the_plant(&ours, &theirs);
    let plant = start_plant(PlantOptions { pki_dir: Some(theirs), ..healthy(0) }).await;
    for security in [Security::Basic256Sha256, Security::Aes128Sha256RsaOaep, Security::Aes256Sha256RsaPss] {
        for message_mode in [MessageMode::SignAndEncrypt, MessageMode::Sign] {
            let mut config = config(&plant.url, of_plant(&["pump/flow"]));
            (config.security, config.message_mode, config.trust_server_certificate) = (security, message_mode, true);
            let mut source = start_source(config, ours.clone(), quick());
            source.until_state(SourceState::Up).await;
            source.until_values(1).await;
            source.stop().await;
        }
    }
}

#[tokio::test]
async fn another_server_at_a_pinned_ones_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("gateway/pki");
    let pki_of = |name: &str| dir.path().join(name).join("pki");
    for name in ["first", "second"] {
        known_to_the_plant(&ours, &pki_of(name));
    }
    let first = start_plant(PlantOptions { pki_dir: Some(pki_of("first")), ..healthy(0) }).await;
    let second = start_plant(PlantOptions { pki_dir: Some(pki_of("second")), ..healthy(0) }).await;
    let mut config = config(&first.url, of_plant(&["pump/flow"]));
    (config.security, config.trust_server_certificate) = (Security::Basic256Sha256, true);
    let mut source = start_source(config.clone(), ours.clone(), quick());
    source.until_values(1).await;
    source.stop().await;
    config.url = watchfire_config::EndpointUrl::parse(&second.url).unwrap();
    let mut source = start_source(config, ours.clone(), quick());
    source.until_down_with("not the one that was pinned at the first connection").await;
    trust_what_was_rejected(&ours);
    source.until_values(1).await;
    source.stop().await;
}

#[tokio::test]
async fn a_user_certificate_that_cannot_be_used_is_named_and_its_key_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("gateway/pki"), dir.path().join("plant/pki"));
    known_to_the_plant(&ours, &theirs);
    Pki::new(&theirs).ensure_own(&Application::on_this_host("plant")).unwrap();
    let plant = start_plant(PlantOptions { pki_dir: Some(theirs.clone()), ..healthy(0) }).await;
    let mut config = config(&plant.url, of_plant(&["pump/flow"]));
    (config.security, config.trust_server_certificate) = (Security::Basic256Sha256, true);
    let key = dir.path().join("user.pem");
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n").unwrap();
    let certificate = ours.join("own/cert.der");
    config.user_certificate = Some(UserCertificate { certificate, key: key.clone() });
    let mut source = start_source(config, ours.clone(), quick());
    let reason = source.until_down_with("user.pem` is no RSA private key").await;
    assert!(!reason.contains("hunter2"), "{reason}");
    fs::copy(theirs.join("own/private.pem"), &key).unwrap();
    source.until_down_with("user.pem` is not the key of the user certificate").await;
    fs::copy(ours.join("own/private.pem"), &key).unwrap();
    // The plant lets nobody in by certificate, and says so.
    source.until_down_with("does not offer").await;
    source.stop().await;
}
