//! A server with one session, slow and obvious.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::BytesMut;
use sansio_mqtt::{
    ConnAck, Connect, Decoder, OwnedPacket, Packet, PacketId, Properties, Property, PubAck,
    PubComp, PubRec, PubRel, Publish, QoS, ReasonCode, SubAck, Version,
};

/// A numbered message and its QoS.
pub(crate) type Numbered = (u32, QoS);

/// What the server says to its own application, and what it keeps.
#[derive(Debug)]
pub(crate) struct Server {
    version: Version,
    /// How many messages of the client may be unacknowledged.
    receive_maximum: u16,
    /// Which of its connections find no session any more.
    loses_session_at: Option<usize>,
    connections: usize,
    session: Option<Session>,
    connection: Option<Connection>,
    /// What the client's messages came to, in the order of arrival.
    pub(crate) arrived: Vec<Numbered>,
    /// Messages for the client that were not sent.
    pub(crate) queue: VecDeque<Numbered>,
    /// Messages for the client that were lost with a session.
    pub(crate) lost: BTreeSet<u32>,
    /// Messages that the client acknowledged.
    pub(crate) acknowledged: BTreeSet<u32>,
    /// Whether a session ended while it was not empty of the client's messages.
    pub(crate) sessions_lost: usize,
}

#[derive(Debug, Default)]
struct Session {
    /// Identifiers at QoS 2 that wait for PUBREL, with the message that came with each.
    received: BTreeMap<PacketId, u32>,
    in_flight: Vec<Exchange>,
}

/// A message to the client that is not fully acknowledged.
#[derive(Debug)]
struct Exchange {
    packet_id: PacketId,
    message: Numbered,
    released: bool,
    sent_here: bool,
    sent: bool,
}

#[derive(Debug)]
struct Connection {
    decoder: Decoder,
    incoming: BytesMut,
    outgoing: Vec<u8>,
    accepted: bool,
    window: usize,
    /// The client's messages without an acknowledgement that was sent, on this connection.
    open: BTreeSet<PacketId>,
    /// Acknowledgements that are not sent yet.
    answers: VecDeque<(OwnedPacket, Option<PacketId>)>,
}

impl Server {
    pub(crate) fn new(
        version: Version,
        receive_maximum: u16,
        loses_session_at: Option<usize>,
        queue: VecDeque<Numbered>,
    ) -> Self {
        Self {
            version,
            receive_maximum,
            loses_session_at,
            connections: 0,
            session: None,
            connection: None,
            arrived: Vec::new(),
            queue,
            lost: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            sessions_lost: 0,
        }
    }

    pub(crate) fn open(&mut self) {
        assert!(self.connection.is_none());
        self.connection = Some(Connection {
            decoder: Decoder::from_client(),
            incoming: BytesMut::new(),
            outgoing: Vec::new(),
            accepted: false,
            window: usize::MAX,
            open: BTreeSet::new(),
            answers: VecDeque::new(),
        });
    }

    pub(crate) fn close(&mut self) {
        self.connection = None;
        let exchanges = self.session.iter_mut().flat_map(|session| &mut session.in_flight);
        exchanges.for_each(|exchange| exchange.sent_here = false);
    }

    /// Bytes for the client.
    pub(crate) fn outgoing(&mut self) -> Vec<u8> {
        self.connection.as_mut().map(|one| std::mem::take(&mut one.outgoing)).unwrap_or_default()
    }

    /// Bytes from the client. `false` when it is done with the connection.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> bool {
        if let Some(connection) = &mut self.connection {
            connection.incoming.extend_from_slice(bytes);
        }
        while let Some(connection) = &mut self.connection {
            let decoded = OwnedPacket::decode(&mut connection.decoder, &mut connection.incoming);
            let Some(packet) = decoded.unwrap() else { return true };
            match packet.packet() {
                Packet::Disconnect(disconnect) => {
                    let code = disconnect.reason_code;
                    assert!(!code.is_error(), "the client ends the connection with {code}");
                    return false;
                }
                packet => self.on_packet(&packet),
            }
        }
        false
    }

    fn on_packet(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(connect) => return self.on_connect(connect),
            _ => assert!(self.connection.as_ref().unwrap().accepted, "{packet} before CONNECT"),
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubRel(pub_rel) => {
                let packet_id = pub_rel.packet_id;
                let known = self.session().received.remove(&packet_id).is_some();
                let reason_code = match known || !self.version.is_v5() {
                    true => ReasonCode::SUCCESS,
                    false => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
                };
                let answer = PubComp { reason_code, ..PubComp::new(packet_id) };
                self.answer(answer.into(), Some(packet_id));
            }
            Packet::PubAck(pub_ack) => self.on_ack(packet, pub_ack.packet_id),
            Packet::PubRec(pub_rec) => self.on_ack(packet, pub_rec.packet_id),
            Packet::PubComp(pub_comp) => self.on_ack(packet, pub_comp.packet_id),
            Packet::Subscribe(subscribe) => {
                let codes = [ReasonCode::GRANTED_QOS_2];
                self.answer(SubAck::new(subscribe.packet_id, &codes).into(), None);
            }
            Packet::PingReq => self.answer(Packet::PingResp, None),
            other => panic!("{other} from a client"),
        }
    }

    fn on_connect(&mut self, connect: &Connect<'_>) {
        self.connections += 1;
        let loses = self.loses_session_at == Some(self.connections);
        if (connect.clean_start || loses)
            && let Some(session) = self.session.take()
        {
            self.sessions_lost += 1;
            self.lost.extend(session.in_flight.iter().map(|exchange| exchange.message.0));
        }
        let session_present = self.session.is_some();
        self.session.get_or_insert_default();
        let properties = [Property::ReceiveMaximum(self.receive_maximum)];
        let properties = match self.version.is_v5() {
            true => Properties::List(&properties),
            false => Properties::NONE,
        };
        let conn_ack = ConnAck { session_present, properties, ..ConnAck::default() };
        self.send(&conn_ack.into());
        let connection = self.connection.as_mut().unwrap();
        assert!(!connection.accepted, "a second CONNECT");
        connection.accepted = true;
        let maximum = connect.properties.receive_maximum().unwrap_or(u16::MAX);
        connection.window = maximum.into();
    }

    fn on_publish(&mut self, publish: &Publish<'_>) {
        let number = number(publish.payload);
        let Some(packet_id) = publish.packet_id else {
            assert!(!publish.dup, "DUP at QoS 0");
            self.arrived.push((number, publish.qos));
            return;
        };
        let (version, maximum) = (self.version, self.receive_maximum);
        let connection = self.connection.as_mut().unwrap();
        let is_new = connection.open.insert(packet_id);
        assert!(is_new, "#{packet_id} is in use, on this connection");
        if version.is_v5() {
            assert!(connection.open.len() <= maximum.into(), "beyond the receive maximum");
        }
        if publish.qos == QoS::AtLeastOnce {
            self.arrived.push((number, publish.qos));
            return self.answer(PubAck::new(packet_id).into(), Some(packet_id));
        }
        match self.session().received.insert(packet_id, number) {
            None => self.arrived.push((number, publish.qos)),
            Some(before) => {
                assert_eq!(before, number, "#{packet_id} stands for another message");
                assert!(publish.dup, "sent again without DUP");
            }
        }
        self.answer(PubRec::new(packet_id).into(), None);
    }

    /// Whatever comes to an exchange that does not wait for it is not the client's mistake here:
    /// what it acknowledges without being asked may cross what is sent again.
    fn on_ack(&mut self, packet: &Packet<'_>, packet_id: PacketId) {
        let session = self.session.as_mut().unwrap();
        let found = session.in_flight.iter().position(|one| one.packet_id == packet_id);
        let Some(index) = found else {
            if let Packet::PubRec(_) = packet {
                self.answer(PubRel::new(packet_id).into(), None);
            }
            return;
        };
        let Exchange { message: (number, qos), released, .. } = session.in_flight[index];
        match (packet, qos) {
            (Packet::PubAck(_), QoS::AtLeastOnce) => {
                session.in_flight.remove(index);
            }
            (Packet::PubRec(_), QoS::ExactlyOnce) => {
                session.in_flight[index].released = true;
                // Sent just now.
                session.in_flight[index].sent_here = true;
                self.answer(PubRel::new(packet_id).into(), None);
            }
            (Packet::PubComp(_), QoS::ExactlyOnce) if released => {
                session.in_flight.remove(index);
            }
            _ => panic!("{packet} for the message {number} at QoS {qos}"),
        }
        self.acknowledged.insert(number);
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let connection = self.connection.as_mut().unwrap();
        packet.encode(self.version, &mut connection.outgoing).unwrap();
    }

    /// Acknowledges, some time later.
    fn answer(&mut self, packet: Packet<'_>, ends: Option<PacketId>) {
        let sender = sansio_mqtt::Sender::Server;
        let packet = OwnedPacket::from_packet(&packet, self.version, sender).unwrap();
        self.connection.as_mut().unwrap().answers.push_back((packet, ends));
    }

    /// Sends what it has to say. Whether that is anything.
    pub(crate) fn tick(&mut self) -> bool {
        let Some(connection) = self.connection.as_mut().filter(|one| one.accepted) else {
            return false;
        };
        while let Some((packet, ends)) = connection.answers.pop_front() {
            connection.outgoing.extend_from_slice(packet.frame());
            if let Some(packet_id) = ends {
                connection.open.remove(&packet_id);
            }
        }
        self.pump();
        self.connection.as_ref().is_some_and(|connection| !connection.outgoing.is_empty())
    }

    /// Sends again what is not acknowledged, and then what is new, as the window allows.
    fn pump(&mut self) {
        let (Some(session), Some(connection)) = (&mut self.session, &mut self.connection) else {
            return;
        };
        let (version, out) = (self.version, &mut connection.outgoing);
        for exchange in session.in_flight.iter_mut().filter(|one| one.released && !one.sent_here) {
            Packet::from(PubRel::new(exchange.packet_id)).encode(version, out).unwrap();
            exchange.sent_here = true;
        }
        while let Some(message) = self.queue.front().copied() {
            if session.in_flight.len() >= connection.window.min(4) {
                break;
            }
            self.queue.pop_front();
            if message.1 == QoS::AtMostOnce {
                put_publish(message, None, false, version, out);
                continue;
            }
            // Identifiers are used again as soon as they are free.
            let used = |id| session.in_flight.iter().any(|one| one.packet_id == id);
            let packet_id = (1..).filter_map(PacketId::new).find(|id| !used(*id)).unwrap();
            let (released, sent_here, sent) = (false, false, false);
            session.in_flight.push(Exchange { packet_id, message, released, sent_here, sent });
        }
        let used = session.in_flight.iter().filter(|one| one.sent_here).count();
        let room = connection.window.saturating_sub(used);
        for exchange in session.in_flight.iter_mut().filter(|one| !one.sent_here).take(room) {
            put_publish(exchange.message, Some(exchange.packet_id), exchange.sent, version, out);
            (exchange.sent_here, exchange.sent) = (true, true);
        }
    }

    /// Whether all is said and answered.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty()
            && self
                .session
                .as_ref()
                .is_none_or(|session| session.in_flight.is_empty() && session.received.is_empty())
    }
}

fn put_publish(
    (number, qos): Numbered,
    packet_id: Option<PacketId>,
    dup: bool,
    version: Version,
    out: &mut Vec<u8>,
) {
    let payload = payload(number);
    let payload = payload.as_bytes();
    let publish = Publish { topic: "t", qos, dup, packet_id, payload, ..Publish::default() };
    Packet::from(publish).encode(version, out).unwrap();
}

/// What a numbered message says: no other one says it in a part of it.
pub(crate) fn payload(number: u32) -> String {
    format!("<{number}>")
}

/// The number of a message.
pub(crate) fn number(payload: &[u8]) -> u32 {
    let text = std::str::from_utf8(payload).unwrap();
    text.trim_matches(['<', '>']).parse().unwrap()
}
