//! Numbers as few bytes as they need, and reading them back without believing them.

/// Appends a number, seven bits a byte, the lowest first.
pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number; small ones of either sign stay short.
pub fn put_signed(value: i64, out: &mut Vec<u8>) {
    put_varint(zigzag(value), out);
}

/// Appends a length.
pub fn put_count(count: usize, out: &mut Vec<u8>) {
    put_varint(count as u64, out);
}

/// 0, -1, 1, -2 to 0, 1, 2, 3.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// And back.
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// What is left to read. Every answer is `None` once the bytes do not fit.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next bytes, as many as the array has.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let [byte] = self.array()?;
        Some(byte)
    }

    /// The next number.
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The next signed number.
    pub fn signed(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    /// The next length.
    pub fn count(&mut self) -> Option<usize> {
        self.varint()?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_back(signed: i64, unsigned: u64) {
            let mut out = Vec::new();
            put_signed(signed, &mut out);
            put_varint(unsigned, &mut out);
            let mut reader = Reader(&out);
            prop_assert_eq!((reader.signed(), reader.varint()), (Some(signed), Some(unsigned)));
            prop_assert!(reader.0.is_empty());
            let mut cut = Reader(&out[..out.len() - 1]);
            prop_assert!(cut.signed().is_none() || cut.varint().is_none());
        }
    }
}
