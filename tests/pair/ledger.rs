//! What was published, and who got it.

use std::collections::{BTreeMap, BTreeSet};

use sansio_mqtt::QoS;

/// A message, as its publisher knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) publisher: usize,
    pub(crate) topic: usize,
    pub(crate) qos: QoS,
}

/// Who shall have a message: one client, or one of several.
#[derive(Debug, Clone)]
struct Wanted {
    receivers: Vec<usize>,
    qos: QoS,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) published: BTreeMap<u32, Published>,
    wanted: BTreeMap<u32, Vec<Wanted>>,
    /// The numbers that each client got, in order.
    received: BTreeMap<usize, Vec<(u32, QoS)>>,
    /// Messages at QoS 1 and 2 of which the publisher was told that they are delivered.
    pub(crate) delivered: BTreeSet<u32>,
}

impl Ledger {
    pub(crate) fn publish(&mut self, number: u32, published: Published) {
        self.published.insert(number, published);
    }

    /// One of these has to get the message, at this QoS at most.
    pub(crate) fn want(&mut self, number: u32, receivers: Vec<usize>, granted: QoS) {
        let qos = self.published[&number].qos.min(granted);
        self.wanted.entry(number).or_default().push(Wanted { receivers, qos });
    }

    pub(crate) fn receive(&mut self, receiver: usize, number: u32, qos: QoS) {
        self.received.entry(receiver).or_default().push((number, qos));
    }

    fn count(&self, receivers: &[usize], number: u32) -> usize {
        let lists = receivers.iter().filter_map(|receiver| self.received.get(receiver));
        lists.flatten().filter(|(received, _)| *received == number).count()
    }

    /// Whether what was promised has been kept.
    pub(crate) fn check(&self, lossless: bool) {
        for (number, published) in &self.published {
            let qos = published.qos;
            assert!(qos == QoS::AtMostOnce || self.delivered.contains(number), "{number}: {qos}");
            for wanted in self.wanted.get(number).into_iter().flatten() {
                let count = self.count(&wanted.receivers, *number);
                let fits = match (wanted.qos, qos) {
                    _ if lossless => count == 1,
                    (QoS::ExactlyOnce, _) => count == 1,
                    (QoS::AtLeastOnce, _) => count >= 1,
                    // What was doubled on its way to the broker is doubled.
                    (QoS::AtMostOnce, QoS::AtLeastOnce) => true,
                    (QoS::AtMostOnce, _) => count <= 1,
                };
                assert!(fits, "{number} came {count} times: {published:?}, {wanted:?}");
            }
        }
        for (receiver, list) in &self.received {
            for (number, _) in list {
                let wanted = self.wanted.get(number).into_iter().flatten();
                let is_wanted = wanted.into_iter().any(|one| one.receivers.contains(receiver));
                assert!(is_wanted, "{number} came to {receiver}");
            }
        }
    }

    /// Whether what came first came in order: of one publisher, topic and QoS. v5 [MQTT-4.6.0-5]
    pub(crate) fn check_order(&self) {
        for (receiver, list) in &self.received {
            let mut seen = BTreeSet::new();
            let mut last = BTreeMap::new();
            for (number, qos) in list {
                if !seen.insert(*number) {
                    continue;
                }
                let Published { publisher, topic, qos: from } = self.published[number];
                let last = last.entry((publisher, topic, from, *qos)).or_insert(0);
                assert!(*last < *number, "{receiver} got {number} behind {last}");
                *last = *number;
            }
        }
    }
}
