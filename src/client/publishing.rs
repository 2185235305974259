//! Publishing: the calls, the queue and the window.

use core::time::Duration;

use alloc::vec::Vec;

use crate::client::error::{CallError, Failure};
use crate::client::event::{Handle, ServerOptions};
use crate::client::machine::{Client, Connection};
use crate::client::operations::Operation;
use crate::client::options::Overflow;
use crate::client::records::{self, FlightRecord, Key};
use crate::client::requests;
use crate::error::{Cause, EncodeError};
use crate::message::Message;
use crate::outgoing::Outgoing;
use crate::packet::Publish;
use crate::packet::body::{self, Plan, Planned};
use crate::packet_id::PacketId;
use crate::properties::Properties;
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::session::entry::{Entry, Key as EntryKey, Removed};
use crate::session::store::Sequence;
use crate::time::Instant;
use crate::topic::TopicName;

impl Client {
    /// Publishes a message, which is copied; `dup` and `packet_id` are the client's affair.
    ///
    /// It is sent as soon as there is a connection and the server takes it; until then it is held.
    /// One event, [`Published`](crate::client::Event::Published), tells what came of it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the message, what the server does not support, or that there is no
    /// room.
    pub fn publish(&mut self, now: Instant, publish: &Publish<'_>) -> Result<Handle, CallError> {
        self.advance(now);
        let packet_id = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(PacketId::MIN),
        };
        let publish = Publish { dup: false, packet_id, ..*publish };
        let planned = self.check_publish(&publish)?;
        let (properties_len, expiry) = match publish.properties.is_empty() {
            true => (0, None),
            false => (publish.properties_len(), publish.properties.message_expiry_interval()),
        };
        let size = publish
            .topic
            .len()
            .saturating_add(properties_len)
            .saturating_add(publish.payload.len());
        self.make_room(size)?;
        let expires = self.expiry(expiry);
        let handle = self.next_number();
        let version = self.options.version;
        if publish.qos == QoS::AtMostOnce {
            self.at_most_once.push(handle, &publish, &planned, properties_len, version, expires);
        } else if Outgoing::shares(publish.payload.len()) {
            self.push(Entry::new(handle, Message::copy_of(&publish, properties_len), expires));
        } else {
            let message = Message::framed(&publish, &planned, properties_len, version);
            self.push(Entry::framed(handle, message, size, expires));
        }
        Ok(Handle(handle))
    }

    /// Publishes a message without copying it, as [`publish`](Self::publish) does. A received one
    /// is [copied](Message::compact) after all, so that what it was read into is not kept alive.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_message(&mut self, now: Instant, message: Message) -> Result<Handle, CallError> {
        self.advance(now);
        let message = message.into_own();
        let packet_id = (message.qos() != QoS::AtMostOnce).then_some(PacketId::MIN);
        self.check_publish(&Publish { packet_id, ..message.to_publish() })?;
        self.make_room(message.size())?;
        let expires = self.expiry(message.properties().message_expiry_interval());
        let handle = self.next_number();
        if message.qos() == QoS::AtMostOnce {
            self.at_most_once.push_message(handle, message, expires);
        } else {
            self.push(Entry::new(handle, message, expires));
        }
        Ok(Handle(handle))
    }

    /// Publishes a request, and waits for its response for so long. v5 4.10
    ///
    /// The client adds the Response Topic of its options and Correlation Data, subscribes to that
    /// topic with the first request, and completes this one with the
    /// [`Response`](crate::client::Event::Response). The topic may be made of what the server says
    /// in its CONNACK: [`set_response_topic`](Self::set_response_topic).
    ///
    /// # Errors
    ///
    /// [`CallError::NoResponseTopic`]; as [`publish`](Self::publish).
    pub fn request(
        &mut self,
        now: Instant,
        publish: &Publish<'_>,
        timeout: Duration,
    ) -> Result<Handle, CallError> {
        self.advance(now);
        let topic = self.options.response_topic.clone();
        let topic = topic.filter(|_| self.options.version.is_v5());
        let topic = topic.ok_or(CallError::NoResponseTopic)?;
        for id in [PropertyId::ResponseTopic, PropertyId::CorrelationData] {
            if publish.properties.contains(id) {
                return Err(CallError::PropertyNotForCaller(id));
            }
        }
        if self.requests.len() >= self.options.maximum_held {
            return Err(CallError::QueueFull);
        }
        let number = self.last_number.saturating_add(1);
        let operation = match self.requests.subscribed {
            true => None,
            false => Some(Operation::for_responses(number, &topic, self.options.version)?),
        };
        let correlation_data = requests::correlation_data(self.options.seed, number);
        let mut properties: Vec<Property<'_>> = publish.properties.iter().collect();
        properties.push(Property::ResponseTopic(&topic));
        properties.push(Property::CorrelationData(&correlation_data));
        let publish = Publish { properties: Properties::List(&properties), ..*publish };
        let handle = self.publish(now, &publish)?;
        if let Some(operation) = operation {
            self.operations.push(operation);
            self.requests.subscribed = true;
        }
        self.requests.insert(handle.get(), self.now + timeout);
        Ok(handle)
    }

    /// Changes the topic that responses are asked for at, for the requests that follow: to one
    /// made of the server's Response Information, say. v5 4.10.1
    ///
    /// # Errors
    ///
    /// [`CallError::Invalid`] if it is no Topic Name.
    pub fn set_response_topic(&mut self, topic: &str) -> Result<(), CallError> {
        if let Err(error) = TopicName::new(topic) {
            return Err(EncodeError::from(Cause::InvalidTopicName(error)).into());
        }
        self.requests.subscribed &= self.options.response_topic.as_deref() == Some(topic);
        self.options.response_topic = Some(topic.into());
        Ok(())
    }

    /// Checks what is known when the call is made.
    #[inline]
    fn check_publish<'p, 'a>(
        &self,
        publish: &'p Publish<'a>,
    ) -> Result<Planned<&'p Publish<'a>, Plan>, CallError> {
        let version = self.options.version;
        let planned = body::plan(publish, version)?;
        if !publish.properties.is_empty() {
            for id in [PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier] {
                // v5 [MQTT-3.3.4-6]
                if publish.properties.contains(id) {
                    return Err(CallError::PropertyNotForCaller(id));
                }
            }
        }
        if let Some(connection) = &self.connection {
            if connection.draining.is_some() {
                return Err(CallError::Disconnecting);
            }
            check(publish.qos, publish.retain, planned.encoded_len(), connection)?;
        }
        Ok(planned)
    }

    /// When a message that is held expires.
    #[inline]
    fn expiry(&self, interval: Option<u32>) -> Option<Instant> {
        interval.map(|seconds| self.now + Duration::from_secs(seconds.into()))
    }

    /// Makes room for a message of so many bytes.
    #[inline]
    fn make_room(&mut self, size: usize) -> Result<(), CallError> {
        if self.has_room(size) { Ok(()) } else { self.make_room_by_policy(size) }
    }

    #[inline]
    fn has_room(&self, size: usize) -> bool {
        let held = self.outbound.len().saturating_add(self.at_most_once.len());
        let bytes = self.outbound.bytes().saturating_add(self.at_most_once.bytes());
        held < self.options.maximum_held
            && bytes.saturating_add(size) <= self.options.maximum_held_bytes
    }

    #[cold]
    fn make_room_by_policy(&mut self, size: usize) -> Result<(), CallError> {
        self.expire();
        // What was sent is not dropped: nothing is, if that leaves no room.
        let sent = self.outbound.sent_bytes().saturating_add(size);
        if self.options.overflow == Overflow::DropOldest
            && self.outbound.sent_len() < self.options.maximum_held
            && sent <= self.options.maximum_held_bytes
        {
            while !self.has_room(size) && self.drop_oldest() {}
        }
        // What is gone may have been in it.
        self.open_window();
        if self.has_room(size) { Ok(()) } else { Err(CallError::QueueFull) }
    }

    /// Drops the oldest message that was not sent; `false` if there is none.
    fn drop_oldest(&mut self) -> bool {
        let at_most_once = self.at_most_once.front().map(|item| item.handle);
        let unsent = self.outbound.oldest_unsent();
        match (at_most_once, unsent) {
            (Some(handle), unsent) if unsent.is_none_or(|key| handle < key.handle()) => {
                self.at_most_once.pop();
                self.published(Sequence::default(), handle, Err(Failure::Dropped));
            }
            (_, Some(key)) => self.abandon(key, Failure::Dropped),
            _ => return false,
        }
        true
    }

    /// Completes the messages that have expired and were never sent.
    fn expire(&mut self) {
        let expired = self.outbound.expired(self.now);
        if !expired.is_empty() {
            expired.into_iter().for_each(|key| self.abandon(key, Failure::Expired));
            self.outbound.sweep();
        }
        let mut expired = Vec::new();
        self.at_most_once.expire(self.now, |handle| expired.push(handle));
        for handle in expired {
            self.published(Sequence::default(), handle, Err(Failure::Expired));
        }
    }

    /// Takes a message out that was not acknowledged, and completes it with a failure.
    ///
    /// Of its records the message goes first: if a crash leaves the other one behind, the message
    /// is lost with its session, and not sent twice.
    pub(super) fn abandon(&mut self, key: EntryKey, failure: Failure) {
        let Some(entry) = self.outbound.remove(key) else { return };
        let mut after = Sequence::default();
        if self.log.is_durable() {
            if entry.message.is_some() {
                after = self.log.delete(Key::Message(entry.handle).encode());
            }
            if entry.was_in_flight {
                after = self.log.delete(Key::Flight(entry.handle).encode());
            }
        }
        self.published(after, entry.handle, Err(failure));
    }

    /// Deletes what is stored of a message that was acknowledged.
    ///
    /// The message goes last: if a crash leaves it behind, it is sent again, and then completed.
    #[inline]
    pub(super) fn forget(&mut self, entry: &Removed) -> Sequence {
        if !self.log.is_durable() {
            return Sequence::default();
        }
        let mut after = self.log.delete(Key::Flight(entry.handle).encode());
        if entry.message.is_some() {
            after = self.log.delete(Key::Message(entry.handle).encode());
        }
        after
    }

    /// Takes a message at QoS 1 or 2 in.
    #[inline(always)]
    fn push(&mut self, entry: Entry) {
        let key = self.outbound.insert(entry);
        if self.log.is_durable() {
            self.store(key);
        }
        // If there is a window, the message was just checked against what the server takes.
        if !self.outbound.is_open() || !self.enter_window(key) {
            self.outbound.enqueue(key);
            self.open_window();
        }
    }

    #[inline(never)]
    fn store(&mut self, key: EntryKey) {
        if let Some(entry) = self.outbound.get_mut(key)
            && let Some(message) = &entry.message
        {
            let expires = entry.expires.map(|expires| self.calendar.to_unix(expires));
            let value = records::encode_message(message, expires);
            self.log.put(Key::Message(entry.handle).encode(), value);
        }
    }

    /// Lets as many messages into the window as it has room for.
    #[inline(always)]
    pub(super) fn open_window(&mut self) {
        if self.outbound.has_waiting() {
            self.fill_window();
        }
    }

    #[inline(never)]
    fn fill_window(&mut self) {
        while let Some((key, in_flight)) = self.outbound.next_for_window() {
            if !in_flight && self.keeps_last_id_from(key) {
                break;
            }
            if !in_flight && !self.is_still_possible(key) {
                continue;
            }
            if !self.enter_window(key) {
                break;
            }
            self.outbound.leave_queue(in_flight);
        }
    }

    /// Lets a message into the window; `false` if there is no identifier for it.
    #[inline(always)]
    fn enter_window(&mut self, key: EntryKey) -> bool {
        let session = self.session.number;
        let Some((entry, is_new)) = self.outbound.enter_window(key) else { return false };
        if is_new
            && self.log.is_durable()
            && let Some(packet_id) = entry.packet_id
        {
            let (stage, order) = (entry.stage, entry.order);
            let record = FlightRecord { session, packet_id, stage, order };
            entry.after = self.log.put(Key::Flight(entry.handle).encode(), record.encode());
        }
        true
    }

    /// Whether the last identifier is for a SUBSCRIBE or UNSUBSCRIBE that was called for before,
    /// which messages could keep waiting for ever.
    #[inline]
    fn keeps_last_id_from(&self, key: EntryKey) -> bool {
        self.outbound.free_ids() <= 1
            && self.operations.front().is_some_and(|operation| operation.handle <= key.handle())
    }

    /// Looks again at a message that waited: it may have expired, and the server may not support
    /// what was not known before.
    #[inline]
    fn is_still_possible(&mut self, key: EntryKey) -> bool {
        let (now, version) = (self.now, self.options.version);
        let Some(entry) = self.outbound.get_mut(key) else { return false };
        if entry.is_expired(now) {
            self.abandon(key, Failure::Expired);
            return false;
        }
        let (Some(connection), Some(message)) = (&self.connection, &entry.message) else {
            return true;
        };
        let possible = match connection.server.takes_everything() {
            true => Ok(()),
            false => {
                let len = message.encoded_len(version).unwrap_or(usize::MAX);
                check(message.qos(), message.retain(), len, connection)
            }
        };
        match possible {
            Ok(()) => true,
            Err(error) => {
                self.abandon(key, error.into());
                false
            }
        }
    }
}

/// Checks a message against what the server takes.
#[inline]
pub(super) fn check(
    qos: QoS,
    retain: bool,
    size: usize,
    connection: &Connection,
) -> Result<(), CallError> {
    if !connection.is_up() {
        return Ok(());
    }
    let server = &connection.server;
    // v5 [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15]
    if qos > server.maximum_qos {
        return Err(CallError::QoSNotSupported(server.maximum_qos));
    }
    if retain && !server.retain_available {
        return Err(CallError::RetainNotSupported);
    }
    if size > server.maximum_packet_size as usize {
        let maximum = server.maximum_packet_size;
        return Err(CallError::PacketTooLarge { size, maximum });
    }
    Ok(())
}

impl ServerOptions {
    /// Whether no message can be too much for the server.
    fn takes_everything(&self) -> bool {
        self.maximum_qos == QoS::ExactlyOnce
            && self.retain_available
            && self.maximum_packet_size >= crate::decoder::MAXIMUM_PACKET_SIZE
    }
}
