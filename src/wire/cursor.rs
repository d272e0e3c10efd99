//! The one place that splits bytes.
//!
//! Every parser of [`wire`](super) reads through a [`Cursor`]: it takes what it asks for or gets `None`,
//! and a length that came from a peer is never an index. A read that fails leaves the cursor where it
//! was, except for a varint, which is given up for good. A [`Composer`] is the same for writing.
//!
//! Frame Streams and DNS count in big endian, Protocol Buffers in little endian and varints: 7 bits an
//! byte, lowest first, the top bit set on all but the last.
//!
//! ```text
//!   300 = 0b10_0101100   ->   1 0101100   0 0000010
//!                             ^ more      ^ last
//! ```

/// The most bytes a varint takes: 64 bits in groups of seven.
const VARINT_BYTES: usize = 10;

/// The rest of some bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

/// Why a varint could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VarintError {
    /// The bytes end before it does.
    Truncated,
    /// Its tenth byte says that there is an eleventh.
    TooLong,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first of `bytes`.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    /// The bytes not taken yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes have not been taken yet.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been taken.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `count` bytes, of a count that may not even fit the memory of this machine.
    #[inline]
    pub(crate) fn take_long(&mut self, count: u64) -> Option<&'a [u8]> {
        self.take(usize::try_from(count).ok()?)
    }

    /// The next `N` bytes by value.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    /// One byte.
    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (taken, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Two bytes, highest first.
    #[inline]
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, highest first.
    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Four bytes, lowest first.
    #[inline]
    pub(crate) fn u32_le(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A varint. What does not fit 64 bits falls off at the top, as in every decoder we know.
    ///
    /// # Errors
    ///
    /// [`VarintError`], after which the cursor stands nowhere in particular.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, VarintError> {
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            // Lengths of messages.
            [low, high @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => {
                let (value, behind) = self.long_varint()?;
                *self = behind;
                Ok(value)
            }
        }
    }

    /// A varint of several bytes, and what is after it. Up to eight, which are nearly all, are taken at once:
    /// the first byte with a clear top bit ends it, and the groups of seven bits are pushed together in three
    /// steps.
    ///
    /// The cursor goes in and out by value: a reference to it, passed to what is not inlined, would keep it
    /// in memory instead of registers for the whole of a walk.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline(never)]
    fn long_varint(self) -> Result<(u64, Self), VarintError> {
        const TOPS: u64 = 0x8080_8080_8080_8080;
        let Some(word) = self.rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else {
            return self.slow_varint();
        };
        let ends = !word & TOPS;
        if ends == 0 {
            return self.slow_varint();
        }
        let bytes = ends.trailing_zeros() / 8 + 1;
        let rest = self.rest.get(bytes as usize..).unwrap_or_default();
        let groups = word & (ends ^ (ends - 1)) & !TOPS;
        let pairs = groups & 0x007f_007f_007f_007f | (groups & 0x7f00_7f00_7f00_7f00) >> 1;
        let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
        Ok((fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4, Cursor { rest }))
    }

    /// A varint, byte by byte, and what is after it: near the end of the bytes, or of nine and ten.
    #[cfg_attr(for_size, optimize(speed))]
    #[cold]
    fn slow_varint(mut self) -> Result<(u64, Self), VarintError> {
        let mut value = 0;
        for group in 0..VARINT_BYTES {
            let byte = self.u8().ok_or(VarintError::Truncated)?;
            value |= u64::from(byte & 0x7f) << (7 * group);
            if byte < 0x80 {
                return Ok((value, self));
            }
        }
        Err(VarintError::TooLong)
    }
}

/// Bytes being filled from the front.
#[derive(Debug)]
pub struct Composer<'a> {
    room: &'a mut [u8],
    written: usize,
}

impl<'a> Composer<'a> {
    /// A composer before the first of `bytes`.
    #[inline]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Composer { room: bytes, written: 0 }
    }

    /// How many bytes have been written.
    #[inline]
    pub fn written(&self) -> usize {
        self.written
    }

    /// Writes all of `bytes`. When there is no room for them it is `None`, and so it stays for whatever
    /// is written after.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let (target, room) = core::mem::take(&mut self.room).split_at_mut_checked(bytes.len())?;
        target.copy_from_slice(bytes);
        self.room = room;
        self.written += bytes.len();
        Some(())
    }

    /// Writes a varint in as few bytes as it needs; without room as [`Composer::put`].
    pub fn put_varint(&mut self, mut value: u64) -> Option<()> {
        while value >= 0x80 {
            self.put(&[(value & 0x7f) as u8 | 0x80])?;
            value >>= 7;
        }
        self.put(&[value as u8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_there_and_nothing_else() {
        let mut cursor = Cursor::new(&[1, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0a, 0, 0, 0x80, 9]);
        assert_eq!(cursor.u8(), Some(1));
        assert_eq!(cursor.u16(), Some(0x0203));
        assert_eq!(cursor.u32(), Some(0x0405_0607));
        assert_eq!(cursor.u32_le(), Some(0x8000_000a));
        assert_eq!(cursor.take(2), None);
        assert_eq!(cursor.take_long(u64::MAX), None);
        assert_eq!(cursor.u16(), None);
        assert_eq!(cursor.rest(), [9]);
        assert_eq!(cursor.take(1), Some(&[9][..]));
        assert!(cursor.is_empty());
        assert_eq!(cursor.take(0), Some(&[][..]));
        assert_eq!(cursor.u8(), None);
    }

    #[test]
    fn reads_varints_of_every_length() {
        // Alone, and with more bytes behind, which is the fast way.
        let check = |bytes: &[u8], value: Result<u64, VarintError>| {
            assert_eq!(Cursor::new(bytes).varint(), value);
            if value.is_ok() {
                let longer = [bytes, &[0xff; 9]].concat();
                let mut cursor = Cursor::new(&longer);
                assert_eq!(cursor.varint(), value);
                assert_eq!(cursor.rest(), [0xff; 9]);
            }
        };
        check(&[0x00], Ok(0));
        check(&[0x7f], Ok(127));
        check(&[0xac, 0x02], Ok(300));
        check(&[0x80, 0x00], Ok(0));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(u64::from(u32::MAX)));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(u64::MAX));
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7e], Ok(0));
        check(&[0x80; 10], Err(VarintError::TooLong));
        for cut in 0..10 {
            check(&[0x80; 10][..cut], Err(VarintError::Truncated));
        }
    }

    #[test]
    fn a_composer_that_was_full_stays_full() {
        let mut room = [0; 4];
        let mut composer = Composer::new(&mut room);
        assert_eq!(composer.put(&[1, 2, 3]), Some(()));
        assert_eq!(composer.put(&[4, 5]), None);
        assert_eq!(composer.put(&[4]), None);
        assert_eq!(composer.written(), 3);
        assert_eq!(room, [1, 2, 3, 0]);
    }

    #[test]
    fn varints_come_back() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, u64::MAX >> bit]) {
            let mut room = [0; VARINT_BYTES];
            let mut composer = Composer::new(&mut room);
            assert_eq!(composer.put_varint(value), Some(()));
            let written = composer.written();
            assert_eq!(Cursor::new(&room[..written]).varint(), Ok(value));
            assert_eq!(Composer::new(&mut room[..written - 1]).put_varint(value), None);
        }
    }
}
