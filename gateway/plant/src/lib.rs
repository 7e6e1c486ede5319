//! The demo plant: a simulated process behind an OPC UA server.
