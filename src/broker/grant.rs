//! What a subscription was granted.

use thiserror::Error;

use crate::qos::QoS;
use crate::varint;

/// How a subscriber gets the messages of one subscription: the Subscription Options that stay,
/// and the Subscription Identifier. MQTT 5.0 §3.8.3.1, §3.8.2.1.2
///
/// Retain Handling is not among them: it is over when the subscription is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The highest QoS, as granted in the SUBACK.
    pub qos: QoS,
    /// Whether to leave out what the subscriber itself publishes. v5 [MQTT-3.8.3-3]
    pub no_local: bool,
    /// Whether messages keep the RETAIN flag that they were published with. v5 [MQTT-3.3.1-13]
    pub retain_as_published: bool,
    /// 1 to 268,435,455, or none.
    pub subscription_identifier: Option<u32>,
}

/// Why a subscription is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum InsertError {
    /// The Subscription Identifier is 0, or more than 268,435,455.
    #[error("has no Subscription Identifier of 1 to 268,435,455")]
    SubscriptionIdentifier,
    /// There are two thousand million filters, or levels of them.
    #[error("does not fit beside two thousand million others")]
    Full,
}

const IDENTIFIER: u32 = varint::MAX;
const NO_LOCAL: u32 = 1 << 28;
const RETAIN_AS_PUBLISHED: u32 = 1 << 29;
const QOS_SHIFT: u32 = 30;
const QOS: u32 = 0b11 << QOS_SHIFT;

impl Grant {
    /// All of it in 32 bits.
    pub(super) fn pack(self) -> Result<u32, InsertError> {
        let identifier = match self.subscription_identifier {
            None => 0,
            Some(identifier @ 1..=IDENTIFIER) => identifier,
            Some(_) => return Err(InsertError::SubscriptionIdentifier),
        };
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        Ok(identifier | no_local | as_published | u32::from(self.qos.get()) << QOS_SHIFT)
    }

    /// The bits of a packed grant by which a message with this QoS and RETAIN flag becomes another
    /// one for its subscriber than the same at QoS 0 without that flag.
    pub(super) const fn marks(qos: QoS, retain: bool) -> u32 {
        let by_qos = match qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce | QoS::ExactlyOnce => QOS,
        };
        IDENTIFIER | by_qos | if retain { RETAIN_AS_PUBLISHED } else { 0 }
    }

    /// Whether a packed grant leaves out what the subscriber itself publishes.
    #[inline]
    pub(super) const fn has_no_local(packed: u32) -> bool {
        packed & NO_LOCAL != 0
    }

    #[inline]
    pub(super) const fn unpack(packed: u32) -> Self {
        let identifier = packed & IDENTIFIER;
        Self {
            qos: match packed >> QOS_SHIFT {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            no_local: packed & NO_LOCAL != 0,
            retain_as_published: packed & RETAIN_AS_PUBLISHED != 0,
            subscription_identifier: if identifier == 0 { None } else { Some(identifier) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_is_packed_and_unpacked() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for flags in 0..4 {
                for subscription_identifier in [None, Some(1), Some(268_435_455)] {
                    let grant = Grant {
                        qos,
                        no_local: flags & 1 != 0,
                        retain_as_published: flags & 2 != 0,
                        subscription_identifier,
                    };
                    assert_eq!(grant.pack().map(Grant::unpack), Ok(grant));
                }
            }
        }
    }

    #[test]
    fn identifiers_outside_of_their_range_are_refused() {
        for identifier in [0, 268_435_456, u32::MAX] {
            let grant = Grant { subscription_identifier: Some(identifier), ..Grant::default() };
            assert_eq!(grant.pack(), Err(InsertError::SubscriptionIdentifier));
        }
    }
}
