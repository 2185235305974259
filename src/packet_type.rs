//! Control Packet types, MQTT 5.0 §2.1.2, and which end of a connection sends them.

use core::fmt;

use crate::version::Version;

/// The end of a connection that sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Sender {
    /// The end that opened the connection.
    Client = 0,
    /// The end that accepted it.
    Server = 1,
}

impl Sender {
    /// The other end.
    #[inline]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// The type of a Control Packet, with its number on the wire. §2.1.2
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Connection request, from the client.
    Connect = 1,
    /// Connect acknowledgement, from the server.
    ConnAck = 2,
    /// Publish message.
    Publish = 3,
    /// Publish acknowledgement (QoS 1).
    PubAck = 4,
    /// Publish received (QoS 2 delivery part 1).
    PubRec = 5,
    /// Publish release (QoS 2 delivery part 2).
    PubRel = 6,
    /// Publish complete (QoS 2 delivery part 3).
    PubComp = 7,
    /// Subscribe request, from the client.
    Subscribe = 8,
    /// Subscribe acknowledgement, from the server.
    SubAck = 9,
    /// Unsubscribe request, from the client.
    Unsubscribe = 10,
    /// Unsubscribe acknowledgement, from the server.
    UnsubAck = 11,
    /// PING request, from the client.
    PingReq = 12,
    /// PING response, from the server.
    PingResp = 13,
    /// Disconnect notification; from the server in 5.0 only.
    Disconnect = 14,
    /// Authentication exchange, 5.0 only.
    Auth = 15,
}

impl PacketType {
    /// All types, by number.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type with this number, or `None` for 0 and above 15.
    #[inline]
    pub const fn new(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The name as the standard writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Whether this version has the type: AUTH came with 5.0.
    #[inline]
    pub const fn is_in(self, version: Version) -> bool {
        version.is_v5() || !matches!(self, Self::Auth)
    }

    /// Whether this end may send the type in this version. v5 2.1.2
    #[inline]
    pub const fn is_sent_by(self, sender: Sender, version: Version) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => {
                matches!(sender, Sender::Client)
            }
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => {
                matches!(sender, Sender::Server)
            }
            Self::Disconnect => version.is_v5() || matches!(sender, Sender::Client),
            Self::Publish | Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp => true,
            Self::Auth => version.is_v5(),
        }
    }

    /// The only value that the low four bits of the first byte may have, but for PUBLISH.
    ///
    /// v5 [MQTT-2.1.3-1], v3.1.1 [MQTT-2.2.2-1]
    #[inline]
    pub(crate) const fn reserved_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The packets, each by either sender, in which something is allowed; the Will Properties count
/// as a packet of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places(u32);

impl Places {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const EVERYWHERE: Self = Self(u32::MAX);
    pub(crate) const WILL: Self = Self(1);
    pub(crate) const CONNECT: Self = Self::of(PacketType::Connect, Sender::Client);
    pub(crate) const CONNACK: Self = Self::of(PacketType::ConnAck, Sender::Server);
    pub(crate) const PUBLISH: Self = Self::both(PacketType::Publish);
    pub(crate) const PUBLISH_BY_SERVER: Self = Self::of(PacketType::Publish, Sender::Server);
    pub(crate) const PUBACK: Self = Self::both(PacketType::PubAck);
    pub(crate) const PUBREC: Self = Self::both(PacketType::PubRec);
    pub(crate) const PUBACK_BY_SERVER: Self = Self::of(PacketType::PubAck, Sender::Server);
    pub(crate) const PUBREC_BY_SERVER: Self = Self::of(PacketType::PubRec, Sender::Server);
    pub(crate) const PUBREL: Self = Self::both(PacketType::PubRel);
    pub(crate) const PUBCOMP: Self = Self::both(PacketType::PubComp);
    pub(crate) const SUBSCRIBE: Self = Self::of(PacketType::Subscribe, Sender::Client);
    pub(crate) const SUBACK: Self = Self::of(PacketType::SubAck, Sender::Server);
    pub(crate) const UNSUBSCRIBE: Self = Self::of(PacketType::Unsubscribe, Sender::Client);
    pub(crate) const UNSUBACK: Self = Self::of(PacketType::UnsubAck, Sender::Server);
    pub(crate) const DISCONNECT: Self = Self::both(PacketType::Disconnect);
    pub(crate) const DISCONNECT_BY_CLIENT: Self = Self::of(PacketType::Disconnect, Sender::Client);
    pub(crate) const DISCONNECT_BY_SERVER: Self = Self::of(PacketType::Disconnect, Sender::Server);
    pub(crate) const AUTH: Self = Self::both(PacketType::Auth);
    pub(crate) const AUTH_BY_CLIENT: Self = Self::of(PacketType::Auth, Sender::Client);
    pub(crate) const AUTH_BY_SERVER: Self = Self::of(PacketType::Auth, Sender::Server);

    /// Packets of this type from this sender.
    #[inline]
    pub(crate) const fn of(packet_type: PacketType, sender: Sender) -> Self {
        Self(1 << ((packet_type as u8) << 1 | sender as u8))
    }

    /// Packets of this type from either sender.
    #[inline]
    pub(crate) const fn both(packet_type: PacketType) -> Self {
        Self(0b11 << ((packet_type as u8) << 1))
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[inline]
    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The same packets, from either sender.
    pub(crate) const fn by_either(self) -> Self {
        Self(self.0 | (self.0 & 0x5555_5555) << 1 | (self.0 & 0xaaaa_aaaa) >> 1)
    }
}

/// The name of one of the [`Places`] in the documentation.
macro_rules! place_name {
    (WILL) => {
        "Will Properties"
    };
    (PUBLISH_BY_SERVER) => {
        "PUBLISH from the server"
    };
    (PUBACK_BY_SERVER) => {
        "PUBACK from the server"
    };
    (PUBREC_BY_SERVER) => {
        "PUBREC from the server"
    };
    (DISCONNECT_BY_CLIENT) => {
        "DISCONNECT from the client"
    };
    (DISCONNECT_BY_SERVER) => {
        "DISCONNECT from the server"
    };
    (AUTH_BY_CLIENT) => {
        "AUTH from the client"
    };
    (AUTH_BY_SERVER) => {
        "AUTH from the server"
    };
    ($place:ident) => {
        stringify!($place)
    };
}

pub(crate) use place_name;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_types_map_one_to_one() {
        for (index, packet_type) in PacketType::ALL.into_iter().enumerate() {
            assert_eq!(packet_type as usize, index + 1);
            assert_eq!(PacketType::new(packet_type as u8), Some(packet_type));
        }
        assert_eq!(PacketType::new(0), None);
        assert_eq!(PacketType::new(16), None);
    }

    #[test]
    fn only_5_has_auth_and_a_disconnect_from_the_server() {
        for version in Version::ALL {
            assert_eq!(PacketType::Auth.is_in(version), version.is_v5());
            assert_eq!(PacketType::Disconnect.is_sent_by(Sender::Server, version), version.is_v5());
        }
    }

    #[test]
    fn places_tell_senders_apart() {
        let by_client = Places::DISCONNECT_BY_CLIENT;
        assert!(by_client.and(Places::DISCONNECT_BY_SERVER).is_none());
        assert_eq!(by_client.by_either(), Places::DISCONNECT);
        assert_eq!(Places::DISCONNECT_BY_SERVER.by_either(), Places::DISCONNECT);
        assert!(Places::AUTH.by_either().and(Places::DISCONNECT).is_none());
    }
}
