//! Watches the room on the disk: tells early that it runs out, and when it has, keeps what is in reserve for what must
//! be recorded all the same (that the disk is full, alarms, operators' commands) until there is room again. Samples wait
//! meanwhile, so that sources hold back, and what their servers cannot queue becomes gaps.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::Clock;

use crate::{Disk, Log, Notices, PortError, Room};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Where nothing is configured, room runs out when less than this share of all is free,
const LOW_SHARE: u64 = 20;
/// or less than this, whichever is less.
const LOW_BYTES: u64 = 10 << 30;
/// It no longer does when so much more is free, percent.
const LOW_END_PERCENT: u64 = 110;
/// The disk counts as full when less than this share of the reserve is free beside it: a database that is stopped in
/// the middle of a write costs more than one that is not asked.
const FULL_SHARE: u64 = 4;
/// It no longer does when so many times the reserve are free.
const FULL_END_TIMES: u64 = 2;

/// A disk, and what of it is to be told.
#[derive(Clone)]
pub(crate) struct Watched {
    pub disk: Arc<dyn Disk>,
    /// Room runs out when less than this is free, bytes; without it a share of the disk, or 10 GiB.
    pub warning_bytes: Option<u64>,
}

/// How the disk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// There is room.
    Enough,
    /// Room runs out.
    Low,
    /// There is none but what was in reserve.
    Full,
}

/// Looks, and tells, for as long as it is polled.
pub(crate) async fn run(log: Arc<Log>, disk: Watched, notices: Notices, clock: Arc<dyn Clock>) {
    let mut standing: Option<Standing> = None;
    let mut troubled = false;
    loop {
        let (looked_at, before) = (disk.clone(), standing);
        let is_met = if standing.is_none() {
            false
        } else {
            tokio::select! {
                () = log.told_full() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            }
        };
        let looked = tokio::task::spawn_blocking(move || looked_at.look(before, is_met)).await;
        let (now, room) = match looked {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                if !std::mem::replace(&mut troubled, true) {
                    tracing::error!(%error, "how much room the disk has cannot be found out");
                }
                standing.get_or_insert(Standing::Enough);
                continue;
            }
            Err(panic) => {
                tracing::error!(%panic, "looking at the disk was ended");
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
        };
        troubled = false;
        log.set_room(now != Standing::Full);
        if standing.replace(now) != Some(now) {
            let reason = told(now, room, disk.low_bytes(room));
            match now {
                Standing::Enough => tracing::info!(reason, "room on the disk"),
                Standing::Low => tracing::warn!(reason, "room on the disk runs out"),
                Standing::Full => tracing::error!(reason, "the disk is full"),
            }
            notices.disk(log.tail(), clock.now(), now != Standing::Enough, reason).await;
        }
    }
}

impl Watched {
    /// How the disk stands now, `is_met` when somebody could not write; the reserve is held or given free accordingly.
    fn look(&self, before: Option<Standing>, is_met: bool) -> Result<(Standing, Room), PortError> {
        let disk = &*self.disk;
        let room = disk.room()?;
        let Room { free_bytes, reserve_bytes, .. } = room;
        let low = self.low_bytes(room);
        let is_low = |low: u64| if free_bytes < low { Standing::Low } else { Standing::Enough };
        if before == Some(Standing::Full) {
            // What was in reserve may be free now, or used.
            if is_met || free_bytes < FULL_END_TIMES * reserve_bytes {
                return Ok((Standing::Full, room));
            }
            return match disk.hold() {
                Ok(()) => Ok((is_low(low), room)),
                Err(PortError::Full { .. }) => Ok((Standing::Full, room)),
                Err(error) => Err(error),
            };
        }
        if is_met || free_bytes < reserve_bytes / FULL_SHARE {
            disk.release()?;
            return Ok((Standing::Full, room));
        }
        if free_bytes >= FULL_END_TIMES * reserve_bytes {
            match disk.hold() {
                Ok(()) | Err(PortError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((is_low(if before == Some(Standing::Low) { low / 100 * LOW_END_PERCENT } else { low }), room))
    }

    fn low_bytes(&self, room: Room) -> u64 {
        let share = (room.total_bytes / LOW_SHARE).min(LOW_BYTES);
        self.warning_bytes.unwrap_or(share).max(FULL_END_TIMES * room.reserve_bytes)
    }
}

fn told(standing: Standing, room: Room, low_bytes: u64) -> String {
    let mb = |bytes: u64| bytes / 1_000_000;
    let Room { free_bytes, total_bytes, .. } = room;
    match standing {
        Standing::Enough => format!("there is room on the disk: {} MB are free", mb(free_bytes)),
        Standing::Low => format!(
            "room on the disk runs out: {} MB of {} MB are free; below {} MB this is told",
            mb(free_bytes),
            mb(total_bytes),
            mb(low_bytes)
        ),
        Standing::Full => {
            "the disk is full: no values are recorded until there is room; alarms and commands use what was in reserve"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Free bytes, and whether the reserve is held.
    struct Small(Mutex<(u64, bool)>);

    const MB: u64 = 1_000_000;

    impl Disk for Small {
        fn room(&self) -> Result<Room, PortError> {
            Ok(Room { free_bytes: self.0.lock().0, total_bytes: 1000 * MB, reserve_bytes: 10 * MB })
        }

        fn hold(&self) -> Result<(), PortError> {
            let (free, held) = &mut *self.0.lock();
            if !*held {
                let left = free.checked_sub(10 * MB).ok_or_else(|| PortError::Full { doing: "holding".to_owned() })?;
                (*free, *held) = (left, true);
            }
            Ok(())
        }

        fn release(&self) -> Result<(), PortError> {
            let (free, held) = &mut *self.0.lock();
            *free += if std::mem::take(held) { 10 * MB } else { 0 };
            Ok(())
        }
    }

    #[test]
    fn it_is_told_early_and_what_is_in_reserve_is_given_free_only_when_nothing_else_is() {
        use Standing::{Enough, Full, Low};
        let disk = Arc::new(Small(Mutex::new((100 * MB, false))));
        let watched = Watched { disk: disk.clone(), warning_bytes: None };
        let mut standing = None;
        // What others do to the free room, MB; whether somebody could not write; how it stands then; what is free.
        for (taken, is_met, expected, free) in [
            (0_i64, false, Enough, 90),
            (35, false, Enough, 55),
            (6, false, Low, 49),
            (-2, false, Low, 51),
            (-10, false, Enough, 61),
            (56, false, Low, 5),
            (3, false, Full, 12),
            (1, true, Full, 11),
            (-8, false, Full, 19),
            (-8, false, Low, 17),
            (0, true, Full, 27),
            (-60, false, Enough, 77),
        ] {
            let mut held = disk.0.lock();
            held.0 = held.0.checked_add_signed(-taken * 1_000_000).unwrap();
            drop(held);
            let (now, _) = watched.look(standing, is_met).unwrap();
            assert_eq!((now, disk.0.lock().0 / MB), (expected, free), "after {taken} MB, {is_met}");
            standing = Some(now);
        }
    }

    #[test]
    fn where_it_is_told_can_be_configured_down_to_what_is_needed() {
        for (warning_mb, free_mb, expected) in [
            (None, 61, Standing::Enough),
            (None, 59, Standing::Low),
            (Some(500), 501 + 10, Standing::Enough),
            (Some(500), 499 + 10, Standing::Low),
            (Some(1), 21 + 10, Standing::Enough),
            (Some(1), 19 + 10, Standing::Low),
        ] {
            let disk = Arc::new(Small(Mutex::new((free_mb * MB, false))));
            let watched = Watched { disk, warning_bytes: warning_mb.map(|mb: u64| mb * MB) };
            // The first look puts the reserve aside, the second sees what that left.
            watched.look(None, false).unwrap();
            assert_eq!(watched.look(None, false).unwrap().0, expected, "{warning_mb:?} {free_mb}");
        }
    }
}
