//! The other end: what a client may send, judged by what it was sent.

use std::collections::BTreeMap;

use sansio_mqtt::client::Options;
use sansio_mqtt::{ConnAck, Packet, PacketId, PacketType, PubRec, Publish, QoS, Version};

use super::connection::{Connection, Limits};
use super::receipts::Receipts;

/// No PUBLISH that is published here is larger.
const LARGEST: usize = 2_000;

/// A PUBLISH of a client that is not fully acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    qos: QoS,
    retain: bool,
    may_be_given_up: bool,
    payload: Vec<u8>,
    /// Its place among those that were sent.
    order: u64,
    /// The place of its PUBREC among those that were taken.
    received: Option<u64>,
    released: bool,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) version: Version,
    pub(crate) connection: Option<Connection>,
    pub(crate) flights: BTreeMap<PacketId, Flight>,
    pub(crate) receipts: Receipts,
    pub(crate) session_exists: bool,
    expiry_interval: u32,
    expires: Option<u64>,
    next_order: u64,
    /// Whether acknowledgements may have been taken without being noticed, or been forgotten.
    blurred: bool,
}

impl Peer {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            connection: None,
            flights: BTreeMap::new(),
            receipts: Receipts::default(),
            session_exists: false,
            expiry_interval: 0,
            expires: None,
            next_order: 0,
            blurred: false,
        }
    }

    pub(crate) fn blur(&mut self) {
        self.blurred = true;
        self.receipts.blur();
    }

    pub(crate) fn opened(&mut self, now: u64, own: &Options) {
        if self.expires.is_some_and(|expires| expires <= now) {
            self.end_session();
        }
        self.connection = Some(Connection::new(own));
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.is_up)
    }

    /// The client has ended the connection, or noticed that it ended.
    pub(crate) fn ended(&mut self, now: u64) {
        let Some(connection) = self.connection.as_mut() else { return };
        self.receipts.disconnected();
        if !std::mem::take(&mut connection.is_up) {
            return;
        }
        match self.expiry_interval {
            0 => self.end_session(),
            u32::MAX => {}
            seconds => self.expires = Some(now.saturating_add(u64::from(seconds) * 1_000_000)),
        }
    }

    fn end_session(&mut self) {
        self.session_exists = false;
        self.expires = None;
        self.flights.clear();
        self.receipts.session_lost();
    }

    /// Whether a server has a session that the client knows, or goes on with all the same.
    pub(crate) fn session_is_known(&self, now: u64, adopts: bool) -> bool {
        let is_known = !self.blurred || adopts || !self.version.is_v5();
        is_known && self.session_exists && self.expires.is_none_or(|expires| expires > now)
    }

    /// What was published on this connection and waits for PUBACK or PUBREC.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = (PacketId, QoS)> {
        let window = self.connection.iter().flat_map(|connection| &connection.window);
        window.filter_map(|packet_id| {
            let flight = self.flights.get(packet_id)?;
            flight.received.is_none().then_some((*packet_id, flight.qos))
        })
    }

    /// The client has taken in a packet, and not closed the connection over it.
    pub(crate) fn taken(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::ConnAck(conn_ack) => self.accepted(conn_ack),
            Packet::Publish(publish) => self.receipts.publish(publish),
            Packet::PubRel(pub_rel) => {
                self.receipts.pub_rel(pub_rel.packet_id, self.version.is_v5());
            }
            Packet::PubRec(pub_rec) => self.pub_rec(pub_rec),
            Packet::PubAck(ack) => self.acknowledged(ack.packet_id),
            Packet::PubComp(ack) => self.acknowledged(ack.packet_id),
            Packet::SubAck(ack) => self.answered(ack.packet_id),
            Packet::UnsubAck(ack) => self.answered(ack.packet_id),
            _ => {}
        }
    }

    fn accepted(&mut self, conn_ack: &ConnAck<'_>) {
        if self.connection.as_ref().is_some_and(|connection| connection.clean_start.is_none()) {
            // It came before the CONNECT was pulled, of which nothing is known.
            self.blur();
        }
        let Some(connection) = self.connection.as_mut() else { return };
        let (properties, own) = (&conn_ack.properties, &connection.own);
        let limits = Limits::new(conn_ack, own);
        connection.is_up = true;
        connection.limits = Some(limits);
        let clean_start = connection.clean_start.unwrap_or(true);
        let expiry = match self.version {
            Version::V5 => own.session_expiry_interval,
            _ if clean_start => 0,
            _ => u32::MAX,
        };
        self.expiry_interval = properties.session_expiry_interval().unwrap_or(expiry);
        let resumed = match self.version {
            Version::V3_1 => !clean_start && self.session_exists,
            _ => conn_ack.session_present,
        };
        if !resumed {
            self.end_session();
        }
        (self.session_exists, self.expires) = (true, None);
        self.give_up_impossible();
        let mut received: Vec<_> =
            self.flights.iter().filter_map(|(id, flight)| Some((flight.received?, *id))).collect();
        received.sort_unstable();
        for (_, packet_id) in received {
            self.receipts.owe(PacketType::PubRel, packet_id, 0);
        }
    }

    /// What a server does not take any more is given up, as soon as there is room in the window.
    fn give_up_impossible(&mut self) {
        let Some(limits) = self.connection.as_ref().and_then(|found| found.limits) else { return };
        for flight in self.flights.values_mut() {
            // The size with which they are sent again is not known here.
            let possible = flight.qos <= limits.maximum_qos
                && (limits.retain || !flight.retain)
                && limits.packet_size >= LARGEST;
            flight.may_be_given_up |= !possible && flight.received.is_none();
        }
        self.blurred |= limits.packet_size < LARGEST && !self.flights.is_empty();
    }

    fn pub_rec(&mut self, pub_rec: &PubRec<'_>) {
        let packet_id = pub_rec.packet_id;
        if pub_rec.reason_code.is_error() {
            return self.acknowledged(packet_id);
        }
        if self.flights.get(&packet_id).is_some_and(|flight| flight.may_be_given_up) {
            // Whether it is known is not known.
            return self.blur();
        }
        let unknown = if self.version.is_v5() { 0x92 } else { 0 };
        let code = match self.flights.get_mut(&packet_id) {
            Some(flight) => {
                self.next_order += 1;
                flight.received.get_or_insert(self.next_order);
                0
            }
            None => unknown,
        };
        self.receipts.owe(PacketType::PubRel, packet_id, code);
    }

    fn acknowledged(&mut self, packet_id: PacketId) {
        self.flights.remove(&packet_id);
        if let Some(connection) = self.connection.as_mut() {
            connection.window.remove(&packet_id);
            connection.released.remove(&packet_id);
        }
    }

    fn answered(&mut self, packet_id: PacketId) {
        if let Some(connection) = self.connection.as_mut() {
            connection.operations.remove(&packet_id);
        }
    }

    /// The client has sent a packet, of so many bytes.
    pub(crate) fn sent(&mut self, packet: &Packet<'_>, len: usize) {
        let connection = self.connection.as_mut().expect("bytes without a connection");
        assert!(!connection.has_disconnected, "{packet} after DISCONNECT");
        match packet {
            Packet::Connect(connect) => return connection.connect(connect),
            _ => assert!(connection.clean_start.is_some(), "{packet} before CONNECT"),
        }
        if let Some(limits) = connection.limits {
            assert!(len <= limits.packet_size, "{packet} of {len} bytes: {limits:?}");
        }
        match packet {
            Packet::Auth(auth) => return connection.auth(auth),
            Packet::Disconnect(_) => return connection.has_disconnected = true,
            _ => {}
        }
        assert!(connection.is_up, "{packet} before CONNACK or after the end");
        let Some(limits) = connection.limits else { return };
        match packet {
            Packet::Publish(publish) => self.publish(publish, limits),
            Packet::Subscribe(subscribe) => {
                limits.check_subscribe(subscribe);
                let filters = subscribe.subscriptions.iter().count();
                self.operation(subscribe.packet_id, PacketType::Subscribe, filters);
            }
            Packet::Unsubscribe(unsubscribe) => {
                let filters = unsubscribe.topic_filters.iter().count();
                self.operation(unsubscribe.packet_id, PacketType::Unsubscribe, filters);
            }
            Packet::PingReq => {}
            Packet::PubRel(pub_rel) => {
                connection.released.insert(pub_rel.packet_id);
                if let Some(flight) = self.flights.get_mut(&pub_rel.packet_id) {
                    flight.released |= flight.received.is_some();
                }
                self.receipts.sent(packet);
            }
            packet => self.receipts.sent(packet),
        }
    }

    fn operation(&mut self, packet_id: PacketId, packet_type: PacketType, filters: usize) {
        let flight = self.flights.get(&packet_id);
        let in_use = flight.is_some_and(|flight| !flight.may_be_given_up) && !self.blurred;
        let Some(connection) = self.connection.as_mut() else { return };
        let before = connection.operations.insert(packet_id, (packet_type, filters));
        assert!(before.is_none() && !in_use, "{packet_id:?} is in use");
    }

    fn publish(&mut self, publish: &Publish<'_>, limits: Limits) {
        let Some(connection) = self.connection.as_mut() else { return };
        connection.check_alias(publish, limits.aliases);
        assert!(publish.qos <= limits.maximum_qos && (limits.retain || !publish.retain));
        let Some(packet_id) = publish.packet_id else { return };
        assert!(!connection.operations.contains_key(&packet_id), "{packet_id:?} is in use");
        assert!(connection.window.insert(packet_id), "{packet_id:?} twice on one connection");
        assert!(connection.window.len() <= limits.window, "more than {} in flight", limits.window);
        match self.flights.get_mut(&packet_id) {
            Some(flight) if publish.dup => {
                assert!(!flight.released, "PUBLISH {packet_id:?} after its PUBREL");
                // A process that ended before it had stored the PUBREC has not seen it.
                assert!(self.blurred || flight.received.is_none(), "again after its PUBREC");
                flight.received = None;
                assert_eq!((flight.qos, &flight.payload[..]), (publish.qos, publish.payload));
                assert!(connection.last_resent < Some(flight.order), "resent out of order");
                connection.last_resent = Some(flight.order);
                return;
            }
            None if !publish.dup => {
                let window = &connection.window;
                let waits = |(id, flight): &(&PacketId, &Flight)| {
                    let is_due = flight.received.is_none() && !flight.may_be_given_up;
                    is_due && !window.contains(id)
                };
                let forgotten = self.flights.iter().find(waits).map(|(id, _)| id);
                assert!(self.blurred || forgotten.is_none(), "before {forgotten:?} is sent again");
            }
            Some(flight) if flight.may_be_given_up => {}
            _ => assert!(self.blurred, "DUP is {} of {packet_id:?}", publish.dup),
        }
        self.next_order += 1;
        let (payload, order, qos) = (publish.payload.to_vec(), self.next_order, publish.qos);
        let retain = publish.retain;
        let may_be_given_up = false;
        let flight = Flight {
            qos,
            retain,
            may_be_given_up,
            payload,
            order,
            received: None,
            released: false,
        };
        self.flights.insert(packet_id, flight);
    }
}
