//! A message on its way at QoS 1 or 2, and how far it is. MQTT 5.0 §4.3.

use alloc::boxed::Box;

use crate::message::Message;
use crate::owned_packet::OwnedPacket;
use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::store::Sequence;
use crate::time::Instant;

/// What a message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Room in the window: it has no identifier yet.
    Queued,
    AwaitPubAck,
    AwaitPubRec,
    AwaitPubComp,
}

/// What is sent: a message of its own, or one that others share.
pub(crate) trait Sendable {
    fn qos(&self) -> QoS;
}

impl Sendable for Message {
    fn qos(&self) -> QoS {
        Self::qos(self)
    }
}

/// A message that is not fully acknowledged.
#[derive(Debug)]
pub(crate) struct Entry<M = Message> {
    /// The operation, whose number is also the order in which messages are sent.
    pub(crate) handle: u64,
    /// The order in which they are sent again: that of the messages, and then that of the PUBRECs.
    pub(crate) order: u64,
    /// The message, until its PUBREC.
    pub(crate) message: Option<M>,
    /// What its PUBREC says beside success.
    pub(crate) pub_rec: Option<Box<PubRecWords>>,
    /// Whether the message is [framed](Message::framed).
    pub(crate) is_framed: bool,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) stage: Stage,
    /// Whether a PUBLISH was pulled since the session began, so that the next one is marked DUP.
    pub(crate) sent: bool,
    /// Whether it takes room in the window of this connection.
    pub(crate) in_window: bool,
    pub(crate) expires: Option<Instant>,
    /// What has to be safe before the PUBLISH is sent.
    pub(crate) after: Sequence,
    /// Bytes of the message.
    pub(crate) size: usize,
}

impl Entry {
    pub(crate) fn new(handle: u64, message: Message, expires: Option<Instant>) -> Self {
        let size = message.size();
        Self::sized(handle, message, size, expires)
    }

    /// One of a [framed](Message::framed) message, whose size is known.
    #[inline(always)]
    pub(crate) fn framed(
        handle: u64,
        message: Message,
        size: usize,
        expires: Option<Instant>,
    ) -> Self {
        Self { is_framed: true, ..Self::sized(handle, message, size, expires) }
    }
}

impl<M> Entry<M> {
    /// One of a message of so many bytes.
    #[inline(always)]
    pub(crate) fn sized(handle: u64, message: M, size: usize, expires: Option<Instant>) -> Self {
        Self {
            handle,
            order: handle,
            size,
            is_framed: false,
            message: Some(message),
            pub_rec: None,
            packet_id: None,
            stage: Stage::Queued,
            sent: false,
            in_window: false,
            expires,
            after: Sequence::default(),
        }
    }

    /// A message that waits for PUBCOMP, and is not needed any more.
    pub(crate) fn without_message(handle: u64, order: u64) -> Self {
        Self {
            handle,
            order,
            message: None,
            pub_rec: None,
            packet_id: None,
            is_framed: false,
            stage: Stage::AwaitPubComp,
            sent: false,
            in_window: false,
            expires: None,
            after: Sequence::default(),
            size: 0,
        }
    }

    /// Whether it is not to be sent any more. What was sent is not cut short: v5 [MQTT-4.3.3-7]
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        !self.sent && self.expires.is_some_and(|expires| expires < now)
    }
}

/// What a PUBREC says beside success.
#[derive(Debug)]
pub(crate) struct PubRecWords {
    pub(crate) reason_code: ReasonCode,
    /// The packet, if it has properties.
    pub(crate) packet: Option<Box<OwnedPacket>>,
}

/// An entry that was taken out.
#[derive(Debug)]
pub(crate) struct Removed<M = Message> {
    /// The operation.
    pub(crate) handle: u64,
    /// Its message, if it still had it.
    pub(crate) message: Option<M>,
    /// Whether it had an identifier.
    pub(crate) was_in_flight: bool,
}

/// Finds an entry, for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) handle: u64,
}

impl Key {
    /// The operation.
    pub(crate) const fn handle(self) -> u64 {
        self.handle
    }
}
