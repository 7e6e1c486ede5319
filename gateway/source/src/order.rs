//! In which order the values of one message are taken: that in which they were sent, if it is one. Some servers keep what
//! has changed in a hash table and send it as it comes from there; taken so, a row costs two to three bytes more in the
//! journal and up to two in the store of record, and every look-up of its signal goes to another place in memory.

use std::cmp::Ordering;

use opcua::types::MonitoredItemNotification;

/// Messages of fewer values are left as they are.
const MANY: usize = 32;
/// In an order so many stand the right way round to one that does not: messages join what several samplings have
/// gathered.
const RIGHT_TO_WRONG: usize = 3;

/// The places of values in the order in which to take them, by their items and those of one item as they were sent;
/// `None` where they were sent in the order of their items or of their times, which is kept. Costs some nanoseconds a
/// value.
pub(crate) fn order(items: &[MonitoredItemNotification]) -> Option<Vec<usize>> {
    if items.len() < MANY {
        return None;
    }
    let (mut by_item, mut by_time) = (Count::default(), Count::default());
    let mut latest = None;
    for (a, b) in items.iter().zip(items.iter().skip(1)) {
        by_item.add(a.client_handle.cmp(&b.client_handle));
        // Against all before it: several values of one item are in the order of time wherever they stand.
        latest = latest.max(a.value.source_timestamp);
        by_time.add(latest.cmp(&b.value.source_timestamp));
    }
    if by_item.is_order() || by_time.is_order() {
        return None;
    }
    let mut keys: Vec<u64> =
        items.iter().zip(0_u32..).map(|(item, at)| u64::from(item.client_handle) << 32 | u64::from(at)).collect();
    keys.sort_unstable();
    Some(keys.into_iter().map(|key| usize::try_from(key & u64::from(u32::MAX)).unwrap_or(usize::MAX)).collect())
}

/// How many stand after what is less, and how many after what is greater.
#[derive(Default)]
struct Count {
    up: usize,
    down: usize,
}

impl Count {
    fn add(&mut self, way: Ordering) {
        self.up += usize::from(way == Ordering::Less);
        self.down += usize::from(way == Ordering::Greater);
    }

    const fn is_order(&self) -> bool {
        self.up > self.down * RIGHT_TO_WRONG
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{DataValue, DateTime};

    use super::*;

    fn items(each: impl Iterator<Item = (u32, i64)>) -> Vec<MonitoredItemNotification> {
        let base = DateTime::ymd(2026, 3, 1).ticks();
        let value = |tick| DataValue { source_timestamp: Some(DateTime::from(base + tick)), ..DataValue::default() };
        each.map(|(handle, tick)| MonitoredItemNotification { client_handle: handle, value: value(tick) }).collect()
    }

    /// Numbers below `most` as from a hash table.
    fn scattered(most: u32) -> impl Iterator<Item = u32> {
        (0..most).map(move |i| i.wrapping_mul(2_654_435_761) % most)
    }

    #[test]
    fn an_order_of_items_or_of_times_is_kept() {
        let of_items = (0..100).map(|i| (i % 50 + 1, i64::from(i * 37 % 100)));
        assert_eq!(order(&items(of_items)), None);
        let of_times = scattered(100).zip(0..);
        assert_eq!(order(&items(of_times)), None, "as they changed");
        let joined = (0..4).flat_map(|_| (0..25).map(|i| (i, i64::from(i * 7 % 25))));
        assert_eq!(order(&items(joined)), None, "of several samplings");
        assert_eq!(order(&items(scattered(20).zip(scattered(20).map(i64::from)))), None, "too few to matter");
    }

    #[test]
    fn what_comes_in_no_order_is_taken_by_items_and_those_of_one_item_as_they_were_sent() {
        // Three values of each item, the later ones with earlier times.
        let sent = items((0..3).flat_map(|turn| scattered(101).map(move |i| (i, i64::from(i % 7) - turn))));
        let taken = order(&sent).unwrap();
        assert_eq!(
            order(&items(scattered(101).map(|i| (i, 7)))).map(|taken| taken.len()),
            Some(101),
            "all of one time"
        );
        let in_groups = scattered(50).flat_map(|i| (0..4).map(move |turn| (i, turn)));
        assert!(order(&items(in_groups)).is_some(), "four values of each item together");
        let handles: Vec<u32> = taken.iter().map(|at| sent[*at].client_handle).collect();
        assert!(handles.is_sorted());
        let mut places = taken.clone();
        places.sort_unstable();
        assert_eq!(places, (0..303).collect::<Vec<_>>(), "each once");
        for of_one in taken.chunks(3) {
            assert!(of_one.is_sorted(), "in the order in which they were sent");
        }
    }
}
