//! Why a call is refused, and why a connection ends.

use thiserror::Error;

use crate::error::{DecodeError, EncodeError};
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::reason::ReasonCode;

/// Why a call is refused. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The packet breaks a rule, or the version does not have what it holds.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
    /// A property that the broker manages by itself, or that does not go there.
    #[error("{0}, which is not for the caller to set")]
    PropertyNotForCaller(PropertyId),
    /// The packet is larger than the client accepts. v5 [MQTT-3.1.2-24]
    #[error("a packet of {size} bytes where the client accepts {maximum}")]
    PacketTooLarge {
        /// Of the whole packet, in bytes.
        size: usize,
        /// What the client accepts, in bytes.
        maximum: u32,
    },
    /// A message to be retained, where none are.
    #[error("a message to be retained, where none are")]
    RetainNotSupported,
    /// A Reason Code that the packet does not have, or that does not say what the call says.
    #[error("the reason code {0}, which does not go there")]
    ReasonCodeNotAllowed(ReasonCode),
    /// There are as many connections as there may be.
    #[error("no room for another connection")]
    TooManyConnections,
    /// The broker is shutting down.
    #[error("a broker that is shutting down")]
    ShuttingDown,
    /// There is no such connection, or not any more.
    #[error("no such connection")]
    UnknownConnection,
    /// The connection does not wait for this answer.
    #[error("a connection that does not wait for this")]
    NotAwaited,
    /// The connection was made without an Authentication Method. v5 [MQTT-4.12.0-7]
    #[error("a connection without enhanced authentication")]
    NoAuthenticationMethod,
    /// There is no session of this client.
    #[error("no such session")]
    UnknownSession,
}

/// A rule that a client broke, or something that it wants and cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Violation {
    /// What it sent is no packet.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A packet that is out of place: a second CONNECT, or anything but AUTH during the first
    /// authentication. v5 [MQTT-3.1.0-2], v3.1.1 [MQTT-3.1.0-2]
    #[error("{0} out of place")]
    UnexpectedPacket(PacketType),
    /// The acknowledgement is not the one that comes next for this identifier. v5 4.3.3
    #[error("{packet_type} for the packet identifier {packet_id}, which waits for another packet")]
    WrongAcknowledgement {
        /// What came.
        packet_type: PacketType,
        /// Of the exchange.
        packet_id: PacketId,
    },
    /// More unacknowledged messages than the broker's Receive Maximum. v5 [MQTT-3.3.4-9]
    #[error("more messages than the receive maximum")]
    ReceiveMaximumExceeded,
    /// A Topic Alias above the broker's Topic Alias Maximum. v5 [MQTT-3.3.2-9]
    #[error("the topic alias {0}, which is above the maximum")]
    TopicAliasAboveMaximum(u16),
    /// A Topic Alias that stands for no topic. v5 3.3.4
    #[error("the topic alias {0}, which stands for no topic")]
    UnknownTopicAlias(u16),
    /// A message, or a Will, at a QoS above the broker's Maximum QoS. v5 [MQTT-3.2.2-12]
    #[error("a QoS above the maximum, {0}")]
    QoSNotSupported(QoS),
    /// A message, or a Will, to be retained, where none are. v5 [MQTT-3.2.2-13]
    #[error("a message to be retained, where none are")]
    RetainNotSupported,
    /// A subscription with wildcards, where there are none. v5 3.2.2.3.11
    #[error("a wildcard subscription, where there are none")]
    WildcardSubscriptionsNotSupported,
    /// A subscription with an identifier, where there are none. v5 3.2.2.3.12
    #[error("a subscription identifier, where there are none")]
    SubscriptionIdentifiersNotSupported,
    /// A Shared Subscription, where there are none. v5 3.2.2.3.13
    #[error("a shared subscription, where there are none")]
    SharedSubscriptionsNotSupported,
    /// An AUTH with another Authentication Method, or none. v5 [MQTT-4.12.0-5] [MQTT-4.12.1-1]
    #[error("another authentication method")]
    AuthenticationMethod,
    /// An AUTH at a time when the client has nothing to say with it. v5 4.12
    #[error("AUTH with {0}, which does not come next")]
    UnexpectedAuth(ReasonCode),
    /// A Session Expiry Interval in a DISCONNECT where the CONNECT had none. v5 [MQTT-3.1.2-23]
    #[error("a session expiry interval for a session that ends with its connection")]
    SessionEndsWithConnection,
}

impl Violation {
    /// What a client of 5.0 is told.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::Malformed(error) => error.reason_code(),
            Self::ReceiveMaximumExceeded => ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
            Self::TopicAliasAboveMaximum(_) => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::QoSNotSupported(_) => ReasonCode::QOS_NOT_SUPPORTED,
            Self::RetainNotSupported => ReasonCode::RETAIN_NOT_SUPPORTED,
            Self::WildcardSubscriptionsNotSupported => {
                ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED
            }
            Self::SubscriptionIdentifiersNotSupported => {
                ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
            }
            Self::SharedSubscriptionsNotSupported => ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
            Self::UnexpectedPacket(_)
            | Self::WrongAcknowledgement { .. }
            | Self::UnknownTopicAlias(_)
            | Self::AuthenticationMethod
            | Self::UnexpectedAuth(_)
            | Self::SessionEndsWithConnection => ReasonCode::PROTOCOL_ERROR,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum DisconnectCause {
    /// The client said so. In 3.x it has no code to say.
    #[error("disconnected by the client with {0}")]
    ByClient(ReasonCode),
    /// The application said so.
    #[error("disconnected by the application with {0}")]
    ByApplication(ReasonCode),
    /// The broker, or the application, did not accept the connection.
    #[error("refused with {0}")]
    Refused(ReasonCode),
    /// The client broke a rule.
    #[error("the client sent {0}")]
    Violation(#[from] Violation),
    /// The client has another connection now. v5 [MQTT-3.1.4-3], v3.1.1 [MQTT-3.1.4-2]
    #[error("taken over by another connection")]
    TakenOver,
    /// Nothing came for one and a half times the Keep Alive. v5 [MQTT-3.1.2-22],
    /// v3.1.1 [MQTT-3.1.2-24]
    #[error("nothing received for one and a half times the keep alive")]
    KeepAliveTimeout,
    /// There was no CONNECT, or no answer to it, in time.
    #[error("not connected in time")]
    ConnectTimeout,
    /// More was to be sent than [may wait](crate::broker::Overflow::Disconnect).
    #[error("more to be sent than may wait")]
    QueueFull,
    /// The client accepts no packet as large as the answer that it wants. v5 [MQTT-3.1.2-24]
    #[error("{0} larger than the client accepts")]
    AnswerTooLarge(PacketType),
    /// The session was ended by the application.
    #[error("its session was ended by the application")]
    SessionEnded,
    /// The broker shuts down.
    #[error("the broker shuts down")]
    ShutDown,
    /// The transport was closed, by whomever.
    #[error("the transport was closed")]
    TransportClosed,
}
