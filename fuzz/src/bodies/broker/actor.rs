//! A client that keeps to the rules.

use std::collections::{BTreeSet, VecDeque};

use sansio_mqtt::broker::ConnectionId;
use sansio_mqtt::{
    Packet, PacketId, PacketType, PubAck, PubComp, PubRec, PubRel, Publish, QoS, ReasonCode,
    Version,
};

use super::input::Input;

/// A message that the client has published, and that is not acknowledged for good.
#[derive(Debug, Clone)]
struct Published {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    packet_id: PacketId,
    /// Whether PUBREC came.
    received: bool,
}

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) client_id: String,
    pub(crate) version: Version,
    pub(crate) connection: Option<ConnectionId>,
    /// Packets that the transport has not taken.
    pub(crate) outbox: VecDeque<Vec<u8>>,
    /// Acknowledgements that it has not made.
    pub(crate) owed: VecDeque<(PacketType, PacketId)>,
    /// SUBSCRIBEs and UNSUBSCRIBEs without an answer.
    awaited: BTreeSet<PacketId>,
    published: Vec<Published>,
    next_id: u16,
    receive_maximum: usize,
    pub(crate) session_expires: bool,
    /// The topics of its aliases.
    pub(crate) aliases: Vec<(u16, &'static str)>,
}

impl Actor {
    pub(crate) fn new(slot: usize) -> Self {
        let names = ["a", "b", "c", "d", ""];
        Self {
            client_id: names[slot % names.len()].to_owned(),
            version: Version::V5,
            connection: None,
            outbox: VecDeque::new(),
            owed: VecDeque::new(),
            awaited: BTreeSet::new(),
            published: Vec::new(),
            next_id: 0,
            receive_maximum: 1,
            session_expires: false,
            aliases: Vec::new(),
        }
    }

    pub(crate) fn connected(
        &mut self,
        id: ConnectionId,
        version: Version,
        client_id: String,
        present: bool,
        receive_maximum: u16,
    ) {
        self.forget_connection();
        self.connection = Some(id);
        self.client_id = client_id;
        self.version = version;
        self.receive_maximum = receive_maximum.into();
        if !present {
            self.published.clear();
        }
        // v5 [MQTT-4.4.0-1]
        for message in self.published.clone() {
            let packet_id = message.packet_id;
            if message.received {
                self.say(PubRel::new(packet_id));
            } else {
                self.say(Publish {
                    dup: true,
                    topic: &message.topic,
                    payload: &message.payload,
                    qos: message.qos,
                    retain: message.retain,
                    packet_id: Some(packet_id),
                    ..Publish::default()
                });
            }
        }
    }

    pub(crate) fn disconnected(&mut self, id: ConnectionId) {
        if self.connection == Some(id) {
            self.connection = None;
            self.forget_connection();
        }
    }

    fn forget_connection(&mut self) {
        self.outbox.clear();
        self.owed.clear();
        self.awaited.clear();
        self.aliases.clear();
    }

    /// Whether all that it was sent is answered, and all that it said taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.owed.is_empty() && self.outbox.is_empty()
    }

    /// What the broker has not answered.
    pub(crate) fn waits_for(&self) -> String {
        match self.published.is_empty() && self.awaited.is_empty() {
            true => String::new(),
            false => format!("{:?} {:?}", self.published, self.awaited),
        }
    }

    pub(crate) fn say<'a>(&mut self, packet: impl Into<Packet<'a>>) {
        let mut bytes = Vec::new();
        packet.into().encode(self.version, &mut bytes).expect("a packet of this version");
        self.outbox.push_back(bytes);
    }

    /// An identifier that is not in use.
    pub(crate) fn packet_id(&mut self) -> PacketId {
        loop {
            self.next_id = self.next_id % 20 + 1;
            let id = PacketId::new(self.next_id).unwrap_or(PacketId::MIN);
            let in_flight = self.published.iter().any(|message| message.packet_id == id);
            if !in_flight && !self.awaited.contains(&id) {
                return id;
            }
        }
    }

    pub(crate) fn awaits(&mut self, id: PacketId) {
        self.awaited.insert(id);
    }

    /// Whether it may ask for something more.
    pub(crate) fn may_ask(&self) -> bool {
        self.awaited.len() < 5
    }

    /// Whether it may publish at QoS 1 and 2. v5 [MQTT-3.3.4-7]
    pub(crate) fn may_publish(&self) -> bool {
        self.published.len() < self.receive_maximum.min(10)
    }

    pub(crate) fn publishes(&mut self, publish: &Publish<'_>) {
        if let Some(packet_id) = publish.packet_id {
            self.published.push(Published {
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_vec(),
                qos: publish.qos,
                retain: publish.retain,
                packet_id,
                received: false,
            });
        }
        self.say(*publish);
    }

    /// The broker has sent a packet.
    pub(crate) fn hears(&mut self, from: ConnectionId, packet: &Packet<'_>) {
        if self.connection != Some(from) {
            return;
        }
        let id = packet.packet_id();
        match (packet, id) {
            (Packet::Publish(publish), Some(id)) => {
                let exactly_once = publish.qos == QoS::ExactlyOnce;
                let answer = if exactly_once { PacketType::PubRec } else { PacketType::PubAck };
                self.owed.push_back((answer, id));
            }
            (Packet::PubRel(_), Some(id)) => self.owed.push_back((PacketType::PubComp, id)),
            (Packet::PubRec(pub_rec), Some(id)) if !pub_rec.reason_code.is_error() => {
                let known = self.published.iter_mut().find(|message| message.packet_id == id);
                known.into_iter().for_each(|message| message.received = true);
                self.owed.push_back((PacketType::PubRel, id));
            }
            (Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_), Some(id)) => {
                self.published.retain(|message| message.packet_id != id);
            }
            (_, Some(id)) => assert!(self.awaited.remove(&id), "{packet} was not asked for"),
            _ => {}
        }
    }

    /// Makes the oldest acknowledgement that it owes.
    pub(crate) fn acknowledge(&mut self, input: &mut Input<'_>) {
        let Some((packet_type, id)) = self.owed.pop_front() else { return };
        let refuses = self.version.is_v5() && input.rarely(8);
        let reason_code = if refuses { ReasonCode::QUOTA_EXCEEDED } else { ReasonCode::SUCCESS };
        match packet_type {
            PacketType::PubAck => self.say(PubAck { reason_code, ..PubAck::new(id) }),
            PacketType::PubRec => self.say(PubRec { reason_code, ..PubRec::new(id) }),
            PacketType::PubRel => self.say(PubRel::new(id)),
            _ => self.say(PubComp::new(id)),
        }
    }
}
