//! The properties of a packet, MQTT 5.0 §2.2.2: a list to send, or a block that was received.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::slice;

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::list::list_traits;
use crate::packet_type::Places;
use crate::property::{self, Property};
use crate::property_id::{PropertyId, Rule};
use crate::qos::QoS;
use crate::varint;
use crate::version::Version;
use crate::wire::Reader;

/// Properties in their order.
///
/// To send, name them in a slice; received ones come as a block, whose bytes were checked once
/// and are read again by [`iter`](Self::iter) and by the method of each property. Either form
/// encodes, and they are equal if their properties are.
///
/// ```
/// use sansio_mqtt::{Properties, Property};
///
/// let properties = Properties::List(&[
///     Property::MessageExpiryInterval(60),
///     Property::UserProperty("unit", "°C"),
/// ]);
/// assert_eq!(properties.message_expiry_interval(), Some(60));
/// assert_eq!(properties.user_properties().next(), Some(("unit", "°C")));
/// assert_eq!(properties.content_type(), None);
/// ```
#[derive(Clone, Copy)]
pub enum Properties<'a> {
    /// To send.
    List(&'a [Property<'a>]),
    /// Received.
    Block(PropertyBlock<'a>),
}

/// Properties as they were received; only decoding makes them.
#[derive(Clone, Copy)]
pub struct PropertyBlock<'a> {
    bytes: &'a [u8],
    /// The identifiers that are there, one bit each; all are below 64.
    present: u64,
    /// Where the properties were found to be allowed.
    place: Places,
    form: Form,
}

/// What of a packet that may end early was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Neither Reason Code nor Property Length.
    Omitted,
    /// The Reason Code, and no Property Length.
    ReasonCode,
    /// Both.
    Whole,
}

impl<'a> PropertyBlock<'a> {
    /// Checks the properties of a whole block, without a Property Length.
    pub(crate) fn new(bytes: &'a [u8], place: Places) -> Result<Self, Cause> {
        let present = check_block(bytes, place).map_err(|fault| fault.cause)?;
        Ok(Self { bytes, present, place, form: Form::Whole })
    }

    /// Properties of a PUBLISH that were checked before, and found to be these.
    pub(crate) const fn of_publish(bytes: &'a [u8], present: u64) -> Self {
        Self { bytes, present, place: Places::PUBLISH, form: Form::Whole }
    }

    /// The set that `present` is, of these properties.
    pub(crate) fn bits(ids: impl IntoIterator<Item = PropertyId>) -> u64 {
        ids.into_iter().fold(0, |bits, id| bits | bit(id.get()))
    }

    /// Which properties are there, one bit each.
    pub(crate) const fn present(&self) -> u64 {
        self.present
    }

    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Properties of a PUBLISH, or of a Will, that are not of the message.
const APART: [PropertyId; 3] =
    [PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier, PropertyId::WillDelayInterval];

impl<'a> Properties<'a> {
    /// No properties.
    pub const NONE: Self = Self::List(&[]);

    /// Which properties are there, one bit each.
    pub(crate) fn present(&self) -> u64 {
        match self {
            Self::List(list) => PropertyBlock::bits(list.iter().map(Property::id)),
            Self::Block(block) => block.present,
        }
    }

    /// The properties in their order.
    #[inline]
    pub fn iter(&self) -> PropertiesIter<'a> {
        PropertiesIter(match self {
            Self::List(list) => Iter::List(list.iter()),
            Self::Block(block) => Iter::Block(Reader::new(block.bytes)),
        })
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::List(list) => list.is_empty(),
            Self::Block(block) => block.bytes.is_empty(),
        }
    }

    /// Whether this property is there; of a block, without reading it.
    #[inline]
    pub fn contains(&self, id: PropertyId) -> bool {
        match self {
            Self::List(list) => list.iter().any(|property| property.id() == id),
            Self::Block(block) => block.present & bit(id.get()) != 0,
        }
    }

    /// The property with this identifier, the first of several.
    #[inline]
    pub fn get(&self, id: PropertyId) -> Option<Property<'a>> {
        if self.contains(id) { self.iter().find(|property| property.id() == id) } else { None }
    }

    /// The names and values of the User Properties, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The Subscription Identifiers: of a PUBLISH, those of the subscriptions that it matched.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(identifier) => Some(identifier),
            _ => None,
        })
    }

    /// Appends those of a PUBLISH, or of a Will, that go from end to end, and says which there are,
    /// as a [`PropertyBlock`] knows them.
    #[inline]
    pub(crate) fn write_end_to_end(&self, out: &mut Vec<u8>) -> u64 {
        let apart = PropertyBlock::bits(APART);
        match self {
            Self::Block(block) if block.present & apart == 0 => out.extend_from_slice(block.bytes),
            _ => self
                .iter()
                .filter(|property| !APART.contains(&property.id()))
                .for_each(|property| property.write(out)),
        }
        self.present() & !apart
    }

    /// Reads the properties of a packet of `version`, which has some in 5.0 only.
    #[inline(always)]
    pub(crate) fn decode_in(
        version: Version,
        reader: &mut Reader<'a>,
        place: Places,
    ) -> Result<Self, Fault> {
        if version.is_v5() { Self::decode(reader, place) } else { Ok(Self::NONE) }
    }

    /// Reads the Property Length and the properties, all of them checked.
    #[inline(always)]
    pub(crate) fn decode(reader: &mut Reader<'a>, place: Places) -> Result<Self, Fault> {
        let before = *reader;
        let len = usize::try_from(reader.variable_byte_integer()?).unwrap_or(usize::MAX);
        let Ok(bytes) = reader.take(len) else {
            return Err(before.fault(Cause::PropertiesOverrunPacket));
        };
        let present = if bytes.is_empty() {
            0
        } else {
            check_block(bytes, place).map_err(|fault| Fault {
                left: fault.left.saturating_add(reader.left()),
                ..fault
            })?
        };
        Ok(Self::Block(PropertyBlock { bytes, present, place, form: Form::Whole }))
    }

    /// No properties, of a packet that ended behind its Reason Code.
    #[inline(always)]
    pub(crate) const fn reason_code_only(place: Places) -> Self {
        Self::Block(PropertyBlock { bytes: &[], present: 0, place, form: Form::ReasonCode })
    }

    /// Whether they were received in one of these packets.
    #[inline]
    pub(crate) const fn were_received_in(&self, place: Places) -> bool {
        match self {
            Self::List(_) => false,
            Self::Block(block) => !block.place.and(place).is_none(),
        }
    }

    /// How a packet that may end early has to be written for these properties: received ones as
    /// they came, others in the shortest form.
    #[inline(always)]
    pub(crate) const fn form(&self, has_default_reason: bool) -> Form {
        match self {
            Self::Block(block) => block.form,
            Self::List([]) if has_default_reason => Form::Omitted,
            Self::List([]) => Form::ReasonCode,
            Self::List(_) => Form::Whole,
        }
    }

    /// Checks the properties for a packet from one of the senders in `place`, and says how many
    /// bytes they take, the Property Length not included.
    #[inline(always)]
    pub(crate) fn check(&self, version: Version, place: Places) -> Result<u32, EncodeError> {
        if self.is_empty() { Ok(0) } else { self.check_some(version, place) }
    }

    fn check_some(&self, version: Version, place: Places) -> Result<u32, EncodeError> {
        if !version.is_v5() {
            return Err(EncodeError::NotInVersion(version, Feature::Properties));
        }
        let len = match self {
            Self::Block(block) if !block.place.and(place).is_none() => block.bytes.len(),
            Self::List(list) => check_list(list.iter(), place)?,
            Self::Block(_) => check_list(self.iter(), place)?,
        };
        match u32::try_from(len) {
            Ok(len) if len <= varint::MAX => Ok(len),
            _ => Err(EncodeError::FieldTooLong),
        }
    }

    /// Those of the senders in `place` who may send all of the properties there.
    pub(crate) fn senders(&self, place: Places) -> Places {
        let allowed = |senders: Places, id: PropertyId| senders.and(id.rule().places);
        match self {
            Self::List(list) => list.iter().map(Property::id).fold(place, allowed),
            Self::Block(block) => {
                let present = |id: &PropertyId| block.present & bit(id.get()) != 0;
                PropertyId::ALL.into_iter().filter(present).fold(place, allowed)
            }
        }
    }

    /// Appends the Property Length and the properties, which [`check`](Self::check) found to
    /// take `len` bytes and which fit.
    #[inline(always)]
    pub(crate) fn write(&self, len: u32, out: &mut impl BufMut) {
        varint::put(len, out);
        match self {
            _ if self.is_empty() => {}
            Self::List(list) => write_list(list, out),
            Self::Block(block) => out.put_slice(block.bytes),
        }
    }
}

/// Apart, so that packets without properties do not carry it along.
#[inline(never)]
fn write_list(list: &[Property<'_>], out: &mut impl BufMut) {
    list.iter().for_each(|property| property.write(out));
}

#[inline(always)]
const fn bit(identifier: u8) -> u64 {
    1u64.wrapping_shl(identifier as u32)
}

/// Checks the bytes of a block, and says which properties there are.
#[inline]
fn check_block(bytes: &[u8], place: Places) -> Result<u64, Fault> {
    let mut reader = Reader::new(bytes);
    let mut present = 0;
    while !reader.is_empty() {
        let before = reader;
        let identifier = reader.byte()?;
        let rule = Rule::of(identifier);
        if rule.places.and(place).is_none() {
            return Err(misplaced(before, place));
        }
        if present & bit(identifier) != 0
            && rule.repeats.and(place).is_none()
            && let Some(id) = rule.id
        {
            return Err(before.fault(Cause::DuplicateProperty(id)));
        }
        present |= bit(identifier);
        if let Err(fault) = property::check_value(rule, &mut reader) {
            return Err(before.fault(match fault.cause {
                Cause::FieldOverrunsPacket => Cause::FieldOverrunsProperties,
                cause => cause,
            }));
        }
    }
    Ok(present)
}

/// Why the property that comes next has no place here.
#[cold]
fn misplaced(mut reader: Reader<'_>, place: Places) -> Fault {
    let before = reader;
    let identifier = match reader.variable_byte_integer() {
        Ok(identifier) => identifier,
        Err(Fault { cause: Cause::FieldOverrunsPacket, .. }) => {
            return before.fault(Cause::FieldOverrunsProperties);
        }
        Err(fault) => return fault,
    };
    let id = u8::try_from(identifier).ok().and_then(PropertyId::new);
    before.fault(match id {
        Some(id) => misplaced_cause(id, place),
        None => Cause::UnknownProperty(identifier),
    })
}

fn misplaced_cause(id: PropertyId, place: Places) -> Cause {
    if id.rule().places.and(place.by_either()).is_none() {
        Cause::PropertyNotAllowed(id)
    } else {
        Cause::PropertyFromWrongSender(id)
    }
}

fn check_list<'a>(
    list: impl Iterator<Item = impl Borrow<Property<'a>>>,
    place: Places,
) -> Result<usize, EncodeError> {
    let mut present = 0;
    let mut len: usize = 0;
    for property in list {
        let property = property.borrow();
        let id = property.id();
        let rule = id.rule();
        if rule.places.and(place).is_none() {
            return Err(misplaced_cause(id, place).into());
        }
        if present & bit(id.get()) != 0 && rule.repeats.and(place).is_none() {
            return Err(Cause::DuplicateProperty(id).into());
        }
        present |= bit(id.get());
        len = len.saturating_add(property.check(rule)?);
    }
    Ok(len)
}

/// Makes of one row per property that does not repeat: a method with its name.
macro_rules! getters {
    ($($name:ident $id:ident $value:ty, $doc:literal;)+) => {
        impl<'a> Properties<'a> {
            $(
                #[doc = concat!("The value of [`Property::", stringify!($id), "`], if that is there.\n\n", $doc)]
                #[inline]
                pub fn $name(&self) -> Option<$value> {
                    match self.get(PropertyId::$id) {
                        Some(Property::$id(value)) => Some(value),
                        _ => None,
                    }
                }
            )+
        }
    };
}

getters! {
    payload_format_indicator PayloadFormatIndicator bool, "Absent: false, unspecified bytes. §3.3.2.3.2";
    message_expiry_interval MessageExpiryInterval u32, "In seconds. Absent: the message does not expire. §3.3.2.3.3";
    content_type ContentType &'a str, "§3.3.2.3.9";
    response_topic ResponseTopic &'a str, "Absent: the message is no request. §3.3.2.3.5";
    correlation_data CorrelationData &'a [u8], "§3.3.2.3.6";
    session_expiry_interval SessionExpiryInterval u32, "In seconds, `u32::MAX` for ever. Absent in CONNECT: 0; in CONNACK and DISCONNECT: as before. §3.1.2.11.2, §3.2.2.3.2, §3.14.2.2.2";
    assigned_client_identifier AssignedClientIdentifier &'a str, "Absent: the client named itself. §3.2.2.3.7";
    server_keep_alive ServerKeepAlive u16, "In seconds. Absent: the client's Keep Alive holds. §3.2.2.3.14";
    authentication_method AuthenticationMethod &'a str, "Absent: no extended authentication. §3.1.2.11.9";
    authentication_data AuthenticationData &'a [u8], "§3.1.2.11.10";
    request_problem_information RequestProblemInformation bool, "Absent: true. §3.1.2.11.7";
    will_delay_interval WillDelayInterval u32, "In seconds. Absent: 0. §3.1.3.2.2";
    request_response_information RequestResponseInformation bool, "Absent: false. §3.1.2.11.6";
    response_information ResponseInformation &'a str, "§3.2.2.3.15";
    server_reference ServerReference &'a str, "§3.2.2.3.16, §3.14.2.2.5";
    reason_string ReasonString &'a str, "For people to read. §3.2.2.3.9 and the like";
    receive_maximum ReceiveMaximum u16, "1 to 65,535. Absent: 65,535. §3.1.2.11.3, §3.2.2.3.3";
    topic_alias_maximum TopicAliasMaximum u16, "Absent: 0, no aliases. §3.1.2.11.5, §3.2.2.3.8";
    topic_alias TopicAlias u16, "1 to 65,535. §3.3.2.3.4";
    maximum_qos MaximumQoS QoS, "QoS 0 or 1. Absent: QoS 2. §3.2.2.3.4";
    retain_available RetainAvailable bool, "Absent: true. §3.2.2.3.5";
    maximum_packet_size MaximumPacketSize u32, "In bytes, not 0. Absent: what the protocol can express. §3.1.2.11.4, §3.2.2.3.6";
    wildcard_subscription_available WildcardSubscriptionAvailable bool, "Absent: true. §3.2.2.3.11";
    subscription_identifier_available SubscriptionIdentifierAvailable bool, "Absent: true. §3.2.2.3.12";
    shared_subscription_available SharedSubscriptionAvailable bool, "Absent: true. §3.2.2.3.13";
}

list_traits!(Properties<'a>, Property<'a>, PropertiesIter<'a>);

impl fmt::Debug for PropertyBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Properties::Block(*self), f)
    }
}

/// The properties of a packet, one after another: made by [`Properties::iter`].
#[derive(Clone)]
pub struct PropertiesIter<'a>(Iter<'a>);

#[derive(Clone)]
enum Iter<'a> {
    List(slice::Iter<'a, Property<'a>>),
    Block(Reader<'a>),
}

impl<'a> Iterator for PropertiesIter<'a> {
    type Item = Property<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Property<'a>> {
        match &mut self.0 {
            Iter::List(list) => list.next().copied(),
            Iter::Block(reader) => Property::read_checked(reader),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn decode(bytes: &[u8], place: Places) -> Result<Properties<'_>, Fault> {
        Properties::decode(&mut Reader::new(bytes), place)
    }

    #[test]
    fn a_block_is_equal_to_the_list_of_its_properties() {
        let bytes = [
            0x14, 0x02, 0, 0, 0, 10, 0x26, 0, 1, b'b', 0, 0, 0x26, 0, 1, b'a', 0, 1, b'v', 0x01, 1,
            9,
        ];
        let block = decode(&bytes, Places::PUBLISH).unwrap();
        let list = Properties::List(&[
            Property::MessageExpiryInterval(10),
            Property::UserProperty("b", ""),
            Property::UserProperty("a", "v"),
            Property::PayloadFormatIndicator(true),
        ]);
        assert_eq!(block, list);
        assert_eq!(block.message_expiry_interval(), Some(10));
        assert_eq!(block.payload_format_indicator(), Some(true));
        assert_eq!(block.content_type(), None);
        assert_eq!(block.user_properties().collect::<Vec<_>>(), [("b", ""), ("a", "v")]);
        let len = list.check(Version::V5, Places::PUBLISH).unwrap();
        let mut written = Vec::new();
        list.write(len, &mut written);
        assert_eq!(written, bytes[..bytes.len() - 1]);
    }

    #[test]
    fn faults_are_placed_at_the_identifier() {
        use PropertyId::{MessageExpiryInterval, SessionExpiryInterval, SubscriptionIdentifier};
        let client = Places::of(crate::PacketType::Publish, crate::Sender::Client);
        let rows: [(&[u8], Cause, usize); 9] = [
            (&[0x02, 0x7f, 0], Cause::UnknownProperty(0x7f), 2),
            (&[0x02, 0x80, 0x01], Cause::UnknownProperty(128), 2),
            (&[0x02, 0x82, 0x00], Cause::VariableByteIntegerNotMinimal, 2),
            (&[0x05, 0x11, 0, 0, 0, 1], Cause::PropertyNotAllowed(SessionExpiryInterval), 5),
            (&[0x02, 0x0b, 1], Cause::PropertyFromWrongSender(SubscriptionIdentifier), 2),
            (
                &[0x0a, 0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1],
                Cause::DuplicateProperty(MessageExpiryInterval),
                5,
            ),
            (&[0x02, 0x01, 2], Cause::InvalidPropertyValue(PropertyId::PayloadFormatIndicator), 2),
            (&[0x03, 0x23, 0, 0], Cause::TopicAliasZero, 3),
            (&[0x03, 0x02, 0, 0, 0, 0], Cause::FieldOverrunsProperties, 5),
        ];
        for (bytes, cause, left) in rows {
            assert_eq!(decode(bytes, client), Err(Fault { cause, left }), "{bytes:02x?}");
        }
    }

    #[test]
    fn properties_of_two_senders_have_none() {
        let list = Properties::List(&[
            Property::SessionExpiryInterval(1),
            Property::ServerReference("other"),
        ]);
        assert!(list.senders(Places::DISCONNECT).is_none());
    }

    #[test]
    fn a_block_is_checked_again_for_another_packet() {
        let bytes = [5, 0x18, 0, 0, 0, 1];
        let will = decode(&bytes, Places::WILL).unwrap();
        assert_eq!(will.check(Version::V5, Places::WILL), Ok(5));
        let cause = Cause::PropertyNotAllowed(PropertyId::WillDelayInterval);
        assert_eq!(will.check(Version::V5, Places::PUBLISH), Err(cause.into()));
    }

    #[test]
    fn thousands_of_user_properties_take_one_pass() {
        let mut bytes = Vec::new();
        varint::put(5 * 20_000, &mut bytes);
        bytes.extend([0x26, 0, 0, 0, 0].repeat(20_000));
        let block = decode(&bytes, Places::CONNECT).unwrap();
        assert_eq!(block.user_properties().count(), 20_000);
    }
}
