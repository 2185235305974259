//! One property of MQTT 5.0 with its value, §2.2.2.2.

use core::fmt;

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault};
use crate::property_id::{PropertyId, PropertyType, Range, Rule};
use crate::qos::QoS;
use crate::text::{Bytes, Secret, Text};
use crate::topic;
use crate::varint;
use crate::wire::{self, Reader};

/// A property: its identifier and its value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Property<'a> {
    /// `0x01`: Whether the payload is UTF-8 text (1) or unspecified bytes (0). v5 3.3.2.3.2
    PayloadFormatIndicator(bool),
    /// `0x02`: Lifetime of the message in seconds. v5 3.3.2.3.3
    MessageExpiryInterval(u32),
    /// `0x03`: What the payload is, in terms of the application. v5 3.3.2.3.9
    ContentType(&'a str),
    /// `0x08`: Topic Name for a response to the message. v5 3.3.2.3.5
    ResponseTopic(&'a str),
    /// `0x09`: By what the requester tells which request a response is for. v5 3.3.2.3.6
    CorrelationData(&'a [u8]),
    /// `0x0b`: Number of a subscription, 1 to 268,435,455. v5 3.3.2.3.8, 3.8.2.1.2
    SubscriptionIdentifier(u32),
    /// `0x11`: How long the session outlives its connection, in seconds; `u32::MAX` for ever. v5
    /// 3.1.2.11.2, 3.2.2.3.2, 3.14.2.2.2
    SessionExpiryInterval(u32),
    /// `0x12`: Client Identifier that the server gave the client. v5 3.2.2.3.7
    AssignedClientIdentifier(&'a str),
    /// `0x13`: Keep Alive in seconds to use in place of the client's; 0 turns it off. v5
    /// 3.2.2.3.14
    ServerKeepAlive(u16),
    /// `0x15`: Name of the method of extended authentication. v5 3.1.2.11.9, 3.2.2.3.17,
    /// 3.15.2.2.2
    AuthenticationMethod(&'a str),
    /// `0x16`: Data of the authentication method; never shown by `Debug` and `Display`. v5
    /// 3.1.2.11.10, 3.2.2.3.18, 3.15.2.2.3
    AuthenticationData(&'a [u8]),
    /// `0x17`: Whether the server may send Reason Strings and User Properties with failures. v5
    /// 3.1.2.11.7
    RequestProblemInformation(bool),
    /// `0x18`: How long the server holds the Will back, in seconds. v5 3.1.3.2.2
    WillDelayInterval(u32),
    /// `0x19`: Whether the client asks for Response Information. v5 3.1.2.11.6
    RequestResponseInformation(bool),
    /// `0x1a`: From what the client makes Response Topics. v5 3.2.2.3.15
    ResponseInformation(&'a str),
    /// `0x1c`: Another server to use. v5 3.2.2.3.16, 3.14.2.2.5
    ServerReference(&'a str),
    /// `0x1f`: The reason in words, for people to read. v5 3.2.2.3.9 and the like
    ReasonString(&'a str),
    /// `0x21`: How many QoS 1 and 2 publications the sender takes unacknowledged, 1 to 65,535. v5
    /// 3.1.2.11.3, 3.2.2.3.3
    ReceiveMaximum(u16),
    /// `0x22`: The greatest Topic Alias that the sender accepts; 0 for none. v5 3.1.2.11.5,
    /// 3.2.2.3.8
    TopicAliasMaximum(u16),
    /// `0x23`: Number that stands for the Topic Name, 1 to 65,535. v5 3.3.2.3.4
    TopicAlias(u16),
    /// `0x24`: The highest QoS that the server takes, 0 or 1. v5 3.2.2.3.4
    MaximumQoS(QoS),
    /// `0x25`: Whether the server retains messages. v5 3.2.2.3.5
    RetainAvailable(bool),
    /// `0x26`: A name and a value with a meaning of the application's; any number, in order. v5
    /// 3.1.2.11.8 and the like
    UserProperty(&'a str, &'a str),
    /// `0x27`: The size in bytes of the largest packet that the sender accepts. v5 3.1.2.11.4,
    /// 3.2.2.3.6
    MaximumPacketSize(u32),
    /// `0x28`: Whether the server supports wildcards in Topic Filters. v5 3.2.2.3.11
    WildcardSubscriptionAvailable(bool),
    /// `0x29`: Whether the server supports Subscription Identifiers. v5 3.2.2.3.12
    SubscriptionIdentifierAvailable(bool),
    /// `0x2a`: Whether the server supports Shared Subscriptions. v5 3.2.2.3.13
    SharedSubscriptionAvailable(bool),
}

/// The value of a property by its type.
#[derive(Clone, Copy)]
enum Value<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    String(&'a str),
    Pair(&'a str, &'a str),
    Binary(&'a [u8]),
}

impl<'a> Property<'a> {
    /// Which property it is.
    #[inline]
    pub const fn id(&self) -> PropertyId {
        match self {
            Self::PayloadFormatIndicator(..) => PropertyId::PayloadFormatIndicator,
            Self::MessageExpiryInterval(..) => PropertyId::MessageExpiryInterval,
            Self::ContentType(..) => PropertyId::ContentType,
            Self::ResponseTopic(..) => PropertyId::ResponseTopic,
            Self::CorrelationData(..) => PropertyId::CorrelationData,
            Self::SubscriptionIdentifier(..) => PropertyId::SubscriptionIdentifier,
            Self::SessionExpiryInterval(..) => PropertyId::SessionExpiryInterval,
            Self::AssignedClientIdentifier(..) => PropertyId::AssignedClientIdentifier,
            Self::ServerKeepAlive(..) => PropertyId::ServerKeepAlive,
            Self::AuthenticationMethod(..) => PropertyId::AuthenticationMethod,
            Self::AuthenticationData(..) => PropertyId::AuthenticationData,
            Self::RequestProblemInformation(..) => PropertyId::RequestProblemInformation,
            Self::WillDelayInterval(..) => PropertyId::WillDelayInterval,
            Self::RequestResponseInformation(..) => PropertyId::RequestResponseInformation,
            Self::ResponseInformation(..) => PropertyId::ResponseInformation,
            Self::ServerReference(..) => PropertyId::ServerReference,
            Self::ReasonString(..) => PropertyId::ReasonString,
            Self::ReceiveMaximum(..) => PropertyId::ReceiveMaximum,
            Self::TopicAliasMaximum(..) => PropertyId::TopicAliasMaximum,
            Self::TopicAlias(..) => PropertyId::TopicAlias,
            Self::MaximumQoS(..) => PropertyId::MaximumQoS,
            Self::RetainAvailable(..) => PropertyId::RetainAvailable,
            Self::UserProperty(..) => PropertyId::UserProperty,
            Self::MaximumPacketSize(..) => PropertyId::MaximumPacketSize,
            Self::WildcardSubscriptionAvailable(..) => PropertyId::WildcardSubscriptionAvailable,
            Self::SubscriptionIdentifierAvailable(..) => {
                PropertyId::SubscriptionIdentifierAvailable
            }
            Self::SharedSubscriptionAvailable(..) => PropertyId::SharedSubscriptionAvailable,
        }
    }

    #[inline(always)]
    fn value(&self) -> Value<'a> {
        match *self {
            Self::PayloadFormatIndicator(flag)
            | Self::RequestProblemInformation(flag)
            | Self::RequestResponseInformation(flag)
            | Self::RetainAvailable(flag)
            | Self::WildcardSubscriptionAvailable(flag)
            | Self::SubscriptionIdentifierAvailable(flag)
            | Self::SharedSubscriptionAvailable(flag) => Value::Byte(u8::from(flag)),
            Self::MaximumQoS(qos) => Value::Byte(qos.get()),
            Self::ServerKeepAlive(value)
            | Self::ReceiveMaximum(value)
            | Self::TopicAliasMaximum(value)
            | Self::TopicAlias(value) => Value::Two(value),
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value)
            | Self::MaximumPacketSize(value) => Value::Four(value),
            Self::SubscriptionIdentifier(value) => Value::Variable(value),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => Value::String(text),
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => Value::Binary(bytes),
            Self::UserProperty(name, value) => Value::Pair(name, value),
        }
    }

    /// Reads a property of a block that was checked when it was decoded; `None` at its end.
    #[inline(always)]
    pub(crate) fn read_checked(reader: &mut Reader<'a>) -> Option<Self> {
        Some(match PropertyId::new(reader.byte().ok()?)? {
            PropertyId::PayloadFormatIndicator => {
                Self::PayloadFormatIndicator(reader.byte().ok()? != 0)
            }
            PropertyId::MessageExpiryInterval => {
                Self::MessageExpiryInterval(reader.four_byte_integer().ok()?)
            }
            PropertyId::ContentType => Self::ContentType(reader.string_again()?),
            PropertyId::ResponseTopic => Self::ResponseTopic(reader.string_again()?),
            PropertyId::CorrelationData => Self::CorrelationData(reader.binary().ok()?),
            PropertyId::SubscriptionIdentifier => {
                Self::SubscriptionIdentifier(reader.variable_byte_integer().ok()?)
            }
            PropertyId::SessionExpiryInterval => {
                Self::SessionExpiryInterval(reader.four_byte_integer().ok()?)
            }
            PropertyId::AssignedClientIdentifier => {
                Self::AssignedClientIdentifier(reader.string_again()?)
            }
            PropertyId::ServerKeepAlive => Self::ServerKeepAlive(reader.two_byte_integer().ok()?),
            PropertyId::AuthenticationMethod => Self::AuthenticationMethod(reader.string_again()?),
            PropertyId::AuthenticationData => Self::AuthenticationData(reader.binary().ok()?),
            PropertyId::RequestProblemInformation => {
                Self::RequestProblemInformation(reader.byte().ok()? != 0)
            }
            PropertyId::WillDelayInterval => {
                Self::WillDelayInterval(reader.four_byte_integer().ok()?)
            }
            PropertyId::RequestResponseInformation => {
                Self::RequestResponseInformation(reader.byte().ok()? != 0)
            }
            PropertyId::ResponseInformation => Self::ResponseInformation(reader.string_again()?),
            PropertyId::ServerReference => Self::ServerReference(reader.string_again()?),
            PropertyId::ReasonString => Self::ReasonString(reader.string_again()?),
            PropertyId::ReceiveMaximum => Self::ReceiveMaximum(reader.two_byte_integer().ok()?),
            PropertyId::TopicAliasMaximum => {
                Self::TopicAliasMaximum(reader.two_byte_integer().ok()?)
            }
            PropertyId::TopicAlias => Self::TopicAlias(reader.two_byte_integer().ok()?),
            PropertyId::MaximumQoS => Self::MaximumQoS(QoS::new(reader.byte().ok()?)?),
            PropertyId::RetainAvailable => Self::RetainAvailable(reader.byte().ok()? != 0),
            PropertyId::UserProperty => {
                Self::UserProperty(reader.string_again()?, reader.string_again()?)
            }
            PropertyId::MaximumPacketSize => {
                Self::MaximumPacketSize(reader.four_byte_integer().ok()?)
            }
            PropertyId::WildcardSubscriptionAvailable => {
                Self::WildcardSubscriptionAvailable(reader.byte().ok()? != 0)
            }
            PropertyId::SubscriptionIdentifierAvailable => {
                Self::SubscriptionIdentifierAvailable(reader.byte().ok()? != 0)
            }
            PropertyId::SharedSubscriptionAvailable => {
                Self::SharedSubscriptionAvailable(reader.byte().ok()? != 0)
            }
        })
    }

    /// Checks the value, and says how many bytes the property takes.
    #[inline(always)]
    pub(crate) fn check(&self, rule: &Rule) -> Result<usize, EncodeError> {
        let value_len = match self.value() {
            Value::Byte(value) => {
                check_number(u32::from(value), rule)?;
                1
            }
            Value::Two(value) => {
                check_number(u32::from(value), rule)?;
                2
            }
            Value::Four(value) => {
                check_number(value, rule)?;
                4
            }
            Value::Variable(value) => {
                check_number(value, rule)?;
                if value > varint::MAX {
                    return Err(Cause::InvalidPropertyValue(self.id()).into());
                }
                varint::encoded_len(value)
            }
            Value::String(text) => {
                if rule.range == Range::TopicName {
                    let len = wire::checked_binary_len(text.as_bytes())?;
                    topic::check_name(text).map_err(Cause::of_response_topic)?;
                    len
                } else {
                    wire::checked_string_len(text)?
                }
            }
            Value::Pair(name, value) => {
                let name = wire::checked_string_len(name)?;
                name.saturating_add(wire::checked_string_len(value)?)
            }
            Value::Binary(bytes) => wire::checked_binary_len(bytes)?,
        };
        Ok(value_len.saturating_add(1))
    }

    /// Appends the property, which has been checked and fits.
    #[inline(always)]
    pub(crate) fn write(&self, out: &mut impl BufMut) {
        let id = self.id().get();
        match self.value() {
            Value::Byte(value) => out.put_slice(&[id, value]),
            Value::Two(value) => {
                let [a, b] = value.to_be_bytes();
                out.put_slice(&[id, a, b]);
            }
            Value::Four(value) => {
                let [a, b, c, d] = value.to_be_bytes();
                out.put_slice(&[id, a, b, c, d]);
            }
            Value::Variable(value) => {
                out.put_u8(id);
                varint::put(value, out);
            }
            Value::String(text) => {
                out.put_u8(id);
                wire::put_binary(text.as_bytes(), out);
            }
            Value::Pair(name, value) => {
                out.put_u8(id);
                wire::put_binary(name.as_bytes(), out);
                wire::put_binary(value.as_bytes(), out);
            }
            Value::Binary(bytes) => {
                out.put_u8(id);
                wire::put_binary(bytes, out);
            }
        }
    }
}

/// Reads past the value of a property and checks it.
#[inline(always)]
pub(crate) fn check_value(rule: &Rule, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let before = *reader;
    let number = match rule.value {
        PropertyType::Byte => u32::from(reader.byte()?),
        PropertyType::TwoByteInteger => u32::from(reader.two_byte_integer()?),
        PropertyType::FourByteInteger => reader.four_byte_integer()?,
        PropertyType::VariableByteInteger => reader.variable_byte_integer()?,
        PropertyType::Utf8String if rule.range == Range::TopicName => {
            let name = reader.string()?;
            return topic::check_name(name)
                .map_err(|error| before.fault(Cause::of_response_topic(error)));
        }
        PropertyType::Utf8String => return reader.checked_string_bytes().map(drop),
        PropertyType::Utf8StringPair => {
            reader.checked_string_bytes()?;
            return reader.checked_string_bytes().map(drop);
        }
        PropertyType::BinaryData => return reader.binary().map(drop),
    };
    check_number(number, rule).map_err(|cause| before.fault(cause))
}

#[inline(always)]
fn check_number(value: u32, rule: &Rule) -> Result<(), Cause> {
    let valid = match rule.range {
        Range::Any | Range::TopicName => true,
        Range::Flag => value <= 1,
        Range::NonZero => value != 0,
    };
    if valid { Ok(()) } else { Err(range_cause(rule)) }
}

#[cold]
fn range_cause(rule: &Rule) -> Cause {
    match rule.id {
        // v5 [MQTT-3.3.2-8]
        Some(PropertyId::TopicAlias) => Cause::TopicAliasZero,
        Some(id) => Cause::InvalidPropertyValue(id),
        None => Cause::UnknownProperty(0),
    }
}

/// The variant with its value; Authentication Data only by its length.
impl fmt::Debug for Property<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id();
        match self.value() {
            Value::String(text) => write!(f, "{id:?}({text:?})"),
            Value::Pair(name, value) => write!(f, "{id:?}({name:?}, {value:?})"),
            _ => {
                write!(f, "{id:?}(")?;
                self.fmt_value(f)?;
                f.write_str(")")
            }
        }
    }
}

/// `Name=value`, long values abbreviated, Authentication Data only by its length.
impl fmt::Display for Property<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.id())?;
        self.fmt_value(f)
    }
}

impl Property<'_> {
    fn fmt_value(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::AuthenticationData(bytes) = self {
            return write!(f, "{}", Secret(bytes));
        }
        match self.value() {
            Value::Byte(value) => write!(f, "{value}"),
            Value::Two(value) => write!(f, "{value}"),
            Value::Four(value) | Value::Variable(value) => write!(f, "{value}"),
            Value::String(text) => write!(f, "{}", Text(text)),
            Value::Pair(name, value) => write!(f, "{}:{}", Text(name), Text(value)),
            Value::Binary(bytes) => write!(f, "{}", Bytes(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn authentication_data_is_never_shown() {
        let property = Property::AuthenticationData(b"hunter2");
        assert_eq!(property.to_string(), "Authentication Data=<7 bytes hidden>");
        assert!(!alloc::format!("{property:?}").contains("hunter2"));
    }

    #[test]
    fn values_are_shown_by_name() {
        let rows = [
            (Property::MessageExpiryInterval(10), "Message Expiry Interval=10"),
            (Property::RetainAvailable(false), "Retain Available=0"),
            (Property::UserProperty("k", "v"), "User Property=\"k\":\"v\""),
            (Property::MaximumQoS(QoS::AtLeastOnce), "Maximum QoS=1"),
        ];
        for (property, text) in rows {
            assert_eq!(property.to_string(), text);
        }
    }
}
