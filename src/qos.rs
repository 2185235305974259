//! Quality of Service levels, MQTT 5.0 §4.3.

use core::fmt;

use thiserror::Error;

/// How often a message may arrive: the Quality of Service. §4.3
///
/// Ordered: the lower of two is `min`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: once or not at all; not acknowledged.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: once or more; acknowledged with PUBACK.
    AtLeastOnce = 1,
    /// QoS 2: exactly once; acknowledged with PUBREC, PUBREL and PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level with this number, or `None` above 2.
    #[inline]
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number of the level, 0 to 2.
    #[inline]
    pub const fn get(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

impl From<QoS> for u8 {
    fn from(qos: QoS) -> Self {
        qos.get()
    }
}

impl TryFrom<u8> for QoS {
    type Error = InvalidQoS;

    fn try_from(level: u8) -> Result<Self, InvalidQoS> {
        Self::new(level).ok_or(InvalidQoS(level))
    }
}

/// A number above 2, which is no Quality of Service level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("QoS {0}, where 2 is the highest")]
pub struct InvalidQoS(pub u8);

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_levels_0_to_2_and_no_other() {
        for level in 0..=2 {
            assert_eq!(QoS::new(level).map(QoS::get), Some(level));
            assert_eq!(QoS::try_from(level).map(u8::from), Ok(level));
        }
        for level in 3..=255 {
            assert_eq!(QoS::new(level), None);
            assert_eq!(QoS::try_from(level), Err(InvalidQoS(level)));
        }
        assert_eq!(InvalidQoS(3).to_string(), "QoS 3, where 2 is the highest");
    }
}
