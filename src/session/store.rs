//! Durable records: what must survive a crash, and what waits until it does.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use thiserror::Error;

/// The place of a record in the order of all records of one machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub(crate) u64);

impl Sequence {
    /// The number: later records have larger ones.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// One durable key to be put or deleted.
///
/// Keys and values are opaque bytes that any key-value store will hold. What is committed must
/// be a prefix of what was handed out: grouping is fine, reordering is not, since a later record
/// of a key replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Store {
    /// Its place in the order; [`committed`](crate::client::Client::committed) takes the last
    /// one that is safe.
    pub sequence: Sequence,
    /// The key.
    pub key: Bytes,
    /// The value to put, or `None` to delete the key.
    pub value: Option<Bytes>,
}

/// A record that cannot be read back, contradicts another, or is missing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the record {key:02x?} cannot be read, contradicts another, or is missing")]
pub struct RestoreError {
    /// The key of the record.
    pub key: Vec<u8>,
}

/// The records that a machine hands out, in their order, and how many of them are safe.
#[derive(Debug, Default)]
pub(crate) struct Log {
    durable: bool,
    last: Sequence,
    committed: Sequence,
    waiting: VecDeque<Store>,
}

impl Log {
    /// A log that hands out what it is given.
    pub(crate) fn durable() -> Self {
        Self { durable: true, ..Self::default() }
    }

    #[inline]
    pub(crate) const fn is_durable(&self) -> bool {
        self.durable
    }

    /// Records a key. Without durability nothing is recorded and nothing waits.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Sequence {
        self.add(key, Some(value.into()))
    }

    /// Records that a key is gone.
    pub(crate) fn delete(&mut self, key: Vec<u8>) -> Sequence {
        self.add(key, None)
    }

    fn add(&mut self, key: Vec<u8>, value: Option<Bytes>) -> Sequence {
        if !self.durable {
            return Sequence::default();
        }
        self.last = Sequence(self.last.0.saturating_add(1));
        self.waiting.push_back(Store { sequence: self.last, key: key.into(), value });
        self.last
    }

    /// The last record: what has to be safe for a packet that depends on anything before it.
    #[inline]
    pub(crate) const fn last(&self) -> Sequence {
        self.last
    }

    /// Whether there is no record to be handed out.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The record that comes next.
    #[inline]
    pub(crate) fn poll(&mut self) -> Option<Store> {
        self.waiting.pop_front()
    }

    /// Everything up to `sequence` is safe; `false` if that is nothing new, or was never handed
    /// out.
    pub(crate) fn commit(&mut self, sequence: Sequence) -> bool {
        let handed_out = match self.waiting.front() {
            Some(next) => next.sequence.0.saturating_sub(1),
            None => self.last.0,
        };
        let news = sequence.0 > self.committed.0 && sequence.0 <= handed_out;
        if news {
            self.committed = sequence;
        }
        news
    }

    #[inline]
    pub(crate) fn is_committed(&self, sequence: Sequence) -> bool {
        sequence <= self.committed
    }
}

/// Writes the values of records. All integers are big endian.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// An optional number, which is never the last there is.
    pub(crate) fn optional(self, value: Option<u64>) -> Self {
        self.u64(value.unwrap_or(u64::MAX))
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(self, value: &[u8]) -> Self {
        let mut writer = self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        writer.0.extend_from_slice(value);
        writer
    }
}

/// Reads what [`Writer`] wrote; `None` where it did not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn optional(&mut self) -> Option<Option<u64>> {
        self.u64().map(|value| (value != u64::MAX).then_some(value))
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.bytes()?).ok()
    }

    /// That there is no more.
    pub(crate) fn finish(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_without_durability() {
        let mut log = Log::default();
        let sequence = log.put(b"k".to_vec(), b"v".to_vec());
        assert!(log.is_committed(sequence));
        assert_eq!(log.poll(), None);
    }

    #[test]
    fn what_was_handed_out_can_be_committed_and_nothing_else() {
        let mut log = Log::durable();
        let first = log.put(b"a".to_vec(), b"1".to_vec());
        let second = log.delete(b"a".to_vec());
        assert!(!log.is_committed(first));
        assert!(!log.commit(first), "it was not handed out");
        assert_eq!(log.poll().map(|store| store.sequence), Some(first));
        assert!(!log.commit(second));
        assert!(log.commit(first));
        assert!(!log.commit(first), "nothing new");
        assert!(log.is_committed(first) && !log.is_committed(second));
        assert_eq!(log.poll().map(|store| store.value), Some(None));
        assert!(!log.commit(Sequence(99)));
        assert!(log.commit(second));
    }

    #[test]
    fn what_was_written_is_read_and_nothing_less() {
        let writer =
            Writer::default().byte(1).u16(2).u32(3).u64(4).optional(None).optional(Some(5));
        let bytes = writer.bytes("sixth".as_bytes()).0;
        for len in 0..=bytes.len() {
            let mut reader = Reader(&bytes[..len]);
            let mut read = || {
                let numbers = (reader.byte()?, reader.u16()?, reader.u32()?, reader.u64()?);
                let optional = (reader.optional()?, reader.optional()?);
                let text = reader.text()?;
                reader.finish()?;
                Some((numbers, optional, text))
            };
            let expected = ((1, 2, 3, 4), (None, Some(5)), "sixth");
            assert_eq!(read(), (len == bytes.len()).then_some(expected), "{len}");
        }
    }
}
