//! Who gets in.

use opcua::client::IdentityToken;
use opcua::types::{MessageSecurityMode, StatusCode};
use tempfile::TempDir;
use watchfire_config::{Security, ServerConfig};

use super::client::Hmi;
use super::house::{House, guarded, open};
use crate::rejected::Rejected;

fn password(user: &str, password: &str) -> IdentityToken {
    IdentityToken::UserName(user.into(), password.to_owned().into())
}

#[tokio::test]
async fn only_known_users_with_their_own_password_get_in() {
    let house = House::with(guarded()).await;
    for (user, said) in [("ann", "Oil"), ("ann", ""), ("eve", "oil"), ("", "oil"), ("ANONYMOUS", "oil")] {
        let refused = Hmi::log_in(&house.url, password(user, said)).await.map(|_| ()).unwrap_err();
        assert_eq!(refused, StatusCode::BadIdentityTokenRejected, "{user} {said}");
    }
    Hmi::log_in(&house.url, password("ann", "oil")).await.unwrap().close().await;
    Hmi::log_in(&house.url, IdentityToken::Anonymous).await.unwrap().close().await;
    house.close().await;

    let closed = House::with(ServerConfig { anonymous: None, ..guarded() }).await;
    assert!(Hmi::log_in(&closed.url, IdentityToken::Anonymous).await.is_err());
    Hmi::log_in(&closed.url, password("bob", "oil")).await.unwrap().close().await;
    closed.close().await;
}

#[tokio::test]
async fn an_unknown_certificate_waits_for_a_person_who_is_told_where_it_lies() {
    let house = House::with(ServerConfig { security: vec![Security::Basic256Sha256], ..open() }).await;
    let mut rejected = Rejected::new(house.pki.clone(), std::sync::Arc::new(watchfire_model::SystemClock));
    let encrypted = MessageSecurityMode::SignAndEncrypt;
    let folder = TempDir::new().unwrap();
    let (_, folder) = Hmi::log_in_with(&house.url, IdentityToken::Anonymous, encrypted, folder)
        .await
        .map(|_| ())
        .expect_err("nobody trusts it yet");
    let refused = rejected.look();
    assert_eq!(refused.len(), 1);
    assert!(rejected.look().is_empty(), "it is told once");
    // A person moves it, and calls it something better.
    let said = refused[0].to_string();
    assert!(said.ends_with(&format!("move it to `{}`", house.pki.trusted_dir().display())), "{said}");
    std::fs::rename(&refused[0].file, house.pki.trusted_dir().join("the press room.der")).unwrap();
    let hmi =
        Hmi::log_in_with(&house.url, IdentityToken::Anonymous, encrypted, folder).await.map_err(|(e, _)| e).unwrap();
    assert!(hmi.value("area:Hall#ActiveCount").await == 0_u32.into());
    assert!(rejected.look().is_empty());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let house = House::open().await;
    let port: u16 = house.url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let Err(refused) = House::try_build(ServerConfig { port, ..open() }) else { panic!("two servers on one port") };
    let message = refused.to_string();
    assert!(message.contains(&format!("127.0.0.1:{port}")) && message.contains("set another"), "{message}");
    house.close().await;
}
