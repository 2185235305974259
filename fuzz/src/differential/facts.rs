//! All that a packet says, as a list that is the same whoever read it.

use sansio_mqtt::{
    Packet, Properties, Property, PropertyId, QoS, ReasonCode, RetainHandling, Subscription,
    Version, Will,
};

/// The fields of a packet under their names. The order of those with one name is that of the
/// packet, any other has no meaning.
#[derive(Debug, Default)]
pub struct Facts(Vec<(String, Value)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
    Pair(Vec<u8>, Vec<u8>),
}

impl Facts {
    pub fn new(packet_type: u8) -> Self {
        Self::default().number("type", packet_type)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn number(mut self, name: &str, value: impl Into<u64>) -> Self {
        self.0.push((name.into(), Value::Number(value.into())));
        self
    }

    pub fn bytes(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.push((name.into(), Value::Bytes(value.as_ref().to_vec())));
        self
    }

    pub fn maybe_number(self, name: &str, value: Option<impl Into<u64>>) -> Self {
        if let Some(value) = value { self.number(name, value) } else { self }
    }

    pub fn maybe_bytes(self, name: &str, value: Option<impl AsRef<[u8]>>) -> Self {
        if let Some(value) = value { self.bytes(name, value) } else { self }
    }

    /// Numbers of a list.
    pub fn numbers<N: Into<u64>>(self, name: &str, list: impl IntoIterator<Item = N>) -> Self {
        list.into_iter().fold(self, |facts, number| facts.number(name, number))
    }

    /// User Properties.
    pub fn pairs<B: AsRef<[u8]>>(mut self, list: impl IntoIterator<Item = (B, B)>) -> Self {
        let name = PropertyId::UserProperty.name();
        let pair = |(name, value): (B, B)| Value::Pair(name.as_ref().into(), value.as_ref().into());
        self.0.extend(list.into_iter().map(|item| (name.into(), pair(item))));
        self
    }

    /// The properties of a Will, which have names of their own.
    pub fn will(mut self, will: Self) -> Self {
        self.0.extend(will.0.into_iter().map(|(name, value)| (format!("will {name}"), value)));
        self
    }

    pub fn subscription(self, filter: &str, options: u8) -> Self {
        self.bytes("topic filter", filter).number("options", options)
    }

    /// What each has under names that the other has something else under.
    pub fn without_common(self, other: Self) -> (Self, Self) {
        let differ = |name: &str| !self.named(name).eq(other.named(name));
        (self.only(differ), other.only(differ))
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value)
    }

    fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect())
    }
}

/// Subscription Options as they are on the wire.
pub fn options(qos: u8, no_local: bool, retain_as_published: bool, retain_handling: u8) -> u8 {
    qos | u8::from(no_local) << 2 | u8::from(retain_as_published) << 3 | retain_handling << 4
}

/// What this crate read.
pub fn of(packet: &Packet<'_>) -> Facts {
    let facts = Facts::new(packet.packet_type() as u8);
    let ack = |packet_id: sansio_mqtt::PacketId, code: ReasonCode, list: Properties<'_>| {
        properties(Facts::new(packet.packet_type() as u8), list)
            .number("packet id", packet_id.get())
            .number("reason code", code.get())
    };
    match packet {
        Packet::Connect(connect) => {
            let version = connect.version.protocol_level();
            let facts = properties(facts, connect.properties)
                .number("version", version)
                .number("clean start", connect.clean_start)
                .number("keep alive", connect.keep_alive)
                .bytes("client id", connect.client_id)
                .maybe_bytes("user name", connect.user_name)
                .maybe_bytes("password", connect.password);
            if let Some(will) = &connect.will { facts.will(will_facts(will)) } else { facts }
        }
        Packet::ConnAck(connack) => properties(facts, connack.properties)
            .number("session present", connack.session_present)
            .number("reason code", connack.reason_code.get()),
        Packet::Publish(publish) => properties(facts, publish.properties)
            .number("dup", publish.dup)
            .number("qos", publish.qos.get())
            .number("retain", publish.retain)
            .bytes("topic", publish.topic)
            .maybe_number("packet id", publish.packet_id.map(|id| id.get()))
            .bytes("payload", publish.payload),
        Packet::PubAck(ack_) => ack(ack_.packet_id, ack_.reason_code, ack_.properties),
        Packet::PubRec(ack_) => ack(ack_.packet_id, ack_.reason_code, ack_.properties),
        Packet::PubRel(ack_) => ack(ack_.packet_id, ack_.reason_code, ack_.properties),
        Packet::PubComp(ack_) => ack(ack_.packet_id, ack_.reason_code, ack_.properties),
        Packet::Subscribe(subscribe) => subscribe.subscriptions.iter().fold(
            properties(facts, subscribe.properties).number("packet id", subscribe.packet_id.get()),
            |facts, item| facts.subscription(item.topic_filter, options_of(&item)),
        ),
        Packet::SubAck(suback) => properties(facts, suback.properties)
            .number("packet id", suback.packet_id.get())
            .numbers("reason codes", suback.reason_codes.iter().map(ReasonCode::get)),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.topic_filters.iter().fold(
            properties(facts, unsubscribe.properties)
                .number("packet id", unsubscribe.packet_id.get()),
            |facts, filter| facts.bytes("topic filter", filter),
        ),
        Packet::UnsubAck(unsuback) => properties(facts, unsuback.properties)
            .number("packet id", unsuback.packet_id.get())
            .numbers("reason codes", unsuback.reason_codes.iter().map(ReasonCode::get)),
        Packet::PingReq | Packet::PingResp => facts,
        Packet::Disconnect(disconnect) => properties(facts, disconnect.properties)
            .number("reason code", disconnect.reason_code.get()),
        Packet::Auth(auth) => {
            properties(facts, auth.properties).number("reason code", auth.reason_code.get())
        }
    }
}

fn will_facts(will: &Will<'_>) -> Facts {
    properties(Facts::default(), will.properties)
        .number("qos", will.qos.get())
        .number("retain", will.retain)
        .bytes("topic", will.topic)
        .bytes("payload", will.payload)
}

fn options_of(subscription: &Subscription<'_>) -> u8 {
    let Subscription { qos, no_local, retain_as_published, retain_handling, .. } = *subscription;
    let retain_handling = match retain_handling {
        RetainHandling::SendAtSubscribe => 0,
        RetainHandling::SendAtSubscribeIfNew => 1,
        RetainHandling::DoNotSend => 2,
    };
    options(qos.get(), no_local, retain_as_published, retain_handling)
}

fn properties(facts: Facts, properties: Properties<'_>) -> Facts {
    properties.iter().fold(facts, |facts, property| {
        let name = property.id().name();
        match property {
            Property::PayloadFormatIndicator(flag)
            | Property::RequestProblemInformation(flag)
            | Property::RequestResponseInformation(flag)
            | Property::RetainAvailable(flag)
            | Property::WildcardSubscriptionAvailable(flag)
            | Property::SubscriptionIdentifierAvailable(flag)
            | Property::SharedSubscriptionAvailable(flag) => facts.number(name, flag),
            Property::MaximumQoS(qos) => facts.number(name, QoS::get(qos)),
            Property::ServerKeepAlive(number)
            | Property::ReceiveMaximum(number)
            | Property::TopicAliasMaximum(number)
            | Property::TopicAlias(number) => facts.number(name, number),
            Property::MessageExpiryInterval(number)
            | Property::SubscriptionIdentifier(number)
            | Property::SessionExpiryInterval(number)
            | Property::WillDelayInterval(number)
            | Property::MaximumPacketSize(number) => facts.number(name, number),
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientIdentifier(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => facts.bytes(name, text),
            Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
                facts.bytes(name, bytes)
            }
            Property::UserProperty(name, value) => facts.pairs([(name, value)]),
        }
    })
}

/// The Reason Code of 5.0 for a return code of 3.x, by the table of v3.1.1 3.2.2.3.
pub fn of_return_code(return_code: u8) -> u8 {
    [0x00, 0x84, 0x85, 0x88, 0x86, 0x87].get(usize::from(return_code)).copied().unwrap_or(0xff)
}

/// The protocol level that a version has.
pub fn level(version: Version) -> u8 {
    match version {
        Version::V3_1 => 3,
        Version::V3_1_1 => 4,
        Version::V5 => 5,
    }
}
