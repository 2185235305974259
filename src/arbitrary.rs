//! [`Arbitrary`] for packets and their parts, for fuzzing what takes them; with the feature
//! `arbitrary`.
//!
//! An [`OwnedPacket`] is valid for its version and its sender. [`AnyPacket`] need not be: it may
//! break any rule that the types let it break.

use alloc::vec::Vec;

use ::arbitrary::{Arbitrary, Error, Result, Unstructured, size_hint};

use crate::owned_packet::OwnedPacket;
use crate::packet::{
    Auth, ConnAck, Connect, Disconnect, Packet, PubAck, PubComp, PubRec, PubRel, Publish,
    ReasonCodes, RetainHandling, SubAck, Subscribe, Subscription, Subscriptions, TopicFilters,
    UnsubAck, Unsubscribe, Will,
};
use crate::packet_id::PacketId;
use crate::packet_type::{PacketType, Places, Sender};
use crate::properties::Properties;
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::topic;
use crate::version::Version;

/// What a packet of any type is made of, valid or not.
///
/// Fields that packets have in common are there once; lists are held here and borrowed by
/// [`packet`](Self::packet).
///
/// ```
/// use arbitrary::{Arbitrary, Unstructured};
/// use sansio_mqtt::arbitrary::AnyPacket;
/// use sansio_mqtt::{Packet, Sender, Version};
///
/// let mut input = Unstructured::new(b"what a fuzzer makes up");
/// let mut any = AnyPacket::arbitrary(&mut input)?;
/// let mut out = Vec::new();
/// match any.packet().encode(Version::V5, &mut out) {
///     Ok(()) => assert!(!out.is_empty()),
///     Err(_) => assert!(out.is_empty()),
/// }
///
/// any.mend(Version::V5, Sender::Client);
/// any.packet().encode(Version::V5, &mut out)?;
/// assert_eq!(Packet::decode(&out, Version::V5, Sender::Client)?, any.packet());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct AnyPacket<'a> {
    packet_type: PacketType,
    version: Version,
    dup: bool,
    qos: QoS,
    retain: bool,
    clean_start: bool,
    session_present: bool,
    packet_id: Option<PacketId>,
    keep_alive: u16,
    reason_code: ReasonCode,
    topic: &'a str,
    payload: &'a [u8],
    client_id: &'a str,
    user_name: Option<&'a str>,
    password: Option<&'a [u8]>,
    will: Option<AnyWill<'a>>,
    properties: Vec<Property<'a>>,
    subscriptions: Vec<Subscription<'a>>,
    topic_filters: Vec<&'a str>,
    reason_codes: Vec<ReasonCode>,
}

#[derive(Debug, Clone)]
struct AnyWill<'a> {
    qos: QoS,
    retain: bool,
    topic: &'a str,
    payload: &'a [u8],
    properties: Vec<Property<'a>>,
}

impl AnyPacket<'_> {
    /// The packet.
    pub fn packet(&self) -> Packet<'_> {
        let packet_id = self.packet_id.unwrap_or(PacketId::MIN);
        let Self { dup, reason_code, .. } = *self;
        let properties = Properties::List(&self.properties);
        let reason_codes = ReasonCodes::List(&self.reason_codes);
        match self.packet_type {
            PacketType::Connect => self.connect().into(),
            PacketType::ConnAck => {
                ConnAck { session_present: self.session_present, reason_code, properties }.into()
            }
            PacketType::Publish => self.publish().into(),
            PacketType::PubAck => PubAck { packet_id, reason_code, properties }.into(),
            PacketType::PubRec => PubRec { packet_id, reason_code, properties }.into(),
            PacketType::PubRel => PubRel { dup, packet_id, reason_code, properties }.into(),
            PacketType::PubComp => PubComp { packet_id, reason_code, properties }.into(),
            PacketType::Subscribe => {
                let subscriptions = Subscriptions::List(&self.subscriptions);
                Subscribe { dup, packet_id, properties, subscriptions }.into()
            }
            PacketType::SubAck => SubAck { packet_id, properties, reason_codes }.into(),
            PacketType::Unsubscribe => {
                let topic_filters = TopicFilters::List(&self.topic_filters);
                Unsubscribe { dup, packet_id, properties, topic_filters }.into()
            }
            PacketType::UnsubAck => UnsubAck { packet_id, properties, reason_codes }.into(),
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Disconnect => Disconnect { reason_code, properties }.into(),
            PacketType::Auth => Auth { reason_code, properties }.into(),
        }
    }

    fn connect(&self) -> Connect<'_> {
        Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            properties: Properties::List(&self.properties),
            client_id: self.client_id,
            will: self.will.as_ref().map(|will| Will {
                qos: will.qos,
                retain: will.retain,
                properties: Properties::List(&will.properties),
                topic: will.topic,
                payload: will.payload,
            }),
            user_name: self.user_name,
            password: self.password,
        }
    }

    fn publish(&self) -> Publish<'_> {
        Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic,
            packet_id: self.packet_id,
            properties: Properties::List(&self.properties),
            payload: self.payload,
        }
    }

    /// Makes the packet one that `sender` may send in `version`: its type too if need be.
    /// Nothing else is changed than what breaks a rule.
    pub fn mend(&mut self, version: Version, sender: Sender) {
        if !self.packet_type.is_sent_by(sender, version) {
            self.packet_type = PacketType::Publish;
        }
        let place = Places::of(self.packet_type, sender);
        self.version = version;
        mend_properties(&mut self.properties, version, place);
        self.mend_reason_codes(version, place);
        match self.packet_type {
            PacketType::Connect => self.mend_connect(),
            PacketType::Publish => self.mend_publish(),
            PacketType::Auth => self.mend_auth(),
            _ => self.dup &= version == Version::V3_1,
        }
        let session = self.reason_code == ReasonCode::SUCCESS && version != Version::V3_1;
        self.session_present &= session;
        self.subscriptions.retain_mut(|subscription| mend_subscription(subscription, version));
        if self.subscriptions.is_empty() {
            self.subscriptions.push(Subscription::new("#", self.qos));
        }
        self.topic_filters.retain(|filter| topic::check_filter(filter, version).is_ok());
        if self.topic_filters.is_empty() {
            self.topic_filters.push("#");
        }
    }

    fn mend_connect(&mut self) {
        mend_authentication(&mut self.properties);
        mend_string(&mut self.client_id);
        self.user_name.iter_mut().for_each(mend_string);
        self.password.iter_mut().for_each(mend_binary);
        if self.version == Version::V3_1_1 && self.user_name.is_none() {
            self.password = None;
        }
        match self.version {
            Version::V3_1 if !(1..=23).contains(&self.client_id.chars().count()) => {
                self.client_id = "client";
            }
            Version::V3_1_1 => self.clean_start |= self.client_id.is_empty(),
            _ => {}
        }
        if let Some(will) = &mut self.will {
            mend_properties(&mut will.properties, self.version, Places::WILL);
            mend_topic_name(&mut will.topic);
            mend_binary(&mut will.payload);
        }
    }

    fn mend_publish(&mut self) {
        let alias = |property: &Property<'_>| property.id() == PropertyId::TopicAlias;
        if !(self.topic.is_empty() && self.properties.iter().any(alias)) {
            mend_topic_name(&mut self.topic);
        }
        if self.qos == QoS::AtMostOnce {
            (self.dup, self.packet_id) = (false, None);
        } else {
            self.packet_id.get_or_insert(PacketId::MIN);
        }
    }

    /// An AUTH has an Authentication Method, but for a success that says no more.
    fn mend_auth(&mut self) {
        let method = |property: &Property<'_>| property.id() == PropertyId::AuthenticationMethod;
        let says_no_more = self.reason_code == ReasonCode::SUCCESS && self.properties.is_empty();
        if !says_no_more && !self.properties.iter().any(method) {
            self.properties.push(Property::AuthenticationMethod("method"));
        }
    }

    fn mend_reason_codes(&mut self, version: Version, place: Places) {
        let suback = place == Places::SUBACK;
        let allowed = |code: ReasonCode| match version {
            _ if suback => code.is_in_suback(version),
            Version::V5 => !code.places().and(place).is_none(),
            _ if place == Places::CONNACK => code.return_code().is_some(),
            _ => code == ReasonCode::SUCCESS,
        };
        if !allowed(self.reason_code) {
            // The client has no `SUCCESS` in AUTH.
            let others = [ReasonCode::SUCCESS, ReasonCode::CONTINUE_AUTHENTICATION];
            let other = others.into_iter().find(|code| allowed(*code));
            self.reason_code = other.unwrap_or_default();
        }
        self.reason_codes.retain(|code| allowed(*code));
        if place == Places::UNSUBACK && !version.is_v5() {
            self.reason_codes.clear();
        } else if self.reason_codes.is_empty() {
            self.reason_codes.push(ReasonCode::SUCCESS);
        }
    }
}

/// Takes out what is not allowed in this place, and what is there for a second time.
fn mend_properties(properties: &mut Vec<Property<'_>>, version: Version, place: Places) {
    let mut seen = Vec::new();
    properties.retain(|property| {
        let id = property.id();
        let rule = id.rule();
        let repeated = seen.contains(&id) && rule.repeats.and(place).is_none();
        seen.push(id);
        let allowed = version.is_v5() && !rule.places.and(place).is_none();
        allowed && !repeated && property.check(rule).is_ok()
    });
}

/// Authentication Data needs an Authentication Method.
fn mend_authentication(properties: &mut Vec<Property<'_>>) {
    let method = |property: &Property<'_>| property.id() == PropertyId::AuthenticationMethod;
    if !properties.iter().any(method) {
        properties.retain(|property| property.id() != PropertyId::AuthenticationData);
    }
}

fn mend_subscription(subscription: &mut Subscription<'_>, version: Version) -> bool {
    let Subscription { topic_filter, qos, .. } = *subscription;
    if !version.is_v5() {
        *subscription = Subscription::new(topic_filter, qos);
    }
    subscription.no_local &= !topic_filter.starts_with(topic::SHARE_PREFIX);
    topic::check_filter(topic_filter, version).is_ok()
}

fn mend_topic_name(topic: &mut &str) {
    if topic::check_name(topic).is_err() {
        *topic = "topic";
    }
}

fn mend_string(text: &mut &str) {
    if text.contains('\0') || text.len() > 0xffff {
        *text = "text";
    }
}

fn mend_binary(bytes: &mut &[u8]) {
    *bytes = bytes.get(..0xffff).unwrap_or(bytes);
}

impl<'a> Arbitrary<'a> for AnyPacket<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            packet_type: u.arbitrary()?,
            version: u.arbitrary()?,
            dup: u.arbitrary()?,
            qos: u.arbitrary()?,
            retain: u.arbitrary()?,
            clean_start: u.arbitrary()?,
            session_present: u.arbitrary()?,
            packet_id: u.arbitrary()?,
            keep_alive: u.arbitrary()?,
            reason_code: u.arbitrary()?,
            properties: u.arbitrary()?,
            subscriptions: u.arbitrary()?,
            topic_filters: u.arbitrary()?,
            reason_codes: u.arbitrary()?,
            topic: u.arbitrary()?,
            client_id: u.arbitrary()?,
            user_name: u.arbitrary()?,
            password: u.arbitrary()?,
            will: u.arbitrary()?,
            payload: u.arbitrary()?,
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        // The numbers and flags; lists and text can be empty.
        (16, None)
    }
}

impl<'a> Arbitrary<'a> for AnyWill<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            qos: u.arbitrary()?,
            retain: u.arbitrary()?,
            topic: u.arbitrary()?,
            properties: u.arbitrary()?,
            payload: u.arbitrary()?,
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (2, None)
    }
}

/// Valid for its version and from its sender.
impl<'a> Arbitrary<'a> for OwnedPacket {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (version, sender) = u.arbitrary()?;
        let mut any = AnyPacket::arbitrary(u)?;
        any.mend(version, sender);
        Self::from_packet(&any.packet(), version, sender).map_err(|_| Error::IncorrectFormat)
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        size_hint::and(<(Version, Sender)>::size_hint(depth), AnyPacket::size_hint(depth))
    }
}

/// Not zero, which a byte that stands for nothing, and inputs that end, would often be.
impl<'a> Arbitrary<'a> for PacketId {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::new(u.arbitrary()?).unwrap_or(Self::MIN))
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        u16::size_hint(depth)
    }
}

/// Half of them are codes that the standard names.
impl<'a> Arbitrary<'a> for ReasonCode {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.arbitrary()? { u.choose(Self::ALL).copied() } else { u.arbitrary().map(Self::new) }
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (2, Some(2))
    }
}

/// Implements it for a type by a choice of all its values, of which there are at most 256.
macro_rules! choose {
    ($($name:ident from $all:expr;)+) => {
        $(
            impl<'a> Arbitrary<'a> for $name {
                fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
                    u.choose(&$all).copied()
                }

                fn size_hint(_: usize) -> (usize, Option<usize>) {
                    (1, Some(1))
                }
            }
        )+
    };
}

choose! {
    Version from Version::ALL;
    Sender from [Sender::Client, Sender::Server];
    PacketType from PacketType::ALL;
    PropertyId from PropertyId::ALL;
    QoS from [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    RetainHandling from [
        RetainHandling::SendAtSubscribe,
        RetainHandling::SendAtSubscribeIfNew,
        RetainHandling::DoNotSend,
    ];
}

impl<'a> Arbitrary<'a> for Subscription<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            qos: u.arbitrary()?,
            no_local: u.arbitrary()?,
            retain_as_published: u.arbitrary()?,
            retain_handling: u.arbitrary()?,
            topic_filter: u.arbitrary()?,
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (4, None)
    }
}

/// Values may lie out of the range of their property.
impl<'a> Arbitrary<'a> for Property<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary()? {
            PropertyId::PayloadFormatIndicator => Self::PayloadFormatIndicator(u.arbitrary()?),
            PropertyId::MessageExpiryInterval => Self::MessageExpiryInterval(u.arbitrary()?),
            PropertyId::ContentType => Self::ContentType(u.arbitrary()?),
            PropertyId::ResponseTopic => Self::ResponseTopic(u.arbitrary()?),
            PropertyId::CorrelationData => Self::CorrelationData(u.arbitrary()?),
            PropertyId::SubscriptionIdentifier => Self::SubscriptionIdentifier(u.arbitrary()?),
            PropertyId::SessionExpiryInterval => Self::SessionExpiryInterval(u.arbitrary()?),
            PropertyId::AssignedClientIdentifier => Self::AssignedClientIdentifier(u.arbitrary()?),
            PropertyId::ServerKeepAlive => Self::ServerKeepAlive(u.arbitrary()?),
            PropertyId::AuthenticationMethod => Self::AuthenticationMethod(u.arbitrary()?),
            PropertyId::AuthenticationData => Self::AuthenticationData(u.arbitrary()?),
            PropertyId::RequestProblemInformation => {
                Self::RequestProblemInformation(u.arbitrary()?)
            }
            PropertyId::WillDelayInterval => Self::WillDelayInterval(u.arbitrary()?),
            PropertyId::RequestResponseInformation => {
                Self::RequestResponseInformation(u.arbitrary()?)
            }
            PropertyId::ResponseInformation => Self::ResponseInformation(u.arbitrary()?),
            PropertyId::ServerReference => Self::ServerReference(u.arbitrary()?),
            PropertyId::ReasonString => Self::ReasonString(u.arbitrary()?),
            PropertyId::ReceiveMaximum => Self::ReceiveMaximum(u.arbitrary()?),
            PropertyId::TopicAliasMaximum => Self::TopicAliasMaximum(u.arbitrary()?),
            PropertyId::TopicAlias => Self::TopicAlias(u.arbitrary()?),
            PropertyId::MaximumQoS => Self::MaximumQoS(u.arbitrary()?),
            PropertyId::RetainAvailable => Self::RetainAvailable(u.arbitrary()?),
            PropertyId::UserProperty => Self::UserProperty(u.arbitrary()?, u.arbitrary()?),
            PropertyId::MaximumPacketSize => Self::MaximumPacketSize(u.arbitrary()?),
            PropertyId::WildcardSubscriptionAvailable => {
                Self::WildcardSubscriptionAvailable(u.arbitrary()?)
            }
            PropertyId::SubscriptionIdentifierAvailable => {
                Self::SubscriptionIdentifierAvailable(u.arbitrary()?)
            }
            PropertyId::SharedSubscriptionAvailable => {
                Self::SharedSubscriptionAvailable(u.arbitrary()?)
            }
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        // An identifier, and a flag or an empty text.
        (2, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    /// Bytes that look random, the same in every run: the high byte of a linear congruence.
    fn noise(seed: u64) -> Vec<u8> {
        let next = |state: &u64| {
            Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963))
        };
        let states = core::iter::successors(Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), next);
        states.skip(2).take(512).map(|state| state.to_be_bytes()[0]).collect()
    }

    /// As text comes from valid UTF-8, noise has little of it.
    fn input(seed: u64) -> Vec<u8> {
        let ascii = |byte: u8| if seed.is_multiple_of(2) { byte } else { byte & 0x7f };
        noise(seed).into_iter().map(ascii).collect()
    }

    #[test]
    fn owned_packets_are_made_of_nearly_any_input() {
        let mut kinds = BTreeSet::new();
        for seed in 0..4000 {
            let input = input(seed);
            let owned = OwnedPacket::arbitrary(&mut Unstructured::new(&input)).unwrap();
            let (version, sender) = (owned.version(), owned.sender());
            kinds.insert((owned.packet().packet_type(), version, sender as u8));
            let copy = OwnedPacket::from_packet(&owned.packet(), version, sender);
            assert_eq!(copy, Ok(owned));
        }
        let sent = |version: Version, sender| {
            PacketType::ALL.into_iter().filter(move |found| found.is_sent_by(sender, version))
        };
        for version in Version::ALL {
            for sender in [Sender::Client, Sender::Server] {
                for packet_type in sent(version, sender) {
                    let kind = (packet_type, version, sender as u8);
                    assert!(kinds.contains(&kind), "no {kind:?}");
                }
            }
        }
    }

    #[test]
    fn an_input_without_bytes_gives_a_packet() {
        let owned = OwnedPacket::arbitrary(&mut Unstructured::new(&[])).unwrap();
        assert_eq!(owned.packet().packet_type(), PacketType::Connect);
        let least = OwnedPacket::size_hint(0).0;
        assert!(OwnedPacket::arbitrary(&mut Unstructured::new(&[0; 64][..least])).is_ok());
    }

    #[test]
    fn packets_that_are_not_mended_are_valid_at_times() {
        let encodes = |seed| {
            let input = input(seed);
            let any = AnyPacket::arbitrary(&mut Unstructured::new(&input)).unwrap();
            Version::ALL.into_iter().any(|version| any.packet().check(version).is_ok())
        };
        let valid = (0..2000).filter(|seed| encodes(*seed)).count();
        assert!((100..1900).contains(&valid), "{valid} of 2000");
    }

    #[test]
    fn mending_leaves_a_valid_packet_as_it_is() {
        for seed in 0..2000 {
            let input = input(seed);
            let mut u = Unstructured::new(&input);
            let (version, sender) = u.arbitrary().unwrap();
            let mut any = AnyPacket::arbitrary(&mut u).unwrap();
            any.mend(version, sender);
            let mut again = any.clone();
            again.mend(version, sender);
            assert_eq!(again.packet(), any.packet());
        }
    }
}
