//! What can be wrong: the rule that a packet breaks, where it does, and why a packet cannot be
//! encoded.

use core::fmt;

use thiserror::Error;

use crate::packet_type::{PacketType, Sender};
use crate::property_id::PropertyId;
use crate::reason::ReasonCode;
use crate::topic::{FilterError, NameError};
use crate::version::Version;

/// The rule of the standard that a packet breaks.
///
/// [`reason_code`](Self::reason_code) tells what to answer the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Cause {
    /// A Variable Byte Integer goes on after its fourth byte. v5 1.5.5, v3.1.1 2.2.3
    #[error("a variable byte integer of more than four bytes")]
    VariableByteIntegerTooLong,
    /// A Variable Byte Integer has a shorter form. v5 [MQTT-1.5.5-1]
    #[error("a variable byte integer that is not in its shortest form")]
    VariableByteIntegerNotMinimal,
    /// The packet is larger than the receiver said it would accept. v5 3.1.2.11.4, 3.2.2.3.6
    #[error("a packet of {size} bytes where {maximum} are the maximum")]
    PacketTooLarge {
        /// Of the whole packet, in bytes.
        size: u32,
        /// What the receiver accepts, in bytes.
        maximum: u32,
    },
    /// Packet type 0, or 15 in 3.x. v5 2.1.2, v3.1.1 2.2.1
    #[error("the reserved packet type {0}")]
    ReservedPacketType(u8),
    /// The low bits of the first byte are not those of the packet type.
    /// v5 [MQTT-2.1.3-1], v3.1.1 [MQTT-2.2.2-2]
    #[error("reserved flags {0:#06b} in the fixed header")]
    ReservedHeaderFlags(u8),
    /// This end of the connection does not send packets of this type. v5 2.1.2, v3.1.1 2.2.1
    #[error("a packet that the {0} does not send")]
    PacketFromWrongSender(Sender),
    /// The first packet of a connection is not CONNECT. v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
    #[error("a first packet that is not CONNECT")]
    ConnectExpected,
    /// A CONNECT names another version than the connection has.
    #[error("a CONNECT of MQTT {0} on a connection of another version")]
    VersionMismatch(Version),
    /// The bytes given as one packet end before the packet does.
    #[error("bytes that end within the packet")]
    IncompletePacket,
    /// A field ends beyond its packet.
    #[error("a field that runs over the end of the packet")]
    FieldOverrunsPacket,
    /// A field ends beyond its property block.
    #[error("a field that runs over the end of the properties")]
    FieldOverrunsProperties,
    /// The Property Length is more than the packet has left.
    #[error("properties that run over the end of the packet")]
    PropertiesOverrunPacket,
    /// Bytes are left after the last field.
    #[error("bytes left over after the last field")]
    TrailingBytes,
    /// A string is not well-formed UTF-8. v5 [MQTT-1.5.4-1], v3.1.1 [MQTT-1.5.3-1]
    #[error("a string that is not well-formed UTF-8")]
    IllFormedUtf8,
    /// A string holds U+0000. v5 [MQTT-1.5.4-2], v3.1.1 [MQTT-1.5.3-2]
    #[error("a string with the null character U+0000")]
    NullCharacter,
    /// A Packet Identifier is 0. v5 2.2.1, v3.1.1 [MQTT-2.3.1-1]
    #[error("the packet identifier 0")]
    PacketIdentifierZero,
    /// The QoS of a PUBLISH is 3. v5 [MQTT-3.3.1-4], v3.1.1 [MQTT-3.3.1-4]
    #[error("QoS 3")]
    InvalidQoS,
    /// DUP is set at QoS 0. v5 [MQTT-3.3.1-2], v3.1.1 [MQTT-3.3.1-2]
    #[error("DUP set at QoS 0")]
    DupAtQoS0,
    /// A Topic Name, that of a Will included, breaks the grammar. v5 4.7, v3.1.1 4.7
    #[error("a topic name that {0}")]
    InvalidTopicName(NameError),
    /// A Response Topic is no Topic Name. v5 [MQTT-3.3.2-14]
    #[error("a response topic that {0}")]
    InvalidResponseTopic(NameError),
    /// A Topic Filter breaks the grammar. v5 4.7, v3.1.1 4.7
    #[error("a topic filter that {0}")]
    InvalidTopicFilter(FilterError),
    /// No Local is set on a Shared Subscription. v5 [MQTT-3.8.3-4]
    #[error("No Local on a shared subscription")]
    NoLocalOnSharedSubscription,
    /// Reserved bits are set in Subscription Options or in a Requested QoS.
    /// v5 [MQTT-3.8.3-5], v3.1.1 [MQTT-3.8.3-4]
    #[error("reserved bits in subscription options {0:#010b}")]
    ReservedSubscriptionOptions(u8),
    /// The QoS asked for by a subscription is 3. v5 3.8.3.1, v3.1.1 [MQTT-3.8.3-4]
    #[error("QoS 3 in subscription options")]
    InvalidSubscriptionQoS,
    /// Retain Handling is 3. v5 3.8.3.1
    #[error("retain handling 3")]
    InvalidRetainHandling,
    /// A SUBSCRIBE or UNSUBSCRIBE without a Topic Filter.
    /// v5 [MQTT-3.8.3-2] [MQTT-3.10.3-2], v3.1.1 [MQTT-3.8.3-3] [MQTT-3.10.3-2]
    #[error("no topic filter")]
    NoTopicFilter,
    /// A SUBACK or, in 5.0, UNSUBACK without a Reason Code. v5 [MQTT-3.8.4-6]
    #[error("no reason code")]
    NoReasonCode,
    /// A Reason Code or return code that the packet does not allow, or not from this sender.
    #[error("the reason code {0:#04x}, which is not allowed here")]
    InvalidReasonCode(u8),
    /// A CONNECT with another protocol name. v5 [MQTT-3.1.2-1], v3.1.1 [MQTT-3.1.2-1]
    #[error("an unknown protocol name")]
    InvalidProtocolName,
    /// A CONNECT with the protocol name `MQTT` and a level that this crate does not know under it.
    /// What to answer: [`refusal_version`](Self::refusal_version).
    /// v5 [MQTT-3.1.2-2], v3.1.1 [MQTT-3.1.2-2]
    #[error("the unsupported protocol level {0}")]
    UnsupportedProtocolLevel(u8),
    /// A CONNECT with the protocol name of 3.1, `MQIsdp`, and another level than 3. What to answer:
    /// [`refusal_version`](Self::refusal_version).
    #[error("the unsupported protocol level {0} of MQIsdp")]
    UnsupportedMqisdpLevel(u8),
    /// The reserved Connect Flag is set. v5 [MQTT-3.1.2-3], v3.1.1 [MQTT-3.1.2-3]
    #[error("the reserved connect flag set")]
    ReservedConnectFlag,
    /// Will QoS or Will Retain without Will Flag.
    /// v5 [MQTT-3.1.2-11] [MQTT-3.1.2-13], v3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15]
    #[error("Will QoS or Will Retain without a Will")]
    WillFlagsWithoutWill,
    /// Will QoS 3. v5 [MQTT-3.1.2-12], v3.1.1 [MQTT-3.1.2-14]
    #[error("Will QoS 3")]
    InvalidWillQoS,
    /// A password without a user name, in 3.1.1. v3.1.1 [MQTT-3.1.2-22]
    #[error("a password without a user name")]
    PasswordWithoutUserName,
    /// A Client Identifier that the version does not allow: in 3.1 one that is not of 1 to 23
    /// characters, in 3.1.1 an empty one without Clean Session. v3.1.1 [MQTT-3.1.3-7]
    #[error("a client identifier that this version does not allow")]
    InvalidClientIdentifier,
    /// Reserved bits in the Connect Acknowledge Flags. v5 [MQTT-3.2.2-1], v3.1.1 3.2.2.1
    #[error("reserved connect acknowledge flags {0:#010b}")]
    ReservedAcknowledgeFlags(u8),
    /// Session Present with a Reason Code that refuses. v5 [MQTT-3.2.2-6], v3.1.1 [MQTT-3.2.2-4]
    #[error("Session Present in a CONNACK that refuses")]
    SessionPresentWithError,
    /// A property that the standard does not know. v5 2.2.2.2
    #[error("the unknown property {0:#04x}")]
    UnknownProperty(u32),
    /// A property in a packet that does not have it. v5 2.2.2.2
    #[error("{0}, which is no property of this packet")]
    PropertyNotAllowed(PropertyId),
    /// A property that this end of the connection does not send in this packet.
    /// v5 [MQTT-3.3.4-6] [MQTT-3.14.2-2]
    #[error("{0}, which this sender does not send in this packet")]
    PropertyFromWrongSender(PropertyId),
    /// A property that is there twice and may not be.
    #[error("{0} twice")]
    DuplicateProperty(PropertyId),
    /// A property with a value out of its range.
    #[error("{0} out of its range")]
    InvalidPropertyValue(PropertyId),
    /// A Topic Alias of 0. v5 [MQTT-3.3.2-8]
    #[error("the topic alias 0")]
    TopicAliasZero,
    /// Authentication Data without Authentication Method. v5 3.1.2.11.10
    #[error("authentication data without an authentication method")]
    AuthenticationDataWithoutMethod,
    /// An AUTH that has properties, but no Authentication Method. v5 3.15.2.2.2
    #[error("no authentication method")]
    MissingAuthenticationMethod,
}

impl Cause {
    /// The Reason Code of 5.0 for the rule that is broken, for CONNACK or DISCONNECT.
    ///
    /// In 3.x most rules have no code: the connection is closed without one, but for a CONNACK
    /// where [`ReasonCode::return_code`] gives one.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::VariableByteIntegerTooLong
            | Self::VariableByteIntegerNotMinimal
            | Self::ReservedPacketType(_)
            | Self::ReservedHeaderFlags(_)
            | Self::IncompletePacket
            | Self::FieldOverrunsPacket
            | Self::FieldOverrunsProperties
            | Self::PropertiesOverrunPacket
            | Self::TrailingBytes
            | Self::IllFormedUtf8
            | Self::NullCharacter
            | Self::InvalidQoS
            | Self::DupAtQoS0
            | Self::ReservedSubscriptionOptions(_)
            | Self::ReservedConnectFlag
            | Self::WillFlagsWithoutWill
            | Self::InvalidWillQoS
            | Self::PasswordWithoutUserName
            | Self::ReservedAcknowledgeFlags(_)
            | Self::UnknownProperty(_)
            | Self::PropertyNotAllowed(_) => ReasonCode::MALFORMED_PACKET,
            Self::PacketFromWrongSender(_)
            | Self::ConnectExpected
            | Self::VersionMismatch(_)
            | Self::PacketIdentifierZero
            | Self::InvalidResponseTopic(_)
            | Self::NoLocalOnSharedSubscription
            | Self::InvalidSubscriptionQoS
            | Self::InvalidRetainHandling
            | Self::NoTopicFilter
            | Self::NoReasonCode
            | Self::InvalidReasonCode(_)
            | Self::SessionPresentWithError
            | Self::PropertyFromWrongSender(_)
            | Self::DuplicateProperty(_)
            | Self::InvalidPropertyValue(_)
            | Self::AuthenticationDataWithoutMethod
            | Self::MissingAuthenticationMethod => ReasonCode::PROTOCOL_ERROR,
            Self::InvalidTopicName(error) => match error {
                NameError::Empty => ReasonCode::PROTOCOL_ERROR,
                NameError::Wildcard => ReasonCode::TOPIC_NAME_INVALID,
                NameError::NullCharacter | NameError::TooLong => ReasonCode::MALFORMED_PACKET,
            },
            Self::InvalidTopicFilter(error) => match error {
                FilterError::NullCharacter | FilterError::TooLong => ReasonCode::MALFORMED_PACKET,
                FilterError::Empty
                | FilterError::MultiLevelWildcard
                | FilterError::SingleLevelWildcard
                | FilterError::ShareName
                | FilterError::SharedFilter => ReasonCode::TOPIC_FILTER_INVALID,
            },
            Self::PacketTooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
            Self::InvalidProtocolName
            | Self::UnsupportedProtocolLevel(_)
            | Self::UnsupportedMqisdpLevel(_) => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            Self::InvalidClientIdentifier => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
            Self::TopicAliasZero => ReasonCode::TOPIC_ALIAS_INVALID,
        }
    }

    /// What is wrong with a Topic Name, a null character under its own cause.
    pub(crate) const fn of_topic_name(error: NameError) -> Self {
        match error {
            NameError::NullCharacter => Self::NullCharacter,
            error => Self::InvalidTopicName(error),
        }
    }

    /// What is wrong with a Response Topic, a null character under its own cause.
    pub(crate) const fn of_response_topic(error: NameError) -> Self {
        match error {
            NameError::NullCharacter => Self::NullCharacter,
            error => Self::InvalidResponseTopic(error),
        }
    }

    /// What is wrong with a Topic Filter, a null character under its own cause.
    pub(crate) const fn of_topic_filter(error: FilterError) -> Self {
        match error {
            FilterError::NullCharacter => Self::NullCharacter,
            error => Self::InvalidTopicFilter(error),
        }
    }

    /// In whose form a server answers a CONNECT of an unsupported protocol level: 5.0's for levels
    /// of `MQTT` above 5, and 3.1.1's for unknown lower ones and for those of `MQIsdp`, whose
    /// sender knows no other. `None` for every other cause.
    ///
    /// ```
    /// use sansio_mqtt::{Cause, ConnAck, Packet, Version};
    ///
    /// let cause = Cause::UnsupportedProtocolLevel(6);
    /// let version = cause.refusal_version().unwrap();
    /// assert_eq!(version, Version::V5);
    /// let refusal = Packet::ConnAck(ConnAck::refuse(cause.reason_code()));
    /// let mut out = Vec::new();
    /// refusal.encode(version, &mut out)?;
    /// assert_eq!(out, [0x20, 3, 0, 0x84, 0]);
    /// # Ok::<(), sansio_mqtt::EncodeError>(())
    /// ```
    pub const fn refusal_version(self) -> Option<Version> {
        match self {
            // 3.1 and 3.1.1 with a bit by which bridges try who knows them.
            Self::UnsupportedProtocolLevel(0x83 | 0x84) => Some(Version::V3_1_1),
            Self::UnsupportedProtocolLevel(level) if level > 5 => Some(Version::V5),
            Self::UnsupportedProtocolLevel(_) | Self::UnsupportedMqisdpLevel(_) => {
                Some(Version::V3_1_1)
            }
            _ => None,
        }
    }
}

/// Why bytes are no packet, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub struct DecodeError {
    /// The rule that is broken.
    pub cause: Cause,
    /// The type of the packet, unless its number is reserved.
    pub packet_type: Option<PacketType>,
    /// The version whose rules are broken: that of the connection, or the one that its first
    /// CONNECT names; `None` as long as none is known. It tells in which form to answer.
    pub version: Option<Version>,
    /// Where the field at fault begins, in bytes from the first of the packet.
    pub offset: usize,
    /// The length of the whole packet in bytes, by which it can be skipped; `None` where the
    /// fixed header does not tell.
    pub frame_len: Option<usize>,
}

impl DecodeError {
    /// The Reason Code of 5.0 to answer the sender with: [`Cause::reason_code`].
    pub const fn reason_code(&self) -> ReasonCode {
        self.cause.reason_code()
    }
}

impl DecodeError {
    /// The same error, of a packet of this version.
    #[inline(always)]
    pub(crate) const fn in_version(self, version: Version) -> Self {
        Self { version: Some(version), ..self }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(packet_type) = self.packet_type {
            write!(f, "{packet_type}: ")?;
        }
        write!(f, "{} at byte {}", self.cause, self.offset)
    }
}

/// A rule that is broken, and how many bytes of the packet are left from the field at fault on.
///
/// The reader of a packet sees its bytes shrink and does not know where they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) cause: Cause,
    pub(crate) left: usize,
}

/// What a version of the protocol does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// AUTH packets; DISCONNECT packets from a server.
    Packet(PacketType),
    /// Properties, before 5.0.
    Properties,
    /// This Reason Code in this packet: before 5.0 there are CONNACK return codes and SUBACK
    /// return codes only, and in 3.1 no failure in SUBACK.
    ReasonCode(ReasonCode),
    /// Reason Codes in UNSUBACK, before 5.0.
    UnsubAckReasonCodes,
    /// Subscription Options other than the QoS, before 5.0.
    SubscriptionOptions,
    /// Shared Subscriptions, before 5.0.
    SharedSubscription,
    /// Ordinary Topic Filters that begin with `$share/`, in 5.0.
    UnsharedFilter,
    /// Extended authentication, before 5.0.
    AuthenticationMethod,
    /// An empty Topic Name with a Topic Alias, before 5.0.
    EmptyTopicName,
    /// A password without a user name, in 3.1.1.
    PasswordWithoutUserName,
    /// The Session Present flag, in 3.1.
    SessionPresent,
    /// The DUP flag of packets other than PUBLISH, after 3.1.
    Dup,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet_type) => write!(f, "such {packet_type} packets"),
            Self::Properties => f.write_str("properties"),
            Self::ReasonCode(code) => write!(f, "the reason code {code}"),
            Self::UnsubAckReasonCodes => f.write_str("reason codes in UNSUBACK"),
            Self::SubscriptionOptions => f.write_str("subscription options beside the QoS"),
            Self::SharedSubscription => f.write_str("shared subscriptions"),
            Self::UnsharedFilter => f.write_str("ordinary filters that begin with $share/"),
            Self::AuthenticationMethod => f.write_str("extended authentication"),
            Self::EmptyTopicName => f.write_str("empty topic names"),
            Self::PasswordWithoutUserName => f.write_str("passwords without a user name"),
            Self::SessionPresent => f.write_str("a Session Present flag"),
            Self::Dup => f.write_str("a DUP flag here"),
        }
    }
}

/// Why a packet cannot be encoded. Nothing has been written then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer has too little room.
    #[error("{needed} bytes to write and room for {available}")]
    BufferTooSmall {
        /// Bytes that would be written.
        needed: usize,
        /// Bytes that the buffer takes.
        available: usize,
    },
    /// The packet would exceed 268,435,455 bytes behind its fixed header. v5 2.1.4
    #[error("a packet of more than 268,435,455 bytes")]
    PacketTooLong,
    /// A string, binary data or a list is longer than its length field can say: 65,535 bytes for
    /// strings and binary data, 268,435,455 for properties.
    #[error("a field longer than its length can say")]
    FieldTooLong,
    /// The version does not have what the packet holds; [`Packet::for_version`] leaves out what
    /// can be left out.
    ///
    /// [`Packet::for_version`]: crate::Packet::for_version
    #[error("MQTT {0} does not have {1}")]
    NotInVersion(Version, Feature),
    /// A CONNECT names another version than it is to be encoded for.
    #[error("a CONNECT of MQTT {connect} encoded for MQTT {version}")]
    VersionMismatch {
        /// Of the CONNECT.
        connect: Version,
        /// To be encoded for.
        version: Version,
    },
    /// A PUBLISH of QoS 1 or 2 has no Packet Identifier. v5 [MQTT-2.2.1-3]
    #[error("no packet identifier at QoS 1 or 2")]
    MissingPacketId,
    /// A PUBLISH of QoS 0 has a Packet Identifier. v5 [MQTT-2.2.1-2]
    #[error("a packet identifier at QoS 0")]
    PacketIdAtQoS0,
    /// No sender may send this combination of Reason Code and properties.
    #[error("a reason code of one sender with properties of the other")]
    NoSender,
    /// The packet breaks a rule that holds for decoding too.
    #[error(transparent)]
    Invalid(#[from] Cause),
}
