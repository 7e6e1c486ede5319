//! How long a request may take: as long as the configuration says, and, if it only reads, as its connection lasts.

use super::client::connect;
use async_trait::async_trait;
use opcua::client::Session;
use opcua::nodes::DefaultTypeTree;
use opcua::server::ServerBuilder;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::{
    ExternalReferenceRequest, NodeManager, ReadNode, RequestContext, ServerContext, WriteNode,
};
use opcua::types::{AttributeId, DataValue, NodeId, ReadValueId, StatusCode, TimestampsToReturn, WriteValue};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

const WAIT_MAX: Duration = Duration::from_secs(60);
/// The namespace whose nodes are never read to the end.
const ENDLESS: u16 = 7;

/// How many reads and writes go on, and how many writes have ended by themselves.
#[derive(Default)]
struct GoingOn {
    reads: AtomicUsize,
    writes: AtomicUsize,
    written: AtomicUsize,
    /// Ends a write.
    let_go: Notify,
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Endless(Arc<GoingOn>);

#[async_trait]
impl NodeManager for Endless {
    fn owns_node(&self, id: &NodeId) -> bool {
        id.namespace == ENDLESS
    }

    fn name(&self) -> &'static str {
        "endless"
    }

    fn namespaces_for_user(&self, _: &RequestContext) -> Vec<NamespaceMetadata> {
        Vec::new()
    }

    async fn init(&self, _: &mut DefaultTypeTree, _: ServerContext) {}

    async fn resolve_external_references(&self, _: &RequestContext, _: &mut [&mut ExternalReferenceRequest]) {}

    async fn read(
        &self,
        _: &RequestContext,
        _: f64,
        _: TimestampsToReturn,
        _: &mut [&mut ReadNode],
    ) -> Result<(), StatusCode> {
        let _counted = Counted::begin(&self.0.reads);
        std::future::pending().await
    }

    async fn write(&self, _: &RequestContext, _: &mut [&mut WriteNode]) -> Result<(), StatusCode> {
        let _counted = Counted::begin(&self.0.writes);
        self.0.let_go.notified().await;
        self.0.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A server on which a request takes so long at the most, a client's session, and what goes on.
async fn serve(
    timeout_ms: u32,
) -> (Arc<Session>, Arc<GoingOn>, tokio::task::JoinHandle<StatusCode>, tempfile::TempDir) {
    let pki = tempfile::tempdir().expect("a folder for certificates");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
    let port = listener.local_addr().expect("a bound port").port();
    let going_on = Arc::new(GoingOn::default());
    let ours = going_on.clone();
    let (server, _) = ServerBuilder::new_anonymous("patches")
        .application_uri("urn:patches:server")
        .product_uri("urn:patches")
        .pki_dir(pki.path().join("server"))
        .host("127.0.0.1")
        .port(port)
        .max_timeout_ms(timeout_ms)
        .with_node_manager(move |_: ServerContext| Endless(ours))
        .build()
        .expect("a server");
    tokio::spawn(server.run_with(listener));
    let (session, running) = connect(port, pki.path(), WAIT_MAX).await;
    (session, going_on, running, pki)
}

fn endless() -> NodeId {
    NodeId::new(ENDLESS, "endless")
}

fn one() -> WriteValue {
    WriteValue {
        node_id: endless(),
        attribute_id: AttributeId::Value as u32,
        value: DataValue::value_only(1_i32),
        ..WriteValue::default()
    }
}

async fn becomes(count: &AtomicUsize, wanted: usize) {
    let looked = async {
        while count.load(Ordering::Relaxed) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, looked).await.expect("in time");
}

#[tokio::test]
async fn a_request_takes_no_longer_than_is_configured_whatever_the_client_asks_for() {
    let (session, going_on, _running, _pki) = serve(50).await;
    let read = session.read(&[ReadValueId::from(endless())], TimestampsToReturn::Neither, 0.0).await;
    let read = read.map(|_| ()).map_err(|error| error.status());
    assert_eq!(read, Err(StatusCode::BadTimeout));
    becomes(&going_on.reads, 0).await;
}

#[tokio::test]
async fn what_changes_something_goes_on_where_its_client_was_told_that_it_takes_too_long() {
    let (session, going_on, _running, _pki) = serve(50).await;
    let written = session.write(&[one()]).await;
    assert_eq!(written.map(|_| ()).map_err(|error| error.status()), Err(StatusCode::BadTimeout));
    assert_eq!(going_on.writes.load(Ordering::Relaxed), 1);
    going_on.let_go.notify_one();
    becomes(&going_on.written, 1).await;
}

#[tokio::test]
async fn a_request_that_only_reads_ends_with_its_connection_and_others_go_on() {
    let (session, going_on, running, _pki) = serve(0).await;
    let (reading, writing) = (session.clone(), session.clone());
    let read = tokio::spawn(async move {
        reading.read(&[ReadValueId::from(endless())], TimestampsToReturn::Neither, 0.0).await.map(drop)
    });
    let write = tokio::spawn(async move { writing.write(&[one()]).await.map(drop) });
    becomes(&going_on.reads, 1).await;
    becomes(&going_on.writes, 1).await;
    // The client's end of the connection goes without a word.
    running.abort();
    read.abort();
    write.abort();
    drop(session);
    becomes(&going_on.reads, 0).await;
    assert_eq!(going_on.writes.load(Ordering::Relaxed), 1);
}
