//! The figures of alarms are the same after a restart, whatever ended the life before.

use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::Window;
use watchfire_model::{CommandKind, ConditionKey};

use super::rig::{Rig, Site, plan};
use crate::{AlarmFigures, BindingPlan, Change, Mode, OperatorConsole, Tried};

const HIGH: &str = "plain/high/s/0";

fn key(text: &str) -> ConditionKey {
    ConditionKey::parse(text).unwrap()
}

/// Alarms of the detector, marked as true, marked as false; alarms of the month in its area.
fn counted(site: &Site, rig: &Rig) -> (u32, u32, u32, u32) {
    let trusted = rig.figures.detector("plain", site.now());
    let area = rig.figures.area("area", site.now(), |figures| {
        assert_eq!(
            figures.alarms(Window::Hour),
            figures.alarms(Window::Month),
            "what came lately is kept with the rest"
        );
        figures.alarms(Window::Month)
    });
    (trusted.alarms, trusted.genuine, trusted.mistaken, area)
}

async fn alarm(rig: &Rig, times: u32) {
    for _ in 0..times {
        rig.value(0, 50.0).await;
        rig.shown_active(HIGH).await;
        rig.value(0, 1.0).await;
        rig.wait_ms(300).await;
    }
}

#[tokio::test(start_paused = true)]
async fn figures_outlive_a_kill_a_seal_and_a_stop() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    alarm(&rig, 2).await;
    let event = rig.state_of(HIGH).event_id(&key(HIGH));
    rig.command(&key(HIGH), CommandKind::Mark(false), event.bytes()).await.unwrap();
    let before = counted(&site, &rig);
    assert!(before.0 >= 2 && before.3 == before.0 && (before.1, before.2) == (0, 1), "{before:?}");
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    let rig = Rig::start(&site).await;
    assert_eq!(counted(&site, &rig), before, "from the log alone: nothing was kept since the first moment");
    alarm(&rig, 1).await;
    let event = rig.state_of(HIGH).event_id(&key(HIGH));
    rig.command(&key(HIGH), CommandKind::Mark(true), event.bytes()).await.unwrap();
    let then = counted(&site, &rig);
    assert!(then.0 > before.0 && then.3 == then.0 && (then.1, then.2) == (1, 1), "{then:?}");
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();
    site.seal();

    let rig = Rig::start(&site).await;
    assert_eq!(counted(&site, &rig), then, "from what was sealed");
    rig.stop().await;

    let rig = Rig::start(&site).await;
    assert_eq!(counted(&site, &rig), then, "from what was kept at the end");
    rig.figures.reset("area", site.now()).await;
    rig.stop().await;
    let rig = Rig::start(&site).await;
    assert_eq!(counted(&site, &rig), (then.0, 1, 1, 0), "a reset is kept, too");
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_kill_is_an_alarm_of_the_day_as_well_as_of_the_hour() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    alarm(&rig, 2).await;
    let before = counted(&site, &rig);
    rig.kill();
    // Figures are counted by ten minutes; nothing of this area was kept beside the log by then.
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.pass(Duration::from_secs(660));
    site.lose_what_is_not_durable();
    let rig = Rig::start(&site).await;
    assert_eq!(counted(&site, &rig), before);
    rig.stop().await;
    let rig = Rig::start(&site).await;
    assert_eq!(counted(&site, &rig), before, "and it is kept");
    rig.stop().await;
    site.check();
}

fn console(name: &str, areas: &[&str]) -> OperatorConsole {
    let areas = areas.iter().map(|area| (*area).into()).collect();
    OperatorConsole { name: name.into(), title: "".into(), areas }
}

/// What a console and the area have counted, and what was tried there.
fn at_console(site: &Site, rig: &Rig, name: &str) -> (u32, u32, Tried) {
    let console = rig.figures.console(name, site.now(), |figures| figures.alarms(Window::Month));
    (console, counted(site, rig).3, rig.figures.tried_at(name))
}

#[tokio::test(start_paused = true)]
async fn a_console_counts_from_the_log_what_it_looks_after_from_when_it_is_there() {
    let mut site = Site::new();
    let rig = Rig::start(&site).await;
    alarm(&rig, 2).await;
    let before = counted(&site, &rig).3;
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    site.consoles = vec![console("east", &["area"]), console("west", &["area/press", "hall"])];
    let rig = Rig::start(&site).await;
    assert_eq!(at_console(&site, &rig, "east"), (0, before, Tried::default()), "what was before it is not its own");
    alarm(&rig, 3).await;
    let (east, area, _) = at_console(&site, &rig, "east");
    assert!(east >= 3 && east + before == area, "{east} and {before} of {area}");
    assert_eq!(at_console(&site, &rig, "west").0, 0);
    rig.figures.tried("area", Tried::CHANGE);
    rig.stop().await;

    let rig = Rig::start(&site).await;
    assert_eq!(at_console(&site, &rig, "east"), (east, area, Tried::CHANGE));
    assert_eq!(at_console(&site, &rig, "west").2, Tried::default());
    alarm(&rig, 1).await;
    let then = at_console(&site, &rig, "east");
    assert!(then.0 > east && then.0 + before == then.1, "{then:?}");
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    let rig = Rig::start(&site).await;
    assert_eq!(at_console(&site, &rig, "east"), then, "from the log beyond what was kept");
    rig.figures.reset_console("east", site.now()).await;
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    let rig = Rig::start(&site).await;
    assert_eq!(at_console(&site, &rig, "east"), (0, then.1, Tried::default()), "a console's own reset, kept");
    rig.stop().await;

    // One that is gone for a life is forgotten, and begins anew.
    site.consoles.remove(0);
    let rig = Rig::start(&site).await;
    alarm(&rig, 1).await;
    rig.stop().await;
    site.consoles.push(console("east", &["area"]));
    let rig = Rig::start(&site).await;
    assert_eq!(at_console(&site, &rig, "east").0, 0);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_stands_is_stale_at_the_console_that_looks_after_it_now() {
    let mut site = Site::new();
    site.consoles = vec![console("east", &["area"]), console("west", &["hall"])];
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.shown_active(HIGH).await;
    rig.stop().await;
    let later = || site.now().plus(Duration::from_secs(2 * 86_400));
    let stale = |rig: &Rig, name: &str| rig.figures.console(name, later(), |figures| figures.stale());
    let rig = Rig::start(&site).await;
    let stood = stale(&rig, "east");
    assert!(stood > 0 && stale(&rig, "west") == 0);
    rig.stop().await;
    site.consoles = vec![console("east", &["hall"]), console("west", &["area"])];
    let later = site.now().plus(Duration::from_secs(2 * 86_400));
    let rig = Rig::start(&site).await;
    let stale = |name: &str| rig.figures.console(name, later, |figures| figures.stale());
    assert_eq!((stale("east"), stale("west")), (0, stood));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_by_those_who_may_not_is_kept_with_the_figures() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.figures.tried("area/press", Tried::SUPPRESSION);
    rig.figures.tried("area", Tried::CHANGE);
    rig.stop().await;

    let rig = Rig::start(&site).await;
    let tried = |rig: &Rig| ["area/press", "area", "hall"].map(|area| rig.figures.tried_in(area));
    let both = Tried { suppressions: 1, changes: 1 };
    assert_eq!(tried(&rig), [Tried::SUPPRESSION, both, Tried::default()]);
    rig.figures.tried("area/press", Tried::CHANGE);
    // Kept now and then.
    rig.wait_ms(2 * 1_800_000).await;
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    let rig = Rig::start(&site).await;
    let three = Tried { suppressions: 1, changes: 2 };
    assert_eq!(tried(&rig), [both, three, Tried::default()]);
    rig.figures.reset("area", site.now()).await;
    rig.stop().await;
    let rig = Rig::start(&site).await;
    assert_eq!(tried(&rig), [both, Tried::default(), Tried::default()], "a reset is kept, too");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn figures_that_were_answered_to_begin_anew_do_so_after_a_kill() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    alarm(&rig, 2).await;
    rig.figures.tried("area", Tried::CHANGE);
    assert!(counted(&site, &rig).3 >= 2);
    rig.figures.reset("area", site.now()).await;
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    let rig = Rig::start(&site).await;
    assert_eq!((counted(&site, &rig).3, rig.figures.tried_in("area")), (0, Tried::default()));
    // On a full disk nobody is answered before there is room.
    alarm(&rig, 1).await;
    site.history.leave_room(false);
    let (figures, now) = (rig.figures.clone(), site.now());
    let reset = tokio::spawn(async move { figures.reset("area", now).await });
    rig.wait_ms(60_000).await;
    assert!(!reset.is_finished());
    site.history.leave_room(true);
    reset.await.unwrap();
    rig.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    let rig = Rig::start(&site).await;
    assert_eq!(counted(&site, &rig).3, 0);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn figures_that_begin_anew_while_a_start_takes_them_up_do_so() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    alarm(&rig, 2).await;
    rig.stop().await;

    let figures = Arc::new(AlarmFigures::new("own", site.now()));
    // By then somebody may have tried what they may not.
    figures.tried("area", Tried::CHANGE);
    let (early, now) = (figures.clone(), site.now());
    let reset = tokio::spawn(async move { early.reset("area", now).await });
    tokio::task::yield_now().await;
    figures.tried("hall", Tried::CHANGE);
    figures.recover(&site.log()).unwrap();
    assert_eq!(["area", "hall"].map(|area| figures.tried_in(area)), [Tried::default(), Tried::CHANGE]);
    assert_eq!(figures.area("area", now, |figures| figures.alarms(Window::Month)), 0);
    assert!(figures.detector("plain", now).alarms >= 2, "the rest is taken up");
    tokio::task::yield_now().await;
    assert!(!reset.is_finished(), "it is not kept yet");
    reset.abort();
}

#[tokio::test(start_paused = true)]
async fn what_a_full_disk_kept_from_being_kept_is_kept_at_the_end() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.figures.tried("area", Tried::CHANGE);
    site.history.leave_room(false);
    rig.wait_ms(1_800_000).await;
    site.history.leave_room(true);
    rig.stop().await;

    let rig = Rig::start(&site).await;
    assert_eq!(rig.figures.tried_in("area"), Tried::CHANGE);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_moves_to_another_area_stands_in_the_old_one_no_longer() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.shown_active(HIGH).await;
    let moved = BindingPlan { areas: vec!["area/press".into(); 3], ..plan(Mode::Live) };
    rig.change(Change::Detector(Arc::new(moved))).await;
    let later = || site.now().plus(Duration::from_secs(2 * 86_400));
    let stale = |area: &str| {
        rig.figures.area(area, later(), |figures| (figures.stale(), figures.stale() + figures.chattering())).0
    };
    let stood = stale("area");
    assert!(stood > 0 && stale("area/press") == stood, "it is below the area that it was in");
    let elsewhere = BindingPlan { areas: vec!["hall".into(); 3], ..plan(Mode::Live) };
    rig.change(Change::Detector(Arc::new(elsewhere))).await;
    assert_eq!((stale("area"), stale("area/press"), stale("hall")), (0, 0, stood));
    rig.stop().await;
}
