//! One connection's stream: what is decoded, what waits to be pulled, and how it ends.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::decoder::{Decoder, MAXIMUM_PACKET_SIZE};
use crate::error::EncodeError;
use crate::outgoing::Outgoing;
use crate::packet::{Auth, Disconnect, Packet};
use crate::packet_type::PacketType;
use crate::properties::Properties;
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::session::alias::{IncomingAliases, OutgoingAliases};
use crate::time::Instant;
use crate::version::Version;

/// One connection of a machine. A later one has another, and what is said of an earlier one has
/// no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

/// What a machine did with the bytes that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Received {
    /// All whole packets were taken; what is left is the beginning of one.
    Drained,
    /// There may be more, of which nothing is taken until the output `Resume` says so. Read no more
    /// from the transport until then, so that it holds the other end back.
    Paused,
}

/// What a machine left behind when bytes were pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Transmitted {
    /// Nothing: the output `Transmit` tells when there is more.
    All,
    /// What the limit had no room for: call again when the transport has taken what there is.
    More,
}

/// The stream of one connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) version: Version,
    pub(crate) decoder: Decoder,
    pub(crate) incoming_aliases: IncomingAliases,
    pub(crate) outgoing_aliases: OutgoingAliases,
    /// Of the packets that the other end accepts, in bytes.
    pub(crate) maximum_packet_size: u32,
    /// When something has to have happened: the handshake, or the last bytes.
    pub(crate) deadline: Option<Instant>,
    /// Packets that do not wait for anything, encoded.
    control: VecDeque<Vec<u8>>,
    /// Whether the caller was told that there are bytes to be pulled.
    announced: bool,
    /// Whether CONNECT or CONNACK was pulled: DISCONNECT does not go out before it.
    opened: bool,
    /// Whether nothing is sent or received any more but what waits in `control`.
    closing: bool,
}

/// What begins a connection, from either end.
const OPENING: [u8; 2] = [PacketType::Connect as u8, PacketType::ConnAck as u8];

impl Link {
    pub(crate) fn new(id: ConnectionId, version: Version, decoder: Decoder) -> Self {
        Self {
            id,
            version,
            decoder,
            incoming_aliases: IncomingAliases::default(),
            outgoing_aliases: OutgoingAliases::default(),
            maximum_packet_size: MAXIMUM_PACKET_SIZE,
            deadline: None,
            control: VecDeque::new(),
            announced: false,
            opened: false,
            closing: false,
        }
    }

    /// Encodes a packet that goes out before everything else.
    pub(crate) fn control(&mut self, packet: &Packet<'_>) -> Result<(), EncodeError> {
        let mut frame = Vec::new();
        packet.encode(self.version, &mut frame)?;
        self.control.push_back(frame);
        Ok(())
    }

    /// Adds a packet that goes out before everything else, encoded.
    pub(crate) fn control_frame(&mut self, frame: Vec<u8>) {
        self.control.push_back(frame);
    }

    /// PINGREQ goes out next.
    pub(crate) fn ping(&mut self) {
        // It always encodes.
        let _ = self.control(&Packet::PingReq);
    }

    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// Appends the oldest control packet.
    pub(crate) fn pull_control(&mut self, out: &mut Outgoing) {
        if let Some(frame) = self.control.pop_front() {
            self.opened |= frame.first().is_some_and(|first| OPENING.contains(&(first >> 4)));
            out.room(frame.len()).copy_from_slice(&frame);
            if self.control.is_empty() {
                // There is seldom any: not even room for it is kept.
                self.control = VecDeque::new();
            }
        }
    }

    /// Ends the connection when what waits is sent.
    pub(crate) fn close_after(&mut self, deadline: Instant) {
        self.closing = true;
        self.deadline = Some(deadline);
    }

    /// Ends the connection: what waits is thrown away but for `last`, which is still sent.
    pub(crate) fn close(&mut self, last: Option<&Packet<'_>>, deadline: Instant) {
        self.control.clear();
        self.close_after(deadline);
        // What cannot be sent is not: the connection is closed all the same. v5 [MQTT-3.1.0-1]
        // [MQTT-3.2.2-15]
        if let Some(packet) = last.filter(|_| self.opened)
            && packet.encoded_len(self.version).is_ok_and(|len| self.accepts(len))
        {
            let _ = self.control(packet);
        }
    }

    pub(crate) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the caller has to be told of bytes, of which there are some.
    #[inline]
    pub(crate) fn announce(&mut self) -> bool {
        !core::mem::replace(&mut self.announced, true)
    }

    #[inline]
    pub(crate) const fn is_announced(&self) -> bool {
        self.announced
    }

    /// There are no more bytes: the caller is told of the next ones.
    #[inline]
    pub(crate) fn ran_dry(&mut self) {
        self.announced = false;
    }

    /// Whether the other end accepts a packet of this size.
    #[inline]
    pub(crate) fn accepts(&self, size: usize) -> bool {
        size <= self.maximum_packet_size as usize
    }

    /// The properties without those that may not make a packet larger than the other end accepts:
    /// first User Properties are left out, then the Reason String.
    ///
    /// v5 [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.15.2-2] [MQTT-3.15.2-3]
    pub(crate) fn fit<'a>(
        &self,
        properties: &Properties<'a>,
        packet: impl Fn(Properties<'_>) -> Result<usize, EncodeError>,
    ) -> Result<Vec<Property<'a>>, EncodeError> {
        let mut kept: Vec<Property<'a>> = properties.iter().collect();
        for left_out in [PropertyId::UserProperty, PropertyId::ReasonString] {
            if self.accepts(packet(Properties::List(&kept))?) {
                break;
            }
            kept.retain(|property| property.id() != left_out);
        }
        Ok(kept)
    }

    /// The size of a DISCONNECT with these properties instead.
    pub(crate) fn disconnect_len(
        &self,
        disconnect: &Disconnect<'_>,
        properties: Properties<'_>,
    ) -> Result<usize, EncodeError> {
        let reason_code = disconnect.reason_code;
        Packet::Disconnect(Disconnect { reason_code, properties }).encoded_len(self.version)
    }

    /// The size of an AUTH with these properties instead.
    pub(crate) fn auth_len(
        &self,
        auth: &Auth<'_>,
        properties: Properties<'_>,
    ) -> Result<usize, EncodeError> {
        let reason_code = auth.reason_code;
        Packet::Auth(Auth { reason_code, properties }).encoded_len(self.version)
    }
}
