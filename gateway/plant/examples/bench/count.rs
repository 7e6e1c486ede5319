//! The bare client: decodes what comes and counts it, nothing more. Prints `ready`; to each line how many values have
//! come so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore};
use opcua::types::{DataChangeNotification, NotificationMessage};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::Failure;
use crate::client::{Client, Subscribed};

/// Counts whole messages: cheaper than the library's callback for each value, which looks its item up first.
struct Counter(Arc<AtomicU64>);

impl OnSubscriptionNotificationCore for Counter {
    fn on_subscription_notification(&mut self, message: NotificationMessage, _: MonitoredItemMap<'_>) {
        for content in message.notification_data.into_iter().flatten() {
            if let Some(changes) = content.inner_as::<DataChangeNotification>() {
                let values = changes.monitored_items.as_ref().map_or(0, Vec::len);
                self.0.fetch_add(values as u64, Ordering::Relaxed);
            }
        }
    }
}

/// Counts until standard input ends.
pub async fn count(url: &str, wanted: &Subscribed) -> Result<(), Failure> {
    let values = Arc::new(AtomicU64::new(0));
    let client = Client::connect(url).await?;
    client.subscribe(wanted, || Counter(values.clone())).await?;
    println!("ready");
    let mut asked = BufReader::new(stdin()).lines();
    while asked.next_line().await?.is_some() {
        println!("{}", values.load(Ordering::Relaxed));
    }
    client.close().await
}
