//! Any text as a node's address, a browse path, a pattern, a place in a value, a URL: what is taken reads the same when it
//! is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use watchfire_config::{BrowsePath, ElementPath, EndpointUrl, NodeAddress, PathPattern};

fuzz_target!(|text: &str| {
    if let Ok(address) = NodeAddress::parse(text) {
        assert_eq!(NodeAddress::parse(&address.to_string()).ok(), Some(address));
    }
    drop(BrowsePath::parse(text));
    drop(ElementPath::parse(text));
    drop(EndpointUrl::parse(text));
    drop(PathPattern::parse(text));
});
