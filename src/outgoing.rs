//! Bytes on their way out: what a machine writes and a transport takes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes};

/// Payloads from this size on are shared, not copied.
const SHARE_FROM: usize = 1024;

/// A buffer that holds more than this when it has been emptied is given back. Who pulls 64 KiB at a
/// time keeps one.
const KEEP: usize = 128 * 1024;

/// The caller's reusable buffer of bytes to be sent.
///
/// A machine appends to it, the caller takes from its front, through [`Buf`]: small packets stand
/// behind one another in one chunk, a large payload is a chunk of its own that shares the storage
/// of its message. `chunk` and `advance` serve a plain write, `chunks_vectored` a vectored one.
/// What was not taken is gone when the machine writes for its next connection.
///
/// ```
/// use bytes::Buf;
/// use sansio_mqtt::Outgoing;
///
/// let mut outgoing = Outgoing::new();
/// // … client.transmit(now, connection, 16 * 1024, &mut outgoing) …
/// while outgoing.has_remaining() {
///     let written = outgoing.chunk().len(); // socket.write(outgoing.chunk())?
///     outgoing.advance(written);
/// }
/// ```
#[derive(Default)]
pub struct Outgoing {
    /// Initialised to its end, so that it can be written to as a slice.
    small: Vec<u8>,
    /// What of `small` was taken already.
    start: usize,
    /// What of `small` was written.
    end: usize,
    /// Large chunks, each with the place in `small` that it comes before.
    large: VecDeque<(usize, Bytes)>,
    /// Bytes of the large chunks.
    large_len: usize,
    /// The connection that the bytes are for.
    connection: u64,
}

impl Outgoing {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self {
            small: Vec::new(),
            start: 0,
            end: 0,
            large: VecDeque::new(),
            large_len: 0,
            connection: 0,
        }
    }

    /// The bytes that come next are for this connection: what is left of another is thrown away.
    #[inline]
    pub(crate) fn begin(&mut self, connection: u64) {
        if self.connection != connection {
            if !self.is_empty() {
                self.clear();
            }
            self.connection = connection;
        }
    }

    /// Throws away what was not taken: it belongs to a connection that is gone.
    pub fn clear(&mut self) {
        self.large.clear();
        self.large_len = 0;
        self.reset();
    }

    /// Whether all has been taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end && self.large.is_empty()
    }

    /// Whether a payload of this size is worth a chunk of its own.
    #[inline]
    pub(crate) const fn shares(len: usize) -> bool {
        len >= SHARE_FROM
    }

    /// Room for `len` bytes, which the caller fills.
    #[inline(always)]
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.end.saturating_add(len) > self.small.len() {
            self.make_room(len);
        }
        let start = self.end;
        self.end = start.saturating_add(len);
        self.small.get_mut(start..self.end).unwrap_or_default()
    }

    /// Makes room for `len` bytes more.
    #[cold]
    fn make_room(&mut self, len: usize) {
        if self.start > self.end / 2 {
            self.compact();
        }
        let end = self.end.saturating_add(len);
        if end > self.small.len() {
            self.small.resize(end.max(self.small.len().saturating_mul(2)).max(1024), 0);
        }
    }

    /// Moves what is left to the front, so that a caller who never takes all does not make the
    /// buffer grow without end.
    fn compact(&mut self) {
        self.small.copy_within(self.start..self.end, 0);
        for (at, _) in &mut self.large {
            *at = at.saturating_sub(self.start);
        }
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
    }

    /// Appends a chunk that shares its storage.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        self.large_len = self.large_len.saturating_add(bytes.len());
        self.large.push_back((self.end, bytes));
    }

    /// Takes `count` bytes off, whatever chunks they are in.
    fn advance_over(&mut self, mut count: usize) {
        while count > 0 {
            match self.large.front_mut() {
                Some((at, bytes)) if *at == self.start => {
                    let taken = count.min(bytes.len());
                    bytes.advance(taken);
                    self.large_len = self.large_len.saturating_sub(taken);
                    count = count.saturating_sub(taken);
                    if bytes.is_empty() {
                        self.large.pop_front();
                    }
                }
                front => {
                    let end = front.map_or(self.end, |(at, _)| *at);
                    let taken = count.min(end.saturating_sub(self.start));
                    if taken == 0 {
                        break;
                    }
                    self.start = self.start.saturating_add(taken);
                    count = count.saturating_sub(taken);
                }
            }
        }
        if self.is_empty() {
            self.reset();
        }
    }

    /// All was taken.
    #[inline]
    fn reset(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.small.len() > KEEP {
            self.give_back();
        }
    }

    #[cold]
    fn give_back(&mut self) {
        self.small = Vec::new();
    }
}

impl Buf for Outgoing {
    #[inline]
    fn remaining(&self) -> usize {
        // None of it ever wraps: the start is never behind the end.
        self.end.wrapping_sub(self.start).wrapping_add(self.large_len)
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        let end = match self.large.front() {
            Some((at, bytes)) if *at == self.start => return bytes,
            Some((at, _)) => *at,
            None => self.end,
        };
        self.small.get(self.start..end).unwrap_or_default()
    }

    /// Takes `count` bytes off the front; all of them if there are fewer.
    #[inline]
    fn advance(&mut self, count: usize) {
        let start = self.start.saturating_add(count);
        if !self.large.is_empty() {
            self.advance_over(count);
        } else if start < self.end {
            self.start = start;
        } else {
            self.reset();
        }
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut filled: usize = 0;
        let mut put = |chunk: &'a [u8]| {
            let Some(slot) = slices.get_mut(filled) else { return };
            if !chunk.is_empty() {
                *slot = std::io::IoSlice::new(chunk);
                filled = filled.saturating_add(1);
            }
        };
        let mut start = self.start;
        for (at, bytes) in &self.large {
            put(self.small.get(start..*at).unwrap_or_default());
            put(bytes);
            start = *at;
        }
        put(self.small.get(start..self.end).unwrap_or_default());
        filled
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Outgoing {
        let mut outgoing = Outgoing::new();
        outgoing.room(3).copy_from_slice(b"abc");
        outgoing.push_shared(Bytes::from_static(b"large"));
        outgoing.push_shared(Bytes::from_static(b"another"));
        outgoing.room(2).copy_from_slice(b"de");
        outgoing
    }

    #[test]
    fn chunks_come_in_the_order_they_went_in() {
        for step in 1..20 {
            let mut outgoing = filled();
            let mut taken = Vec::new();
            while outgoing.has_remaining() {
                let chunk = outgoing.chunk();
                let len = chunk.len().min(step);
                assert!(len > 0);
                taken.extend_from_slice(&chunk[..len]);
                outgoing.advance(len);
            }
            assert_eq!(taken, b"abclargeanotherde");
            assert!(outgoing.is_empty());
        }
    }

    #[test]
    #[cfg(feature = "std")]
    fn a_vectored_write_gets_all_chunks_it_has_room_for() {
        let outgoing = filled();
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        assert_eq!(outgoing.chunks_vectored(&mut slices), 4);
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        assert_eq!(all, b"abclargeanotherde");
        assert_eq!(outgoing.chunks_vectored(&mut slices[..1]), 1);
    }

    #[test]
    fn a_caller_who_never_takes_all_does_not_make_it_grow() {
        let mut outgoing = Outgoing::new();
        let mut next = 0u8;
        let mut expected = 0u8;
        outgoing.room(1)[0] = u8::MAX;
        for _ in 0..10_000 {
            for byte in outgoing.room(100) {
                *byte = next;
                next = next.wrapping_add(1);
            }
            for _ in 0..100 {
                assert_eq!(outgoing.chunk()[0], expected.wrapping_sub(1));
                outgoing.advance(1);
                expected = expected.wrapping_add(1);
            }
        }
        assert!(outgoing.small.len() <= 1024, "{}", outgoing.small.len());
    }

    #[test]
    fn too_much_taken_empties_it_and_is_no_panic() {
        let mut outgoing = filled();
        outgoing.advance(1_000);
        assert_eq!((outgoing.remaining(), outgoing.chunk()), (0, &b""[..]));
        outgoing.room(1).copy_from_slice(b"x");
        assert_eq!(outgoing.chunk(), b"x");
    }
}
