//! What one client has sent at QoS 1 and 2: which identifiers wait for PUBREL, and how many
//! messages it may still send. MQTT 5.0 §4.3, §4.9.

use alloc::collections::BTreeSet;

use crate::packet_id::PacketId;

/// The identifiers of messages at QoS 2 that were passed on and wait for PUBREL: of a session.
#[derive(Debug, Default)]
pub(super) struct Unreleased(BTreeSet<PacketId>);

impl Unreleased {
    pub(super) fn contains(&self, packet_id: PacketId) -> bool {
        self.0.contains(&packet_id)
    }

    pub(super) fn insert(&mut self, packet_id: PacketId) {
        self.0.insert(packet_id);
    }

    /// Whether the identifier did wait.
    pub(super) fn release(&mut self, packet_id: PacketId) -> bool {
        self.0.remove(&packet_id)
    }
}

/// Which messages of one connection are unacknowledged: those for which PUBACK, PUBCOMP, or a
/// PUBREC with an error was not pulled. v5 3.3.4
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// Of the exchanges at QoS 2.
    unreleased: BTreeSet<PacketId>,
    /// Acknowledgements that make room once they are pulled.
    waiting: usize,
}

impl Quota {
    pub(super) fn used(&self) -> usize {
        self.unreleased.len().saturating_add(self.waiting)
    }

    /// Whether an exchange at QoS 2 counts already.
    pub(super) fn counts(&self, packet_id: PacketId) -> bool {
        self.unreleased.contains(&packet_id)
    }

    /// An exchange at QoS 2 has begun on this connection, or goes on.
    pub(super) fn begin(&mut self, packet_id: PacketId) {
        self.unreleased.insert(packet_id);
    }

    /// The last acknowledgement of an exchange waits to be pulled; says whether it makes room.
    pub(super) fn end(&mut self, packet_id: PacketId) -> bool {
        let counted = self.unreleased.remove(&packet_id);
        if counted {
            self.wait();
        }
        counted
    }

    /// The acknowledgement of a message waits to be pulled.
    pub(super) fn wait(&mut self) {
        self.waiting = self.waiting.saturating_add(1);
    }

    /// One was pulled.
    pub(super) fn pulled(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_at_qos_2_counts_until_its_pubcomp_is_pulled() {
        // v5 [MQTT-4.9.0-1]
        let (mut quota, id) = (Quota::default(), PacketId::MIN);
        quota.begin(id);
        quota.begin(id);
        assert_eq!((quota.used(), quota.counts(id)), (1, true));
        assert!(quota.end(id));
        assert_eq!((quota.used(), quota.counts(id)), (1, false));
        quota.pulled();
        assert_eq!(quota.used(), 0);
        // One of an earlier connection.
        assert!(!quota.end(id));
        assert_eq!(quota.used(), 0);
    }
}
