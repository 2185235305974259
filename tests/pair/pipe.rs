//! One direction of a virtual transport.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BytesMut};
use sansio_mqtt::Outgoing;

use crate::random::Random;

/// Bytes on their way, in order, in fragments that arrive when they arrive.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// How many bytes are on their way at most.
    room: usize,
    fragments: VecDeque<(u64, Vec<u8>)>,
    /// When the last fragment arrives.
    last: u64,
    /// Whether nothing comes behind what is on its way.
    pub(crate) ends: bool,
    /// What has arrived and was not taken by the machine.
    pub(crate) incoming: BytesMut,
    pub(crate) outgoing: Outgoing,
    /// Whether the writer has bytes.
    pub(crate) ready: bool,
    /// Whether the reader takes nothing.
    pub(crate) paused: bool,
    /// The transport breaks after so many bytes more.
    pub(crate) breaks_after: Option<usize>,
    pub(crate) broken: bool,
}

impl Pipe {
    pub(crate) fn new(room: usize, breaks_after: Option<usize>) -> Self {
        Self {
            room,
            fragments: VecDeque::new(),
            last: 0,
            ends: false,
            incoming: BytesMut::new(),
            outgoing: Outgoing::new(),
            ready: false,
            paused: false,
            breaks_after,
            broken: false,
        }
    }

    fn in_flight(&self) -> usize {
        self.fragments.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// How many bytes may be written now.
    pub(crate) fn room(&self) -> usize {
        self.room.saturating_sub(self.in_flight() + self.outgoing.remaining())
    }

    /// Takes what the writer has pulled, in fragments.
    pub(crate) fn write(&mut self, now: u64, random: &mut Random) {
        while self.outgoing.has_remaining() && self.in_flight() < self.room {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.outgoing.chunks_vectored(&mut slices);
            let most = random.pick(&[1, 10, 100, 2_000]);
            let len = 1 + random.below(most);
            let bytes: Vec<u8> =
                slices[..filled].iter().flat_map(|slice| slice.iter()).copied().take(len).collect();
            self.outgoing.advance(bytes.len());
            self.send(now, bytes, random);
        }
    }

    fn send(&mut self, now: u64, mut bytes: Vec<u8>, random: &mut Random) {
        if let Some(left) = self.breaks_after.as_mut() {
            if bytes.len() >= *left {
                bytes.truncate(*left);
                self.broken = true;
            }
            *left -= bytes.len();
        }
        let delay = [0, 100, 3_000, 40_000][random.below(4)];
        self.last = self.last.max(now + delay);
        self.fragments.push_back((self.last, bytes));
    }

    /// The reader reads what has arrived, or some of it; whether there was any.
    pub(crate) fn read(&mut self, now: u64, most: usize) -> bool {
        let mut taken = 0;
        while taken < most && self.fragments.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, bytes)) = self.fragments.pop_front() else { break };
            taken += bytes.len();
            self.incoming.extend_from_slice(&bytes);
        }
        taken > 0
    }

    /// Whether the reader finds that the writer has gone.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.ends && self.fragments.is_empty() && !self.outgoing.has_remaining() && self.last <= now
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fragments.is_empty() && !self.outgoing.has_remaining() && !self.ready
    }
}
