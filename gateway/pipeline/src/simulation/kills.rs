//! Five hundred kills in the middle of what operators do: whatever was answered Good is there afterwards, and what nobody
//! touched is as it was.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_alarms::{ConditionState, EventId};
use watchfire_model::{CommandKind, ConditionKey};

use super::rig::{Rig, Site};

const KILLS: usize = 500;
/// A log in memory becomes slow when it is long.
const KILLS_OF_A_SITE: usize = 25;

/// What a command that was answered Good promises, as long as no other comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Promise {
    /// Of this occurrence, acknowledged or over and gone.
    Acknowledged(u64),
    Shelved(bool),
    Suppressed(bool),
    OutOfService(bool),
}

impl Promise {
    fn of(kind: CommandKind, activations: u64) -> Self {
        match kind {
            CommandKind::TimedShelve(_) => Self::Shelved(true),
            CommandKind::Unshelve => Self::Shelved(false),
            CommandKind::Suppress => Self::Suppressed(true),
            CommandKind::Unsuppress => Self::Suppressed(false),
            CommandKind::RemoveFromService => Self::OutOfService(true),
            CommandKind::PlaceInService => Self::OutOfService(false),
            _ => Self::Acknowledged(activations),
        }
    }

    fn is_kept(self, state: &ConditionState) -> bool {
        match self {
            // An occurrence that was acknowledged never comes back as a branch.
            Self::Acknowledged(activations) => {
                let left = state.branches.iter().any(|branch| branch.activations == activations && !branch.acked.value);
                !left && (state.activations != activations || state.acked.value)
            }
            Self::Shelved(is) => state.shelving.value.is_shelved() == is,
            Self::Suppressed(is) => state.suppressed.value.any() == is,
            Self::OutOfService(is) => state.out_of_service.value == is,
        }
    }

    /// What it replaces.
    fn place(self) -> u8 {
        match self {
            Self::Acknowledged(_) => 0,
            Self::Shelved(_) => 1,
            Self::Suppressed(_) => 2,
            Self::OutOfService(_) => 3,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_was_answered_good_is_there_after_five_hundred_kills() {
    let mut random = SmallRng::seed_from_u64(7);
    let mut site = Site::new();
    let mut promised: BTreeMap<(ConditionKey, u8), Promise> = BTreeMap::new();
    let (mut good, mut cut) = (0, 0);
    for kill in 0..KILLS {
        if kill % KILLS_OF_A_SITE == 0 {
            (site, promised) = (Site::new(), BTreeMap::new());
        }
        let rig = Rig::start(&site).await;
        // Its alarms are back before anything is asked.
        rig.value(0, random.random_range(0.0..14.0)).await;
        rig.value(1, random.random_range(0.0..14.0)).await;
        for ((key, _), promise) in &promised {
            let state = rig.state(key);
            assert!(promise.is_kept(&state), "kill {kill}: {key}: {promise:?} was promised; it is {state:?}");
        }
        for _ in 0..random.random_range(1..4) {
            rig.value(random.random_range(0..3), random.random_range(0.0..14.0)).await;
            let key = ConditionKey::parse(&format!("plain/high/s/{}", random.random_range(0..2))).unwrap();
            let state = rig.state(&key);
            let kind = match random.random_range(0..8) {
                0 => CommandKind::TimedShelve(1 << 30),
                1 => CommandKind::Unshelve,
                2 => CommandKind::Suppress,
                3 => CommandKind::Unsuppress,
                4 => CommandKind::RemoveFromService,
                5 => CommandKind::PlaceInService,
                _ => CommandKind::Acknowledge,
            };
            let promise = Promise::of(kind, state.activations);
            // A command that is cut off may have been carried out or not: what it could change is not promised.
            promised.remove(&(key.clone(), promise.place()));
            let event = state.event_id(&key);
            let asked = rig.command(&key, kind, event.bytes());
            let patience = if random.random_bool(0.3) { Duration::ZERO } else { Duration::from_secs(1) };
            match tokio::time::timeout(patience, asked).await {
                Ok(Ok(())) => {
                    good += 1;
                    promised.insert((key, promise.place()), promise);
                }
                Ok(Err(_)) => {}
                Err(_) => {
                    cut += 1;
                    break;
                }
            }
        }
        rig.kill();
        // Tasks end when they are polled next: none may read the log that shrinks behind it.
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        site.lose_what_is_not_durable();
        if random.random_bool(0.1) {
            site.seal();
        }
        site.check();
    }
    assert!(good > KILLS / 3 && cut > KILLS / 20, "{good} were answered, {cut} were cut off: the test shows little");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_touches_has_the_event_id_over_kills_that_it_had() {
    let mut random = SmallRng::seed_from_u64(11);
    let site = Site::new();
    let keys = [0, 1, 2].map(|at| ConditionKey::parse(&format!("plain/high/s/{at}")).unwrap());
    let mut had: Option<Vec<EventId>> = None;
    for kill in 0..KILLS_OF_A_SITE {
        let rig = Rig::start(&site).await;
        rig.wait_ms(2_000).await;
        let events = || keys.iter().map(|key| rig.state(key).event_id(key)).collect::<Vec<_>>();
        assert!(had.is_none_or(|had| had == events()), "kill {kill}: an alarm has changed that nobody touched");
        for _ in 0..random.random_range(0..4) {
            rig.value(random.random_range(0..3), random.random_range(0.0..14.0)).await;
            let key = &keys[random.random_range(0..3)];
            let event = rig.state(key).event_id(key);
            let kinds = [CommandKind::Acknowledge, CommandKind::TimedShelve(1 << 30), CommandKind::Unshelve];
            // What does not fit is refused, and changes nothing.
            let _refused = rig.command(key, kinds[random.random_range(0..3)], event.bytes()).await;
        }
        // Everything is durable by then; its detector may have saved its state or not.
        rig.wait_ms(random.random_range(1_000..90_000)).await;
        had = Some(events());
        rig.kill();
        tokio::time::sleep(Duration::from_millis(1)).await;
        site.lose_what_is_not_durable();
        if random.random_bool(0.2) {
            site.seal();
        }
        site.check();
    }
}
