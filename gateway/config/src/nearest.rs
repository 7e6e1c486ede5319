//! "Did you mean": the names nearest to one that does not exist.

/// The nearest of `names`, if one is near enough to be meant.
pub(crate) fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    near(wanted, names).into_iter().next()
}

/// Up to three near names, the nearest first. Costs the product of the lengths for each name.
pub(crate) fn near<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| name.len().abs_diff(wanted.len()) <= 4 * allowed)
        .map(|name| (if is_without_unit(wanted, name) { 0 } else { distance(wanted, name) }, name))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Whether `name` is `wanted` with more words: `memory` is meant to be `memory_mb`.
fn is_without_unit(wanted: &str, name: &str) -> bool {
    wanted.len() > 2 && name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('_'))
}

/// Insertions, deletions, substitutions and swaps of neighbours, ignoring case.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().flat_map(char::to_lowercase).collect();
    let right: Vec<char> = right.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut above: Option<char> = None;
    for (y, l) in left.iter().enumerate() {
        let mut row = vec![y + 1];
        let mut beside: Option<char> = None;
        for (x, r) in right.iter().enumerate() {
            let mut least = (at(&last, x) + usize::from(l != r)).min(at(&last, x + 1) + 1).min(at(&row, x) + 1);
            if above == Some(*r) && beside == Some(*l) && x > 0 {
                least = least.min(at(&before, x - 1) + 1);
            }
            row.push(least);
            beside = Some(*r);
        }
        above = Some(*l);
        before = std::mem::replace(&mut last, row);
    }
    at(&last, right.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        for (left, right, edits) in [
            ("", "", 0),
            ("", "ab", 2),
            ("theshold", "threshold", 1),
            ("Plant", "plnat", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!((distance(left, right), distance(right, left)), (edits, edits), "{left} {right}");
        }
    }

    #[test]
    fn only_what_is_near_is_offered() {
        let names = ["threshold", "severity", "hold_off_s"];
        assert_eq!(nearest("theshold", names), Some("threshold"));
        assert_eq!(nearest("hold_off", names), Some("hold_off_s"));
        assert_eq!(nearest("colour", names), None);
    }
}
