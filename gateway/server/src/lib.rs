//! OPC UA server: condition nodes, methods, events, variables.
