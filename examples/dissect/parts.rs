//! A stream cut into packets, and into what is none.

use sansio_mqtt::{DecodeError, Decoder, FixedHeader, Packet};

use super::guess;

/// Some bytes of the stream, and what they are.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Where they begin in the stream.
    pub(super) offset: usize,
    pub(super) bytes: &'a [u8],
    pub(super) event: Event<'a>,
}

#[derive(Debug)]
pub(super) enum Event<'a> {
    Packet(Packet<'a>),
    Malformed {
        error: DecodeError,
        /// Whether it is known where the next packet begins.
        goes_on: bool,
    },
    /// The stream ends within a packet.
    Incomplete {
        /// If that much of the packet is there.
        header: Option<FixedHeader>,
    },
}

/// Goes on behind a malformed packet where that says how long it is.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    rest: &'a [u8],
    offset: usize,
    decoder: Decoder,
}

impl<'a> Parts<'a> {
    pub(super) const fn new(bytes: &'a [u8], decoder: Decoder) -> Self {
        Self { rest: bytes, offset: 0, decoder }
    }

    /// The bytes that a refused packet takes: all that are left, if it does not tell.
    fn malformed(&mut self, error: DecodeError) -> (usize, Event<'a>) {
        let len = error.frame_len.filter(|len| *len <= self.rest.len());
        if let Some(next) = len.and_then(|len| self.rest.get(len..))
            && self.decoder.version().is_none()
        {
            // The CONNECT that would have told it is the malformed packet.
            let (version, _) = guess::version(next, self.decoder);
            self.decoder = self.decoder.with_version(version);
        }
        let goes_on = len.is_some();
        (len.unwrap_or(self.rest.len()), Event::Malformed { error, goes_on })
    }

    /// All bytes that are left, of a packet that goes on behind them.
    fn incomplete(&self) -> (usize, Event<'a>) {
        let header = FixedHeader::decode(self.rest).ok().flatten();
        (self.rest.len(), Event::Incomplete { header })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (len, event) = match self.decoder.decode(self.rest) {
            Ok(Some((packet, len))) => (len, Event::Packet(packet)),
            Ok(None) => self.incomplete(),
            Err(error) => self.malformed(error),
        };
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        let offset = self.offset;
        self.rest = rest;
        self.offset += len;
        Some(Part { offset, bytes, event })
    }
}
