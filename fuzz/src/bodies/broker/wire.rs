//! What may be sent over one connection, as its client sees it, and of one session.

use std::collections::{BTreeMap, BTreeSet};

use sansio_mqtt::broker::{DisconnectCause, Options};
use sansio_mqtt::{
    Connect, Packet, PacketId, PacketType, PubRec, Publish, QoS, ReasonCode, Version,
};

/// An acknowledgement that the broker owes.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    packet_type: PacketType,
    pub(crate) packet_id: PacketId,
    codes: Codes,
}

/// The Reason Codes of an acknowledgement.
#[derive(Debug, Clone)]
pub(crate) enum Codes {
    Any,
    OneOf(Vec<u8>),
    Exactly(Vec<u8>),
}

impl Answer {
    pub(crate) const fn new(packet_type: PacketType, packet_id: PacketId, codes: Codes) -> Self {
        Self { packet_type, packet_id, codes }
    }

    /// What a packet of a client is answered with.
    pub(crate) fn to(packet: &Packet<'_>) -> Option<Self> {
        let packet_type = match packet {
            Packet::Publish(publish) if publish.qos == QoS::AtLeastOnce => PacketType::PubAck,
            Packet::Publish(_) => PacketType::PubRec,
            Packet::PubRec(pub_rec) if !pub_rec.reason_code.is_error() => PacketType::PubRel,
            Packet::PubRel(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::UnsubAck,
            _ => return None,
        };
        Some(Self::new(packet_type, packet.packet_id()?, Codes::Any))
    }

    fn allows(&self, found: &[u8]) -> bool {
        match &self.codes {
            Codes::Any => true,
            Codes::OneOf(codes) => codes.iter().any(|code| found == [*code]),
            Codes::Exactly(codes) => found == codes,
        }
    }
}

/// A message in flight to a client.
#[derive(Debug)]
struct Flight {
    qos: QoS,
    content: (String, Vec<u8>),
    received: bool,
}

/// What outlives a connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    flights: BTreeMap<PacketId, Flight>,
    /// Whether acknowledgements may have been taken without being noticed.
    pub(crate) blurred: bool,
}

impl Session {
    pub(crate) fn taken(&mut self, packet: &Packet<'_>) {
        let Some(id) = packet.packet_id() else { return };
        match packet {
            Packet::PubRec(PubRec { reason_code, .. }) if !reason_code.is_error() => {
                let flight = self.flights.get_mut(&id).filter(|f| f.qos == QoS::ExactlyOnce);
                flight.into_iter().for_each(|flight| flight.received = true);
            }
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_) => {
                self.flights.remove(&id);
            }
            _ => {}
        }
    }

    fn sent(&mut self, publish: &Publish<'_>, topic: &str, limit: usize) {
        let Some(id) = publish.packet_id else { return };
        let content = (topic.to_owned(), publish.payload.to_vec());
        let qos = publish.qos;
        match self.flights.get(&id) {
            _ if self.blurred => {}
            Some(flight) if publish.dup => {
                assert!(!flight.received, "{publish} after its PUBREC");
                assert!((flight.qos, &flight.content) == (qos, &content), "{publish}: {flight:?}");
            }
            // What is too large for its client now is given up.
            Some(flight) => {
                let size = flight.content.0.len() + flight.content.1.len();
                assert!(size + 1_000 > limit, "{publish} while {id:?} is in use: {flight:?}");
            }
            None => assert!(!publish.dup, "{publish} is sent for the first time"),
        }
        self.flights.insert(id, Flight { qos, content, received: false });
    }

    /// What PUBREL is due for on a new connection.
    fn released(&self) -> impl Iterator<Item = PacketId> {
        self.flights.iter().filter(|(_, flight)| flight.received).map(|(id, _)| *id)
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) version: Version,
    window: usize,
    packet_size: usize,
    alias_maximum: u16,
    aliases: BTreeMap<u16, String>,
    pub(crate) has_conn_ack: bool,
    pub(crate) has_ended: bool,
    /// Sent and not acknowledged.
    in_flight: BTreeSet<PacketId>,
    /// What is still to be sent, in the order in which it became due.
    pub(crate) due: Vec<Answer>,
    /// PUBRELs that an earlier connection left.
    pub(crate) to_release: BTreeSet<PacketId>,
    pub(crate) pings: usize,
    pub(crate) with_method: bool,
}

impl Wire {
    pub(crate) fn new(connect: &Connect<'_>, options: &Options) -> Self {
        let properties = &connect.properties;
        let window = properties.receive_maximum().unwrap_or(u16::MAX);
        Self {
            version: connect.version,
            window: window.min(options.maximum_in_flight.max(1)).into(),
            packet_size: properties.maximum_packet_size().unwrap_or(u32::MAX) as usize,
            alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            aliases: BTreeMap::new(),
            has_conn_ack: false,
            has_ended: false,
            in_flight: BTreeSet::new(),
            due: Vec::new(),
            to_release: BTreeSet::new(),
            pings: 0,
            with_method: properties.authentication_method().is_some(),
        }
    }

    pub(crate) fn accepted(&mut self, session: &Session) {
        self.to_release = session.released().collect();
    }

    /// The broker has taken a packet of the client.
    pub(crate) fn taken(&mut self, packet: &Packet<'_>, answer: Option<Answer>) {
        match (packet, packet.packet_id()) {
            (Packet::PingReq, _) => self.pings += 1,
            (Packet::PubAck(_) | Packet::PubComp(_), Some(id)) => {
                self.in_flight.remove(&id);
            }
            (Packet::PubRec(pub_rec), Some(id)) if pub_rec.reason_code.is_error() => {
                self.in_flight.remove(&id);
            }
            _ => {}
        }
        self.due.extend(answer);
    }

    /// The broker has sent a packet; the topic, if it is a PUBLISH.
    pub(crate) fn sent(
        &mut self,
        packet: &Packet<'_>,
        len: usize,
        cause: Option<DisconnectCause>,
        session: Option<&mut Session>,
    ) -> String {
        assert!(!self.has_ended, "{packet} after the last packet");
        assert!(len <= self.packet_size, "{packet} of {len} bytes, above {}", self.packet_size);
        match packet {
            Packet::ConnAck(conn_ack) => {
                assert!(!self.has_conn_ack, "{packet} again");
                self.has_conn_ack = true;
                self.has_ended = conn_ack.reason_code.is_error();
                return String::new();
            }
            Packet::Auth(_) => {
                assert!(self.with_method, "{packet}");
                return String::new();
            }
            _ => assert!(self.has_conn_ack, "{packet} before CONNACK"),
        }
        if let Packet::Disconnect(disconnect) = packet {
            assert!(self.version.is_v5(), "{packet}");
            let expected = cause.and_then(code_of);
            let by_application = cause == Some(DisconnectCause::ShutDown);
            let is_expected = by_application || expected == Some(disconnect.reason_code);
            assert!(is_expected, "{packet}: {cause:?}");
            self.has_ended = true;
            return String::new();
        }
        match packet {
            Packet::Publish(publish) => {
                let topic = self.publish(publish);
                session.expect("a session").sent(publish, &topic, self.packet_size);
                return topic;
            }
            Packet::PingResp => {
                self.pings = self.pings.checked_sub(1).expect("a PINGREQ");
            }
            Packet::PubRel(pub_rel) if self.to_release.remove(&pub_rel.packet_id) => {}
            packet => self.answer(packet),
        }
        String::new()
    }

    fn answer(&mut self, packet: &Packet<'_>) {
        let (packet_type, id) = (packet.packet_type(), packet.packet_id().expect("an answer"));
        let is = |due: &Answer| due.packet_type == packet_type;
        // Each kind in the order in which it became due.
        let first = self.due.iter().position(is);
        let due = first.map(|at| self.due.remove(at));
        let Some(due) = due.filter(|due| due.packet_id == id) else {
            panic!("{packet} is not due next")
        };
        let code = |code: &ReasonCode| vec![code.get()];
        let codes = match packet {
            Packet::PubAck(ack) => code(&ack.reason_code),
            Packet::PubRec(ack) => code(&ack.reason_code),
            Packet::PubRel(ack) => code(&ack.reason_code),
            Packet::PubComp(ack) => code(&ack.reason_code),
            Packet::SubAck(ack) => ack.reason_codes.iter().map(ReasonCode::get).collect(),
            Packet::UnsubAck(ack) => ack.reason_codes.iter().map(ReasonCode::get).collect(),
            _ => panic!("{packet} from a broker"),
        };
        assert!(due.allows(&codes), "{packet} in place of {due:?}");
    }

    fn publish(&mut self, publish: &Publish<'_>) -> String {
        if let Some(id) = publish.packet_id {
            assert!(self.in_flight.insert(id), "{publish} twice on one connection");
            let count = self.in_flight.len();
            assert!(count <= self.window, "{publish} is one more than {}", self.window);
        }
        match (publish.properties.topic_alias(), publish.topic) {
            (None, topic) => {
                assert_ne!(topic, "", "{publish} without a topic");
                topic.to_owned()
            }
            (Some(alias), "") => {
                let topic = self.aliases.get(&alias);
                topic.unwrap_or_else(|| panic!("{publish}: {alias} is not set")).clone()
            }
            (Some(alias), topic) => {
                let maximum = self.alias_maximum;
                assert!((1..=maximum).contains(&alias), "{publish}: {alias} above {maximum}");
                self.aliases.insert(alias, topic.to_owned());
                topic.to_owned()
            }
        }
    }

    /// Those of its SUBSCRIBEs that were not answered.
    pub(crate) fn unanswered(&self) -> Vec<PacketId> {
        let is = |due: &&Answer| due.packet_type == PacketType::SubAck;
        self.due.iter().filter(is).map(|due| due.packet_id).collect()
    }
}

/// What a client of 5.0 is told at the end.
fn code_of(cause: DisconnectCause) -> Option<ReasonCode> {
    Some(match cause {
        DisconnectCause::ByApplication(code) => code,
        DisconnectCause::Violation(violation) => violation.reason_code(),
        DisconnectCause::TakenOver => ReasonCode::SESSION_TAKEN_OVER,
        DisconnectCause::KeepAliveTimeout => ReasonCode::KEEP_ALIVE_TIMEOUT,
        DisconnectCause::QueueFull => ReasonCode::QUOTA_EXCEEDED,
        DisconnectCause::SessionEnded => ReasonCode::ADMINISTRATIVE_ACTION,

        _ => return None,
    })
}
