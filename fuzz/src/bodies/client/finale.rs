//! The end of a run: a server that keeps to the rules, and time; nothing may be left over.

use sansio_mqtt::{
    ConnAck, Packet, PacketType, Properties, Property, PubAck, PubComp, PubRec, PubRel, QoS,
    ReasonCode, SubAck, UnsubAck, Version,
};

use super::ledger::Kind;
use super::options::METHOD;
use super::server::encode;
use super::world::World;

impl World<'_> {
    pub(crate) fn finale(&mut self) {
        self.setup.fragment = 0;
        self.setup.eager = true;
        self.lose();
        self.settle();
        self.open();
        self.settle();
        self.accept();
        for round in 0.. {
            self.acknowledge_all();
            self.settle();
            let answers = self.answers();
            if answers.is_empty() && self.ledger.unacknowledged.is_empty() {
                break;
            }
            assert!(round < 200, "no end");
            for answer in answers {
                self.deliver(&answer);
                self.settle();
                assert!(self.client.server().is_some(), "the client left a good server");
            }
        }
        let left = self.ledger.waiting();
        let is_request = |(_, kind): &(u64, Kind)| matches!(kind, Kind::Request(_));
        assert!(left.iter().all(is_request), "not completed: {left:?}");
        assert_eq!(self.client.held(), 0);
        assert!(self.peer.receipts.is_done(), "{:?}", self.peer.receipts);
        self.lose();
        self.now = self.now.max(self.time) + 10_000_000;
        self.wake();
        self.settle();
        assert_eq!(self.ledger.waiting(), [], "requests do not time out");
    }

    fn accept(&mut self) {
        let version = self.setup.options.version;
        let connection = self.peer.connection.as_ref().expect("a connection");
        let clean_start = connection.clean_start.expect("a CONNECT");
        let method = [Property::AuthenticationMethod(METHOD)];
        let properties = match connection.has_method() {
            true => Properties::List(&method),
            false => Properties::NONE,
        };
        let session_present = !clean_start
            && self.peer.session_is_known(self.time, self.setup.options.adopt_session)
            && version != Version::V3_1;
        let conn_ack = ConnAck { session_present, properties, ..ConnAck::default() };
        self.deliver(&encode(version, conn_ack));
        assert!(self.client.server().is_some(), "the client does not like {conn_ack:?}");
        self.settle();
    }

    fn acknowledge_all(&mut self) {
        for id in self.ledger.unacknowledged.clone() {
            assert_eq!(self.checked(|client, now| client.acknowledge(now, id)), Ok(()));
            self.ledger.unacknowledged.retain(|known| *known != id);
            let is_up = self.peer.is_up();
            self.peer.receipts.decide(id, ReasonCode::SUCCESS, is_up);
        }
    }

    /// What a server answers to all that it was sent.
    fn answers(&self) -> Vec<Vec<u8>> {
        let version = self.setup.options.version;
        let mut answers = Vec::new();
        let mut answer = |packet: Packet<'_>| answers.push(encode(version, packet));
        for (packet_id, qos) in self.peer.unanswered() {
            match qos {
                QoS::ExactlyOnce => answer(PubRec::new(packet_id).into()),
                _ => answer(PubAck::new(packet_id).into()),
            }
        }
        let connection = self.peer.connection.as_ref();
        for packet_id in connection.iter().flat_map(|found| &found.released) {
            answer(PubComp::new(*packet_id).into());
        }
        let operations = self.peer.connection.iter().flat_map(|found| &found.operations);
        for (packet_id, (packet_type, count)) in operations {
            let codes = vec![ReasonCode::SUCCESS; *count];
            match packet_type {
                PacketType::Subscribe => answer(SubAck::new(*packet_id, &codes).into()),
                _ if version.is_v5() => answer(UnsubAck::new(*packet_id, &codes).into()),
                _ => answer(UnsubAck::new(*packet_id, &[]).into()),
            }
        }
        if let Some(packet_id) = self.peer.receipts.to_release(0) {
            answer(PubRel::new(packet_id).into());
        }
        answers
    }
}
