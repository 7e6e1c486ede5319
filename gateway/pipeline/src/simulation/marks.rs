//! What people said of alarms is held against the scores that they came of, and a threshold that a person sets is on record.

use watchfire_calibration::Proposal;
use watchfire_model::{AlarmSettings, CommandKind};

use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, MarkedCondition, Mode};

const ODD: &str = "plain/odd/s/0";

/// Scores are a tenth of values.
fn with_threshold(threshold: Option<f64>) -> BindingPlan {
    let mut plan = plan(Mode::Live);
    plan.spec.alarms.insert("odd".into(), AlarmSettings { threshold, ..AlarmSettings::default() });
    plan
}

/// An event with these values, to its end.
async fn event(rig: &Rig, values: &[f64]) {
    for value in values {
        rig.value(0, *value).await;
        rig.wait_ms(2_000).await;
    }
    rig.value(0, 1.0).await;
    rig.wait_ms(15_000).await;
}

async fn mark(rig: &Rig, genuine: bool) {
    let view = rig.last_of(ODD);
    let event_id = view.told().event_id(&view.def.key);
    rig.command(&view.def.key, CommandKind::Mark(genuine), event_id.bytes()).await.unwrap();
}

async fn said(site: &Site, plan: &BindingPlan) -> Vec<MarkedCondition> {
    let report = site.try_replay_of(plan).await.unwrap();
    assert!(report.is_same(), "{:?}", report.differences);
    report.marked
}

#[tokio::test(start_paused = true)]
async fn what_people_said_of_alarms_proposes_a_threshold_and_a_person_sets_it_on_record() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    event(&rig, &[12.5, 13.5, 9.0]).await;
    // Somebody changes their mind.
    mark(&rig, true).await;
    mark(&rig, false).await;
    event(&rig, &[12.5, 15.0]).await;
    mark(&rig, true).await;
    event(&rig, &[14.0]).await;
    // Nobody says anything of the last, and the one that stands is no time to propose anything.
    rig.value(0, 13.0).await;
    rig.wait_ms(2_000).await;
    rig.stop().await;
    let of_one = MarkedCondition {
        condition: "odd".into(),
        threshold: 1.2,
        genuine: 1,
        mistaken: 1,
        proposal: Some(Proposal { threshold: 1.42, spared: 1 }),
        stands: false,
    };
    let stands = MarkedCondition { proposal: None, stands: true, ..of_one.clone() };
    assert_eq!(said(&site, &with_threshold(None)).await, [stands]);

    let rig = Rig::start(&site).await;
    event(&rig, &[1.0]).await;
    rig.stop().await;
    assert_eq!(said(&site, &with_threshold(None)).await, std::slice::from_ref(&of_one));
    site.seal_some(site.journal.records().len() / 2);
    assert_eq!(said(&site, &with_threshold(None)).await, [of_one]);

    // The threshold is what a person has set, and no more than that: each life goes by its own, and replay by each.
    for (threshold, activations, ends) in
        [(Some(1.42), 1, true), (None, 2, false), (Some(1.42), 1, false), (None, 2, true)]
    {
        let rig = Rig::start_with(&site, vec![with_threshold(threshold)]).await;
        let before = rig.state_of(ODD).activations;
        event(&rig, &[12.5, 13.5, 9.0]).await;
        event(&rig, &[12.5, 15.0]).await;
        assert_eq!(rig.state_of(ODD).activations - before, activations, "{threshold:?}");
        if ends {
            rig.stop().await;
        } else {
            rig.kill();
            site.lose_what_is_not_durable();
        }
        let marked = said(&site, &with_threshold(threshold)).await;
        assert_eq!(marked.iter().map(|one| one.threshold).collect::<Vec<_>>(), [threshold.unwrap_or(1.2)]);
    }
}
