//! Learns from a server what its structures are made of, so that their members can be read (DataTypeDefinition, OPC
//! 10000-3 §5.8.3). Asked only where a signal is a structure or a member of one.

use std::sync::Arc;

use opcua::client::Session;
use opcua::client::custom_types::DataTypeTreeBuilder;
use opcua::types::Error;
use opcua::types::custom::{DataTypeTree, DynamicTypeLoader};

use crate::server_info::Limits;

/// Reads every type of the server, some thousand nodes, and has the session decode values by them. Where that fails,
/// members are what cannot be read, and all else goes on.
pub(crate) async fn learn(session: &Session, limits: Limits) -> Option<Arc<DataTypeTree>> {
    let learning = async {
        session.set_namespaces(session.read_namespace_array().await?);
        let tree = DataTypeTreeBuilder::new(|_| true).values_per_read(limits.read).build(session).await?;
        let tree = Arc::new(tree);
        session.add_type_loader(Arc::new(DynamicTypeLoader::new(tree.clone())));
        Ok::<_, Error>(tree)
    };
    match learning.await {
        Ok(tree) => Some(tree),
        Err(error) => {
            tracing::warn!(
                %error,
                "the server does not tell its structures: signals that are members of one have no value"
            );
            None
        }
    }
}
