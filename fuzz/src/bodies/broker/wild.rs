//! Steps in which anything may come: packets that break rules, bytes that are no packets, and
//! calls about connections that are not there.

use bytes::BytesMut;
use sansio_mqtt::broker::{Acceptance, CallError, ConnectionId, Transmitted};
use sansio_mqtt::{
    Auth, ConnAck, Connect, Disconnect, Outgoing, Packet, PacketId, Properties, Property, PubAck,
    PubComp, PubRec, PubRel, Publish, QoS, ReasonCode, RetainHandling, Subscribe, Subscription,
    Unsubscribe, Version, Will,
};

use super::input::Input;
use super::world::{SECOND, World};

const TOPICS: [&str; 8] = ["a", "a/b", "a/b/c/d/e", "$x", "/", "no", "", "$share/g/a"];
const FILTERS: [&str; 12] = [
    "a",
    "#",
    "+/+",
    "a/#",
    "$share/g/#",
    "$share/g/a",
    "$share/h/+/+",
    "+/+/+/+",
    "$x/#",
    "no",
    "a/b/c/d/e",
    "$share/no",
];
const NAMES: [&str; 5] = ["a", "b", "c", "", "a-long-client-identifier"];
const CODES: [u8; 8] = [0, 0, 0, 0x10, 0x92, 0x97, 0x04, 0x80];

impl World<'_> {
    pub(crate) fn wild_step(&mut self) {
        let index = self.input.below(8);
        let Some(connection) = self.connections.get(index % self.connections.len().max(1)) else {
            return self.arrive();
        };
        let id = connection.id;
        match self.input.below(32) {
            0..=2 => self.arrive(),
            3..=14 => self.say(id),
            15..=18 => {
                let limit = self.input.pick(&[1 << 20, 1, 0, 100]);
                self.pull(id, limit);
                let len = self.input.below(50);
                self.consume(id, if len > 24 { usize::MAX } else { len });
            }
            19..=21 => self.answer(id),
            22 => self.lose(id),
            23..=24 => self.any_time(),
            25 => self.receive(id),
            26 => self.no_such_connection(),
            27 => self.wild_disconnect(id),
            28 => self.wild_end_session(),
            29 if self.input.rarely(16) => self.shut_down(),
            _ => self.wild_publish(),
        }
    }

    /// A new transport, mostly with a CONNECT.
    fn arrive(&mut self) {
        let bytes = self.connect_packet();
        let Some(id) = self.open(None) else { return };
        match self.input.below(16) {
            0 => {}
            1 => {
                let len = self.input.below(64);
                let bytes = self.input.take(len).to_vec();
                self.deliver(id, &bytes);
            }
            choice => {
                let bytes = if choice == 2 { self.mutated(bytes) } else { bytes };
                self.deliver(id, &bytes);
                if choice > 4 {
                    self.answer(id);
                }
            }
        }
    }

    fn connect_packet(&mut self) -> Vec<u8> {
        let input = &mut self.input;
        let version = input.pick(&[Version::V5, Version::V3_1_1, Version::V5, Version::V3_1]);
        let flags = input.byte();
        let more = input.byte();
        let mut properties = Vec::new();
        let all = [
            Property::SessionExpiryInterval(input.pick(&[100, 3, u32::MAX, 0])),
            Property::ReceiveMaximum(1 + input.below(3) as u16),
            Property::MaximumPacketSize(1 + 20 * input.below(8) as u32),
            Property::TopicAliasMaximum(input.below(4) as u16),
            Property::AuthenticationMethod("m"),
            Property::RequestProblemInformation(false),
            Property::RequestResponseInformation(true),
        ];
        let wanted = |(bit, property): (usize, _)| (more >> bit & 1 != 0).then_some(property);
        properties.extend(all.into_iter().enumerate().filter_map(wanted));
        let will_properties = [
            Property::WillDelayInterval(input.pick(&[0, 1, 100])),
            Property::MessageExpiryInterval(2),
        ];
        let is_v5 = version.is_v5();
        let will = (flags & 6 == 6).then(|| Will {
            qos: input.pick(&[QoS::AtLeastOnce, QoS::AtMostOnce, QoS::ExactlyOnce]),
            retain: flags & 8 != 0,
            topic: input.pick(&TOPICS),
            payload: b"gone",
            properties: if is_v5 { Properties::List(&will_properties) } else { Properties::NONE },
        });
        let connect = Connect {
            version,
            clean_start: flags & 1 != 0,
            keep_alive: input.pick(&[0, 1, 60, 0]),
            properties: if is_v5 { Properties::List(&properties) } else { Properties::NONE },
            client_id: input.pick(&NAMES),
            will,
            user_name: (flags & 16 != 0).then_some("u"),
            password: (flags & 48 == 48).then_some(b"p"),
        };
        encode(version, connect)
    }

    /// The bytes with some of them changed.
    fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..1 + self.input.below(3) {
            let at = usize::from(self.input.byte());
            let value = self.input.byte();
            let len = bytes.len().max(1);
            match value & 3 {
                0 => bytes.truncate(at % len),
                1 => bytes.insert(at % len.min(bytes.len() + 1), value),
                _ => bytes.iter_mut().skip(at % len).take(1).for_each(|byte| *byte ^= value),
            }
        }
        bytes
    }

    fn say(&mut self, id: ConnectionId) {
        let Some(connection) = self.find(id) else { return };
        let version = connection.wire.as_ref().map_or(Version::V5, |wire| wire.version);
        let mut bytes = Vec::new();
        for _ in 0..1 + self.input.below(3) {
            bytes.extend(packet(&mut self.input, version, &mut self.published));
        }
        match self.input.below(16) {
            0 => bytes = self.mutated(bytes),
            1 => {
                let len = self.input.below(32);
                bytes.extend(self.input.take(len));
            }
            2 => bytes = self.connect_packet(),
            _ => {}
        }
        self.deliver(id, &bytes);
    }

    /// The application answers, whether it was asked or not.
    fn answer(&mut self, id: ConnectionId) {
        let flags = self.input.byte();
        let waits = self.find(id).is_some_and(|connection| connection.waits);
        let properties = [
            Property::UserProperty("k", "v"),
            Property::AuthenticationMethod("m"),
            Property::ReasonString("a reason of some length"),
        ];
        let properties = Properties::List(&properties[..usize::from(flags >> 6)]);
        let result = match flags & 15 {
            0 => {
                let reason_code = ReasonCode::new(self.input.pick(&[0x87, 0x97, 0, 0x04]));
                let conn_ack = ConnAck { properties, ..ConnAck::refuse(reason_code) };
                self.checked(|broker, now| broker.refuse(now, id, &conn_ack))
            }
            1 | 2 => {
                let reason_code = ReasonCode::new(self.input.pick(&[0x18, 0, 0x19]));
                let auth = Auth { reason_code, properties };
                self.checked(|broker, now| broker.authenticate(now, id, &auth))
            }
            _ => {
                let mut acceptance = Acceptance::default();
                acceptance.maximum_qos = self.input.pick(&[QoS::ExactlyOnce, QoS::AtMostOnce]);
                acceptance.maximum_session_expiry_interval = self.input.pick(&[u32::MAX, 2, 0]);
                acceptance.identity = Some("somebody").filter(|_| flags & 16 != 0);
                acceptance.properties = properties;
                if flags & 32 == 0 {
                    acceptance.properties = Properties::NONE;
                }
                self.checked(|broker, now| broker.accept(now, id, &acceptance))
            }
        };
        assert!(waits || flags & 15 == 1 || flags & 15 == 2 || result.is_err(), "nobody asked");
    }

    fn any_time(&mut self) {
        let wait = [0, 1, SECOND, 20 * SECOND, 200 * SECOND, 1 << 50];
        match (self.input.below(8), self.deadline) {
            (6, _) => self.now = self.now.saturating_sub(5 * SECOND),
            (7, Some(deadline)) => self.now = self.now.max(deadline.as_micros()),
            (choice, _) => {
                self.now = self.now.saturating_add(wait[choice % wait.len()]).min(1 << 60);
            }
        }
        self.wake();
    }

    /// What is said of a connection that is not there has no effect.
    fn no_such_connection(&mut self) {
        let stale = self.dead.get(self.input.below(self.dead.len())).copied();
        let id = stale.filter(|_| self.input.flag()).unwrap_or(self.foreign);
        let now = self.instant();
        let before = self.snapshot();
        let mut bytes = BytesMut::from(&b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0"[..]);
        let _ = self.broker.receive(now, id, &mut bytes);
        let mut outgoing = Outgoing::new();
        let all = self.broker.transmit(now, id, 100, &mut outgoing);
        assert!(all == Transmitted::All && outgoing.is_empty());
        self.broker.transport_closed(now, id);
        let unknown = Err(CallError::UnknownConnection);
        assert_eq!(self.broker.accept(now, id, &Acceptance::default()), unknown);
        let refused = ConnAck::refuse(ReasonCode::NOT_AUTHORIZED);
        assert_eq!(self.broker.refuse(now, id, &refused), unknown);
        assert!(self.broker.disconnect(now, id, &Disconnect::default()).is_err());
        assert!(self.broker.authenticate(now, id, &Auth::default()).is_err());
        assert_eq!(self.snapshot(), before);
    }

    fn wild_disconnect(&mut self, id: ConnectionId) {
        let reason_code = ReasonCode::new(self.input.pick(&[0x98, 0, 0x9d, 0x04]));
        let properties = [Property::ReasonString("enough"), Property::SessionExpiryInterval(1)];
        let properties = Properties::List(&properties[..self.input.below(3)]);
        let disconnect = Disconnect { reason_code, properties };
        let _ = self.checked(|broker, now| broker.disconnect(now, id, &disconnect));
    }

    fn wild_end_session(&mut self) {
        let client_id = self.input.pick(&NAMES);
        let known = self.broker.session(client_id).is_some();
        let result = self.checked(|broker, now| broker.end_session(now, client_id));
        assert_eq!(result.is_ok(), known, "{result:?}");
        assert!(self.broker.session(client_id).is_none());
    }

    fn shut_down(&mut self) {
        let reason_code = ReasonCode::new(self.input.pick(&[0x8b, 0x04]));
        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
        let result = self.checked(|broker, now| broker.shut_down(now, &disconnect));
        if result.is_ok() {
            self.is_shut_down = true;
        }
    }

    fn wild_publish(&mut self) {
        let mut properties = Vec::new();
        let flags = self.input.byte();
        let all = [
            Property::MessageExpiryInterval(2),
            Property::TopicAlias(1),
            Property::SubscriptionIdentifier(3),
            Property::UserProperty("k", "v"),
        ];
        let wanted = |(bit, property): (usize, _)| (flags >> bit & 1 != 0).then_some(property);
        properties.extend(all.into_iter().enumerate().filter_map(wanted));
        let payload = vec![flags; usize::from(flags >> 4 & 3) * 600];
        let publish = Publish {
            topic: self.input.pick(&TOPICS),
            payload: &payload,
            qos: self.input.pick(&[QoS::AtLeastOnce, QoS::AtMostOnce, QoS::ExactlyOnce]),
            retain: flags & 0x40 != 0,
            dup: flags & 0x8f == 0x80,
            properties: Properties::List(&properties),
            ..Publish::default()
        };
        let _ = self.checked(|broker, now| broker.publish(now, &publish));
    }
}

/// The packet, or nothing if the version does not have it.
fn encode<'a>(version: Version, packet: impl Into<Packet<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = packet.into().encode(version, &mut bytes);
    bytes
}

fn packet(input: &mut Input<'_>, version: Version, number: &mut u32) -> Vec<u8> {
    let flags = input.byte();
    let packet_id = PacketId::new(1 + u16::from(flags & 7)).unwrap_or(PacketId::MIN);
    let reason_code = ReasonCode::new(CODES[usize::from(flags >> 5)]);
    match input.below(20) {
        0..=5 => publish(input, version, packet_id, number),
        6..=8 => subscribe(input, version, packet_id),
        9 => encode(version, Unsubscribe::new(packet_id, &[input.pick(&FILTERS)])),
        10..=11 => encode(version, PubAck { reason_code, ..PubAck::new(packet_id) }),
        12..=13 => encode(version, PubRec { reason_code, ..PubRec::new(packet_id) }),
        14 => encode(version, PubRel { reason_code, ..PubRel::new(packet_id) }),
        15 => encode(version, PubComp { reason_code, ..PubComp::new(packet_id) }),
        16 => encode(version, Packet::PingReq),
        17 => {
            let properties = [Property::SessionExpiryInterval(input.pick(&[0, 1, u32::MAX]))];
            let properties = Properties::List(&properties[..usize::from(flags & 1)]);
            encode(version, Disconnect { reason_code, properties })
        }
        18 => {
            let reason_code = ReasonCode::new(input.pick(&[0x18, 0x19, 0]));
            let method = if flags & 0xf0 == 0xf0 { "other" } else { "m" };
            let properties = [Property::AuthenticationMethod(method)];
            encode(version, Auth { reason_code, properties: Properties::List(&properties) })
        }
        _ => {
            let len = input.below(16);
            input.take(len).to_vec()
        }
    }
}

fn publish(
    input: &mut Input<'_>,
    version: Version,
    packet_id: PacketId,
    number: &mut u32,
) -> Vec<u8> {
    let flags = input.byte();
    let qos = input.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtMostOnce]);
    *number += 1;
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize([4, 4, 0, 1_100][usize::from(flags & 3)], 0);
    let mut properties = Vec::new();
    if flags & 0x30 == 0x30 {
        properties.push(Property::TopicAlias(u16::from(flags >> 6)));
    }
    if flags & 0xc0 == 0xc0 {
        properties.push(Property::MessageExpiryInterval(input.pick(&[0, 1, 100])));
    }
    let publish = Publish {
        topic: input.pick(&TOPICS),
        payload: &payload,
        qos,
        retain: flags & 0x0c == 0x0c,
        dup: qos > QoS::AtMostOnce && flags & 0x0c == 4,
        packet_id: (qos > QoS::AtMostOnce).then_some(packet_id),
        properties: Properties::List(&properties),
    };
    encode(version, publish)
}

fn subscribe(input: &mut Input<'_>, version: Version, packet_id: PacketId) -> Vec<u8> {
    let mut subscriptions = Vec::new();
    for _ in 0..1 + input.below(3) {
        let flags = input.byte();
        let is_v5 = version.is_v5();
        subscriptions.push(Subscription {
            topic_filter: input.pick(&FILTERS),
            qos: QoS::new(flags & 3).unwrap_or_default(),
            no_local: is_v5 && flags & 0x0c == 4,
            retain_as_published: is_v5 && flags & 0x10 != 0,
            retain_handling: match is_v5 {
                true => RetainHandling::new(flags >> 6).unwrap_or_default(),
                false => RetainHandling::default(),
            },
        });
    }
    let properties = [Property::SubscriptionIdentifier(1 + input.below(3) as u32)];
    let count = if version.is_v5() { input.below(2) } else { 0 };
    let properties = Properties::List(&properties[..count]);
    encode(version, Subscribe { properties, ..Subscribe::new(packet_id, &subscriptions) })
}
