//! CONNECT, MQTT 5.0 §3.1.

use core::fmt;

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::packet::body::Body;
use crate::packet::header::FixedHeader;
use crate::packet::tail::block_len;
use crate::packet_type::Places;
use crate::properties::Properties;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::scan;
use crate::text::{Bytes, Secret};
use crate::topic;
use crate::version::Version;
use crate::wire::{self, Reader};

/// Connection request: the first packet of a client. §3.1
///
/// The only packet that says of which version it is.
///
/// ```
/// use sansio_mqtt::{Connect, Packet, Version};
///
/// let connect = Connect { client_id: "sensor-7", keep_alive: 60, ..Default::default() };
/// let mut out = Vec::new();
/// Packet::from(connect).encode(Version::V5, &mut out)?;
/// assert_eq!(out, b"\x10\x15\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x08sensor-7");
/// # Ok::<(), sansio_mqtt::EncodeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connect<'a> {
    /// Named by the protocol name and level.
    pub version: Version,
    /// Whether to begin a new session; in 3.x Clean Session, which also ends it with the
    /// connection.
    pub clean_start: bool,
    /// In seconds, how long the client may be silent; 0 turns it off.
    pub keep_alive: u16,
    /// In 5.0.
    pub properties: Properties<'a>,
    /// Names the session. In 5.0 the server assigns one if it is empty, in 3.1.1 too if
    /// `clean_start` is set; in 3.1 it has 1 to 23 characters.
    pub client_id: &'a str,
    /// What the server publishes if the connection ends without DISCONNECT.
    pub will: Option<Will<'a>>,
    /// For authentication.
    pub user_name: Option<&'a str>,
    /// For authentication, any bytes; in 3.1.1 only beside a user name. Never shown by `Debug`
    /// and `Display`.
    pub password: Option<&'a [u8]>,
}

/// A message that the server publishes for a client whose connection ends without DISCONNECT.
/// §3.1.2.5
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Will<'a> {
    /// Of the message.
    pub qos: QoS,
    /// Whether the server keeps the message.
    pub retain: bool,
    /// The Will Properties, in 5.0.
    pub properties: Properties<'a>,
    /// The Topic Name.
    pub topic: &'a str,
    /// Of the message, up to 65,535 bytes; 3.x calls it Will Message.
    pub payload: &'a [u8],
}

/// What checking a CONNECT found out for writing it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) remaining: usize,
    properties: u32,
    will_properties: u32,
}

/// The Connect Flags, §3.1.2.3.
mod flag {
    pub(super) const RESERVED: u8 = 0x01;
    pub(super) const CLEAN_START: u8 = 0x02;
    pub(super) const WILL: u8 = 0x04;
    pub(super) const WILL_QOS: u8 = 0x18;
    pub(super) const WILL_RETAIN: u8 = 0x20;
    pub(super) const PASSWORD: u8 = 0x40;
    pub(super) const USER_NAME: u8 = 0x80;
}

/// 5.0 with a clean start, without Keep Alive, Will and credentials.
impl Default for Connect<'_> {
    fn default() -> Self {
        Self {
            version: Version::V5,
            clean_start: true,
            keep_alive: 0,
            properties: Properties::NONE,
            client_id: "",
            will: None,
            user_name: None,
            password: None,
        }
    }
}

impl<'a> Connect<'a> {
    pub(crate) fn for_version(self, version: Version) -> Result<Self, EncodeError> {
        if version.is_v5() {
            return Ok(Self { version, ..self });
        }
        if version == Version::V3_1_1 && self.password.is_some() && self.user_name.is_none() {
            return Err(EncodeError::NotInVersion(version, Feature::PasswordWithoutUserName));
        }
        if self.properties.contains(PropertyId::AuthenticationMethod) {
            return Err(EncodeError::NotInVersion(version, Feature::AuthenticationMethod));
        }
        let will = self.will.map(|will| Will { properties: Properties::NONE, ..will });
        Ok(Self { version, properties: Properties::NONE, will, ..self })
    }

    /// Reads the protocol name and level.
    #[inline(always)]
    pub(crate) fn decode_version(
        reader: &mut Reader<'_>,
        expected: Option<Version>,
    ) -> Result<Version, Fault> {
        let name_at = *reader;
        let name = reader.binary()?;
        let (is_mqtt, is_mqisdp) = (name == b"MQTT", name == b"MQIsdp");
        if !is_mqtt && !is_mqisdp {
            return Err(name_at.fault(Cause::InvalidProtocolName));
        }
        let level_at = *reader;
        let version = match reader.byte()? {
            3 if is_mqisdp => Version::V3_1,
            4 if is_mqtt => Version::V3_1_1,
            5 if is_mqtt => Version::V5,
            level if is_mqtt => {
                return Err(level_at.fault(Cause::UnsupportedProtocolLevel(level)));
            }
            level => return Err(level_at.fault(Cause::UnsupportedMqisdpLevel(level))),
        };
        match expected {
            Some(expected) if expected != version => {
                Err(level_at.fault(Cause::VersionMismatch(version)))
            }
            _ => Ok(version),
        }
    }

    /// Reads a CONNECT of `expected`, or of the version that it names.
    #[inline(always)]
    pub(crate) fn decode(
        header: FixedHeader,
        reader: &mut Reader<'a>,
        expected: Option<Version>,
    ) -> Result<Self, Fault> {
        let version = Self::decode_version(reader, expected)?;
        if version.is_v5() {
            header.check_minimal()?;
        }
        let flags_at = *reader;
        let flags = reader.byte()?;
        check_flags(flags, version).map_err(|cause| flags_at.fault(cause))?;
        let clean_start = flags & flag::CLEAN_START != 0;
        let keep_alive = reader.two_byte_integer()?;
        let properties = decode_properties(reader, version, Places::CONNECT)?;
        let client_id = decode_client_id(reader, version, clean_start)?;
        let will = if flags & flag::WILL == 0 {
            None
        } else {
            Some(Will::decode(reader, version, flags)?)
        };
        let user_name = if has_field(flags & flag::USER_NAME, reader, version) {
            Some(reader.string()?)
        } else {
            None
        };
        let password = if has_field(flags & flag::PASSWORD, reader, version) {
            Some(reader.binary()?)
        } else {
            None
        };
        reader.finish()?;
        Ok(Self {
            version,
            clean_start,
            keep_alive,
            properties,
            client_id,
            will,
            user_name,
            password,
        })
    }

    fn flags(&self) -> u8 {
        let set = |condition: bool, flag: u8| if condition { flag } else { 0 };
        let will = self.will.as_ref().map_or(0, |will| {
            flag::WILL | will.qos.get() << 3 | set(will.retain, flag::WILL_RETAIN)
        });
        set(self.clean_start, flag::CLEAN_START)
            | will
            | set(self.password.is_some(), flag::PASSWORD)
            | set(self.user_name.is_some(), flag::USER_NAME)
    }
}

impl<'a> Body<'a> for Connect<'a> {
    type Plan = Plan;

    fn check(&self, version: Version) -> Result<Plan, EncodeError> {
        if self.version != version {
            return Err(EncodeError::VersionMismatch { connect: self.version, version });
        }
        if version == Version::V3_1_1 && self.password.is_some() && self.user_name.is_none() {
            return Err(Cause::PasswordWithoutUserName.into());
        }
        check_client_id(self.client_id, version, self.clean_start)?;
        let properties = self.properties.check(version, Places::CONNECT)?;
        check_authentication(&self.properties)?;
        // The protocol name with its length, the level, the flags and Keep Alive.
        let mut remaining = version.protocol_name().len().saturating_add(6);
        let mut will_properties = 0;
        let mut add = |len: usize| remaining = remaining.saturating_add(len);
        add(wire::checked_string_len(self.client_id)?);
        if let Some(will) = &self.will {
            will_properties = will.properties.check(version, Places::WILL)?;
            let topic_len = wire::checked_binary_len(will.topic.as_bytes())?;
            topic::check_name(will.topic).map_err(Cause::of_topic_name)?;
            add(topic_len);
            add(wire::checked_binary_len(will.payload)?);
            add(block_len(version, will_properties));
        }
        if let Some(user_name) = self.user_name {
            add(wire::checked_string_len(user_name)?);
        }
        if let Some(password) = self.password {
            add(wire::checked_binary_len(password)?);
        }
        add(block_len(version, properties));
        Ok(Plan { remaining, properties, will_properties })
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Plan) -> usize {
        plan.remaining
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0x10
    }

    fn write(&self, _: Version, plan: &Plan, out: &mut impl BufMut) {
        match self.version {
            Version::V3_1 => out.put_slice(b"\0\x06MQIsdp\x03"),
            Version::V3_1_1 => out.put_slice(b"\0\x04MQTT\x04"),
            Version::V5 => out.put_slice(b"\0\x04MQTT\x05"),
        }
        let [high, low] = self.keep_alive.to_be_bytes();
        out.put_slice(&[self.flags(), high, low]);
        if self.version.is_v5() {
            self.properties.write(plan.properties, out);
        }
        wire::put_binary(self.client_id.as_bytes(), out);
        if let Some(will) = &self.will {
            if self.version.is_v5() {
                will.properties.write(plan.will_properties, out);
            }
            wire::put_binary(will.topic.as_bytes(), out);
            wire::put_binary(will.payload, out);
        }
        if let Some(user_name) = self.user_name {
            wire::put_binary(user_name.as_bytes(), out);
        }
        if let Some(password) = self.password {
            wire::put_binary(password, out);
        }
    }
}

impl<'a> Will<'a> {
    #[inline(always)]
    fn decode(reader: &mut Reader<'a>, version: Version, flags: u8) -> Result<Self, Fault> {
        let properties = decode_properties(reader, version, Places::WILL)?;
        let topic_at = *reader;
        let topic = reader.utf8()?;
        if topic.is_empty() || scan::has_null_or_wildcard(topic.as_bytes()) {
            return Err(topic_at.fault(Cause::of_topic_name(topic::name_error(topic))));
        }
        Ok(Self {
            // Checked with the flags.
            qos: QoS::new((flags & flag::WILL_QOS) >> 3).unwrap_or_default(),
            retain: flags & flag::WILL_RETAIN != 0,
            properties,
            topic,
            payload: reader.binary()?,
        })
    }
}

#[inline(always)]
fn check_flags(flags: u8, version: Version) -> Result<(), Cause> {
    if flags & flag::RESERVED != 0 {
        return Err(Cause::ReservedConnectFlag);
    }
    if flags & flag::WILL == 0 && flags & (flag::WILL_QOS | flag::WILL_RETAIN) != 0 {
        return Err(Cause::WillFlagsWithoutWill);
    }
    if flags & flag::WILL_QOS == flag::WILL_QOS {
        return Err(Cause::InvalidWillQoS);
    }
    let credentials = flags & (flag::USER_NAME | flag::PASSWORD);
    if version == Version::V3_1_1 && credentials == flag::PASSWORD {
        return Err(Cause::PasswordWithoutUserName);
    }
    Ok(())
}

/// Whether a field comes that the flags announce. In 3.1 it may be missing at the end of the
/// packet all the same: its remaining length goes before its flags.
#[inline(always)]
fn has_field(flag: u8, reader: &Reader<'_>, version: Version) -> bool {
    flag != 0 && !(version == Version::V3_1 && reader.is_empty())
}

#[inline(always)]
fn decode_properties<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    place: Places,
) -> Result<Properties<'a>, Fault> {
    let before = *reader;
    let properties = Properties::decode_in(version, reader, place)?;
    check_authentication(&properties).map_err(|cause| before.fault(cause))?;
    Ok(properties)
}

/// v5 3.1.2.11.10: no Authentication Data without a method.
#[inline]
fn check_authentication(properties: &Properties<'_>) -> Result<(), Cause> {
    if properties.contains(PropertyId::AuthenticationData)
        && !properties.contains(PropertyId::AuthenticationMethod)
    {
        return Err(Cause::AuthenticationDataWithoutMethod);
    }
    Ok(())
}

#[inline(always)]
fn decode_client_id<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    clean_start: bool,
) -> Result<&'a str, Fault> {
    let before = *reader;
    let client_id = reader.string()?;
    check_client_id(client_id, version, clean_start).map_err(|cause| before.fault(cause))?;
    Ok(client_id)
}

#[inline(always)]
fn check_client_id(client_id: &str, version: Version, clean_start: bool) -> Result<(), Cause> {
    let valid = match version {
        Version::V3_1 => has_1_to_23_characters(client_id),
        // v3.1.1 [MQTT-3.1.3-7]
        Version::V3_1_1 => clean_start || !client_id.is_empty(),
        Version::V5 => true,
    };
    if valid { Ok(()) } else { Err(Cause::InvalidClientIdentifier) }
}

#[cold]
fn has_1_to_23_characters(client_id: &str) -> bool {
    (1..=23).contains(&client_id.chars().take(24).count())
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("properties", &self.properties)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .field("password", &self.password.map(Secret))
            .finish()
    }
}

/// All fields, the payload abbreviated.
impl fmt::Debug for Will<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .field("topic", &self.topic)
            .field("payload", &format_args!("{}", Bytes(self.payload)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::property::Property;
    use alloc::format;
    use alloc::vec::Vec;

    fn encode(connect: Connect<'_>) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        Packet::from(connect).encode(connect.version, &mut out).map(|()| out)
    }

    #[test]
    fn fields_come_in_the_order_of_the_standard() {
        // v5 [MQTT-3.1.3-1], v3.1.1 [MQTT-3.1.3-1]
        let will = Will { topic: "w", payload: b"p", qos: QoS::AtLeastOnce, ..Default::default() };
        let connect = Connect {
            client_id: "c",
            keep_alive: 10,
            will: Some(will),
            user_name: Some("u"),
            password: Some(&[0xff]),
            ..Default::default()
        };
        let v5 = b"\x10\x1b\x00\x04MQTT\x05\xce\x00\x0a\x00\x00\x01c\x00\x00\x01w\x00\x01p\x00\x01u\x00\x01\xff";
        assert_eq!(encode(connect).unwrap(), v5);
        let v3_1_1 = connect.for_version(Version::V3_1_1).unwrap();
        let bytes =
            b"\x10\x19\x00\x04MQTT\x04\xce\x00\x0a\x00\x01c\x00\x01w\x00\x01p\x00\x01u\x00\x01\xff";
        assert_eq!(encode(v3_1_1).unwrap(), bytes);
        let v3_1 = connect.for_version(Version::V3_1).unwrap();
        assert_eq!(encode(v3_1).unwrap()[..11], *b"\x10\x1b\x00\x06MQIsdp\x03");
    }

    #[test]
    fn a_connect_is_encoded_for_its_own_version_only() {
        let connect = Connect { client_id: "c", ..Default::default() };
        let error = EncodeError::VersionMismatch { connect: Version::V5, version: Version::V3_1_1 };
        let result = Packet::from(connect).encode(Version::V3_1_1, &mut Vec::new());
        assert_eq!(result, Err(error));
    }

    #[test]
    fn each_version_has_its_rule_for_client_identifiers() {
        // v3.1.1 [MQTT-3.1.3-7], v5 3.1.3.1
        let longest = "é".repeat(23);
        let too_long = "é".repeat(24);
        let rows = [
            (Version::V3_1, "", true, false),
            (Version::V3_1, "c", false, true),
            (Version::V3_1, &longest, true, true),
            (Version::V3_1, &too_long, true, false),
            (Version::V3_1_1, "", true, true),
            (Version::V3_1_1, "", false, false),
            (Version::V3_1_1, &too_long, false, true),
            (Version::V5, "", false, true),
        ];
        for (version, client_id, clean_start, valid) in rows {
            let connect = Connect { version, client_id, clean_start, ..Default::default() };
            assert_eq!(encode(connect).is_ok(), valid, "{connect:?}");
        }
    }

    #[test]
    fn a_password_needs_a_user_name_in_3_1_1_only() {
        // v3.1.1 [MQTT-3.1.2-22], v5 3.1.2.9
        for version in Version::ALL {
            let connect =
                Connect { version, client_id: "c", password: Some(b"p"), ..Default::default() };
            assert_eq!(encode(connect).is_ok(), version != Version::V3_1_1, "{version}");
        }
        let connect = Connect { password: Some(b"p"), ..Default::default() };
        let feature = Feature::PasswordWithoutUserName;
        let error = EncodeError::NotInVersion(Version::V3_1_1, feature);
        assert_eq!(connect.for_version(Version::V3_1_1), Err(error));
    }

    #[test]
    fn secrets_are_never_shown() {
        let data = [Property::AuthenticationMethod("m"), Property::AuthenticationData(b"hunter2")];
        let connect = Connect {
            properties: Properties::List(&data),
            password: Some(b"hunter2"),
            ..Default::default()
        };
        let bytes = encode(connect).unwrap();
        let decoded = Packet::decode(&bytes, Version::V5, crate::Sender::Client).unwrap();
        for shown in [
            format!("{connect:?}"),
            format!("{decoded:?}"),
            format!("{decoded:#?}"),
            format!("{decoded}"),
        ] {
            assert!(shown.contains("<7 bytes hidden>"), "{shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
        }
    }
}
