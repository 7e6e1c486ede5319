//! What was told of alarms is found again, wherever it lies.

use std::cell::Cell;
use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_alarms::ConditionState;
use watchfire_model::{CommandKind, Instant};

use super::rig::{Rig, Site};
use crate::{Past, PastEvent, PastPlace, PastWanted, past};

const ALL: PastWanted = PastWanted { from: Instant::MIN, to: Instant::MAX, backwards: false, begin: None };

fn id_of(past: &Past) -> (String, [u8; 16]) {
    match &past.event {
        PastEvent::Alarm(key, state) => (key.as_str().to_owned(), *state.event_id(key).bytes()),
        PastEvent::Plain(event) => (event.key.as_str().to_owned(), event.event_id),
    }
}

fn found(site: &Site, wanted: PastWanted, most: usize) -> Vec<Past> {
    let mut found = Vec::new();
    past(&site.log(), &wanted, &|| true, &mut |past| {
        found.push(past);
        found.len() < most
    })
    .unwrap();
    found
}

/// A life in which alarms come and go, are left behind and acknowledged; what was told of them.
async fn live(site: &Site, random: &mut SmallRng) -> Vec<(String, [u8; 16])> {
    let rig = Rig::start(site).await;
    for _ in 0..60 {
        rig.value(random.random_range(0..3), random.random_range(0.0..14.0)).await;
        rig.wait_ms(random.random_range(0..3000)).await;
        if random.random_bool(0.2) {
            let all: Vec<(u32, f64)> = (0..6).map(|_| (0, random.random_range(0.0..14.0))).collect();
            rig.values(&all).await;
        }
        if random.random_bool(0.3)
            && let Some(view) = rig.unacknowledged()
        {
            let told = view.told().event_id(&view.def.key);
            let _too_late_is_no_matter = rig.command(&view.def.key, CommandKind::Acknowledge, told.bytes()).await;
        }
    }
    rig.wait_ms(1000).await;
    let told = rig.events().into_iter().map(|(key, event)| (key.as_str().to_owned(), *event.bytes())).collect();
    rig.stop().await;
    told
}

#[tokio::test(start_paused = true)]
async fn every_event_that_was_told_is_found_again_once_and_in_its_order() {
    for seed in 0..6 {
        let site = Site::new();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut told = Vec::new();
        for life in 0..3 {
            told.extend(live(&site, &mut random).await);
            if life == 1 {
                site.seal_some(site.journal.records().len() / 2);
            }
            let again = found(&site, ALL, usize::MAX);
            let ids: Vec<_> = again.iter().map(id_of).collect();
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "seed {seed}: one is found twice");
            assert_eq!(ids, told, "seed {seed}, life {life}");
            assert!(again.is_sorted_by_key(|past| past.place));
        }
        assert!(told.len() > 50, "seed {seed}: too little happened: {}", told.len());
    }
}

/// How events told of alarms: the condition or a branch of it, which has no branches of its own.
fn alone(key: &str, state: &ConditionState) -> (String, ConditionState) {
    let mut state = state.clone();
    state.branches.clear();
    (key.to_owned(), state)
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_changed_several_times_by_one_record_is_found_as_each_event_told_it() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    for round in 0..4 {
        let up = 11.0 + f64::from(round);
        rig.values(&[(0, up), (1, 1.0), (0, 2.0), (0, up + 1.0), (1, up), (0, 3.0), (0, up + 2.0), (1, 2.0)]).await;
        rig.wait_ms(3000).await;
        rig.values(&[(0, 0.0), (1, 0.5)]).await;
        rig.wait_ms(3000).await;
    }
    // Those left behind are dealt with, one after another, and are gone.
    let mut dealt_with = 0;
    while let Some(branch) = rig.state_of("plain/high/s/0").branches.first() {
        let key = rig.last_of("plain/high/s/0").def.key.clone();
        rig.command(&key, CommandKind::Acknowledge, branch.event_id(&key).bytes()).await.unwrap();
        rig.wait_ms(500).await;
        dealt_with += 1;
    }
    assert!(dealt_with > 2);
    let told: Vec<_> = rig.told().iter().map(|view| alone(view.def.key.as_str(), view.told())).collect();
    assert_eq!(rig.events().len(), told.len());
    let figures = rig.alarms_counted();
    rig.kill();

    site.seal_some(site.journal.records().len() / 2);
    let again: Vec<_> = found(&site, ALL, usize::MAX)
        .iter()
        .map(|past| match &past.event {
            PastEvent::Alarm(key, state) => alone(key.as_str(), state),
            PastEvent::Plain(event) => panic!("{event:?}"),
        })
        .collect();
    let ids = |all: &[(String, ConditionState)]| -> Vec<u64> { all.iter().map(|(_, s)| s.transitions).collect() };
    assert_eq!(ids(&again), ids(&told));
    assert_eq!(again, told);
    let rig = Rig::start(&site).await;
    assert_eq!(rig.alarms_counted(), figures, "and they are counted as they were");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pages_go_on_where_they_ended_in_either_direction_and_within_the_time_that_was_asked() {
    let site = Site::new();
    let mut random = SmallRng::seed_from_u64(1);
    live(&site, &mut random).await;
    site.seal_some(site.journal.records().len() / 2);
    live(&site, &mut random).await;
    let all = found(&site, ALL, usize::MAX);
    let (from, to) = (all[all.len() / 4].event.time(), all[all.len() * 3 / 4].event.time());
    let within: Vec<&Past> = all.iter().filter(|past| (from..to).contains(&past.event.time())).collect();
    assert!(within.len() > 10 && within.len() < all.len() - 10);
    for backwards in [false, true] {
        let mut pages: Vec<Past> = Vec::new();
        let mut begin: Option<PastPlace> = None;
        loop {
            let mut page = found(&site, PastWanted { from, to, backwards, begin }, 8);
            let rest = (page.len() == 8).then(|| page.pop().unwrap().place);
            assert!(pages.len() <= within.len(), "it goes round in circles");
            pages.extend(page);
            begin = rest;
            if begin.is_none() {
                break;
            }
        }
        if backwards {
            pages.reverse();
        }
        assert_eq!(pages.iter().collect::<Vec<_>>(), within, "backwards: {backwards}");
    }
    let never = PastWanted { from: Instant::MIN, to: Instant::from_s(1), ..ALL };
    assert_eq!(found(&site, never, 1), vec![]);
    assert_eq!(found(&site, PastWanted { backwards: true, ..never }, 1), vec![]);
}

#[tokio::test(start_paused = true)]
async fn a_read_ends_when_it_is_to_go_on_no_longer_also_where_nothing_is_found() {
    let site = Site::new();
    live(&site, &mut SmallRng::seed_from_u64(1)).await;
    site.seal_some(site.journal.records().len() / 2);
    let nothing = PastWanted { from: Instant::MIN, to: Instant::MIN, ..ALL };
    for wanted in [ALL, nothing] {
        for backwards in [false, true] {
            let asked = Cell::new(0);
            let goes_on = || asked.replace(asked.get() + 1) < 2;
            let mut found = 0;
            let read = past(&site.log(), &PastWanted { backwards, ..wanted }, &goes_on, &mut |_| {
                found += 1;
                true
            });
            // Where the end is before everything, the first record says so.
            assert!(read.is_err() || wanted == nothing, "backwards: {backwards}");
            assert!(found < 20 && asked.get() <= 3, "{found} found, {} times asked", asked.get());
        }
    }
}
