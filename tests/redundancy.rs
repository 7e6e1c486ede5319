//! A server that names another one which stands in for it is left for that one when it is not well, or gone.

use serde_json::json;

use crate::harness::free_port;
use crate::harness::gateway::{Site, source};
use crate::harness::peer::Peer;

#[test]
fn a_server_that_names_its_stand_in_is_left_for_it_and_taken_up_when_that_one_dies() {
    let (first, second) = (free_port(), free_port());
    let start = |port: u16, other: Option<u16>| {
        let mut words = vec!["--port".to_owned(), port.to_string()];
        words.extend(other.into_iter().flat_map(|other| ["--other".to_owned(), other.to_string()]));
        let server = Peer::python("redundant_server", "redundant_server.py", words);
        server.ready().unwrap();
        server
    };
    let mut one = start(first, Some(second));
    let mut other = start(second, None);
    let site = Site::new();
    site.configure(&source("plant", &format!("opc.tcp://127.0.0.1:{first}/"), &["level"]));
    let gateway = site.start();
    gateway.logged(&["stands in for it", &second.to_string()]);
    gateway.logged(&["watching", "plant", &first.to_string()]);
    one.ask("level", json!({ "level": 100 }));
    gateway.logged(&["another server is better off", &second.to_string()]);
    gateway.logged(&["watching", "plant", &format!(":{second}/")]);
    // The one that is read dies: the first one is not well, and better than nothing.
    other.process.kill();
    gateway.logged(&["connection lost"]);
    let back = format!("connected to `opc.tcp://127.0.0.1:{first}/`");
    let lines = || {
        let output = site.run("history", &["plant/level", "--json"]);
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    let before = lines();
    crate::harness::wait_for(&back, || (lines() > before + 20).then_some(()));
    gateway.stop();
}
