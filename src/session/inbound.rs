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
    delivery_id: u64,
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
    /// PUBACK was sent for a message of an earlier connection, which the other end has sent again
    /// by then, or not.
    AcknowledgedBefore,
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
    /// One that the application has, or has not been offered yet.
    Offered,
    /// One whose PUBREC has to be sent again. v5 [MQTT-4.3.3-10]
    Acknowledged,
    /// One whose PUBACK has to be sent again, since it crossed the other end's repetition.
    AcknowledgedBefore,
    /// One more than the other end may send. v5 3.3.4
    TooMany,
}

/// The messages of one direction of a session that are not fully acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// In the order of receipt.
    pending: VecDeque<Pending>,
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
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What a PUBLISH with this identifier is; `counts` if there is a Receive Maximum.
    pub(crate) fn arrive(&mut self, packet_id: PacketId, dup: bool, counts: bool) -> Arrival {
        let full = counts && self.counted >= self.receive_maximum;
        if let Some(Stage::AcknowledgedBefore) = self.stage(packet_id)
            && !full
        {
            self.exchanges.remove(&packet_id);
            if dup {
                self.counted = self.counted.saturating_add(1);
                return Arrival::AcknowledgedBefore;
            }
        }
        match self.exchanges.get_mut(&packet_id) {
            Some(exchange) if exchange.counts => {}
            // The other end sends it again on another connection, where it counts again.
            Some(_) if full => return Arrival::TooMany,
            Some(exchange) => {
                exchange.counts = true;
                self.counted = self.counted.saturating_add(1);
            }
            None if full => return Arrival::TooMany,
            None => return Arrival::New,
        }
        match self.stage(packet_id) {
            Some(Stage::AwaitPubRel) => Arrival::Acknowledged,
            _ => Arrival::Offered,
        }
    }

    fn stage(&self, packet_id: PacketId) -> Option<Stage> {
        self.exchanges.get(&packet_id).map(|exchange| exchange.stage)
    }

    /// Takes in a new message.
    pub(crate) fn offer(&mut self, delivery_id: u64, packet_id: PacketId, qos: QoS) {
        let stage = Stage::Offered(delivery_id);
        self.exchanges.insert(packet_id, Exchange { stage, counts: true });
        self.counted = self.counted.saturating_add(1);
        let packet_id = Some(packet_id);
        self.pending.push_back(Pending { delivery_id, packet_id, qos, answer: None });
    }

    /// The QoS of a message that waits for the application.
    pub(crate) fn waiting(&self, delivery_id: u64) -> Option<QoS> {
        let pending = self.pending.get(self.position(delivery_id)?)?;
        pending.answer.is_none().then_some(pending.qos)
    }

    fn position(&self, delivery_id: u64) -> Option<usize> {
        self.pending.binary_search_by_key(&delivery_id, |pending| pending.delivery_id).ok()
    }

    /// The application is done with a message, for which it [waits](Self::waiting).
    pub(crate) fn decide(&mut self, delivery_id: u64, verdict: Verdict) {
        if let Some(index) = self.position(delivery_id)
            && let Some(pending) = self.pending.get_mut(index)
        {
            pending.answer = Some(verdict);
        }
    }

    /// The oldest message, if the application is done with it: acknowledgements go out in the
    /// order of receipt. v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    pub(crate) fn next_acknowledged(&mut self) -> Option<Acknowledged> {
        let verdict = self.pending.front_mut()?.answer.take()?;
        let Pending { delivery_id, packet_id, qos, .. } = self.pending.pop_front()?;
        let mut makes_room = false;
        if let Some(packet_id) = packet_id {
            let keeps = qos == QoS::ExactlyOnce && !verdict.reason_code.is_error();
            match self.exchanges.get_mut(&packet_id) {
                Some(exchange) if keeps => exchange.stage = Stage::AwaitPubRel,
                Some(exchange) if !exchange.counts => exchange.stage = Stage::AcknowledgedBefore,
                _ => makes_room = self.exchanges.remove(&packet_id).is_some(),
            }
        }
        Some(Acknowledged { delivery_id, packet_id, qos, verdict, makes_room })
    }

    /// A PUBREL: whether PUBREC was sent for the identifier, and whether the PUBCOMP makes room;
    /// `None` if it is not known.
    pub(crate) fn release(&mut self, packet_id: PacketId) -> Option<bool> {
        match self.exchanges.get(&packet_id)?.stage {
            Stage::AwaitPubRel => self.exchanges.remove(&packet_id).map(|exchange| exchange.counts),
            Stage::Offered(_) | Stage::AcknowledgedBefore => None,
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
        self.exchanges.retain(|_, exchange| {
            exchange.counts = false;
            exchange.stage != Stage::AcknowledgedBefore
        });
    }

    /// The session is gone: what the application still has is acknowledged to nobody. Says which
    /// identifiers waited for PUBREL.
    pub(crate) fn session_lost(&mut self) -> impl Iterator<Item = PacketId> + use<> {
        self.pending.iter_mut().for_each(|pending| pending.packet_id = None);
        let exchanges = core::mem::take(&mut self.exchanges);
        exchanges
            .into_iter()
            .filter_map(|(id, exchange)| (exchange.stage == Stage::AwaitPubRel).then_some(id))
    }

    /// Takes in a message that was stored, in the order of their delivery identifiers. `false`
    /// if its identifier is in use.
    pub(crate) fn restore_offered(
        &mut self,
        delivery_id: u64,
        packet_id: Option<PacketId>,
        qos: QoS,
    ) -> bool {
        if let Some(packet_id) = packet_id {
            let exchange = Exchange { stage: Stage::Offered(delivery_id), counts: false };
            if self.exchanges.contains_key(&packet_id) {
                return false;
            }
            self.exchanges.insert(packet_id, exchange);
        }
        self.pending.push_back(Pending { delivery_id, packet_id, qos, answer: None });
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
        assert_eq!(inbound.arrive(id(1), false, true), Arrival::New);
        inbound.offer(1, id(1), QoS::ExactlyOnce);
        assert_eq!(inbound.arrive(id(1), false, true), Arrival::Offered);
        assert_eq!(inbound.arrive(id(2), false, true), Arrival::TooMany);
        inbound.decide(1, success());
        assert!(!inbound.next_acknowledged().unwrap().makes_room);
        assert_eq!(inbound.arrive(id(1), false, true), Arrival::Acknowledged);
        assert_eq!(inbound.release(id(1)), Some(true));
        assert_eq!(inbound.release(id(1)), None);
        assert_eq!(inbound.arrive(id(2), false, true), Arrival::TooMany);
        inbound.make_room();
        assert_eq!(inbound.arrive(id(2), false, true), Arrival::New);
    }

    #[test]
    fn a_puback_that_crosses_the_repetition_makes_no_second_message_of_it() {
        let mut inbound = Inbound::default();
        for value in [1, 2] {
            inbound.offer(value.into(), id(value), QoS::AtLeastOnce);
        }
        inbound.disconnected();
        for delivery in [1, 2] {
            inbound.decide(delivery, success());
            assert!(!inbound.next_acknowledged().unwrap().makes_room);
        }
        inbound.set_receive_maximum(5);
        assert_eq!(inbound.arrive(id(1), true, true), Arrival::AcknowledgedBefore);
        assert_eq!(inbound.arrive(id(1), true, true), Arrival::New, "it was acknowledged again");
        assert_eq!(inbound.arrive(id(2), false, true), Arrival::New, "the identifier was free");
    }
}
