//! Events that wait for the application, in their order.

use alloc::collections::VecDeque;

use crate::client::error::{DisconnectCause, Failure};
use crate::client::event::{Answer, Event, Handle, Published};
use crate::owned_packet::OwnedPacket;
use crate::reason::ReasonCode;
use crate::session::store::{Log, Sequence};

/// Events, and what has to be safe before each is told.
///
/// Those that there are most of take a few bytes; the others, which are large, wait apart.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<(Sequence, Waiting)>,
    /// For each [`Waiting::Other`], in the same order.
    others: VecDeque<Event>,
    /// How many of the others share no buffer any more.
    compacted: usize,
    /// Bytes of the messages and packets among them.
    bytes: usize,
}

/// How many events wait for the application at most before no more input is taken.
const EVENTS: usize = 128;

/// How many bytes of messages and packets they hold at most before no more input is taken.
const BYTES: usize = 1 << 20;

/// An event that waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waiting {
    /// [`Published::Sent`](crate::client::Published::Sent), for all from the one to the other.
    Sent(Handle, Handle),
    /// [`Published::Acknowledged`](crate::client::Published::Acknowledged), without a packet.
    Acknowledged(Handle, ReasonCode),
    /// One that waits apart.
    Other,
}

impl Events {
    /// Whether the application has to take some before more input is taken.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= EVENTS || self.bytes >= BYTES
    }

    /// Adds an event, to be told when `after` is safe.
    #[inline]
    pub(super) fn push(&mut self, after: Sequence, event: Event) {
        self.bytes = self.bytes.saturating_add(size(&event));
        self.queue.push_back((after, Waiting::Other));
        self.others.push_back(event);
    }

    /// Adds that a message was published without anything to be said beside.
    #[inline]
    pub(super) fn push_published(&mut self, after: Sequence, handle: Handle, code: ReasonCode) {
        self.queue.push_back((after, Waiting::Acknowledged(handle, code)));
    }

    /// Adds that the bytes of a message were pulled.
    #[inline]
    pub(super) fn push_sent(&mut self, handle: Handle) {
        if let Some((_, Waiting::Sent(_, last))) = self.queue.back_mut()
            && last.0.checked_add(1) == Some(handle.0)
        {
            *last = handle;
        } else {
            self.queue.push_back((Sequence::default(), Waiting::Sent(handle, handle)));
        }
    }

    /// Whether the oldest event can be told.
    pub(super) fn is_ready(&self, log: &Log) -> bool {
        self.queue.front().is_some_and(|(after, _)| log.is_committed(*after))
    }

    /// Takes the oldest event off, if it can be told; one that waits apart is then
    /// [taken](Self::pop_other) too.
    #[inline]
    pub(super) fn pop(&mut self, log: &Log) -> Option<Waiting> {
        let (after, waiting) = self.queue.front_mut()?;
        if !log.is_committed(*after) {
            return None;
        }
        let told = *waiting;
        if let Waiting::Sent(first, last) = waiting
            && *first < *last
        {
            first.0 = first.0.saturating_add(1);
        } else {
            self.queue.pop_front();
        }
        Some(told)
    }

    /// Takes off the oldest event that waits apart.
    #[inline]
    pub(super) fn pop_other(&mut self) -> Option<Event> {
        self.compacted = self.compacted.saturating_sub(1);
        let event = self.others.pop_front()?;
        self.bytes = self.bytes.saturating_sub(size(&event));
        Some(event)
    }

    /// Gives the messages that the application has not taken storage of their own.
    #[inline]
    pub(super) fn compact(&mut self) {
        if self.compacted < self.others.len() {
            self.compact_others();
        }
    }

    fn compact_others(&mut self) {
        for event in self.others.iter_mut().skip(self.compacted) {
            if let Event::Message(delivery) | Event::Response { result: Ok(delivery), .. } = event {
                delivery.message = delivery.message.compact();
            }
        }
        self.compacted = self.others.len();
    }
}

/// Bytes of the message or the packet that an event brings.
#[inline]
fn size(event: &Event) -> usize {
    match event {
        Event::Message(delivery) | Event::Response { result: Ok(delivery), .. } => {
            delivery.message.size()
        }
        event => packet(event).map_or(0, |packet| packet.frame().len()),
    }
}

/// The packet that an event brings.
fn packet(event: &Event) -> Option<&OwnedPacket> {
    let failure = match event {
        Event::Connected(connected) => return Some(&connected.packet),
        Event::Authenticate(packet) | Event::Authenticated(packet) => return Some(packet),
        Event::Disconnected(
            DisconnectCause::Refused { packet, .. } | DisconnectCause::ByServer { packet, .. },
        ) => return Some(packet),
        Event::Published { result: Ok(Published::Acknowledged { packet, .. }), .. }
        | Event::Subscribed { result: Ok(Answer { packet, .. }), .. }
        | Event::Unsubscribed { result: Ok(Answer { packet, .. }), .. }
        | Event::Resubscribed { result: Ok(Answer { packet, .. }), .. } => {
            return packet.as_deref();
        }
        Event::Published { result: Err(failure), .. }
        | Event::Subscribed { result: Err(failure), .. }
        | Event::Unsubscribed { result: Err(failure), .. }
        | Event::Resubscribed { result: Err(failure), .. }
        | Event::Response { result: Err(failure), .. } => failure,
        _ => return None,
    };
    match failure {
        Failure::Refused { packet, .. } => packet.as_deref(),
        _ => None,
    }
}
