//! Arbitrary packets that a sender may send in a version, in forms that own what they hold.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use sansio_mqtt::{
    Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Properties, Property,
    PropertyId, PropertyType, PubAck, PubComp, PubRec, PubRel, Publish, QoS, ReasonCode,
    RetainHandling, Sender, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe, Version, Will,
};

/// A packet and for whom it is.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) version: Version,
    pub(crate) sender: Sender,
    body: Body,
    properties: Vec<PropertySpec>,
}

#[derive(Debug, Clone)]
enum Body {
    Connect {
        clean_start: bool,
        keep_alive: u16,
        client_id: String,
        will: Option<WillSpec>,
        user_name: Option<String>,
        password: Option<Vec<u8>>,
    },
    ConnAck {
        session_present: bool,
        reason_code: ReasonCode,
    },
    Publish {
        dup: bool,
        retain: bool,
        delivery: Option<(QoS, PacketId)>,
        topic: String,
        payload: Vec<u8>,
    },
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    Ack {
        packet_type: PacketType,
        dup: bool,
        packet_id: PacketId,
        reason_code: ReasonCode,
    },
    Subscribe {
        dup: bool,
        packet_id: PacketId,
        subscriptions: Vec<SubscriptionSpec>,
    },
    SubAck {
        packet_id: PacketId,
        reason_codes: Vec<ReasonCode>,
    },
    Unsubscribe {
        dup: bool,
        packet_id: PacketId,
        topic_filters: Vec<String>,
    },
    UnsubAck {
        packet_id: PacketId,
        reason_codes: Vec<ReasonCode>,
    },
    Ping(PacketType),
    Disconnect {
        reason_code: ReasonCode,
    },
    Auth {
        reason_code: ReasonCode,
    },
}

#[derive(Debug, Clone)]
struct WillSpec {
    qos: QoS,
    retain: bool,
    properties: Vec<PropertySpec>,
    topic: String,
    payload: Vec<u8>,
}

#[derive(Debug, Clone)]
struct SubscriptionSpec {
    topic_filter: String,
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
    retain_handling: RetainHandling,
}

#[derive(Debug, Clone)]
struct PropertySpec {
    id: PropertyId,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Number(u32),
    Text(String),
    Pair(String, String),
    Data(Vec<u8>),
}

impl Spec {
    /// Lends the packet.
    pub(crate) fn with<R>(&self, read: impl FnOnce(Packet<'_>) -> R) -> R {
        let list: Vec<_> = self.properties.iter().map(PropertySpec::property).collect();
        let properties = Properties::List(&list);
        match &self.body {
            Body::Connect { clean_start, keep_alive, client_id, will, user_name, password } => {
                let list = will.iter().flat_map(|will| &will.properties);
                let list: Vec<_> = list.map(PropertySpec::property).collect();
                let will = will.as_ref().map(|will| Will {
                    qos: will.qos,
                    retain: will.retain,
                    properties: Properties::List(&list),
                    topic: &will.topic,
                    payload: &will.payload,
                });
                read(Packet::Connect(Connect {
                    version: self.version,
                    clean_start: *clean_start,
                    keep_alive: *keep_alive,
                    properties,
                    client_id,
                    will,
                    user_name: user_name.as_deref(),
                    password: password.as_deref(),
                }))
            }
            Body::Subscribe { dup, packet_id, subscriptions } => {
                let list: Vec<_> = subscriptions.iter().map(SubscriptionSpec::lend).collect();
                let subscriptions = (&list[..]).into();
                let (dup, packet_id) = (*dup, *packet_id);
                read(Packet::Subscribe(Subscribe { dup, packet_id, properties, subscriptions }))
            }
            Body::Unsubscribe { dup, packet_id, topic_filters } => {
                let list: Vec<_> = topic_filters.iter().map(String::as_str).collect();
                let topic_filters = (&list[..]).into();
                let (dup, packet_id) = (*dup, *packet_id);
                read(Packet::Unsubscribe(Unsubscribe { dup, packet_id, properties, topic_filters }))
            }
            body => read(body.plain(properties)),
        }
    }
}

impl Body {
    /// The packets whose lists can be lent as they are.
    fn plain<'a>(&'a self, properties: Properties<'a>) -> Packet<'a> {
        match self {
            Self::ConnAck { session_present, reason_code } => Packet::ConnAck(ConnAck {
                session_present: *session_present,
                reason_code: *reason_code,
                properties,
            }),
            Self::Publish { dup, retain, delivery, topic, payload } => Packet::Publish(Publish {
                dup: *dup,
                qos: delivery.map_or(QoS::AtMostOnce, |(qos, _)| qos),
                retain: *retain,
                topic,
                packet_id: delivery.map(|(_, packet_id)| packet_id),
                properties,
                payload,
            }),
            Self::Ack { packet_type, dup, packet_id, reason_code } => {
                let (dup, packet_id, reason_code) = (*dup, *packet_id, *reason_code);
                match packet_type {
                    PacketType::PubAck => PubAck { packet_id, reason_code, properties }.into(),
                    PacketType::PubRec => PubRec { packet_id, reason_code, properties }.into(),
                    PacketType::PubRel => PubRel { dup, packet_id, reason_code, properties }.into(),
                    _ => PubComp { packet_id, reason_code, properties }.into(),
                }
            }
            Self::SubAck { packet_id, reason_codes } => Packet::SubAck(SubAck {
                packet_id: *packet_id,
                properties,
                reason_codes: (&reason_codes[..]).into(),
            }),
            Self::UnsubAck { packet_id, reason_codes } => Packet::UnsubAck(UnsubAck {
                packet_id: *packet_id,
                properties,
                reason_codes: (&reason_codes[..]).into(),
            }),
            Self::Ping(PacketType::PingResp) => Packet::PingResp,
            Self::Disconnect { reason_code } => {
                Packet::Disconnect(Disconnect { reason_code: *reason_code, properties })
            }
            Self::Auth { reason_code } => {
                Packet::Auth(Auth { reason_code: *reason_code, properties })
            }
            _ => Packet::PingReq,
        }
    }
}

impl SubscriptionSpec {
    fn lend(&self) -> Subscription<'_> {
        Subscription {
            topic_filter: &self.topic_filter,
            qos: self.qos,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: self.retain_handling,
        }
    }
}

impl PropertySpec {
    fn property(&self) -> Property<'_> {
        match &self.value {
            Value::Number(number) => self.number(*number),
            Value::Text(text) => self.text(text),
            Value::Pair(name, value) => Property::UserProperty(name, value),
            Value::Data(data) if self.id == PropertyId::CorrelationData => {
                Property::CorrelationData(data)
            }
            Value::Data(data) => Property::AuthenticationData(data),
        }
    }

    fn number(&self, number: u32) -> Property<'_> {
        let flag = number != 0;
        let two = u16::try_from(number).unwrap_or(u16::MAX);
        match self.id {
            PropertyId::PayloadFormatIndicator => Property::PayloadFormatIndicator(flag),
            PropertyId::RequestProblemInformation => Property::RequestProblemInformation(flag),
            PropertyId::RequestResponseInformation => Property::RequestResponseInformation(flag),
            PropertyId::RetainAvailable => Property::RetainAvailable(flag),
            PropertyId::WildcardSubscriptionAvailable => {
                Property::WildcardSubscriptionAvailable(flag)
            }
            PropertyId::SubscriptionIdentifierAvailable => {
                Property::SubscriptionIdentifierAvailable(flag)
            }
            PropertyId::SharedSubscriptionAvailable => Property::SharedSubscriptionAvailable(flag),
            PropertyId::MaximumQoS if flag => Property::MaximumQoS(QoS::AtLeastOnce),
            PropertyId::MaximumQoS => Property::MaximumQoS(QoS::AtMostOnce),
            PropertyId::ServerKeepAlive => Property::ServerKeepAlive(two),
            PropertyId::ReceiveMaximum => Property::ReceiveMaximum(two),
            PropertyId::TopicAliasMaximum => Property::TopicAliasMaximum(two),
            PropertyId::TopicAlias => Property::TopicAlias(two),
            PropertyId::MessageExpiryInterval => Property::MessageExpiryInterval(number),
            PropertyId::SessionExpiryInterval => Property::SessionExpiryInterval(number),
            PropertyId::WillDelayInterval => Property::WillDelayInterval(number),
            PropertyId::MaximumPacketSize => Property::MaximumPacketSize(number),
            id => {
                assert_eq!(id, PropertyId::SubscriptionIdentifier);
                Property::SubscriptionIdentifier(number)
            }
        }
    }

    fn text<'a>(&self, text: &'a str) -> Property<'a> {
        match self.id {
            PropertyId::ContentType => Property::ContentType(text),
            PropertyId::ResponseTopic => Property::ResponseTopic(text),
            PropertyId::AssignedClientIdentifier => Property::AssignedClientIdentifier(text),
            PropertyId::AuthenticationMethod => Property::AuthenticationMethod(text),
            PropertyId::ResponseInformation => Property::ResponseInformation(text),
            PropertyId::ServerReference => Property::ServerReference(text),
            id => {
                assert_eq!(id, PropertyId::ReasonString);
                Property::ReasonString(text)
            }
        }
    }
}

/// A version, and who sends in it.
pub(crate) fn scope() -> impl Strategy<Value = (Version, Sender)> {
    (select(&Version::ALL[..]), select(&[Sender::Client, Sender::Server][..]))
}

/// Any packet of any version from either sender.
pub(crate) fn any_packet() -> impl Strategy<Value = Spec> {
    scope().prop_flat_map(|(version, sender)| packet(version, sender))
}

/// Any packet that this sender may send in this version.
pub(crate) fn packet(version: Version, sender: Sender) -> impl Strategy<Value = Spec> {
    let types = PacketType::ALL.into_iter();
    let types: Vec<_> = types.filter(|found| found.is_sent_by(sender, version)).collect();
    select(types).prop_flat_map(move |found| packet_of(found, version, sender))
}

/// A CONNECT.
pub(crate) fn connect(version: Version) -> impl Strategy<Value = Spec> {
    packet_of(PacketType::Connect, version, Sender::Client)
}

fn packet_of(
    packet_type: PacketType,
    version: Version,
    sender: Sender,
) -> impl Strategy<Value = Spec> {
    let body = match packet_type {
        PacketType::Connect => connect_body(version).boxed(),
        PacketType::ConnAck => connack_body(version).boxed(),
        PacketType::Publish => publish_body().boxed(),
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
            ack_body(packet_type, version, sender).boxed()
        }
        PacketType::Subscribe => subscribe_body(version).boxed(),
        PacketType::SubAck => (packet_id(), vec(reason_code(packet_type, version, sender), 1..9))
            .prop_map(|(packet_id, reason_codes)| Body::SubAck { packet_id, reason_codes })
            .boxed(),
        PacketType::Unsubscribe => (dup(version), packet_id(), vec(topic_filter(version), 1..5))
            .prop_map(|(dup, packet_id, topic_filters)| Body::Unsubscribe {
                dup,
                packet_id,
                topic_filters,
            })
            .boxed(),
        PacketType::UnsubAck => {
            let count = if version.is_v5() { 1..9 } else { 0..1 };
            (packet_id(), vec(reason_code(packet_type, version, sender), count))
                .prop_map(|(packet_id, reason_codes)| Body::UnsubAck { packet_id, reason_codes })
                .boxed()
        }
        PacketType::PingReq | PacketType::PingResp => Just(Body::Ping(packet_type)).boxed(),
        PacketType::Disconnect => reason_code(packet_type, version, sender)
            .prop_map(|reason_code| Body::Disconnect { reason_code })
            .boxed(),
        PacketType::Auth => reason_code(packet_type, version, sender)
            .prop_map(|reason_code| Body::Auth { reason_code })
            .boxed(),
    };
    let allowed =
        PropertyId::ALL.into_iter().filter(move |id| id.is_allowed_in(packet_type, sender));
    let repeat = move |id: &PropertyId| id.may_repeat_in(packet_type);
    let properties = properties(allowed.collect(), repeat, version);
    (body, properties).prop_map(move |(mut body, mut properties)| {
        let has = |id| properties.iter().any(|property: &PropertySpec| property.id == id);
        let needs_method = match packet_type {
            PacketType::Connect => has(PropertyId::AuthenticationData),
            // Only a last AUTH of the server's may do without properties.
            PacketType::Auth => !properties.is_empty() || !is_success(&body),
            _ => false,
        };
        if needs_method && !has(PropertyId::AuthenticationMethod) {
            let value = Value::Text("method".into());
            properties.push(PropertySpec { id: PropertyId::AuthenticationMethod, value });
        }
        // An alias may stand for the name.
        if let Body::Publish { topic, retain: true, .. } = &mut body
            && properties.iter().any(|property| property.id == PropertyId::TopicAlias)
        {
            topic.clear();
        }
        Spec { version, sender, body, properties }
    })
}

fn is_success(body: &Body) -> bool {
    matches!(body, Body::Auth { reason_code: ReasonCode::SUCCESS })
}

fn connect_body(version: Version) -> impl Strategy<Value = Body> {
    let client_id = match version {
        Version::V3_1 => vec(character(), 1..=23).prop_map(String::from_iter).boxed(),
        Version::V3_1_1 | Version::V5 => text().boxed(),
    };
    let flags = (any::<bool>(), any::<u16>());
    let will = option::of(will(version));
    (flags, client_id, will, option::of(text()), option::of(data())).prop_map(
        move |((clean_start, keep_alive), client_id, will, user_name, password)| {
            let is_3_1_1 = version == Version::V3_1_1;
            let password = password.filter(|_| !is_3_1_1 || user_name.is_some());
            let clean_start = clean_start || is_3_1_1 && client_id.is_empty();
            Body::Connect { clean_start, keep_alive, client_id, will, user_name, password }
        },
    )
}

fn will(version: Version) -> impl Strategy<Value = WillSpec> {
    let allowed = PropertyId::ALL.into_iter().filter(|id| id.is_allowed_in_will());
    let repeat = |id: &PropertyId| *id == PropertyId::UserProperty;
    let properties = properties(allowed.collect(), repeat, version);
    (qos(), any::<bool>(), properties, topic_name(), data()).prop_map(
        |(qos, retain, properties, topic, payload)| WillSpec {
            qos,
            retain,
            properties,
            topic,
            payload,
        },
    )
}

fn connack_body(version: Version) -> impl Strategy<Value = Body> {
    let code = reason_code(PacketType::ConnAck, version, Sender::Server);
    (any::<bool>(), prop_oneof![Just(ReasonCode::SUCCESS), code]).prop_map(
        move |(session_present, reason_code)| {
            let possible = version != Version::V3_1 && reason_code == ReasonCode::SUCCESS;
            Body::ConnAck { session_present: session_present && possible, reason_code }
        },
    )
}

fn publish_body() -> impl Strategy<Value = Body> {
    let acknowledged = select(&[QoS::AtLeastOnce, QoS::ExactlyOnce][..]);
    let delivery = option::of((acknowledged, packet_id()));
    (any::<bool>(), any::<bool>(), delivery, topic_name(), data()).prop_map(
        |(dup, retain, delivery, topic, payload)| {
            let dup = dup && delivery.is_some();
            Body::Publish { dup, retain, delivery, topic, payload }
        },
    )
}

fn ack_body(
    packet_type: PacketType,
    version: Version,
    sender: Sender,
) -> impl Strategy<Value = Body> {
    let code = reason_code(packet_type, version, sender);
    let code = prop_oneof![Just(ReasonCode::SUCCESS), code];
    (dup(version), packet_id(), code).prop_map(move |(dup, packet_id, reason_code)| {
        let dup = dup && packet_type == PacketType::PubRel;
        Body::Ack { packet_type, dup, packet_id, reason_code }
    })
}

fn subscribe_body(version: Version) -> impl Strategy<Value = Body> {
    (dup(version), packet_id(), vec(subscription(version), 1..5)).prop_map(
        |(dup, packet_id, subscriptions)| Body::Subscribe { dup, packet_id, subscriptions },
    )
}

fn subscription(version: Version) -> impl Strategy<Value = SubscriptionSpec> {
    let handling = (0..3u8).prop_map(|value| RetainHandling::new(value).unwrap_or_default());
    (topic_filter(version), qos(), any::<(bool, bool)>(), handling).prop_map(
        move |(topic_filter, qos, (no_local, retain_as_published), retain_handling)| {
            if !version.is_v5() {
                let Subscription { no_local, retain_as_published, retain_handling, .. } =
                    Subscription::default();
                return SubscriptionSpec {
                    topic_filter,
                    qos,
                    no_local,
                    retain_as_published,
                    retain_handling,
                };
            }
            let no_local = no_local && !topic_filter.starts_with("$share/");
            SubscriptionSpec { topic_filter, qos, no_local, retain_as_published, retain_handling }
        },
    )
}

/// Some of the allowed properties in any order, those that repeat a few times.
fn properties(
    allowed: Vec<PropertyId>,
    repeats: impl Fn(&PropertyId) -> bool,
    version: Version,
) -> BoxedStrategy<Vec<PropertySpec>> {
    if !version.is_v5() || allowed.is_empty() {
        return Just(Vec::new()).boxed();
    }
    let repeated: Vec<_> = allowed.iter().copied().filter(repeats).collect();
    let once = prop_oneof![Just(Vec::new()), subsequence(allowed.clone(), 0..=allowed.len()),];
    (once, vec(select(repeated), 0..4))
        .prop_map(|(once, again)| [once, again].concat())
        .prop_shuffle()
        .prop_flat_map(|ids| ids.into_iter().map(property).collect::<Vec<_>>())
        .boxed()
}

fn property(id: PropertyId) -> impl Strategy<Value = PropertySpec> {
    let value = match id.value_type() {
        PropertyType::Byte => (0..=1u32).prop_map(Value::Number).boxed(),
        PropertyType::TwoByteInteger => {
            prop_oneof![1..=3u32, 1..=0xffffu32, Just(0xffff)].prop_map(Value::Number).boxed()
        }
        PropertyType::FourByteInteger => {
            prop_oneof![1..=3u32, 1..=u32::MAX, Just(u32::MAX)].prop_map(Value::Number).boxed()
        }
        PropertyType::VariableByteInteger => {
            let limits = select(vec![1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]);
            prop_oneof![limits, 1..=0x0fff_ffffu32].prop_map(Value::Number).boxed()
        }
        PropertyType::Utf8String if id == PropertyId::ResponseTopic => {
            topic_name().prop_map(Value::Text).boxed()
        }
        PropertyType::Utf8String => text().prop_map(Value::Text).boxed(),
        PropertyType::Utf8StringPair => {
            (text(), text()).prop_map(|(name, value)| Value::Pair(name, value)).boxed()
        }
        PropertyType::BinaryData => data().prop_map(Value::Data).boxed(),
    };
    // Zero is in the range of some.
    let zero = matches!(
        id,
        PropertyId::ServerKeepAlive
            | PropertyId::TopicAliasMaximum
            | PropertyId::MessageExpiryInterval
            | PropertyId::SessionExpiryInterval
            | PropertyId::WillDelayInterval
    );
    let value =
        if zero { prop_oneof![1 => Just(Value::Number(0)), 3 => value].boxed() } else { value };
    value.prop_map(move |value| PropertySpec { id, value })
}

/// One that the packet may have, in 3.x one that has a return code in its place.
fn reason_code(
    packet_type: PacketType,
    version: Version,
    sender: Sender,
) -> impl Strategy<Value = ReasonCode> + Clone {
    let allowed = |code: &ReasonCode| match (version, packet_type) {
        (Version::V5, _) => code.is_allowed_in(packet_type, sender),
        (_, PacketType::ConnAck) => code.return_code().is_some(),
        (Version::V3_1, PacketType::SubAck) => code.get() <= 2,
        (Version::V3_1_1, PacketType::SubAck) => code.get() <= 2 || code.get() == 0x80,
        _ => *code == ReasonCode::SUCCESS,
    };
    select(ReasonCode::ALL.iter().copied().filter(allowed).collect::<Vec<_>>())
}

fn dup(version: Version) -> impl Strategy<Value = bool> {
    any::<bool>().prop_map(move |dup| dup && version == Version::V3_1)
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    let any = prop_oneof![1..=3u16, 1..=u16::MAX, 0x7ffe..=0x8001u16];
    any.prop_map(|value| PacketId::new(value).unwrap_or(PacketId::MIN))
}

/// Any character that text may hold, and wildcards and separators more often than others.
fn character() -> impl Strategy<Value = char> + Clone {
    prop_oneof![
        4 => proptest::char::range('a', 'e'),
        1 => select(vec!['/', '+', '#', '$', ' ', '\u{1}', 'ü', '温', '\u{feff}', '\u{10ffff}']),
        1 => any::<char>().prop_filter("no U+0000", |c| *c != '\0'),
    ]
}

/// Mostly short; now and then as long as its length field can say.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => vec(character(), 0..12).prop_map(String::from_iter),
        4 => (0..300usize).prop_map(|len| "x".repeat(len)),
        1 => select(vec![16_384, 65_535]).prop_map(|len| "x".repeat(len)),
    ]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => vec(any::<u8>(), 0..12),
        4 => (0..300usize).prop_map(|len| vec![0; len]),
        1 => select(vec![16_384, 65_535]).prop_map(|len| vec![0xff; len]),
    ]
}

fn topic_name() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        let name = text.replace(['+', '#'], "/");
        if name.is_empty() { "topic".into() } else { name }
    })
}

fn topic_filter(version: Version) -> impl Strategy<Value = String> {
    let level = vec(character(), 0..4).prop_map(|level| {
        let level = level.into_iter().filter(|c| !matches!(c, '/' | '+' | '#'));
        level.collect::<String>()
    });
    let level = prop_oneof![3 => level, 1 => Just("+".into())];
    let share = any::<bool>().prop_map(move |shared| shared && version.is_v5());
    (share, vec(level, 1..6), any::<bool>()).prop_map(|(shared, levels, all)| {
        let mut filter = levels.join("/");
        if filter.is_empty() {
            filter.push('f');
        }
        if all {
            filter.push_str("/#");
        }
        if shared { format!("$share/group/{filter}") } else { filter }
    })
}
