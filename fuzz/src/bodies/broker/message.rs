//! What was published, and what a client has to be sent of it.

use std::fmt;
use std::rc::Rc;

use sansio_mqtt::{PacketId, Properties, Property, PropertyId, Publish, QoS};

use super::rules;
use super::world::SECOND;

/// A message that the broker has taken.
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Its properties that are passed on, but for the Message Expiry Interval.
    pub(crate) properties: Vec<String>,
    pub(crate) expiry: Option<u32>,
    pub(crate) publisher: Option<String>,
    /// When the broker got it.
    pub(crate) since: u64,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, payload, qos, retain, properties, expiry, publisher, since } = self;
        let beginning = &payload[..payload.len().min(4)];
        write!(f, "{topic:?} {beginning:?} ({} bytes) {qos:?} retain {retain} ", payload.len())?;
        write!(f, "{properties:?} {expiry:?} from {publisher:?} at {since}")
    }
}

impl Message {
    pub(crate) fn new(publish: &Publish<'_>, publisher: Option<&str>, since: u64) -> Self {
        Self {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            properties: passed_on(&publish.properties),
            expiry: publish.properties.message_expiry_interval(),
            publisher: publisher.map(str::to_owned),
            since,
        }
    }

    pub(crate) fn has_expired(&self, now: u64) -> bool {
        self.expiry.is_some_and(|expiry| self.since + u64::from(expiry) * SECOND <= now)
    }

    /// Whether this is what is left of the Message Expiry Interval. v5 [MQTT-3.3.2-6]
    fn expires_in(&self, left: Option<u32>, now: u64) -> bool {
        let waited = now - self.since;
        let lowest = self.expiry.map(|all| u64::from(all).saturating_sub(waited.div_ceil(SECOND)));
        let highest = self.expiry.map(|all| u64::from(all).saturating_sub(waited / SECOND));
        let left = left.map(u64::from);
        lowest <= left && left <= highest
    }
}

/// What is passed on as it is, in an order of its own: v5 [MQTT-3.3.2-4], [MQTT-3.3.2-15],
/// [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20]
pub(crate) fn passed_on(properties: &Properties<'_>) -> Vec<String> {
    let is_own = |property: &Property<'_>| {
        let own = [
            PropertyId::MessageExpiryInterval,
            PropertyId::TopicAlias,
            PropertyId::SubscriptionIdentifier,
            PropertyId::WillDelayInterval,
        ];
        !own.contains(&property.id())
    };
    let mut kept: Vec<Property<'_>> = properties.iter().filter(is_own).collect();
    kept.sort_by_key(|property| format!("{:?}", property.id()));
    kept.iter().map(|property| format!("{property:?}")).collect()
}

/// How far the sending of a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    /// Sent under this identifier.
    AwaitAck(PacketId),
    AwaitPubComp(PacketId),
}

/// What a session has to be sent of a message.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) message: Rc<Message>,
    pub(crate) qos: QoS,
    /// RETAIN.
    pub(crate) retain: bool,
    /// Subscription Identifiers.
    pub(crate) identifiers: Vec<u32>,
    /// The filters that it is for.
    pub(crate) filters: Vec<String>,
    /// The SUBSCRIBE that a retained message is sent for.
    pub(crate) replay: Option<PacketId>,
    /// Whether it may as well be dropped.
    pub(crate) optional: bool,
    pub(crate) state: State,
    /// Whether it was sent in 3.x, where it may have been another one without what tells them apart.
    pub(crate) is_vague: bool,
}

impl Copy {
    /// Whether a PUBLISH is this copy, for all but DUP and Packet Identifier.
    pub(crate) fn is(&self, publish: &Publish<'_>, topic: &str, is_v5: bool, now: u64) -> bool {
        let message = &self.message;
        // Retain As Published is of 5.0. v3.1.1 [MQTT-3.3.1-9]
        let retain = self.retain && (is_v5 || self.replay.is_some());
        let plain = message.topic == topic
            && message.payload == publish.payload
            && self.qos == publish.qos
            && retain == publish.retain;
        if !is_v5 || !plain {
            return plain;
        }
        let mut found: Vec<u32> = publish.properties.subscription_identifiers().collect();
        found.sort_unstable();
        found == self.identifiers
            && passed_on(&publish.properties) == message.properties
            && message.expires_in(publish.properties.message_expiry_interval(), now)
    }

    /// Whether this and another have to come in their order. v5 [MQTT-4.6.0-5]
    pub(crate) fn is_ordered_with(&self, other: &Self) -> bool {
        self.qos == other.qos
            && !Rc::ptr_eq(&self.message, &other.message)
            && self.message.topic == other.message.topic
            && self.message.publisher == other.message.publisher
    }

    /// Whether the broker has nothing left to do with it, or may have decided so.
    pub(crate) fn may_be_gone(&self, now: u64) -> bool {
        self.optional || self.state == State::Waiting && self.message.has_expired(now)
    }

    /// The most bytes of its PUBLISH.
    pub(crate) fn size(&self) -> usize {
        let properties: usize = self.message.properties.iter().map(String::len).sum();
        let all = self.message.topic.len() + self.message.payload.len() + properties;
        all + 5 * self.identifiers.len() + 30
    }

    /// Whether the authorizer lets this client have it.
    pub(crate) fn may_go_to(&self, client_id: &str) -> bool {
        rules::may_receive(client_id, &self.message.topic)
    }
}
