//! A running gateway takes a changed configuration over: what differs is changed, everything else goes on.

use std::process::Output;

use crate::end_to_end::{FIRST, value};
use crate::harness::gateway::{Site, signal_table, source, upper_limit};
use crate::harness::hmi::{Hmi, Kind};
use crate::harness::recording::Recorded;
use crate::harness::wait_for;

const LEVEL: &str = "plant/reactor_level";

/// What `watchfire reload` prints, and its exit code.
#[track_caller]
fn reload(site: &Site, words: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = site.run("reload", words);
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

#[test]
fn a_reload_changes_what_differs_while_everything_else_goes_on() {
    let recorded = Recorded::new("tep_normal.csv", Some(FIRST));
    let site = Site::new();
    let plant = source("plant", &recorded.url(), &["reactor_level"]);
    let (kept, gone) = (upper_limit("kept", LEVEL, 80.0), upper_limit("gone", LEVEL, 80.0));
    site.configure(&(plant.clone() + &kept + &gone + &upper_limit("moved", LEVEL, 80.0)));
    let (code, told) = reload(&site, &[]);
    assert!(code == Some(1) && told.contains("no gateway runs on `"), "{told}");
    let mut server = recorded.start();
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::NodeOpcua, &site.url());
    server.set("reactor_level", 1.0, 91.0, 0);
    for name in ["kept", "gone", "moved"] {
        hmi.event(0, &format!("{name}/limit/{LEVEL}"), |event| event["active"] == true);
    }
    let (code, told) = reload(&site, &[]);
    assert_eq!((code, told.as_str()), (Some(0), "nothing differs from what runs\n"));

    let changed = plant.clone() + &kept + &upper_limit("moved", LEVEL, 95.0) + &upper_limit("new", LEVEL, 85.0);
    site.configure_with("security = [\"none\"]\nanonymous = \"view\"", &changed);
    let plan = "detector `gone`: ended; its alarms end\n\
                detector `moved`: replaced (its settings or signals changed)\n\
                detector `new`: added\n\
                [server] anonymous: supervisor runs, observer needs a restart\n";
    let (code, told) = reload(&site, &["--dry-run"]);
    assert_eq!((code, told), (Some(0), format!("{plan}would be reloaded: 3 changes; 1 more needs a restart\n")));
    let (code, told) = reload(&site, &[]);
    assert_eq!((code, told), (Some(0), format!("{plan}reloaded: 3 changes; 1 more needs a restart\n")));
    let ended = hmi.event(0, &format!("gone/limit/{LEVEL}"), |event| event["active"] == false);
    assert!(ended["message"].as_str().unwrap().contains("its detector was taken out of the configuration"), "{ended}");
    server.set("reactor_level", 2.0, 92.0, 0);
    hmi.event(0, &format!("new/limit/{LEVEL}"), |event| event["active"] == true);
    hmi.event(0, &format!("moved/limit/{LEVEL}"), |event| event["active"] == false);
    assert_eq!(hmi.events(&format!("kept/limit/{LEVEL}")).len(), 1, "nobody was told of it again");
    let shown = hmi.read(&["detector:new#Plugin", "detector:gone#Plugin"]);
    assert_eq!(shown[0]["value"], "limit");
    assert_ne!(shown[1]["value"], "limit");
    server.set("reactor_level", 3.0, 50.0, 0);
    for name in ["kept", "new"] {
        hmi.event(0, &format!("{name}/limit/{LEVEL}"), |event| event["active"] == false);
    }

    // What is wrong changes nothing, however it is asked for.
    site.configure(&changed.replace("limit", "limet").replace("high = 85.0", "high = \"x\"").replace(LEVEL, "plant/x"));
    let (code, told) = reload(&site, &[]);
    assert!(code == Some(2) && told.contains("gateway.toml:") && told.contains("plant/x"), "{told}");
    gateway.process.signal("HUP");
    let refused = gateway.logged(&["refused; everything goes on as it was", "SIGHUP"]);
    assert!(refused.contains("plant/x"), "{refused}");
    let mark = hmi.mark();
    server.set("reactor_level", 4.0, 97.0, 0);
    hmi.event(mark, &format!("moved/limit/{LEVEL}"), |event| event["active"] == true);

    site.configure(&(plant + &kept));
    gateway.process.signal("HUP");
    gateway.logged(&["carried out", "detector `moved`: ended", "SIGHUP"]);
    hmi.event(0, &format!("new/limit/{LEVEL}"), |event| {
        event["active"] == false && event["message"].as_str().unwrap().contains("taken out")
    });
    gateway.stop();
    assert_eq!(site.gaps(LEVEL), Vec::<serde_json::Value>::new(), "no value was missed");
    let replayed = site.run("replay", &["--detector", "kept"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stdout));
}

#[test]
fn sources_come_go_and_change_while_others_go_on() {
    let (one, two) = (Recorded::new("tep_normal.csv", Some(FIRST)), Recorded::new("tep_feed_loss.csv", Some(FIRST)));
    let site = Site::new();
    let plant = source("plant", &one.url(), &["reactor_level"]);
    let hall = source("hall", &two.url(), &["a_feed"]);
    site.configure(&(plant.clone() + &upper_limit("level", LEVEL, 80.0)));
    let (mut first, mut second) = (one.start(), two.start());
    let gateway = site.start();
    let mut hmi = Hmi::connect(Kind::Asyncua, &site.url());
    first.set("reactor_level", 1.0, 91.0, 0);
    hmi.event(0, &format!("level/limit/{LEVEL}"), |event| event["active"] == true);

    let both = plant.clone() + &hall + &upper_limit("level", LEVEL, 80.0) + &upper_limit("feed", "hall/a_feed", 1.0);
    site.configure(&both);
    let (code, told) = reload(&site, &[]);
    let wanted = "source `hall`: added\ndetector `feed`: added\nreloaded: 2 changes\n";
    assert_eq!((code, told.as_str()), (Some(0), wanted));
    gateway.logged(&["watching", "hall"]);
    second.set("a_feed", 1.0, 2.0, 0);
    hmi.event(0, "feed/limit/hall/a_feed", |event| event["active"] == true);
    wait_for("the new signal's value", || value(&mut hmi, "signal:hall/a_feed", 2.0));

    // A signal more: that source alone is asked anew, and what its server has of the moment is fetched or a gap.
    let wider = both.replace(&hall, &(hall.clone() + &signal_table("pressure", "ns=2;s=reactor_pressure")));
    site.configure(&wider);
    let (code, told) = reload(&site, &[]);
    assert_eq!((code, told.as_str()), (Some(0), "source `hall`: replaced (its signals changed)\nreloaded: 1 change\n"));
    second.set("reactor_pressure", 2.0, 7.5, 0);
    wait_for("the added signal's value", || value(&mut hmi, "signal:hall/pressure", 7.5));
    // What is only shown of a signal needs nobody's session.
    site.configure(&wider.replace("name = \"pressure\"", "name = \"pressure\"\nunit = \"kPa\""));
    let (_, told) = reload(&site, &[]);
    assert!(told.starts_with("source `hall`: goes on; units, ranges, areas or descriptions"), "{told}");

    site.configure(&(plant + &upper_limit("level", LEVEL, 80.0)));
    let (code, told) = reload(&site, &[]);
    let wanted = "source `hall`: ended; its alarm ends\ndetector `feed`: ended; its alarms end\nreloaded: 2 changes\n";
    assert_eq!((code, told.as_str()), (Some(0), wanted));
    hmi.event(0, "feed/limit/hall/a_feed", |event| event["active"] == false);
    let left = hmi.read(&["signal:hall/a_feed"]).remove(0);
    assert!(
        left["status"].as_str().unwrap_or_default().contains("NoData"),
        "it is kept, and says that it is old: {left}"
    );
    first.set("reactor_level", 2.0, 50.0, 0);
    hmi.event(0, &format!("level/limit/{LEVEL}"), |event| event["active"] == false);
    gateway.stop();
    assert_eq!(site.gaps(LEVEL), Vec::<serde_json::Value>::new());
    let history = site.run("history", &["hall/a_feed", "--csv"]);
    assert!(String::from_utf8(history.stdout).unwrap().contains(",2"), "what was recorded is kept");
}
