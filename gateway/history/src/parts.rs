//! Values longer than the store may take, cut into numbered parts under keys that sort together.

use crate::kv::{VALUE_BYTES_MAX, Writes};

/// Adds the writes for `bytes` under `prefix`. Each part begins with how many there are.
pub fn split(prefix: &[u8], bytes: &[u8], writes: &mut Writes) -> Option<()> {
    let chunks: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(VALUE_BYTES_MAX - 4).collect() };
    let count = u32::try_from(chunks.len()).ok()?;
    for (part, number) in chunks.iter().zip(0_u32..) {
        let key = [prefix, &number.to_be_bytes()].concat();
        writes.insert(key, Some([&count.to_be_bytes(), *part].concat()));
    }
    Some(())
}

/// Joins the parts under one prefix, given in order; `None` when one is missing.
pub fn join<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Option<Vec<u8>> {
    let (mut whole, mut seen, mut wanted) = (Vec::new(), 0_u32, None);
    for part in parts {
        let (count, bytes) = part.split_first_chunk::<4>()?;
        let count = u32::from_be_bytes(*count);
        if *wanted.get_or_insert(count) != count {
            return None;
        }
        whole.extend_from_slice(bytes);
        seen += 1;
    }
    (wanted == Some(seen)).then_some(whole)
}

/// Joins runs of parts whose keys differ only in their last four bytes.
pub fn join_each(entries: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<(&[u8], Vec<u8>)>> {
    let prefix = |key: &'_ [u8]| key.len().saturating_sub(4);
    let runs = entries.chunk_by(|(a, _), (b, _)| a.get(..prefix(a)) == b.get(..prefix(b)));
    runs.map(|run| {
        let (key, _) = run.first()?;
        Some((key.get(..prefix(key))?, join(run.iter().map(|(_, value)| value.as_slice()))?))
    })
    .collect()
}
