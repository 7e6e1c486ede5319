//! Watches what runs out by itself, such as certificates, and tells of it early enough for a person to renew it. Does not
//! know what it is.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use watchfire_model::{Clock, Instant};

use crate::{Ends, Log, Notices};

/// How often it is looked: somebody who has renewed something wants to see that it counts.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificatePurpose {
    /// The gateway's own, with which it identifies itself.
    Own,
    /// Another application's.
    Application,
    /// A user's, with which a source is logged in to.
    User,
    /// An authority's.
    Authority,
}

/// A certificate and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndingCertificate {
    /// Its end.
    pub until: Instant,
    /// What it is for.
    pub purpose: CertificatePurpose,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// For so long before its end it is told of.
    pub warning: Duration,
}

/// The certificate that ends first, for whoever shows it; `None` as long as nobody has looked, and where there is none.
#[derive(Debug, Default)]
pub struct FirstToEnd(RwLock<Option<Arc<EndingCertificate>>>);

impl FirstToEnd {
    /// Which it was when somebody last looked.
    #[must_use]
    pub fn get(&self) -> Option<Arc<EndingCertificate>> {
        self.0.read().clone()
    }

    /// Says which it is.
    pub fn set(&self, first: Option<EndingCertificate>) {
        *self.0.write() = first.map(Arc::new);
    }
}

/// Looks, and tells what has changed, for as long as it is polled.
pub(crate) async fn run(log: Arc<Log>, ends: Arc<dyn Ends>, notices: Notices, clock: Arc<dyn Clock>) {
    let mut told: Option<Option<String>> = None;
    loop {
        let (looking, now) = (ends.clone(), clock.now());
        match tokio::task::spawn_blocking(move || looking.soon(now)).await {
            Ok(soon) if told.as_ref() != Some(&soon) => {
                if let Some(reason) = &soon {
                    tracing::warn!(reason, "certificates run out");
                }
                told = Some(soon.clone());
                notices.certificates(log.tail(), now, soon).await;
            }
            Ok(_) => {}
            Err(panic) => tracing::error!(%panic, "looking at the certificates was ended"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
