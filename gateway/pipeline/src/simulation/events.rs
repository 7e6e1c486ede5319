//! Events of servers reach a detector that hears them, in the order of the log and once; one that does not gets texts.

use std::fmt::Write as _;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_model::{Quality, RecordBody};

use super::plain::PlainFactory;
use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, Mode, learned};

/// The plain detector, its last signal a stream of events.
fn on_events(plugin: &str) -> BindingPlan {
    let mut plan = plan(Mode::Live);
    plan.spec.plugin = plugin.into();
    plan.spec.signals[2].events = true;
    plan
}

fn event(message: &str, severity: u16) -> String {
    format!(r#"{{"EventType":"i=2080","Message":"{message}","Severity":{severity},"ClientUserId":"anna"}}"#)
}

impl Site {
    async fn heard(&self, plan: &BindingPlan) -> String {
        String::from_utf8(learned(&self.log(), &PlainFactory, plan).await.unwrap().model).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_heard_in_order_and_those_told_again_or_late_are_not() {
    for (plugin, wanted) in [
        ("observer", r#"{2: NaN} ["one by Some(\"anna\")", "two by Some(\"anna\")", "no object by None"]"#),
        ("learner", r#"{2: NaN} ["text A", "text B", "text C", "text no object"]"#),
    ] {
        let site = Site::new();
        let rig = Rig::start_with(&site, vec![on_events(plugin)]).await;
        rig.value(0, 5.0).await;
        rig.text(2, &event("one", 600), Quality::NONE).await;
        if plugin == "observer" {
            let shown = rig.shown_active("plain/high/s/2").await;
            assert!(shown.state.message.starts_with("600 after a sum of 5 "), "{}", shown.state.message);
        }
        rig.text(2, &event("two", 100), Quality::NONE).await;
        rig.text(2, &event("told again", 900), Quality::INITIAL).await;
        rig.text(2, &event("late", 900), Quality::LATE).await;
        rig.text(2, "no object", Quality::NONE).await;
        assert!(!rig.state_of("plain/high/s/2").active.value);
        rig.stop().await;
        let said = [(event("one", 600), "A"), (event("two", 100), "B"), (event("told again", 900), "C")];
        let heard = site.heard(&on_events(plugin)).await;
        let heard = said.iter().fold(heard, |heard, (text, short)| {
            heard.replace(&format!("{text:?}")[1..][..text.len() + text.matches('"').count()], short)
        });
        assert_eq!(heard, wanted, "{plugin}");
        let report = site.try_replay_of(&on_events(plugin)).await.unwrap();
        assert_eq!((report.differences, report.same_state), (vec![], Some(true)), "{plugin}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_between_kills_are_heard_once_and_replay_hears_the_same() {
    for seed in 0..super::SEEDS {
        let site = Site::new();
        let mut random = SmallRng::seed_from_u64(seed);
        for life in 0..3 {
            let rig = Rig::start_with(&site, vec![on_events("observer")]).await;
            for n in 0..30 {
                match random.random_range(0..4) {
                    0 => rig.value(random.random_range(0..2), random.random_range(0.0..14.0)).await,
                    1 => rig.text(2, &event("again", 900), Quality::INITIAL).await,
                    2 => rig.text(2, &event("late", 900), Quality::LATE).await,
                    _ => rig.text(2, &event(&format!("{life} {n}"), random.random_range(1..1000)), Quality::NONE).await,
                }
                if random.random_bool(0.02) {
                    rig.wait_ms(61_000).await;
                }
            }
            if life < 2 {
                rig.kill();
                tokio::task::yield_now().await;
                site.lose_what_is_not_durable();
            } else {
                rig.stop().await;
            }
            site.check();
        }
        // What the log has, each once.
        let mut wanted = String::new();
        for record in site.records() {
            let RecordBody::Data(frame) = record.body else { continue };
            let marked = |row: u32| frame.rows.quality[row as usize] != Quality::NONE;
            for (_, text) in frame.rows.text.iter().filter(|(row, _)| !marked(*row)) {
                let message = text.split("Message\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
                write!(wanted, "{message};").unwrap();
            }
        }
        let heard = site.heard(&on_events("observer")).await;
        let messages = heard.split(" by Some(").filter_map(|part| part.rsplit('"').next().map(str::to_owned));
        let mut messages: Vec<String> = messages.collect();
        messages.pop();
        assert_eq!(messages.into_iter().fold(String::new(), |all, one| all + &one + ";"), wanted, "seed {seed}");
        let report = site.try_replay_of(&on_events("observer")).await.unwrap();
        assert_eq!((report.differences, report.same_state), (vec![], Some(true)), "seed {seed}");
    }
}
