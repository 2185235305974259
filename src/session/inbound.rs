//! Receiving at QoS 1 and 2: what was received before, and acknowledgements in the order of
//! receipt. MQTT 5.0 §4.3, §4.6, §4.9.

use alloc::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::reason::ReasonCode;

/// A message that was offered to the application and not acknowledged to the other end yet.
#[derive(Debug)]
struct Pending {
    /// Under which the other end waits; `None` if that session is gone.
    packet_id: Option<PacketId>,
    qos: QoS,
    answer: Option<Verdict>,
}

/// What the application says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reason_code: ReasonCode,
    /// Properties of the acknowledgement, without their length.
    pub(crate) properties: Bytes,
}

/// A message that can be acknowledged now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) delivery_id: u64,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) qos: QoS,
    pub(crate) verdict: Verdict,
    /// Whether the acknowledgement makes room for another message.
    pub(crate) makes_room: bool,
}

/// What an identifier is in use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The application has not acknowledged the message.
    Offered(u64),
    /// PUBREC was sent, or is about to be.
    AwaitPubRel,
}

#[derive(Debug, Clone, Copy)]
struct Exchange {
    stage: Stage,
    /// Whether the other end began, or repeated, it on this connection: it counts then.
    counts: bool,
}

/// What a PUBLISH at QoS 1 or 2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A message that was not there before.
    New,
    /// The same, under an identifier that waits for PUBREL: the other end has another session than
    /// the one that it was of.
    Replaces,
    /// One that the application has, or has not been offered yet.
    Offered,
    /// One whose PUBREC has to be sent again. v5 [MQTT-4.3.3-10]
    Acknowledged,
    /// One more than the other end may send. v5 3.3.4
    TooMany,
    /// One under the identifier of a message of another QoS that this connection brought.
    /// v5 [MQTT-2.2.1-4]
    InUse,
}

/// The messages of one direction of a session that are not fully acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// By their delivery identifiers.
    pending: BTreeMap<u64, Pending>,
    /// Those that this connection brought, in the order of receipt. What an earlier one brought is
    /// acknowledged when the other end has sent it again: v5 [MQTT-4.4.0-1]
    order: VecDeque<u64>,
    /// How many wait for the application.
    undecided: usize,
    exchanges: BTreeMap<PacketId, Exchange>,
    /// How many of this connection have no acknowledgement that was pulled.
    counted: usize,
    receive_maximum: usize,
}

impl Inbound {
    pub(crate) fn set_receive_maximum(&mut self, receive_maximum: u16) {
        self.receive_maximum = usize::from(receive_maximum);
    }

    /// How many the application has not acknowledged.
    pub(crate) const fn undecided(&self) -> usize {
        self.undecided
    }

    /// Whether a PUBLISH with this identifier is one more message.
    pub(crate) fn is_new(&self, packet_id: PacketId, qos: QoS, dup: bool) -> bool {
        match self.exchanges.get(&packet_id) {
            None => true,
            Some(exchange) => self.is_reused(*exchange, qos, dup),
        }
    }

    /// Whether the other end is done with a message of an earlier connection, since it uses the
    /// identifier for another one: at QoS 1 it may be, as it cannot at QoS 2, unless it has lost
    /// the session in between.
    fn is_reused(&self, exchange: Exchange, qos: QoS, dup: bool) -> bool {
        let old = self.qos(exchange);
        !exchange.counts && (old != Some(qos) || !dup && old == Some(QoS::AtLeastOnce))
    }

    /// What a PUBLISH with this identifier is; `counts` if there is a Receive Maximum.
    ///
    /// Of a message of an earlier connection it is the repetition; but at QoS 1 only with DUP.
    pub(crate) fn arrive(
        &mut self,
        packet_id: PacketId,
        qos: QoS,
        dup: bool,
        counts: bool,
    ) -> Arrival {
        let full = counts && self.counted >= self.receive_maximum;
        let Some(exchange) = self.exchanges.get(&packet_id).copied() else {
            return if full { Arrival::TooMany } else { Arrival::New };
        };
        if !exchange.counts && full {
            // Begun on an earlier connection: sent again it counts again.
            return Arrival::TooMany;
        }
        if self.is_reused(exchange, qos, dup) {
            self.exchanges.remove(&packet_id);
            let Stage::Offered(delivery_id) = exchange.stage else { return Arrival::Replaces };
            self.orphan(delivery_id);
            return Arrival::New;
        }
        if self.qos(exchange) != Some(qos) {
            return Arrival::InUse;
        }
        let Some(exchange) = self.exchanges.get_mut(&packet_id) else { return Arrival::New };
        if !exchange.counts {
            if let Stage::Offered(delivery_id) = exchange.stage {
                self.order.push_back(delivery_id);
            }
            exchange.counts = true;
            self.counted = self.counted.saturating_add(1);
        }
        match exchange.stage {
            Stage::AwaitPubRel => Arrival::Acknowledged,
            Stage::Offered(_) => Arrival::Offered,
        }
    }

    /// The QoS of the message that an exchange is of.
    fn qos(&self, exchange: Exchange) -> Option<QoS> {
        match exchange.stage {
            Stage::Offered(delivery_id) => Some(self.pending.get(&delivery_id)?.qos),
            Stage::AwaitPubRel => Some(QoS::ExactlyOnce),
        }
    }

    /// Whether a PUBREL with this identifier is for a message that this connection brought, and
    /// whose PUBREC was not sent.
    pub(crate) fn is_premature(&self, packet_id: PacketId) -> bool {
        let exchange = self.exchanges.get(&packet_id);
        exchange.is_some_and(|one| one.counts && one.stage != Stage::AwaitPubRel)
    }

    /// The other end no longer waits for a message, whose identifier it uses for another one.
    fn orphan(&mut self, delivery_id: u64) {
        let Some(pending) = self.pending.get_mut(&delivery_id) else { return };
        pending.packet_id = None;
        if pending.answer.is_some() {
            self.order.push_back(delivery_id);
        }
    }

    /// Takes in a new message.
    pub(crate) fn offer(&mut self, delivery_id: u64, packet_id: PacketId, qos: QoS) {
        let stage = Stage::Offered(delivery_id);
        self.exchanges.insert(packet_id, Exchange { stage, counts: true });
        self.counted = self.counted.saturating_add(1);
        self.order.push_back(delivery_id);
        self.undecided = self.undecided.saturating_add(1);
        let packet_id = Some(packet_id);
        self.pending.insert(delivery_id, Pending { packet_id, qos, answer: None });
    }

    /// The QoS of a message that waits for the application.
    pub(crate) fn waiting(&self, delivery_id: u64) -> Option<QoS> {
        let pending = self.pending.get(&delivery_id)?;
        pending.answer.is_none().then_some(pending.qos)
    }

    /// The application is done with a message, for which it [waits](Self::waiting).
    pub(crate) fn decide(&mut self, delivery_id: u64, verdict: Verdict) {
        let Some(pending) = self.pending.get_mut(&delivery_id) else { return };
        if pending.answer.replace(verdict).is_none() {
            self.undecided = self.undecided.saturating_sub(1);
            if pending.packet_id.is_none() {
                // There is nobody to tell, and so no order.
                self.order.push_back(delivery_id);
            }
        }
    }

    /// A message that the application is done with and the other end has not been told of: under
    /// which identifier that waits, if it does, and what it will be told.
    pub(crate) fn decided(&self, id: u64) -> Option<(Option<PacketId>, QoS, ReasonCode)> {
        let pending = self.pending.get(&id)?;
        let answer = pending.answer.as_ref()?;
        Some((pending.packet_id, pending.qos, answer.reason_code))
    }

    /// The oldest message, if the application is done with it: acknowledgements go out in the
    /// order of receipt. v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    pub(crate) fn next_acknowledged(&mut self) -> Option<Acknowledged> {
        let delivery_id = *self.order.front()?;
        let verdict = self.pending.get_mut(&delivery_id)?.answer.take()?;
        self.order.pop_front();
        let Pending { packet_id, qos, .. } = self.pending.remove(&delivery_id)?;
        let mut makes_room = false;
        if let Some(packet_id) = packet_id {
            let keeps = qos == QoS::ExactlyOnce && !verdict.reason_code.is_error();
            match self.exchanges.get_mut(&packet_id) {
                Some(exchange) if keeps => exchange.stage = Stage::AwaitPubRel,
                _ => makes_room = self.exchanges.remove(&packet_id).is_some_and(|e| e.counts),
            }
        }
        Some(Acknowledged { delivery_id, packet_id, qos, verdict, makes_room })
    }

    /// A PUBREL: whether PUBREC was sent for the identifier, and whether the PUBCOMP makes room;
    /// `None` if it is not known.
    pub(crate) fn release(&mut self, packet_id: PacketId) -> Option<bool> {
        match self.exchanges.get(&packet_id)?.stage {
            Stage::AwaitPubRel => self.exchanges.remove(&packet_id).map(|exchange| exchange.counts),
            Stage::Offered(_) => None,
        }
    }

    /// An acknowledgement that makes room was pulled.
    #[inline]
    pub(crate) fn make_room(&mut self) {
        self.counted = self.counted.saturating_sub(1);
    }

    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) {
        self.counted = 0;
        self.exchanges.values_mut().for_each(|exchange| exchange.counts = false);
        let is_orphan = |id: &u64| self.pending.get(id).is_some_and(|one| one.packet_id.is_none());
        self.order.retain(is_orphan);
    }

    /// The session is gone: what the application still has is acknowledged to nobody. Says which
    /// identifiers waited for PUBREL.
    pub(crate) fn session_lost(&mut self) -> impl Iterator<Item = PacketId> + use<> {
        self.order.clear();
        for (delivery_id, pending) in &mut self.pending {
            pending.packet_id = None;
            if pending.answer.is_some() {
                self.order.push_back(*delivery_id);
            }
        }
        let exchanges = core::mem::take(&mut self.exchanges);
        exchanges
            .into_iter()
            .filter_map(|(id, exchange)| (exchange.stage == Stage::AwaitPubRel).then_some(id))
    }

    /// Takes in a message that was stored, with what the application said of it. `false` if its
    /// identifier is in use.
    pub(crate) fn restore(
        &mut self,
        delivery_id: u64,
        packet_id: Option<PacketId>,
        qos: QoS,
        answer: Option<Verdict>,
    ) -> bool {
        if let Some(packet_id) = packet_id {
            let exchange = Exchange { stage: Stage::Offered(delivery_id), counts: false };
            if self.exchanges.contains_key(&packet_id) {
                return false;
            }
            self.exchanges.insert(packet_id, exchange);
        }
        if answer.is_none() {
            self.undecided = self.undecided.saturating_add(1);
        }
        self.pending.insert(delivery_id, Pending { packet_id, qos, answer });
        true
    }

    /// Takes in an identifier that waits for PUBREL. `false` if it is in use.
    pub(crate) fn restore_released(&mut self, packet_id: PacketId) -> bool {
        let exchange = Exchange { stage: Stage::AwaitPubRel, counts: false };
        self.exchanges.insert(packet_id, exchange).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    fn success() -> Verdict {
        Verdict { reason_code: ReasonCode::SUCCESS, properties: Bytes::new() }
    }

    #[test]
    fn acknowledgements_keep_the_order_of_receipt() {
        // v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
        let mut inbound = Inbound::default();
        for (delivery, packet) in [(1, 5), (2, 4), (3, 6)] {
            inbound.offer(delivery, id(packet), QoS::AtLeastOnce);
        }
        inbound.decide(2, success());
        inbound.decide(3, success());
        assert_eq!(inbound.next_acknowledged(), None);
        inbound.decide(1, success());
        for packet in [5, 4, 6] {
            let next = inbound.next_acknowledged().unwrap();
            assert_eq!((next.packet_id, next.makes_room), (Some(id(packet)), true));
        }
        assert_eq!(inbound.next_acknowledged(), None);
        assert!(inbound.exchanges.is_empty());
    }

    #[test]
    fn a_message_counts_until_its_last_acknowledgement_is_pulled() {
        // v5 [U5-3.3.4-5]
        let mut inbound = Inbound::default();
        inbound.set_receive_maximum(1);
        assert_eq!(inbound.arrive(id(1), QoS::ExactlyOnce, false, true), Arrival::New);
        inbound.offer(1, id(1), QoS::ExactlyOnce);
        assert_eq!(inbound.arrive(id(1), QoS::ExactlyOnce, false, true), Arrival::Offered);
        assert_eq!(inbound.arrive(id(2), QoS::ExactlyOnce, false, true), Arrival::TooMany);
        inbound.decide(1, success());
        assert!(!inbound.next_acknowledged().unwrap().makes_room);
        assert_eq!(inbound.arrive(id(1), QoS::ExactlyOnce, false, true), Arrival::Acknowledged);
        assert_eq!(inbound.release(id(1)), Some(true));
        assert_eq!(inbound.release(id(1)), None);
        assert_eq!(inbound.arrive(id(2), QoS::ExactlyOnce, false, true), Arrival::TooMany);
        inbound.make_room();
        assert_eq!(inbound.arrive(id(2), QoS::ExactlyOnce, false, true), Arrival::New);
    }

    #[test]
    fn what_an_earlier_connection_brought_is_acknowledged_when_it_comes_again() {
        // v5 [MQTT-4.3.2-5] [MQTT-4.6.0-2]
        let mut inbound = Inbound::default();
        inbound.set_receive_maximum(5);
        for value in [1, 2, 3] {
            inbound.offer(value.into(), id(value), QoS::AtLeastOnce);
            inbound.decide(value.into(), success());
        }
        inbound.disconnected();
        assert_eq!(inbound.next_acknowledged(), None);
        inbound.offer(9, id(9), QoS::AtLeastOnce);
        assert_eq!(inbound.arrive(id(2), QoS::AtLeastOnce, true, true), Arrival::Offered);
        assert_eq!(inbound.next_acknowledged(), None, "9 came before");
        inbound.decide(9, success());
        for packet in [9, 2] {
            let next = inbound.next_acknowledged().unwrap();
            assert_eq!((next.packet_id, next.makes_room), (Some(id(packet)), true));
        }
        assert_eq!(
            inbound.arrive(id(3), QoS::AtLeastOnce, false, true),
            Arrival::New,
            "the identifier was free"
        );
        let orphan = inbound.next_acknowledged().unwrap();
        assert_eq!((orphan.delivery_id, orphan.packet_id), (3, None));
        assert_eq!(inbound.next_acknowledged(), None, "1 was not sent again");
        assert_eq!(inbound.session_lost().count(), 0);
        assert_eq!(inbound.next_acknowledged().unwrap().delivery_id, 1);
        assert_eq!(inbound.undecided(), 0);
    }
}
