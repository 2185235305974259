//! What a client has to acknowledge, and in which order: a model that is exact until a process
//! ends, or a connection does amid several packets.

use std::collections::{BTreeMap, VecDeque};

use sansio_mqtt::client::{Delivery, DeliveryId};
use sansio_mqtt::{Packet, PacketId, PacketType, Publish, QoS, ReasonCode};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// With its place in `pending`.
    Offered(usize),
    AwaitPubRel,
}

#[derive(Debug)]
struct Pending {
    /// `None` when the session has ended.
    packet_id: Option<PacketId>,
    qos: QoS,
    delivery_id: Option<DeliveryId>,
    decided: Option<ReasonCode>,
}

/// An acknowledgement: its type, identifier and Reason Code.
pub(crate) type Ack = (PacketType, PacketId, ReasonCode);

#[derive(Debug, Default)]
pub(crate) struct Receipts {
    /// With whether this connection brought it, first or again.
    exchanges: BTreeMap<PacketId, (Stage, bool)>,
    /// All that came, in the order of receipt.
    pending: Vec<Pending>,
    /// The places of those that this connection brought and that are not acknowledged.
    order: VecDeque<usize>,
    /// What the client has to send now, in this order.
    queue: VecDeque<Ack>,
    /// What the application is to be told, in this order.
    expected: VecDeque<(QoS, Vec<u8>)>,
    /// Whether it is no longer known what the client has taken in.
    blurred: bool,
}

impl Receipts {
    pub(crate) fn blur(&mut self) {
        *self = Self { blurred: true, ..Self::default() };
    }

    /// The client has taken a PUBLISH in.
    pub(crate) fn publish(&mut self, publish: &Publish<'_>) {
        let Some(packet_id) = publish.packet_id else {
            return self.expected.push_back((publish.qos, publish.payload.to_vec()));
        };
        match self.exchanges.get_mut(&packet_id) {
            // The server has lost the session that the other one was of.
            Some((Stage::AwaitPubRel, false)) if publish.qos != QoS::ExactlyOnce => {
                self.new_message(packet_id, publish);
            }
            Some((Stage::AwaitPubRel, is_here)) => {
                *is_here = true;
                self.owe(PacketType::PubRec, packet_id, 0);
            }
            Some((Stage::Offered(_), true)) => {}
            Some((Stage::Offered(index), is_here))
                if self.pending[*index].qos == publish.qos
                    && (publish.dup || publish.qos == QoS::ExactlyOnce) =>
            {
                *is_here = true;
                self.order.push_back(*index);
                self.acknowledge();
            }
            // At QoS 1 it may stand for another message than on an earlier connection.
            Some((Stage::Offered(index), _)) => {
                self.pending[*index].packet_id = None;
                self.new_message(packet_id, publish);
            }
            None => self.new_message(packet_id, publish),
        }
    }

    fn new_message(&mut self, packet_id: PacketId, publish: &Publish<'_>) {
        let index = self.pending.len();
        self.exchanges.insert(packet_id, (Stage::Offered(index), true));
        let (packet_id, qos) = (Some(packet_id), publish.qos);
        self.pending.push(Pending { packet_id, qos, delivery_id: None, decided: None });
        self.order.push_back(index);
        self.expected.push_back((qos, publish.payload.to_vec()));
    }

    /// The client has taken a PUBREL in.
    pub(crate) fn pub_rel(&mut self, packet_id: PacketId, is_v5: bool) {
        let known = matches!(self.exchanges.get(&packet_id), Some((Stage::AwaitPubRel, _)));
        if known {
            self.exchanges.remove(&packet_id);
        }
        self.owe(PacketType::PubComp, packet_id, if known || !is_v5 { 0 } else { 0x92 });
    }

    pub(crate) fn owe(&mut self, packet_type: PacketType, packet_id: PacketId, code: u8) {
        self.queue.push_back((packet_type, packet_id, ReasonCode::new(code)));
    }

    /// The application is told of a message.
    pub(crate) fn told(&mut self, delivery: &Delivery) {
        if self.blurred {
            return;
        }
        let message = &delivery.message;
        let found = (message.qos(), message.payload().to_vec());
        assert_eq!(Some(found), self.expected.pop_front(), "another message, or one too many");
        if let Some(id) = delivery.delivery_id {
            let next = self.pending.iter_mut().find(|pending| pending.delivery_id.is_none());
            next.expect("a message that was received").delivery_id = Some(id);
        }
    }

    /// The application is done with a message.
    pub(crate) fn decide(&mut self, id: DeliveryId, code: ReasonCode, is_up: bool) {
        let found = self.pending.iter_mut().find(|pending| pending.delivery_id == Some(id));
        if let Some(pending) = found {
            pending.decided.get_or_insert(code);
        }
        if is_up {
            self.acknowledge();
        }
    }

    /// What can be acknowledged is, in the order of receipt. v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    fn acknowledge(&mut self) {
        while let Some(index) = self.order.front()
            && let Pending { packet_id, qos, decided: Some(code), .. } = self.pending[*index]
        {
            self.order.pop_front();
            let Some(packet_id) = packet_id else { continue };
            let packet_type = match qos {
                QoS::ExactlyOnce => PacketType::PubRec,
                _ => PacketType::PubAck,
            };
            if packet_type == PacketType::PubRec && !code.is_error() {
                self.exchanges.insert(packet_id, (Stage::AwaitPubRel, true));
            } else {
                self.exchanges.remove(&packet_id);
            }
            self.owe(packet_type, packet_id, code.get());
        }
    }

    /// The client has sent an acknowledgement.
    pub(crate) fn sent(&mut self, packet: &Packet<'_>) {
        let ack = match packet {
            Packet::PubAck(ack) => (PacketType::PubAck, ack.packet_id, ack.reason_code),
            Packet::PubRec(ack) => (PacketType::PubRec, ack.packet_id, ack.reason_code),
            Packet::PubRel(ack) => (PacketType::PubRel, ack.packet_id, ack.reason_code),
            Packet::PubComp(ack) => (PacketType::PubComp, ack.packet_id, ack.reason_code),
            _ => return,
        };
        if !self.blurred {
            assert_eq!(Some(ack), self.queue.pop_front(), "another acknowledgement came next");
        }
    }

    pub(crate) fn disconnected(&mut self) {
        self.queue.clear();
        self.order.clear();
        self.exchanges.values_mut().for_each(|(_, is_here)| *is_here = false);
    }

    pub(crate) fn session_lost(&mut self) {
        self.exchanges.clear();
        self.order.clear();
        self.pending.iter_mut().for_each(|pending| pending.packet_id = None);
    }

    /// An identifier that a server would send PUBREL for.
    pub(crate) fn to_release(&self, index: usize) -> Option<PacketId> {
        let ids = self.exchanges.iter().filter(|(_, (stage, _))| *stage == Stage::AwaitPubRel);
        let ids: Vec<_> = ids.map(|(id, _)| *id).collect();
        ids.get(index % ids.len().max(1)).copied()
    }

    /// Whether all is told and sent, as far as that is known.
    pub(crate) fn is_done(&self) -> bool {
        self.blurred || self.queue.is_empty() && self.expected.is_empty()
    }
}
