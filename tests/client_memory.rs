//! The memory of a client is bounded by its options, whatever a server floods it with and however
//! long the application does not ask for outputs.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

use bytes::BytesMut;
use sansio_mqtt::client::{
    Acknowledgement, CallError, Client, ConnectionId, Event, Options, Output, TopicAliases,
};
use sansio_mqtt::{
    ConnAck, Instant, Outgoing, Packet, PacketId, Properties, Property, PubAck, PubRec, PubRel,
    Publish, QoS, Version,
};

#[path = "support/counting.rs"]
mod counting;

use counting::held;

const START: Instant = Instant::from_micros(1_000_000);
const VERSIONS: [Version; 2] = [Version::V5, Version::V3_1_1];

fn options(version: Version) -> Options {
    let mut options = Options::new(version, "c");
    options.receive_maximum = 20;
    options.maximum_held = 100;
    options.maximum_held_bytes = 50_000;
    options.maximum_packet_size = 2_000;
    options.topic_alias_maximum = 10;
    options.topic_aliases = TopicAliases::Automatic(10);
    options.acknowledgement = Acknowledgement::Manual;
    options.keep_alive = 1;
    options
}

/// A client with a connection that the server has accepted, and whose CONNECT was pulled.
fn connected(options: Options) -> (Client, ConnectionId) {
    let version = options.version;
    let mut client = Client::new(options).unwrap();
    let connection = client.transport_opened(START).unwrap();
    let _ = client.transmit(START, connection, 1 << 20, &mut Outgoing::new());
    let mut bytes = encode(version, ConnAck::default());
    let _ = client.receive(START, connection, &mut bytes);
    while !matches!(client.poll_output(), Output::Timeout(_)) {}
    (client, connection)
}

fn encode<'a>(version: Version, packet: impl Into<Packet<'a>>) -> BytesMut {
    let mut bytes = BytesMut::new();
    packet.into().encode(version, &mut bytes).unwrap();
    bytes
}

fn id(value: u32) -> PacketId {
    PacketId::new((value % 65_535 + 1) as u16).unwrap()
}

/// What a client holds at most while it is handed packet after packet, and the wrapper throws
/// away what it does not take.
fn peak(version: Version, mut packet: impl FnMut(u32) -> BytesMut) -> isize {
    let before = held();
    let (mut client, connection) = connected(options(version));
    let mut peak = 0;
    for number in 0..30_000 {
        let mut bytes = packet(number);
        let _ = client.receive(START, connection, &mut bytes);
        drop(bytes);
        peak = peak.max(held() - before);
    }
    peak
}

fn publish(qos: QoS, number: u32, payload: &[u8]) -> Publish<'_> {
    let packet_id = Some(id(number)).filter(|_| qos != QoS::AtMostOnce);
    Publish { topic: "t", qos, packet_id, payload, ..Publish::default() }
}

#[test]
fn a_flood_of_messages_is_held_up_to_what_the_options_say() {
    let payload = [7; 1_000];
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let peak = peak(version, |number| encode(version, publish(qos, number, &payload)));
            // 128 events wait at most.
            assert!(peak < 128 * 1_500 + 50_000, "{version} QoS {qos}: {peak}");
        }
    }
}

#[test]
fn a_flood_of_acknowledgements_is_not_answered_without_bound() {
    for version in VERSIONS {
        let rows: [fn(PacketId) -> Packet<'static>; 4] = [
            |id| PubAck::new(id).into(),
            |id| PubRec::new(id).into(),
            |id| PubRel::new(id).into(),
            |_| Packet::PingResp,
        ];
        for packet in rows {
            let peak = peak(version, |number| encode(version, packet(id(number))));
            assert!(peak < 200_000, "{version} {}: {peak}", packet(PacketId::MIN));
        }
    }
}

#[test]
fn messages_that_come_again_and_again_are_not_answered_without_bound() {
    for version in VERSIONS {
        let before = held();
        let mut own = options(version);
        own.acknowledgement = Acknowledgement::Automatic;
        let (mut client, connection) = connected(own);
        let mut peak = 0;
        for _ in 0..30_000 {
            let mut bytes = encode(version, publish(QoS::ExactlyOnce, 1, b"x"));
            let _ = client.receive(START, connection, &mut bytes);
            // The application takes everything, the transport nothing.
            for _ in 0..4 {
                let _ = client.poll_output();
            }
            peak = peak.max(held() - before);
        }
        assert!(peak < 200_000, "{version}: {peak}");
    }
}

#[test]
fn a_server_that_answers_pings_it_has_not_read_makes_nothing_grow() {
    for version in VERSIONS {
        let before = held();
        let (mut client, connection) = connected(options(version));
        let mut peak = 0;
        let mut now = START;
        for _ in 0..10_000 {
            now = now + std::time::Duration::from_secs(1);
            client.handle_timeout(now);
            let _ = client.receive(now, connection, &mut encode(version, Packet::PingResp));
            peak = peak.max(held() - before);
        }
        assert!(peak < 50_000, "{version}: {peak}");
    }
}

#[test]
fn a_length_that_is_claimed_reserves_nothing() {
    for version in VERSIONS {
        let before = held();
        let (mut client, connection) = connected(options(version));
        // A PUBLISH of 1,900 bytes, and one of 256 MiB, of which hardly anything comes.
        for claim in [&b"\x30\xec\x0e\0"[..], b"\x30\xff\xff\xff\x7f\0"] {
            let mut bytes = BytesMut::from(claim);
            for _ in 0..1_000 {
                let _ = client.receive(START, connection, &mut bytes);
            }
        }
        let held = held() - before;
        assert!(held < 20_000, "{version}: {held}");
    }
}

#[test]
fn aliases_are_kept_up_to_the_maximum() {
    let version = Version::V5;
    let long = "x".repeat(1_500);
    let peak = peak(version, |number| {
        let topic = format!("{long}{number}");
        let alias = [Property::TopicAlias((number % 10 + 1) as u16)];
        let properties = Properties::List(&alias);
        encode(version, Publish { topic: &topic, properties, ..Publish::default() })
    });
    // Ten topics, and 128 messages that wait.
    assert!(peak < 150 * 2_500, "{peak}");
}

#[test]
fn what_is_published_without_a_connection_is_held_up_to_the_maximum() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for (len, most) in [(1, 100), (1_000, 50), (4_000, 12)] {
            let before = held();
            let mut client = Client::new(options(Version::V5)).unwrap();
            let payload = vec![1; len];
            let publish = Publish { topic: "t", qos, payload: &payload, ..Publish::default() };
            let mut accepted = 0;
            for _ in 0..10_000 {
                match client.publish(START, &publish) {
                    Ok(_) => accepted += 1,
                    Err(error) => assert_eq!(error, CallError::QueueFull),
                }
            }
            assert!((most - 1..=most).contains(&accepted), "QoS {qos} {len}: {accepted}");
            assert_eq!(client.held(), accepted);
            let held = held() - before;
            assert!(held < 2 * 50_000 + 100 * 400 + 20_000, "QoS {qos} {len}: {held}");
        }
    }
}

#[test]
fn a_received_message_that_is_passed_on_keeps_no_read_buffer_alive() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let (mut client, connection) = connected(options(version));
            let mut offline = Client::new(options(version)).unwrap();
            let before = held();
            for number in 0..100 {
                let mut bytes = BytesMut::with_capacity(64 * 1024);
                bytes.extend_from_slice(&encode(version, publish(qos, number, b"x")));
                let _ = client.receive(START, connection, &mut bytes);
                let Output::Event(Event::Message(delivery)) = client.poll_output() else {
                    panic!("no message");
                };
                offline.publish_message(START, delivery.message).unwrap();
                if let Some(delivery_id) = delivery.delivery_id {
                    client.acknowledge(START, delivery_id).unwrap();
                    let mut outgoing = Outgoing::new();
                    let _ = client.transmit(START, connection, usize::MAX, &mut outgoing);
                }
            }
            let grown = held() - before;
            assert!(grown < 100_000, "{version} {qos}: {grown} bytes");
        }
    }
}

#[test]
fn words_in_acknowledgements_are_held_up_to_the_maximum() {
    let long = "x".repeat(60_000);
    let list = [Property::UserProperty("a", &long); 16];
    let acks: [fn(PacketId, Properties<'_>) -> Packet<'_>; 2] = [
        |packet_id, properties| PubRec { properties, ..PubRec::new(packet_id) }.into(),
        |packet_id, properties| PubAck { properties, ..PubAck::new(packet_id) }.into(),
    ];
    for (ack, qos) in acks.into_iter().zip([QoS::ExactlyOnce, QoS::AtLeastOnce]) {
        for polls in [true, false] {
            let mut options = options(Version::V5);
            options.maximum_packet_size = 2_000_000;
            options.maximum_held_bytes = 3_000_000;
            let before = held();
            let (mut client, connection) = connected(options);
            for _ in 0..20 {
                let publish = Publish { topic: "t", qos, payload: b"x", ..Publish::default() };
                client.publish(START, &publish).unwrap();
            }
            while !matches!(client.poll_output(), Output::Timeout(_)) {}
            let _ = client.transmit(START, connection, usize::MAX, &mut Outgoing::new());
            for number in 0..20 {
                let mut bytes = encode(Version::V5, ack(id(number), (&list).into()));
                let _ = client.receive(START, connection, &mut bytes);
                while polls && !matches!(client.poll_output(), Output::Timeout(_)) {}
                let grown = held() - before - bytes.capacity() as isize;
                assert!(grown < 5_000_000, "{qos}: {grown} bytes");
            }
        }
    }
}

#[test]
fn messages_that_make_room_for_others_leave_nothing_behind() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let before = held();
        let mut own = options(Version::V5);
        own.overflow = sansio_mqtt::client::Overflow::DropOldest;
        let mut client = Client::new(own).unwrap();
        let mut peak = 0;
        for _ in 0..20_000 {
            let publish = Publish { topic: "t", qos, payload: &[1; 400], ..Publish::default() };
            let _ = client.publish(START, &publish).unwrap();
            // The application is told of those that were dropped.
            let _ = client.poll_output();
            peak = peak.max(held() - before);
        }
        assert!(peak < 3 * 50_000 + 50_000, "QoS {qos}: {peak}");
    }
}

#[test]
fn messages_that_expire_behind_one_that_does_not_leave_nothing_behind() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let before = held();
        let mut client = Client::new(options(Version::V5)).unwrap();
        let publish = Publish { topic: "t", qos, ..Publish::default() };
        let _ = client.publish(START, &publish).unwrap();
        let properties = [Property::MessageExpiryInterval(1)];
        let properties = Properties::List(&properties);
        let (mut now, mut peak) = (START, 0);
        for _ in 0..100_000 {
            now = now + std::time::Duration::from_millis(100);
            let _ = client.publish(now, &Publish { properties, ..publish });
            while !matches!(client.poll_output(), Output::Timeout(_)) {}
            peak = peak.max(held() - before);
        }
        assert!(peak < 100_000, "QoS {qos}: {peak}");
    }
}

#[test]
fn messages_dropped_behind_one_that_is_sent_again_leave_nothing_behind() {
    let before = held();
    let mut own = options(Version::V5);
    own.overflow = sansio_mqtt::client::Overflow::DropOldest;
    own.session_expiry_interval = 60;
    own.clean_start = sansio_mqtt::client::CleanStart::First;
    let (mut client, connection) = connected(own);
    let publish = Publish { topic: "t", qos: QoS::AtLeastOnce, ..Publish::default() };
    let _ = client.publish(START, &publish).unwrap();
    let _ = client.transmit(START, connection, 1 << 20, &mut Outgoing::new());
    client.transport_closed(START, connection);
    let connection = client.transport_opened(START).unwrap();
    let conn_ack = ConnAck { session_present: true, ..ConnAck::default() };
    let _ = client.receive(START, connection, &mut encode(Version::V5, conn_ack));
    let mut peak = 0;
    // The transport takes nothing.
    for _ in 0..100_000 {
        let _ = client.publish(START, &publish).unwrap();
        while !matches!(client.poll_output(), Output::Timeout(_)) {}
        peak = peak.max(held() - before);
    }
    // The circle of identifiers takes 256 KiB.
    assert!(peak < 400_000, "{peak}");
}
