//! Protocol versions, MQTT 5.0 §3.1.2.1 and §3.1.2.2.

use core::fmt;

/// A version of the protocol, named in every CONNECT by a protocol name and a protocol level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1: `MQIsdp`, level 3.
    V3_1,
    /// MQTT 3.1.1: `MQTT`, level 4.
    V3_1_1,
    /// MQTT 5.0: `MQTT`, level 5.
    V5,
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 3] = [Self::V3_1, Self::V3_1_1, Self::V5];

    /// The protocol name in CONNECT: `MQIsdp` in 3.1, `MQTT` since.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::V3_1 => "MQIsdp",
            Self::V3_1_1 | Self::V5 => "MQTT",
        }
    }

    /// The protocol level (5.0 calls it Protocol Version) in CONNECT: 3, 4 or 5.
    pub const fn protocol_level(self) -> u8 {
        match self {
            Self::V3_1 => 3,
            Self::V3_1_1 => 4,
            Self::V5 => 5,
        }
    }

    /// Whether this is 5.0, whose packets carry properties and reason codes.
    #[inline]
    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_1 => "3.1",
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_and_name_are_those_of_the_standards() {
        let rows = [
            (Version::V3_1, "MQIsdp", 3, "3.1"),
            (Version::V3_1_1, "MQTT", 4, "3.1.1"),
            (Version::V5, "MQTT", 5, "5.0"),
        ];
        for (version, name, level, text) in rows {
            assert_eq!(version.protocol_name(), name);
            assert_eq!(version.protocol_level(), level);
            assert_eq!(version.to_string(), text);
        }
    }
}
