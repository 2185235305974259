//! Why a call is refused, why an operation fails, why a connection ends.

use alloc::boxed::Box;

use thiserror::Error;

use crate::error::{DecodeError, EncodeError};
use crate::owned_packet::OwnedPacket;
use crate::packet::Packet;
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::properties::Properties;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::store::RestoreError;

/// Why a call is refused. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The packet breaks a rule, or the version does not have what it holds.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
    /// A property that the client manages by itself, or that only the other end sends.
    #[error("{0}, which is not for the caller to set")]
    PropertyNotForCaller(PropertyId),
    /// The packet is larger than the server accepts. v5 [MQTT-3.2.2-15]
    #[error("a packet of {size} bytes where the server accepts {maximum}")]
    PacketTooLarge {
        /// Of the whole packet, in bytes.
        size: usize,
        /// What the server accepts, in bytes.
        maximum: u32,
    },
    /// The server's Maximum QoS is lower. v5 [MQTT-3.2.2-11]
    #[error("a QoS above the server's maximum, {0}")]
    QoSNotSupported(QoS),
    /// The server does not retain messages. v5 [MQTT-3.2.2-14]
    #[error("a server that does not retain messages")]
    RetainNotSupported,
    /// The server does not support wildcards in filters. v5 3.2.2.3.11
    #[error("a server without wildcard subscriptions")]
    WildcardSubscriptionsNotSupported,
    /// The server does not support Subscription Identifiers. v5 3.2.2.3.12
    #[error("a server without subscription identifiers")]
    SubscriptionIdentifiersNotSupported,
    /// The server does not support Shared Subscriptions. v5 3.2.2.3.13
    #[error("a server without shared subscriptions")]
    SharedSubscriptionsNotSupported,
    /// As many messages or operations are held as the options allow.
    #[error("no room for more that is not acknowledged")]
    QueueFull,
    /// There is no connection, or the server has not accepted it yet.
    #[error("no connection")]
    NotConnected,
    /// There is a connection already.
    #[error("a connection already")]
    AlreadyConnected,
    /// The client is about to end the connection.
    #[error("a connection that is about to end")]
    Disconnecting,
    /// No message with this delivery identifier waits for an acknowledgement.
    #[error("no message to acknowledge")]
    UnknownDelivery,
    /// The packet does not have this Reason Code, or not from a client, or not in this version.
    #[error("the reason code {0}, which does not go there")]
    ReasonCodeNotAllowed(ReasonCode),
    /// The connection was made without an Authentication Method. v5 [MQTT-4.12.0-7]
    #[error("a connection without enhanced authentication")]
    NoAuthenticationMethod,
    /// It is not the client's turn in the authentication exchange.
    #[error("no authentication exchange that waits for the client")]
    NotAuthenticating,
    /// The options have no Response Topic, or the version has no requests.
    #[error("no response topic")]
    NoResponseTopic,
    /// A Session Expiry Interval in a DISCONNECT where the CONNECT had none. v5 3.14.2.2.2
    #[error("a session expiry interval for a session that ends with its connection")]
    SessionEndsWithConnection,
    /// The session belongs to its Client Identifier and version.
    #[error("another client identifier or version for the same session")]
    OtherSession,
}

/// Why an operation came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The server refused it.
    #[error("refused with {reason_code}")]
    Refused {
        /// Why: 0x80 or above.
        reason_code: ReasonCode,
        /// The packet that says so, if it has properties.
        packet: Option<Box<OwnedPacket>>,
    },
    /// The connection shows that it cannot be done, although the call could not know.
    #[error(transparent)]
    Impossible(#[from] CallError),
    /// Its Message Expiry Interval passed before it was sent.
    #[error("expired before it was sent")]
    Expired,
    /// It made room for a newer one.
    #[error("dropped to make room")]
    Dropped,
    /// It was in flight when the session ended: the server may have had it or not.
    #[error("lost with the session")]
    SessionLost,
    /// The connection ended, twice, before there was an answer.
    #[error("no answer before the connection ended")]
    ConnectionLost,
    /// There was no response in the time that the application gave.
    #[error("no response in time")]
    TimedOut,
}

/// A rule that the server broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Violation {
    /// What it sent is no packet.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A packet that is out of place: before CONNACK, or a second CONNACK.
    #[error("{0} out of place")]
    UnexpectedPacket(PacketType),
    /// Session Present although the client asked for a new session. v5 [MQTT-3.2.2-2]
    #[error("Session Present after Clean Start")]
    SessionPresentAfterCleanStart,
    /// Session Present, and the client has no session. v5 [MQTT-3.2.2-4]
    #[error("Session Present for a client without a session")]
    UnknownSession,
    /// A Maximum Packet Size that leaves no room for an acknowledgement: it breaks no rule, and
    /// nothing can be received over such a connection. v5 3.2.2.3.6
    #[error("the maximum packet size {0}, too small for an acknowledgement")]
    UnusableMaximumPacketSize(u32),
    /// The acknowledgement is not the one that comes next for this identifier. v5 4.3.3
    #[error("{packet_type} for the packet identifier {packet_id}, which waits for another packet")]
    WrongAcknowledgement {
        /// What came.
        packet_type: PacketType,
        /// Of the exchange.
        packet_id: PacketId,
    },
    /// A message under an identifier that a message of another QoS has. v5 [MQTT-2.2.1-4],
    /// v3.1.1 [MQTT-2.3.1-4]
    #[error("PUBLISH with the packet identifier {0}, which is in use")]
    PacketIdentifierInUse(PacketId),
    /// A SUBACK or UNSUBACK for no SUBSCRIBE or UNSUBSCRIBE.
    #[error("{packet_type} for the packet identifier {packet_id}, which is not in use")]
    UnknownPacketIdentifier {
        /// What came.
        packet_type: PacketType,
        /// Of no exchange.
        packet_id: PacketId,
    },
    /// A SUBACK or UNSUBACK has not one Reason Code for each filter. v5 3.9.3, v3.1.1 3.9.3
    #[error("{received} reason codes for {expected} topic filters")]
    ReasonCodeCount {
        /// Topic Filters of the request.
        expected: usize,
        /// Reason Codes of the answer.
        received: usize,
    },
    /// A Topic Alias above the client's Topic Alias Maximum. v5 3.3.4
    #[error("the topic alias {0}, which is above the maximum")]
    TopicAliasAboveMaximum(u16),
    /// A Topic Alias that stands for no topic. v5 3.3.4
    #[error("the topic alias {0}, which stands for no topic")]
    UnknownTopicAlias(u16),
    /// More unacknowledged messages than the client's Receive Maximum. v5 3.3.4
    #[error("more messages than the receive maximum")]
    ReceiveMaximumExceeded,
    /// An AUTH or CONNACK with another Authentication Method, or none. v5 [MQTT-4.12.0-5]
    #[error("another authentication method")]
    AuthenticationMethod,
    /// An AUTH at a time when the server has nothing to say with it. v5 4.12
    #[error("AUTH with {0}, which does not come next")]
    UnexpectedAuth(ReasonCode),
    /// A Reason String or User Property, which the client asked not to be sent. v5 3.1.2.11.7
    #[error("problem information that was not asked for, in {0}")]
    UnwantedProblemInformation(PacketType),
}

impl Violation {
    /// What a client of 5.0 tells the server before it closes the connection.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::Malformed(error) => error.reason_code(),
            Self::TopicAliasAboveMaximum(_) => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::ReceiveMaximumExceeded => ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
            Self::UnusableMaximumPacketSize(_) => ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
            Self::UnexpectedPacket(_)
            | Self::SessionPresentAfterCleanStart
            | Self::UnknownSession
            | Self::WrongAcknowledgement { .. }
            | Self::UnknownPacketIdentifier { .. }
            | Self::PacketIdentifierInUse(_)
            | Self::ReasonCodeCount { .. }
            | Self::UnknownTopicAlias(_)
            | Self::AuthenticationMethod
            | Self::UnexpectedAuth(_)
            | Self::UnwantedProblemInformation(_) => ReasonCode::PROTOCOL_ERROR,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DisconnectCause {
    /// The application asked for it.
    #[error("the application disconnected")]
    Requested,
    /// The server refused the connection: its CONNACK.
    #[error("refused with {reason_code}")]
    Refused {
        /// Why: 0x80 or above.
        reason_code: ReasonCode,
        /// The CONNACK, with Server Reference and Reason String.
        packet: Box<OwnedPacket>,
    },
    /// The server ended the connection: its DISCONNECT.
    #[error("disconnected by the server with {reason_code}")]
    ByServer {
        /// Why.
        reason_code: ReasonCode,
        /// The DISCONNECT, with Server Reference and Reason String.
        packet: Box<OwnedPacket>,
    },
    /// The server broke a rule.
    #[error("the server sent {0}")]
    Violation(#[from] Violation),
    /// The server did not accept or refuse the connection in time.
    #[error("no CONNACK in time")]
    ConnectTimeout,
    /// The server did not answer PINGREQ in time, or the transport did not even take it.
    /// v5 3.1.2.10
    #[error("no PINGRESP in time")]
    PingTimeout,
    /// The server did not answer SUBSCRIBE, UNSUBSCRIBE or AUTH in time.
    #[error("no answer in time")]
    ResponseTimeout,
    /// The transport was closed, by whomever.
    #[error("the transport was closed")]
    TransportClosed,
}

impl DisconnectCause {
    /// The server to use instead, if this one names another. v5 4.11
    pub fn server_reference(&self) -> Option<&str> {
        self.properties().server_reference()
    }

    /// What the server says in words, for diagnostics. v5 3.2.2.3.9, 3.14.2.2.3
    pub fn reason_string(&self) -> Option<&str> {
        self.properties().reason_string()
    }

    /// The Reason Code that the connection ended with: the server's, or the client's for what the
    /// server did wrong.
    pub fn reason_code(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused { reason_code, .. } | Self::ByServer { reason_code, .. } => {
                Some(*reason_code)
            }
            Self::Violation(violation) => Some(violation.reason_code()),
            Self::Requested
            | Self::ConnectTimeout
            | Self::PingTimeout
            | Self::ResponseTimeout
            | Self::TransportClosed => None,
        }
    }

    fn properties(&self) -> Properties<'_> {
        let (Self::Refused { packet, .. } | Self::ByServer { packet, .. }) = self else {
            return Properties::NONE;
        };
        match packet.packet() {
            Packet::ConnAck(conn_ack) => conn_ack.properties,
            Packet::Disconnect(disconnect) => disconnect.properties,
            _ => Properties::NONE,
        }
    }
}

/// Why a client cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreFailure {
    /// A record cannot be read, contradicts another, or is missing.
    #[error(transparent)]
    Record(#[from] RestoreError),
    /// The options make no CONNECT.
    #[error(transparent)]
    Options(#[from] EncodeError),
    /// The records are those of a client with another Client Identifier, or of another version.
    #[error("the records are of another Client Identifier or version")]
    OtherSession,
}
