//! Packet Identifiers, MQTT 5.0 §2.2.1.

use core::fmt;
use core::num::{NonZeroU16, TryFromIntError};

/// Identifies one unacknowledged exchange in one direction of a session.
///
/// Never zero: the type has no such value. v5 [MQTT-2.2.1-3], v3.1.1 [MQTT-2.3.1-1]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The identifier 1.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The identifier 65,535.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// The identifier with this value, or `None` for zero.
    #[inline]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The value on the wire, 1 to 65,535.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl From<NonZeroU16> for PacketId {
    fn from(value: NonZeroU16) -> Self {
        Self(value)
    }
}

impl TryFrom<u16> for PacketId {
    type Error = TryFromIntError;

    fn try_from(value: u16) -> Result<Self, TryFromIntError> {
        NonZeroU16::try_from(value).map(Self)
    }
}

impl From<PacketId> for u16 {
    fn from(id: PacketId) -> Self {
        id.get()
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_zero() {
        assert_eq!(PacketId::new(0), None);
        assert_eq!(PacketId::new(1), Some(PacketId::MIN));
        assert_eq!(PacketId::new(0x8001).map(PacketId::get), Some(0x8001));
        assert_eq!(PacketId::MAX.get(), u16::MAX);
        assert!(PacketId::try_from(0).is_err());
        assert_eq!(PacketId::try_from(1), Ok(PacketId::MIN));
        assert_eq!(PacketId::try_from(u16::MAX), Ok(PacketId::MAX));
    }
}
