//! Reason Codes, MQTT 5.0 §2.4, and the return codes that 3.x has in their place.

use core::fmt;

use crate::packet_type::{PacketType, Places, Sender, place_name};
use crate::version::Version;

/// The result of an operation: below 0x80 a success, from 0x80 a failure.
///
/// Every code of table 2-6 is a constant here, under each of the names that the standard gives
/// it. Which packet may carry which code is the packet's rule: [`ReasonCode::is_allowed_in`].
///
/// ```
/// use sansio_mqtt::{PacketType, ReasonCode, Sender};
///
/// let code = ReasonCode::NO_MATCHING_SUBSCRIBERS;
/// assert_eq!(code.get(), 0x10);
/// assert!(!code.is_error());
/// assert!(code.is_allowed_in(PacketType::PubAck, Sender::Server));
/// assert!(!code.is_allowed_in(PacketType::PubComp, Sender::Server));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(u8);

/// Makes of one row per code: the constant, its name and the packets that allow it.
macro_rules! reason_codes {
    ($($value:literal $constant:ident $name:literal [$($place:ident),+];)+) => {
        impl ReasonCode {
            $(
                #[doc = concat!("`", stringify!($value), "` ", $name, $("; ", place_name!($place)),+)]
                pub const $constant: Self = Self($value);
            )+

            /// Every code that the standard names, ascending.
            pub const ALL: &[Self] = &[$(Self::$constant),+];

            /// The name of table 2-6; `None` for a value that the standard does not assign.
            const fn assigned_name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)+
                    _ => None,
                }
            }

            const fn find_places(value: u8) -> Places {
                match value {
                    $($value => Places::NONE$(.or(Places::$place))+,)+
                    _ => Places::NONE,
                }
            }
        }
    };
}

// Table 2-6, with the senders of tables 3-4, 3-5, 3-10 and 3-11. 0x8C stands in table 2-6 for
// DISCONNECT and not in table 3-10: it is accepted.
reason_codes! {
    0x00 SUCCESS "Success" [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK, AUTH_BY_SERVER, DISCONNECT, SUBACK];
    0x01 GRANTED_QOS_1 "Granted QoS 1" [SUBACK];
    0x02 GRANTED_QOS_2 "Granted QoS 2" [SUBACK];
    0x04 DISCONNECT_WITH_WILL_MESSAGE "Disconnect with Will Message" [DISCONNECT_BY_CLIENT];
    0x10 NO_MATCHING_SUBSCRIBERS "No matching subscribers" [PUBACK_BY_SERVER, PUBREC_BY_SERVER];
    0x11 NO_SUBSCRIPTION_EXISTED "No subscription existed" [UNSUBACK];
    0x18 CONTINUE_AUTHENTICATION "Continue authentication" [AUTH];
    0x19 RE_AUTHENTICATE "Re-authenticate" [AUTH_BY_CLIENT];
    0x80 UNSPECIFIED_ERROR "Unspecified error" [CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT];
    0x81 MALFORMED_PACKET "Malformed Packet" [CONNACK, DISCONNECT];
    0x82 PROTOCOL_ERROR "Protocol Error" [CONNACK, DISCONNECT];
    0x83 IMPLEMENTATION_SPECIFIC_ERROR "Implementation specific error" [CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT];
    0x84 UNSUPPORTED_PROTOCOL_VERSION "Unsupported Protocol Version" [CONNACK];
    0x85 CLIENT_IDENTIFIER_NOT_VALID "Client Identifier not valid" [CONNACK];
    0x86 BAD_USER_NAME_OR_PASSWORD "Bad User Name or Password" [CONNACK];
    0x87 NOT_AUTHORIZED "Not authorized" [CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT_BY_SERVER];
    0x88 SERVER_UNAVAILABLE "Server unavailable" [CONNACK];
    0x89 SERVER_BUSY "Server busy" [CONNACK, DISCONNECT_BY_SERVER];
    0x8A BANNED "Banned" [CONNACK];
    0x8B SERVER_SHUTTING_DOWN "Server shutting down" [DISCONNECT_BY_SERVER];
    0x8C BAD_AUTHENTICATION_METHOD "Bad authentication method" [CONNACK, DISCONNECT];
    0x8D KEEP_ALIVE_TIMEOUT "Keep Alive timeout" [DISCONNECT_BY_SERVER];
    0x8E SESSION_TAKEN_OVER "Session taken over" [DISCONNECT_BY_SERVER];
    0x8F TOPIC_FILTER_INVALID "Topic Filter invalid" [SUBACK, UNSUBACK, DISCONNECT_BY_SERVER];
    0x90 TOPIC_NAME_INVALID "Topic Name invalid" [CONNACK, PUBACK, PUBREC, DISCONNECT];
    0x91 PACKET_IDENTIFIER_IN_USE "Packet Identifier in use" [PUBACK, PUBREC, SUBACK, UNSUBACK];
    0x92 PACKET_IDENTIFIER_NOT_FOUND "Packet Identifier not found" [PUBREL, PUBCOMP];
    0x93 RECEIVE_MAXIMUM_EXCEEDED "Receive Maximum exceeded" [DISCONNECT];
    0x94 TOPIC_ALIAS_INVALID "Topic Alias invalid" [DISCONNECT];
    0x95 PACKET_TOO_LARGE "Packet too large" [CONNACK, DISCONNECT];
    0x96 MESSAGE_RATE_TOO_HIGH "Message rate too high" [DISCONNECT];
    0x97 QUOTA_EXCEEDED "Quota exceeded" [CONNACK, PUBACK, PUBREC, SUBACK, DISCONNECT];
    0x98 ADMINISTRATIVE_ACTION "Administrative action" [DISCONNECT];
    0x99 PAYLOAD_FORMAT_INVALID "Payload format invalid" [CONNACK, PUBACK, PUBREC, DISCONNECT];
    0x9A RETAIN_NOT_SUPPORTED "Retain not supported" [CONNACK, DISCONNECT_BY_SERVER];
    0x9B QOS_NOT_SUPPORTED "QoS not supported" [CONNACK, DISCONNECT_BY_SERVER];
    0x9C USE_ANOTHER_SERVER "Use another server" [CONNACK, DISCONNECT_BY_SERVER];
    0x9D SERVER_MOVED "Server moved" [CONNACK, DISCONNECT_BY_SERVER];
    0x9E SHARED_SUBSCRIPTIONS_NOT_SUPPORTED "Shared Subscriptions not supported" [SUBACK, DISCONNECT_BY_SERVER];
    0x9F CONNECTION_RATE_EXCEEDED "Connection rate exceeded" [CONNACK, DISCONNECT_BY_SERVER];
    0xA0 MAXIMUM_CONNECT_TIME "Maximum connect time" [DISCONNECT_BY_SERVER];
    0xA1 SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED "Subscription Identifiers not supported" [SUBACK, DISCONNECT_BY_SERVER];
    0xA2 WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED "Wildcard Subscriptions not supported" [SUBACK, DISCONNECT_BY_SERVER];
}

/// `find_places` of every value, so that looking one up costs a load.
static PLACES: [Places; 256] = {
    let mut table = [Places::NONE; 256];
    let mut value = 0u8;
    loop {
        // Evaluated by the compiler: an index out of bounds would not build.
        #[allow(clippy::indexing_slicing)]
        {
            table[value as usize] = ReasonCode::find_places(value);
        }
        match value.checked_add(1) {
            Some(next) => value = next,
            None => break table,
        }
    }
};

impl ReasonCode {
    /// `0x00` Normal disconnection, in DISCONNECT.
    pub const NORMAL_DISCONNECTION: Self = Self::SUCCESS;
    /// `0x00` Granted QoS 0, in SUBACK.
    pub const GRANTED_QOS_0: Self = Self::SUCCESS;

    /// The code with this value, whether the standard assigns it or not.
    #[inline]
    pub const fn new(value: u8) -> Self {
        Self(value)
    }

    /// The value on the wire in 5.0.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether the code reports a failure: 0x80 and above.
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// Whether `sender` may send the code in a packet of this type in 5.0.
    pub fn is_allowed_in(self, packet_type: PacketType, sender: Sender) -> bool {
        !self.places().and(Places::of(packet_type, sender)).is_none()
    }

    /// Where the code is allowed in 5.0.
    #[inline]
    pub(crate) fn places(self) -> Places {
        PLACES.get(usize::from(self.0)).copied().unwrap_or(Places::NONE)
    }

    /// The name that the standard gives the code in this type of packet, or in any; `None` for
    /// a value that it does not assign.
    ///
    /// ```
    /// use sansio_mqtt::{PacketType, ReasonCode};
    ///
    /// assert_eq!(ReasonCode::SUCCESS.name(PacketType::PubAck), Some("Success"));
    /// assert_eq!(ReasonCode::SUCCESS.name(PacketType::SubAck), Some("Granted QoS 0"));
    /// assert_eq!(ReasonCode::new(0x03).name(PacketType::SubAck), None);
    /// ```
    pub const fn name(self, packet_type: PacketType) -> Option<&'static str> {
        match (self.0, packet_type) {
            (0, PacketType::Disconnect) => Some("Normal disconnection"),
            (0, PacketType::SubAck) => Some("Granted QoS 0"),
            _ => self.assigned_name(),
        }
    }

    /// The code for a CONNACK return code of 3.1 and 3.1.1, 0 to 5; `None` above, where the
    /// values are reserved. v3.1.1 3.2.2.3
    pub const fn from_return_code(return_code: u8) -> Option<Self> {
        Some(match return_code {
            0 => Self::SUCCESS,
            1 => Self::UNSUPPORTED_PROTOCOL_VERSION,
            2 => Self::CLIENT_IDENTIFIER_NOT_VALID,
            3 => Self::SERVER_UNAVAILABLE,
            4 => Self::BAD_USER_NAME_OR_PASSWORD,
            5 => Self::NOT_AUTHORIZED,
            _ => return None,
        })
    }

    /// The CONNACK return code of 3.1 and 3.1.1 for this code; `None` where those have none.
    /// The inverse of [`from_return_code`](Self::from_return_code).
    pub const fn return_code(self) -> Option<u8> {
        Some(match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_PROTOCOL_VERSION => 1,
            Self::CLIENT_IDENTIFIER_NOT_VALID => 2,
            Self::SERVER_UNAVAILABLE => 3,
            Self::BAD_USER_NAME_OR_PASSWORD => 4,
            Self::NOT_AUTHORIZED => 5,
            _ => return None,
        })
    }

    /// The code of 3.x with the meaning of this one in a CONNACK, or the nearest; `None` where
    /// 3.x closes the connection without a CONNACK.
    pub(crate) const fn for_connack_of_v3(self) -> Option<Self> {
        match self {
            Self::BANNED | Self::BAD_AUTHENTICATION_METHOD => Some(Self::NOT_AUTHORIZED),
            Self::SERVER_BUSY
            | Self::QUOTA_EXCEEDED
            | Self::USE_ANOTHER_SERVER
            | Self::SERVER_MOVED
            | Self::CONNECTION_RATE_EXCEEDED => Some(Self::SERVER_UNAVAILABLE),
            _ => match self.return_code() {
                Some(_) => Some(self),
                None => None,
            },
        }
    }

    /// Whether a SUBACK of `version` may hold the code. v3.1.1 [MQTT-3.9.3-2], v5 [MQTT-3.9.3-2]
    #[inline]
    pub(crate) fn is_in_suback(self, version: Version) -> bool {
        match version {
            Version::V3_1 => self.0 <= 2,
            Version::V3_1_1 => self.0 <= 2 || self.0 == 0x80,
            Version::V5 => !self.places().and(Places::SUBACK).is_none(),
        }
    }
}

impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReasonCode({:#04x})", self.0)
    }
}

/// The value and, if it has one, its name: `0x87 Not authorized`.
impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)?;
        match self.assigned_name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

impl From<u8> for ReasonCode {
    fn from(value: u8) -> Self {
        Self::new(value)
    }
}

impl From<ReasonCode> for u8 {
    fn from(code: ReasonCode) -> Self {
        code.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_codes_of_3_x_map_one_to_one() {
        for return_code in 0..=5 {
            let code = ReasonCode::from_return_code(return_code).unwrap();
            assert_eq!(code.return_code(), Some(return_code));
        }
        let mapped = (0..=255).filter(|value| ReasonCode::new(*value).return_code().is_some());
        assert_eq!(mapped.count(), 6);
        assert_eq!(ReasonCode::from_return_code(6), None);
    }

    #[test]
    fn every_code_names_a_packet_and_no_other_value_does() {
        for value in 0..=255 {
            let code = ReasonCode::new(value);
            let assigned = ReasonCode::ALL.contains(&code);
            assert_eq!(code.assigned_name().is_some(), assigned, "{code}");
            assert_eq!(!code.places().is_none(), assigned, "{code}");
        }
        assert_eq!(ReasonCode::ALL.len(), 43);
    }

    #[test]
    fn a_code_belongs_to_its_sender() {
        let rows = [
            (ReasonCode::DISCONNECT_WITH_WILL_MESSAGE, PacketType::Disconnect, true, false),
            (ReasonCode::SESSION_TAKEN_OVER, PacketType::Disconnect, false, true),
            (ReasonCode::PROTOCOL_ERROR, PacketType::Disconnect, true, true),
            (ReasonCode::SUCCESS, PacketType::Auth, false, true),
            (ReasonCode::RE_AUTHENTICATE, PacketType::Auth, true, false),
        ];
        for (code, packet_type, client, server) in rows {
            assert_eq!(code.is_allowed_in(packet_type, Sender::Client), client, "{code}");
            assert_eq!(code.is_allowed_in(packet_type, Sender::Server), server, "{code}");
        }
    }

    #[test]
    fn the_same_value_has_the_name_of_its_packet() {
        let name = |packet_type| ReasonCode::SUCCESS.name(packet_type).unwrap();
        assert_eq!(name(PacketType::ConnAck), "Success");
        assert_eq!(name(PacketType::Disconnect), "Normal disconnection");
        assert_eq!(name(PacketType::SubAck), "Granted QoS 0");
        assert_eq!(ReasonCode::SESSION_TAKEN_OVER.to_string(), "0x8e Session taken over");
    }
}
