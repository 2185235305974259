//! SUBSCRIBE and UNSUBSCRIBE on their way: MQTT 5.0 §3.8 to §3.11.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::client::error::CallError;
use crate::client::event::ServerOptions;
use crate::error::EncodeError;
use crate::packet::{FixedHeader, Packet, Subscribe, Subscription};
use crate::packet_id::PacketId;
use crate::packet_type::Sender;
use crate::properties::Properties;
use crate::property::Property;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::time::Instant;
use crate::topic::TopicFilter;
use crate::version::Version;

/// Numbers of operations are below 2^30: `session::ids` tells them from those of messages by the
/// highest bit, and adds one.
const LAST_NUMBER: u32 = 0x3fff_ffff;

/// How often an operation is sent that the connection ends over.
const ATTEMPTS: u8 = 2;

/// A SUBSCRIBE or UNSUBSCRIBE without an answer.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The call; also the place among the calls, before what is published under the same number.
    /// 0 for what the client does by itself.
    pub(crate) handle: u64,
    /// The packet, under Packet Identifier 1 in place of its own.
    frame: Bytes,
    pub(crate) purpose: Purpose,
    pub(crate) packet_id: Option<PacketId>,
    attempts: u8,
    deadline: Instant,
}

/// Who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Subscribe,
    Unsubscribe,
    /// To have again what the server lost.
    Resubscribe,
    /// To hear responses.
    Response,
}

impl Operation {
    /// Encodes a SUBSCRIBE or UNSUBSCRIBE, whose identifier does not count.
    pub(crate) fn new(
        handle: u64,
        purpose: Purpose,
        packet: &Packet<'_>,
        version: Version,
    ) -> Result<Self, EncodeError> {
        let mut frame = Vec::new();
        packet.encode(version, &mut frame)?;
        Ok(Self {
            handle,
            frame: frame.into(),
            purpose,
            packet_id: None,
            attempts: 0,
            deadline: Instant::MAX,
        })
    }

    /// The SUBSCRIBE to the topic that responses come to, in this place among the calls.
    pub(crate) fn for_responses(
        place: u64,
        topic: &str,
        version: Version,
    ) -> Result<Self, EncodeError> {
        let subscription = [Subscription::new(topic, QoS::AtLeastOnce)];
        let packet = Subscribe::new(PacketId::MIN, &subscription).into();
        Self::new(place, Purpose::Response, &packet, version)
    }

    /// The packet, under another identifier.
    pub(crate) fn packet(&self, version: Version) -> Option<Packet<'_>> {
        Packet::decode(&self.frame, version, Sender::Client).ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.frame.len()
    }

    /// Writes the packet into room of its length.
    pub(crate) fn write(&self, packet_id: PacketId, room: &mut [u8]) {
        room.copy_from_slice(&self.frame);
        let Ok(Some(header)) = FixedHeader::decode(&self.frame) else { return };
        if let Some((id, _)) =
            room.get_mut(header.header_len()..).and_then(|body| body.split_first_chunk_mut())
        {
            *id = packet_id.get().to_be_bytes();
        }
    }
}

/// How a filter is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscribed {
    /// The Subscription Options.
    pub(crate) options: u8,
    /// The Subscription Identifier.
    pub(crate) identifier: Option<u32>,
}

impl Subscribed {
    /// What a SUBSCRIBE came to, by its filters.
    pub(crate) fn of<'a>(
        subscribe: &Subscribe<'a>,
        codes: &[ReasonCode],
    ) -> impl Iterator<Item = (&'a str, Self)> {
        let identifier = subscribe.properties.subscription_identifiers().next();
        let answered = subscribe.subscriptions.iter().zip(codes);
        let granted = answered.filter(|(_, code)| !code.is_error());
        granted.map(move |(one, _)| (one.topic_filter, Self { options: one.options(), identifier }))
    }
}

/// The operations of a client, and the subscriptions that came of them.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// Not sent on this connection, in the order of the calls.
    queue: VecDeque<Operation>,
    /// Sent, by number.
    sent: BTreeMap<u32, Operation>,
    next_number: u32,
    /// Of the packets of all of them.
    bytes: usize,
    subscriptions: BTreeMap<String, Subscribed>,
}

impl Operations {
    pub(crate) fn len(&self) -> usize {
        self.queue.len().saturating_add(self.sent.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of their packets.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, operation: Operation) {
        self.bytes = self.bytes.saturating_add(operation.len());
        self.queue.push_back(operation);
    }

    /// Puts one before all others.
    fn push_front(&mut self, operation: Operation) {
        self.bytes = self.bytes.saturating_add(operation.len());
        self.queue.push_front(operation);
    }

    /// Takes out those that wait on behalf of somebody.
    fn withdraw(&mut self, purpose: Purpose) {
        let bytes = &mut self.bytes;
        self.queue.retain(|operation| {
            let stays = operation.purpose != purpose;
            if !stays {
                *bytes = bytes.saturating_sub(operation.len());
            }
            stays
        });
    }

    /// One is not held any more.
    fn forget(&mut self, operation: Option<Operation>) -> Option<Operation> {
        self.bytes = self.bytes.saturating_sub(operation.as_ref().map_or(0, Operation::len));
        operation
    }

    /// Puts the SUBSCRIBE for responses before all others, in place of one that waits.
    pub(crate) fn push_response(&mut self, operation: Operation) {
        self.withdraw(Purpose::Response);
        self.push_front(operation);
    }

    /// The operation to be sent next.
    #[inline]
    pub(crate) fn front(&self) -> Option<&Operation> {
        self.queue.front()
    }

    /// Takes the operation off that is next, to be completed in place of being sent.
    pub(crate) fn reject(&mut self) -> Option<Operation> {
        let operation = self.queue.pop_front();
        self.forget(operation)
    }

    /// The number under which the operation that is next waits for its answer.
    pub(crate) fn next_number(&self) -> u32 {
        self.next_number
    }

    /// The operation that is next was sent under an identifier, to be answered until then.
    pub(crate) fn sent(&mut self, packet_id: PacketId, deadline: Instant) {
        let Some(mut operation) = self.queue.pop_front() else { return };
        operation.packet_id = Some(packet_id);
        operation.attempts = operation.attempts.saturating_add(1);
        operation.deadline = deadline;
        self.sent.insert(self.next_number, operation);
        self.next_number = self.next_number.wrapping_add(1) & LAST_NUMBER;
    }

    /// The operation that waits for an answer under this number.
    pub(crate) fn waiting(&self, number: u32) -> Option<&Operation> {
        self.sent.get(&number)
    }

    /// The operation is answered.
    pub(crate) fn answered(&mut self, number: u32) -> Option<Operation> {
        let operation = self.sent.remove(&number);
        self.forget(operation)
    }

    /// When the first answer must have come, by the server's time.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        // The numbers go round: the one that was sent first is the next in the circle.
        let next = self.sent.range(self.next_number..).next().or(self.sent.iter().next());
        next.map(|(_, operation)| operation.deadline)
    }

    /// The connection is gone: what was sent is sent again on the next one, unless that was tried
    /// before. Gives back the identifiers, and what is not tried again.
    pub(crate) fn disconnected(&mut self) -> (Vec<PacketId>, Vec<Operation>) {
        let (mut ids, mut given_up) = (Vec::new(), Vec::new());
        let mut again = Vec::new();
        for mut operation in core::mem::take(&mut self.sent).into_values() {
            ids.extend(operation.packet_id.take());
            if operation.attempts < ATTEMPTS {
                again.push(operation);
            } else {
                given_up.extend(self.forget(Some(operation)));
            }
        }
        again.sort_by_key(|operation| operation.handle);
        for operation in again.into_iter().rev() {
            self.queue.push_front(operation);
        }
        (ids, given_up)
    }

    /// Remembers a subscription.
    pub(crate) fn subscribed(&mut self, filter: &str, subscribed: Subscribed) {
        self.subscriptions.insert(filter.into(), subscribed);
    }

    /// Forgets a subscription; `false` if it was not remembered.
    pub(crate) fn unsubscribed(&mut self, filter: &str) -> bool {
        self.subscriptions.remove(filter).is_some()
    }

    /// The SUBSCRIBE packets by which a server that lost everything has it again: one for each
    /// Subscription Identifier, of so many subscriptions at most.
    ///
    /// What the server does not take goes by itself, so that it keeps nothing else from going.
    pub(crate) fn resubscribe(&mut self, version: Version, server: &ServerOptions) {
        const AT_ONCE: usize = 16;
        // What an earlier connection broke off is among the others.
        self.withdraw(Purpose::Resubscribe);
        let mut by_identifier: BTreeMap<Option<u32>, Vec<Subscription<'_>>> = BTreeMap::new();
        for (filter, Subscribed { options, identifier }) in &self.subscriptions {
            let subscription = Subscription::with_options(filter, *options);
            by_identifier.entry(*identifier).or_default().extend(subscription);
        }
        let mut operations = Vec::new();
        for (identifier, subscriptions) in &by_identifier {
            let identifier = identifier.map(Property::SubscriptionIdentifier);
            let properties = Properties::List(identifier.as_slice());
            let mut add = |some: &[Subscription<'_>], whatever: bool| {
                let packet = Subscribe { properties, ..Subscribe::new(PacketId::MIN, some) }.into();
                let operation = Operation::new(0, Purpose::Resubscribe, &packet, version);
                let maximum = server.maximum_packet_size as usize;
                let fits = |one: &Operation| {
                    one.len() <= maximum && check(&packet, server).is_ok() || whatever
                };
                let operation = operation.ok().filter(fits);
                let is_added = operation.is_some();
                operations.extend(operation);
                is_added
            };
            for some in subscriptions.chunks(AT_ONCE) {
                if !add(some, false) {
                    some.chunks(1).for_each(|one| {
                        add(one, true);
                    });
                }
            }
        }
        operations.into_iter().rev().for_each(|operation| self.push_front(operation));
    }
}

/// Whether a server takes these subscriptions. v5 3.2.2.3.11, 3.2.2.3.12, 3.2.2.3.13
pub(crate) fn check(packet: &Packet<'_>, server: &ServerOptions) -> Result<(), CallError> {
    let Packet::Subscribe(subscribe) = packet else { return Ok(()) };
    if !server.subscription_identifiers_available
        && subscribe.properties.subscription_identifiers().next().is_some()
    {
        return Err(CallError::SubscriptionIdentifiersNotSupported);
    }
    if server.wildcard_subscription_available && server.shared_subscription_available {
        return Ok(());
    }
    for subscription in subscribe.subscriptions.iter() {
        let Ok(filter) = TopicFilter::new(subscription.topic_filter) else { continue };
        if !server.wildcard_subscription_available && filter.has_wildcard() {
            return Err(CallError::WildcardSubscriptionsNotSupported);
        }
        if !server.shared_subscription_available && filter.share_name().is_some() {
            return Err(CallError::SharedSubscriptionsNotSupported);
        }
    }
    Ok(())
}
