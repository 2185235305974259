//! A message on its way to one subscriber.

use alloc::boxed::Box;

use crate::broker::grant::Grant;
use crate::broker::messages::{MessageKey, Stored};
use crate::broker::shared::GroupKey;
use crate::qos::QoS;
use crate::session::entry::Sendable;

/// How one subscriber gets a message.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) message: MessageKey,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Whether it is a retained message for a new subscription.
    pub(super) is_replay: bool,
    /// The group that it was chosen from.
    pub(super) group: Option<GroupKey>,
    pub(super) identifiers: Identifiers,
}

/// A session that a message is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) session: u32,
    /// Of the subscriptions, in the order in which they were found.
    pub(super) order: u32,
    /// What it was granted, packed.
    pub(super) grant: u32,
}

impl Delivery {
    /// A message at QoS 0 that goes out as it is.
    pub(super) const fn plain(message: MessageKey) -> Self {
        Self {
            message,
            qos: QoS::AtMostOnce,
            retain: false,
            is_replay: false,
            group: None,
            identifiers: Identifiers::One(0),
        }
    }

    /// Bytes that it holds, those of its message among them.
    #[inline]
    pub(super) fn size(&self, stored: &Stored) -> usize {
        match &self.identifiers {
            Identifiers::One(_) => stored.size(),
            Identifiers::Many(all) => stored.size().saturating_add(size_of_val(&**all)),
        }
    }

    /// A message with this QoS and RETAIN flag for who was granted this.
    #[inline]
    pub(super) fn of(message: MessageKey, qos: QoS, retain: bool, grant: Grant) -> Self {
        Self {
            message,
            qos: qos.min(grant.qos),
            // v5 [MQTT-3.3.1-12] [MQTT-3.3.1-13], v3.1.1 [MQTT-3.3.1-9]
            retain: retain && grant.retain_as_published,
            is_replay: false,
            group: None,
            identifiers: Identifiers::One(grant.subscription_identifier.unwrap_or_default()),
        }
    }

    /// The one copy of a message with this QoS and RETAIN flag that a session gets, whatever it has
    /// subscribed to it by: at the highest QoS, with all identifiers.
    /// v5 [MQTT-3.3.4-2] [MQTT-3.3.4-3], v3.1.1 [MQTT-3.3.5-1]
    pub(super) fn merge(
        message: MessageKey,
        qos: QoS,
        retain: bool,
        grants: impl Iterator<Item = Grant> + Clone,
    ) -> Self {
        let identifiers = grants.clone().map(|one| one.subscription_identifier.unwrap_or_default());
        let identifiers = Identifiers::new(identifiers);
        let highest = grants.clone().map(|grant| grant.qos).max().unwrap_or_default();
        let retain_as_published = grants.clone().any(|grant| grant.retain_as_published);
        let grant = Grant { qos: highest, retain_as_published, ..Grant::default() };
        Self { identifiers, ..Self::of(message, qos, retain, grant) }
    }
}

impl Sendable for Delivery {
    #[inline]
    fn qos(&self) -> QoS {
        self.qos
    }
}

/// A delivery at QoS 0, with its place in the order.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) number: u64,
    pub(super) delivery: Delivery,
}

/// Subscription Identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identifiers {
    /// One, or 0 for none.
    One(u32),
    Many(Box<[u32]>),
}

impl Identifiers {
    /// Those that are not 0, one as often as it was given. v5 3.3.4
    pub(super) fn new(identifiers: impl Iterator<Item = u32> + Clone) -> Self {
        let mut given = identifiers.filter(|identifier| *identifier != 0);
        let all = given.clone();
        match (given.next(), given.next()) {
            (first, None) => Self::One(first.unwrap_or_default()),
            _ => Self::Many(all.collect()),
        }
    }

    pub(super) fn get(&self) -> &[u32] {
        match self {
            Self::One(0) => &[],
            Self::One(one) => core::slice::from_ref(one),
            Self::Many(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_come_in_their_order_and_as_often_as_given() {
        // v5 [MQTT-3.3.4-4] [MQTT-3.3.4-5]
        let rows: [(&[u32], &[u32]); 5] = [
            (&[], &[]),
            (&[0, 0], &[]),
            (&[0, 7], &[7]),
            (&[7, 7], &[7, 7]),
            (&[7, 5, 0, 7], &[7, 5, 7]),
        ];
        for (given, expected) in rows {
            assert_eq!(Identifiers::new(given.iter().copied()).get(), expected);
        }
    }
}
