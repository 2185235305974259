//! SUBSCRIBE, MQTT 5.0 §3.8.

use core::fmt;
use core::slice;

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::list::list_traits;
use crate::packet::ack::{check_dup, dup_flag};
use crate::packet::body::{Body, Plan};
use crate::packet::tail::block_len;
use crate::packet_id::PacketId;
use crate::packet_type::Places;
use crate::properties::Properties;
use crate::qos::QoS;
use crate::topic;
use crate::version::Version;
use crate::wire::{self, Reader};

/// Subscribe request, from the client. §3.8
///
/// ```
/// use sansio_mqtt::{Packet, PacketId, QoS, Subscribe, Subscription, Version};
///
/// let subscriptions = [Subscription::new("a/+", QoS::AtLeastOnce)];
/// let subscribe = Subscribe::new(PacketId::MIN, &subscriptions);
/// let mut out = Vec::new();
/// Packet::from(subscribe).encode(Version::V3_1_1, &mut out)?;
/// assert_eq!(out, b"\x82\x08\x00\x01\x00\x03a/+\x01");
/// # Ok::<(), sansio_mqtt::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subscribe<'a> {
    /// Whether this is sent again, in 3.1; later versions have no such flag.
    pub dup: bool,
    /// Of this request, for the SUBACK.
    pub packet_id: PacketId,
    /// In 5.0.
    pub properties: Properties<'a>,
    /// What to subscribe to, one or more.
    pub subscriptions: Subscriptions<'a>,
}

/// One subscription that is asked for: a Topic Filter and Subscription Options, §3.8.3.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Subscription<'a> {
    /// What topics to receive.
    pub topic_filter: &'a str,
    /// The highest QoS to receive at: Maximum QoS in 5.0, Requested QoS before.
    pub qos: QoS,
    /// In 5.0, whether to leave out what this client itself publishes; not with a Shared
    /// Subscription. v5 [MQTT-3.8.3-3] [MQTT-3.8.3-4]
    pub no_local: bool,
    /// In 5.0, whether forwarded messages keep their RETAIN flag.
    pub retain_as_published: bool,
    /// In 5.0, which retained messages to receive.
    pub retain_handling: RetainHandling,
}

/// Whether retained messages are sent when a subscription is made. §3.8.3.1
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every subscribe, as before 5.0.
    #[default]
    SendAtSubscribe = 0,
    /// At a subscribe that makes a new subscription.
    SendAtSubscribeIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl RetainHandling {
    /// The option with this value, or `None` for 3 and above.
    #[inline]
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::SendAtSubscribe),
            1 => Some(Self::SendAtSubscribeIfNew),
            2 => Some(Self::DoNotSend),
            _ => None,
        }
    }

    /// The value of the option, 0 to 2.
    #[inline]
    pub const fn get(self) -> u8 {
        self as u8
    }
}

/// Subscription Options that are not the QoS.
mod option {
    pub(super) const QOS: u8 = 0x03;
    pub(super) const NO_LOCAL: u8 = 0x04;
    pub(super) const RETAIN_AS_PUBLISHED: u8 = 0x08;
    pub(super) const RESERVED: u8 = 0xc0;
}

impl<'a> Subscription<'a> {
    /// With the options that every version has.
    pub const fn new(topic_filter: &'a str, qos: QoS) -> Self {
        Self {
            topic_filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    #[inline(always)]
    pub(crate) fn options(&self) -> u8 {
        let set = |condition: bool, flag: u8| if condition { flag } else { 0 };
        self.qos.get()
            | set(self.no_local, option::NO_LOCAL)
            | set(self.retain_as_published, option::RETAIN_AS_PUBLISHED)
            | self.retain_handling.get() << 4
    }

    pub(crate) fn with_options(topic_filter: &'a str, options: u8) -> Option<Self> {
        Some(Self {
            topic_filter,
            qos: QoS::new(options & option::QOS)?,
            no_local: options & option::NO_LOCAL != 0,
            retain_as_published: options & option::RETAIN_AS_PUBLISHED != 0,
            retain_handling: RetainHandling::new(options >> 4)?,
        })
    }

    /// Reads past one subscription and checks it.
    #[inline(always)]
    fn check_next(reader: &mut Reader<'_>, version: Version) -> Result<(), Fault> {
        let filter_at = *reader;
        let filter = reader.checked_topic_filter(version)?;
        let options_at = *reader;
        let options = reader.byte()?;
        if QoS::new(options).is_some() {
            return Ok(());
        }
        check_options(options, version).map_err(|cause| options_at.fault(cause))?;
        if options & option::NO_LOCAL != 0 && filter.starts_with(topic::SHARE_PREFIX.as_bytes()) {
            return Err(filter_at.fault(Cause::NoLocalOnSharedSubscription));
        }
        Ok(())
    }

    #[inline(always)]
    fn read_checked(reader: &mut Reader<'a>) -> Option<Self> {
        let topic_filter = reader.string_again()?;
        Self::with_options(topic_filter, reader.byte().ok()?)
    }

    /// Checks the subscription, and says how many bytes it takes.
    #[inline(always)]
    fn check(&self, version: Version) -> Result<usize, EncodeError> {
        let filter_len = wire::checked_binary_len(self.topic_filter.as_bytes())?;
        topic::check_filter(self.topic_filter, version).map_err(Cause::of_topic_filter)?;
        if self.options() > option::QOS {
            self.check_v5_options(version)?;
        }
        Ok(filter_len.saturating_add(1))
    }

    /// Checks options of which one is not the QoS.
    #[cold]
    fn check_v5_options(&self, version: Version) -> Result<(), EncodeError> {
        if !version.is_v5() {
            return Err(EncodeError::NotInVersion(version, Feature::SubscriptionOptions));
        }
        if self.no_local && is_shared(self.topic_filter) {
            return Err(Cause::NoLocalOnSharedSubscription.into());
        }
        Ok(())
    }

    #[inline(always)]
    fn write(&self, out: &mut impl BufMut) {
        wire::put_binary(self.topic_filter.as_bytes(), out);
        out.put_u8(self.options());
    }
}

/// Whether 5.0 takes a Topic Filter for that of a Shared Subscription.
fn is_shared(topic_filter: &str) -> bool {
    topic_filter.starts_with(topic::SHARE_PREFIX)
}

/// Refuses Topic Filters that were received in one version and mean something else in another:
/// `$share/…` is a Shared Subscription in 5.0, and a filter like any other before it.
pub(crate) fn check_meaning<'a>(
    mut topic_filters: impl Iterator<Item = &'a str>,
    received: Version,
    version: Version,
) -> Result<(), EncodeError> {
    if has_same_filters(received, version) || !topic_filters.any(is_shared) {
        return Ok(());
    }
    let feature =
        if received.is_v5() { Feature::SharedSubscription } else { Feature::UnsharedFilter };
    Err(EncodeError::NotInVersion(version, feature))
}

/// Whether both versions have the same Topic Filters and read them alike.
#[inline(always)]
pub(crate) const fn has_same_filters(one: Version, other: Version) -> bool {
    one.is_v5() == other.is_v5()
}

fn check_options(options: u8, version: Version) -> Result<(), Cause> {
    let reserved = if version.is_v5() { option::RESERVED } else { !option::QOS };
    if options & reserved != 0 {
        return Err(Cause::ReservedSubscriptionOptions(options));
    }
    if options & option::QOS == option::QOS {
        return Err(Cause::InvalidSubscriptionQoS);
    }
    if RetainHandling::new(options >> 4).is_none() {
        return Err(Cause::InvalidRetainHandling);
    }
    Ok(())
}

impl<'a> Subscribe<'a> {
    /// Without properties.
    pub const fn new(packet_id: PacketId, subscriptions: &'a [Subscription<'a>]) -> Self {
        let subscriptions = Subscriptions::List(subscriptions);
        Self { dup: false, packet_id, properties: Properties::NONE, subscriptions }
    }

    /// The same packet without what `version` does not have.
    pub(crate) fn for_version(self, version: Version) -> Result<Self, EncodeError> {
        self.subscriptions.check_meaning(version)?;
        if version.is_v5() {
            return Ok(Self { dup: false, ..self });
        }
        Ok(Self {
            dup: self.dup && version == Version::V3_1,
            properties: Properties::NONE,
            subscriptions: self.subscriptions.qos_only(),
            ..self
        })
    }

    #[inline]
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        version: Version,
        dup: bool,
    ) -> Result<Self, Fault> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::decode_in(version, reader, Places::SUBSCRIBE)?;
        let subscriptions = Subscriptions::decode(reader, version)?;
        Ok(Self { dup, packet_id, properties, subscriptions })
    }
}

impl<'a> Body<'a> for Subscribe<'a> {
    type Plan = Plan;

    fn check(&self, version: Version) -> Result<Plan, EncodeError> {
        check_dup(self.dup, version)?;
        let properties = self.properties.check(version, Places::SUBSCRIBE)?;
        let properties_len = block_len(version, properties);
        let list = self.subscriptions.check(version)?;
        let remaining = list.saturating_add(properties_len).saturating_add(2);
        Ok(Plan { remaining, properties })
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Plan) -> usize {
        plan.remaining
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0x82 | dup_flag(self.dup)
    }

    fn write(&self, version: Version, plan: &Plan, out: &mut impl BufMut) {
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.properties.write(plan.properties, out);
        }
        self.subscriptions.write(version, out);
    }
}

/// The subscriptions of a SUBSCRIBE, in their order: a list to send, or a block that was
/// received.
///
/// Lists are equal if their subscriptions are, in whichever form.
#[derive(Clone, Copy)]
pub enum Subscriptions<'a> {
    /// To send.
    List(&'a [Subscription<'a>]),
    /// Received, or made by `for_version`.
    Block(SubscriptionBlock<'a>),
}

/// Subscriptions as they were received, or with their QoS alone; only this crate makes them.
#[derive(Clone, Copy)]
pub struct SubscriptionBlock<'a> {
    source: Source<'a>,
    /// Whether options but the QoS are left out.
    qos_only: bool,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    /// Bytes that were checked for the version they were received in.
    Checked(&'a [u8], Version),
    List(&'a [Subscription<'a>]),
}

impl<'a> Subscriptions<'a> {
    /// The subscriptions in their order.
    #[inline]
    pub fn iter(&self) -> SubscriptionsIter<'a> {
        let (source, qos_only) = match *self {
            Self::List(list) => (Source::List(list), false),
            Self::Block(block) => (block.source, block.qos_only),
        };
        let iter = match source {
            Source::Checked(bytes, _) => Iter::Block(Reader::new(bytes)),
            Source::List(list) => Iter::List(list.iter()),
        };
        SubscriptionsIter { iter, qos_only }
    }

    /// Refuses what was received where its Topic Filters mean something else.
    fn check_meaning(&self, version: Version) -> Result<(), EncodeError> {
        let Self::Block(SubscriptionBlock { source: Source::Checked(_, received), .. }) = *self
        else {
            return Ok(());
        };
        check_meaning(self.iter().map(|next| next.topic_filter), received, version)
    }

    /// The same for 3.x, where what was received has no other options.
    fn qos_only(self) -> Self {
        let source = match self {
            Self::List(list) => Source::List(list),
            Self::Block(SubscriptionBlock { source, .. }) => source,
        };
        let qos_only = !matches!(source, Source::Checked(_, Version::V3_1 | Version::V3_1_1));
        Self::Block(SubscriptionBlock { source, qos_only })
    }

    #[inline(always)]
    fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Fault> {
        if reader.is_empty() {
            return Err(reader.fault(Cause::NoTopicFilter));
        }
        let mut rest = *reader;
        while !rest.is_empty() {
            Subscription::check_next(&mut rest, version)?;
        }
        let source = Source::Checked(reader.take_rest(), version);
        Ok(Self::Block(SubscriptionBlock { source, qos_only: false }))
    }

    /// The bytes, if they can go into a packet of this version as they are.
    #[inline(always)]
    fn checked_bytes(&self, version: Version) -> Option<&'a [u8]> {
        match *self {
            Self::Block(SubscriptionBlock {
                source: Source::Checked(bytes, received),
                qos_only: false,
            }) if has_same_filters(received, version) => Some(bytes),
            _ => None,
        }
    }

    /// Checks all subscriptions, and says how many bytes they take.
    fn check(&self, version: Version) -> Result<usize, EncodeError> {
        if let Some(bytes) = self.checked_bytes(version) {
            return Ok(bytes.len());
        }
        self.check_meaning(version)?;
        let mut len: usize = 0;
        if let Self::List(list) = self {
            for subscription in *list {
                len = len.saturating_add(subscription.check(version)?);
            }
        } else {
            for subscription in self {
                len = len.saturating_add(subscription.check(version)?);
            }
        }
        if len == 0 { Err(Cause::NoTopicFilter.into()) } else { Ok(len) }
    }

    #[inline(always)]
    fn write(&self, version: Version, out: &mut impl BufMut) {
        if let Some(bytes) = self.checked_bytes(version) {
            return out.put_slice(bytes);
        }
        if let Self::List(list) = self {
            list.iter().for_each(|subscription| subscription.write(out));
        } else {
            self.iter().for_each(|subscription| subscription.write(out));
        }
    }
}

list_traits!(Subscriptions<'a>, Subscription<'a>, SubscriptionsIter<'a>);

impl fmt::Debug for SubscriptionBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Subscriptions::Block(*self), f)
    }
}

/// The subscriptions of a SUBSCRIBE, one after another: made by [`Subscriptions::iter`].
#[derive(Clone)]
pub struct SubscriptionsIter<'a> {
    iter: Iter<'a>,
    qos_only: bool,
}

#[derive(Clone)]
enum Iter<'a> {
    List(slice::Iter<'a, Subscription<'a>>),
    Block(Reader<'a>),
}

impl<'a> Iterator for SubscriptionsIter<'a> {
    type Item = Subscription<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Subscription<'a>> {
        let next = match &mut self.iter {
            Iter::List(list) => list.next().copied(),
            Iter::Block(reader) => Subscription::read_checked(reader),
        }?;
        Some(if self.qos_only { Subscription::new(next.topic_filter, next.qos) } else { next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet_type::Sender;
    use alloc::vec::Vec;

    fn encode(subscribe: Subscribe<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        Packet::from(subscribe).encode(version, &mut out).map(|()| out)
    }

    const ALL_OPTIONS: Subscription<'static> = Subscription {
        topic_filter: "a",
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };

    #[test]
    fn options_have_their_bits() {
        // v5 3.8.3.1
        let list = [ALL_OPTIONS, Subscription::new("b", QoS::AtLeastOnce)];
        let subscribe = Subscribe::new(PacketId::MIN, &list);
        let bytes = encode(subscribe, Version::V5).unwrap();
        assert_eq!(bytes, [0x82, 11, 0, 1, 0, 0, 1, b'a', 0x2e, 0, 1, b'b', 1]);
        let decoded = Packet::decode(&bytes, Version::V5, Sender::Client).unwrap();
        assert_eq!(decoded, Packet::from(subscribe));
    }

    #[test]
    fn options_of_5_are_refused_in_3_x_unless_left_out_on_purpose() {
        let list = [ALL_OPTIONS];
        let subscribe = Subscribe::new(PacketId::MIN, &list);
        let error = EncodeError::NotInVersion(Version::V3_1_1, Feature::SubscriptionOptions);
        assert_eq!(encode(subscribe, Version::V3_1_1), Err(error));
        let bytes = [0x82, 6, 0, 1, 0, 1, b'a', 2];
        let plain = subscribe.for_version(Version::V3_1_1).unwrap();
        assert_eq!(encode(plain, Version::V3_1_1).unwrap(), bytes);

        let received = encode(subscribe, Version::V5).unwrap();
        let packet = Packet::decode(&received, Version::V5, Sender::Client).unwrap();
        let Packet::Subscribe(received) = packet else { panic!("{packet}") };
        assert_eq!(encode(received, Version::V3_1_1), Err(error));
        let plain = received.for_version(Version::V3_1_1).unwrap();
        assert_eq!(encode(plain, Version::V3_1_1).unwrap(), bytes);
    }

    #[test]
    fn a_received_filter_keeps_its_meaning_or_is_refused() {
        // v5 4.8.2: `$share/g` alone would not even be a filter in 5.0.
        let rows = [
            (Version::V5, "$share/g/a", Version::V3_1_1, Some(Feature::SharedSubscription)),
            (Version::V5, "$share/g/a", Version::V3_1, Some(Feature::SharedSubscription)),
            (Version::V3_1_1, "$share/g/a", Version::V5, Some(Feature::UnsharedFilter)),
            (Version::V3_1, "$share/g", Version::V5, Some(Feature::UnsharedFilter)),
            (Version::V3_1, "$share/g", Version::V3_1_1, None),
            (Version::V3_1_1, "$share/g/a", Version::V3_1, None),
            (Version::V5, "$shared/g/a", Version::V3_1_1, None),
            (Version::V3_1_1, "$share", Version::V5, None),
        ];
        for (received, topic_filter, version, feature) in rows {
            let list = ["a", topic_filter].map(|filter| Subscription::new(filter, QoS::AtMostOnce));
            let subscribe = Subscribe::new(PacketId::MIN, &list);
            let bytes = encode(subscribe, received).unwrap();
            let packet = Packet::decode(&bytes, received, Sender::Client).unwrap();
            assert_eq!(packet.for_version(received), Ok(packet));
            let refused = feature.map(|feature| EncodeError::NotInVersion(version, feature));
            assert_eq!(packet.check(version).err(), refused, "{topic_filter} for {version}");
            let kept = packet.for_version(version);
            assert_eq!(kept.err(), refused, "{topic_filter} for {version}");
            let Ok(kept) = kept else { continue };
            let mut out = Vec::new();
            kept.encode(version, &mut out).unwrap();
            assert_eq!(out, encode(subscribe, version).unwrap());
            // And back again.
            assert_eq!(kept.for_version(received), Ok(packet));
        }
    }

    #[test]
    fn a_list_is_for_the_version_it_is_encoded_for() {
        let list = [Subscription::new("$share/g/a", QoS::AtMostOnce)];
        let packet = Packet::from(Subscribe::new(PacketId::MIN, &list));
        for version in Version::ALL {
            assert!(packet.check(version).is_ok());
            assert_eq!(packet.for_version(version), Ok(packet));
        }
    }

    #[test]
    fn bad_options_are_told_apart() {
        // v5 [MQTT-3.8.3-5] and 3.8.3.1, v3.1.1 [MQTT-3.8.3-4]
        use Cause::{InvalidRetainHandling, InvalidSubscriptionQoS, ReservedSubscriptionOptions};
        let rows = [
            (Version::V5, 0x03, InvalidSubscriptionQoS),
            (Version::V5, 0x30, InvalidRetainHandling),
            (Version::V5, 0x40, ReservedSubscriptionOptions(0x40)),
            (Version::V5, 0x80, ReservedSubscriptionOptions(0x80)),
            (Version::V3_1_1, 0x03, InvalidSubscriptionQoS),
            (Version::V3_1_1, 0x04, ReservedSubscriptionOptions(0x04)),
            (Version::V3_1, 0x80, ReservedSubscriptionOptions(0x80)),
        ];
        for (version, options, cause) in rows {
            assert_eq!(check_options(options, version), Err(cause), "{options:#x} in {version}");
        }
    }

    #[test]
    fn no_local_is_not_for_shared_subscriptions() {
        // v5 [MQTT-3.8.3-4]
        let list = [Subscription { topic_filter: "$share/g/a", ..ALL_OPTIONS }];
        let error = EncodeError::Invalid(Cause::NoLocalOnSharedSubscription);
        assert_eq!(encode(Subscribe::new(PacketId::MIN, &list), Version::V5), Err(error));
    }

    #[test]
    fn there_is_a_filter_and_it_is_one() {
        // v5 [MQTT-3.8.3-2], v3.1.1 [MQTT-3.8.3-3]
        let none = Subscribe::new(PacketId::MIN, &[]);
        assert_eq!(encode(none, Version::V5), Err(Cause::NoTopicFilter.into()));
        let list = [Subscription::new("a#", QoS::AtMostOnce)];
        let cause = Cause::InvalidTopicFilter(topic::FilterError::MultiLevelWildcard);
        let bad = Subscribe::new(PacketId::MIN, &list);
        assert_eq!(encode(bad, Version::V5), Err(cause.into()));
    }
}
