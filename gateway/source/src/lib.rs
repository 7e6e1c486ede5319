//! OPC UA client: connect, subscribe, recover.
