//! OPC UA values, node ids and security settings, shared by the rooms that speak OPC UA.
