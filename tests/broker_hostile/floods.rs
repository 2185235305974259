//! Clients that send without end, and clients that never read: what the broker holds for them is
//! bounded by its options, and nobody else waits. MQTT 5.0 §4.9.

use sansio_mqtt::broker::{DisconnectCause, Options, Overflow, Received};
use sansio_mqtt::{
    Auth, Connect, Packet, Properties, Property, PubRec, PubRel, Publish, QoS, ReasonCode,
    Subscribe, Subscription, Unsubscribe, Version,
};

use crate::memory;
use crate::world::{QOS, World, encode, id, in_all_versions, lasting, of, options_with, publish};

/// What a broker may need for one that waits in a queue, beside its bytes: message, delivery, place
/// in the queue, identifier.
const BESIDE: usize = 512;
/// What a broker may need for one connection, whatever its client does: state, acknowledgements
/// that wait, and one more packet of those.
const CONNECTION: usize = 160 * 1024;

fn small(overflow: Overflow) -> Options {
    options_with(|options| {
        options.maximum_queued_messages = 100;
        options.maximum_queued_bytes = 50_000;
        options.maximum_packet_size = 2_000;
        options.maximum_in_flight = 20;
        options.receive_maximum = 20;
        options.overflow = overflow;
    })
}

/// What the options let one session and its connection hold, in bytes.
fn ceiling(options: &Options) -> isize {
    let messages = options.maximum_queued_messages * BESIDE;
    let bytes = options.maximum_queued_bytes + options.maximum_packet_size as usize;
    let aliases = usize::from(options.topic_alias_maximum + options.outgoing_topic_aliases)
        * options.maximum_topic_length;
    (messages + bytes + aliases + CONNECTION) as isize
}

#[test]
fn the_backlog_of_a_client_that_never_reads_is_bounded() {
    for version in [Version::V3_1_1, Version::V5] {
        for qos in QOS {
            for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect] {
                never_reads(version, qos, overflow);
            }
        }
    }
}

fn never_reads(version: Version, qos: QoS, overflow: Overflow) {
    const SENT: u64 = 2_000;
    let options = small(overflow);
    let ceiling = ceiling(&options);
    let mut world = World::new(options);
    let innocent = world.up(version, "innocent");
    let publisher = world.up(version, "publisher");
    let idle = world.join(&lasting(version, "idle"));
    world.subscribe(idle, "t", qos);
    world.block(idle);
    let payload = "x".repeat(1_000);
    let before = memory::held();
    let (peak, ()) = memory::peak(|| {
        for value in 1..=SENT {
            world.send(publisher, publish("t", qos, (value % 10 + 1) as u16, &payload));
            if qos == QoS::ExactlyOnce {
                world.send(publisher, PubRel::new(id((value % 10 + 1) as u16)));
            }
            let _ = world.raw(publisher);
        }
    });
    let held = memory::held() - before;
    println!("{version} QoS {qos} {overflow:?}: {peak} at most, {held} at the end, of {ceiling}");
    assert!(peak < ceiling);
    world.serves(innocent);
    let counters = world.broker.counters();
    let dropped = if qos == QoS::AtMostOnce {
        assert_eq!(counters.dropped, 0);
        counters.dropped_at_most_once
    } else {
        assert_eq!(counters.dropped_at_most_once, 0);
        counters.dropped
    };
    let session = world.broker.session("idle").unwrap();
    assert_eq!(session.dropped, dropped);
    // Its connection counts while it lasts; at QoS 0 there is nothing to be kept without one.
    let ends = overflow == Overflow::Disconnect && qos != QoS::AtMostOnce;
    assert_eq!(session.connection.is_none(), ends);
    assert_eq!(session.queued_messages as u64 + dropped, SENT);
    assert!(session.queued_bytes <= 50_000);
    if ends {
        assert_eq!(world.cause(idle), Some(DisconnectCause::QueueFull));
        world.wait_secs(5);
        assert!(world.is_closed(idle));
    }
}

#[test]
fn whoever_reads_gets_all_while_another_does_not() {
    in_all_versions(|world, version| {
        let publisher = world.up(version, "publisher");
        let idle = world.up(version, "idle");
        let reader = world.up(version, "reader");
        for peer in [idle, reader] {
            world.subscribe(peer, "t", QoS::ExactlyOnce);
        }
        world.block(idle);
        for _ in 0..3_000 {
            world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
            assert_eq!(world.sent(reader), ["PUBLISH \"t\" QoS 0 \"x\""]);
        }
    });
}

/// Packets that a client can send for ever, each to be answered.
fn endless(version: Version) -> Vec<Vec<u8>> {
    let (filters, subscriptions) = (["a"], [Subscription::new("a", QoS::AtMostOnce)]);
    let many: Vec<_> = (0..300).map(|_| Subscription::new("a", QoS::AtMostOnce)).collect();
    let packets: [Packet<'_>; 9] = [
        Packet::PingReq,
        Subscribe::new(id(1), &subscriptions).into(),
        Subscribe::new(id(1), &many).into(),
        Unsubscribe::new(id(1), &filters).into(),
        PubRel::new(id(1)).into(),
        PubRec::new(id(1)).into(),
        publish("a", QoS::ExactlyOnce, 1, "x").into(),
        publish("a", QoS::AtLeastOnce, 1, "x").into(),
        publish("$a", QoS::AtLeastOnce, 1, "x").into(),
    ];
    packets.into_iter().map(|packet| encode(version, packet)).collect()
}

#[test]
fn answers_that_are_not_read_are_bounded_and_then_no_more_input_is_taken() {
    for version in [Version::V3_1_1, Version::V5] {
        for packet in endless(version) {
            let options = small(Overflow::DropNewest);
            let ceiling = ceiling(&options);
            let mut world = World::new(options);
            let innocent = world.up(version, "innocent");
            let peer = world.join(&Connect { keep_alive: 10, ..of(version, "c") });
            world.block(peer);
            let (peak, last) = memory::peak(|| {
                let mut last = Received::Drained;
                for _ in 0..5_000 {
                    last = world.flood(peer, &packet);
                }
                last
            });
            println!("{version} {:#04x}: {peak} of {ceiling}", packet[0]);
            assert!(peak < ceiling);
            world.serves(innocent);
            // More than the receive maximum is a violation in 5.0.
            if version.is_v5() && packet[0] == 0x32 {
                assert_eq!(world.violation(peer).reason_code().get(), 0x93);
                continue;
            }
            assert_eq!(last, Received::Paused);
            // Not even the keep alive is paused with it: it is the client that does not read.
            world.wait_secs(15);
            assert_eq!(world.cause(peer), Some(DisconnectCause::KeepAliveTimeout));
            world.wait_secs(5);
            assert!(world.is_closed(peer));
        }
    }
}

#[test]
fn a_flood_whose_answers_are_read_in_the_end_is_answered_to_the_last() {
    in_all_versions(|world, version| {
        let innocent = world.up(version, "innocent");
        for (packet_id, count) in [(7, 5_000), (8, 1_023), (9, 1_024), (10, 1_025)] {
            let peer = world.up(version, "c");
            world.block(peer);
            let one = encode(version, PubRel::new(id(packet_id)));
            world.send_bytes(peer, &one.repeat(count));
            world.serves(innocent);
            let code = if version.is_v5() { " 0x92 Packet Identifier not found" } else { "" };
            world.unblock(peer);
            let answers = world.sent(peer);
            assert_eq!(answers.len(), count);
            assert!(answers.iter().all(|one| *one == format!("PUBCOMP #{packet_id}{code}")));
        }
    });
}

#[test]
fn one_read_of_a_million_bytes_is_taken_in_portions() {
    // Outputs drain in between: nothing that a fast reader takes is dropped.
    in_all_versions(|world, version| {
        let reader = world.up(version, "reader");
        world.subscribe(reader, "t", QoS::AtMostOnce);
        let peer = world.up(version, "c");
        let one = encode(version, publish("t", QoS::AtMostOnce, 0, "0123456789"));
        world.send_bytes(peer, &one.repeat(20_000));
        assert_eq!(world.raw(reader).len(), one.len() * 20_000);
        assert_eq!(world.broker.counters().dropped_at_most_once, 0);
    });
}

#[test]
fn messages_at_qos_2_that_repeat_one_identifier_take_no_room() {
    in_all_versions(|world, version| {
        let reader = world.up(version, "reader");
        world.subscribe(reader, "t", QoS::AtMostOnce);
        let peer = world.up(version, "c");
        let one = encode(version, publish("t", QoS::ExactlyOnce, 1, "x"));
        let again = {
            let mut again = one.clone();
            again[0] |= 0x08;
            again
        };
        world.send_bytes(peer, &one);
        let _ = world.raw(peer);
        let (before, mut most) = (memory::held(), 0);
        for _ in 0..20_000 {
            world.send_bytes(peer, &again);
            assert_eq!(world.raw(peer), [0x50, 2, 0, 1]);
            most = most.max(memory::held() - before);
        }
        assert!(most < 1_024, "{most}");
        assert_eq!(world.sent(reader), ["PUBLISH \"t\" QoS 0 \"x\""]);
        assert_eq!(world.broker.counters().duplicates, 20_000);
    });
}

#[test]
fn messages_at_qos_2_that_are_never_released_take_what_the_receive_maximum_says() {
    // In 3.x, where there is none, a few bytes for each of 65,535 identifiers.
    in_all_versions(|world, version| {
        let peer = world.up(version, "c");
        world.ignore(peer);
        let (before, _) = (memory::held(), world.raw(peer));
        for value in 1..=u16::MAX {
            let one = encode(version, publish("t", QoS::ExactlyOnce, value, "x"));
            let _ = world.flood(peer, &one);
        }
        let held = memory::held() - before;
        if version.is_v5() {
            assert_eq!(world.violation(peer).reason_code().get(), 0x93);
            assert!(held < 64 * 1_024, "{held}");
        } else {
            assert!(held < 65_535 * 12, "{held}");
        }
    });
}

#[test]
fn aliases_take_what_their_maximum_and_the_longest_topic_say() {
    let options = options_with(|options| {
        options.topic_alias_maximum = 10;
        options.maximum_topic_length = 100;
    });
    let mut world = World::new(options);
    let peer = world.up(Version::V5, "c");
    for length in [100, 101, 10_000, 65_535] {
        let topic = "x".repeat(length);
        let bytes: Vec<_> = (1..=10)
            .map(|alias| {
                let properties = [Property::TopicAlias(alias)];
                let properties = Properties::List(&properties);
                let publish = Publish { topic: &topic, properties, ..Publish::default() };
                encode(Version::V5, publish)
            })
            .collect();
        drop(topic);
        let before = memory::held();
        for bytes in &bytes {
            let _ = world.flood(peer, bytes);
        }
        let held = memory::held() - before;
        assert!(held < 10 * 100 + 4_096, "{length}: {held}");
    }
}

#[test]
fn authentication_without_end_takes_no_room() {
    let mut world = World::default();
    let method = Properties::List(&[Property::AuthenticationMethod("m")]);
    let peer = world.join(&Connect { properties: method, ..of(Version::V5, "c") });
    let again = Auth { reason_code: ReasonCode::RE_AUTHENTICATE, properties: method };
    let success = Auth { reason_code: ReasonCode::SUCCESS, properties: Properties::NONE };
    let (mut before, mut most) = (0, 0);
    for round in 0..5_000 {
        world.send(peer, again);
        world.events.clear();
        world.broker.authenticate(world.now, world.id(peer), &success).unwrap();
        world.poll();
        assert_eq!(world.raw(peer), b"\xf0\x06\x00\x04\x15\0\x01m");
        if round == 10 {
            before = memory::held();
        }
        most = most.max(memory::held() - before);
    }
    assert!(memory::held() - before < 1_024, "{most}");
}

#[test]
fn re_authentication_by_one_that_never_reads_is_bounded() {
    let mut world = World::default();
    let innocent = world.up(Version::V5, "innocent");
    let method = Properties::List(&[Property::AuthenticationMethod("m")]);
    let peer = world.join(&Connect { properties: method, ..of(Version::V5, "c") });
    world.block(peer);
    let again =
        encode(Version::V5, Auth { reason_code: ReasonCode::RE_AUTHENTICATE, properties: method });
    let success = Auth { reason_code: ReasonCode::SUCCESS, properties: Properties::NONE };
    let (peak, received) = memory::peak(|| {
        let mut received = Received::Drained;
        for _ in 0..5_000 {
            received = world.flood(peer, &again);
            if !world.events.is_empty() {
                world.events.clear();
                world.broker.authenticate(world.now, world.id(peer), &success).unwrap();
            }
        }
        received
    });
    assert_eq!(received, Received::Paused);
    assert!(peak < CONNECTION as isize, "{peak}");
    world.serves(innocent);
}

#[test]
fn connections_and_sessions_are_counted_and_one_more_is_refused() {
    let options = options_with(|options| {
        options.maximum_connections = 20;
        options.maximum_sessions = 10;
    });
    let mut world = World::new(options);
    for number in 0..10 {
        let peer = world.join(&lasting(Version::V5, &format!("c{number}")));
        world.lose(peer);
    }
    // Sessions are there without their connections.
    let peer = world.connect(&of(Version::V5, "more"));
    assert_eq!(world.raw(peer), [0x20, 3, 0, 0x97, 0]);
    let peer = world.connect(&of(Version::V3_1_1, "more"));
    assert_eq!(world.raw(peer), [0x20, 2, 0, 3]);
    // Those who have one get in.
    let peer = world.join(&lasting(Version::V5, "c3"));
    world.serves(peer);
    for _ in 0..19 {
        let _ = world.open(Version::V5);
    }
    assert!(world.broker.transport_opened(world.now).is_err());
    // Who says nothing leaves room in the end.
    world.wait_secs(10);
    assert!(world.broker.transport_opened(world.now).is_ok());
    world.serves(peer);
}

#[test]
fn subscriptions_are_counted_and_one_more_is_refused() {
    // v5 3.9.3, v3.1.1 [MQTT-3.9.3-2]
    for version in [Version::V3_1_1, Version::V5] {
        let options = options_with(|options| {
            options.maximum_subscriptions_per_session = 10;
            options.maximum_subscriptions = 15;
        });
        let mut world = World::new(options);
        let filters: Vec<_> = (0..12).map(|number| format!("f/{number}")).collect();
        let all: Vec<_> =
            filters.iter().map(|filter| Subscription::new(filter, QoS::AtMostOnce)).collect();
        let refused = if version.is_v5() { 0x97 } else { 0x80 };
        for (client_id, room) in [("first", 10), ("second", 5), ("third", 0)] {
            let peer = world.up(version, client_id);
            // What it has already it may have again.
            for _ in 0..2 {
                world.send(peer, Subscribe::new(id(1), &all));
                let packets = world.packets(peer);
                let Packet::SubAck(sub_ack) = packets[0].packet() else { panic!() };
                let codes: Vec<_> = sub_ack.reason_codes.iter().map(ReasonCode::get).collect();
                let expected: Vec<_> =
                    (0..12).map(|number| if number < room { 0 } else { refused }).collect();
                assert_eq!(codes, expected);
            }
        }
        assert_eq!(world.broker.counters().subscriptions, 15);
    }
}

#[test]
fn what_was_held_for_a_flood_is_given_back_when_it_is_over() {
    for version in [Version::V3_1_1, Version::V5] {
        let mut world = World::default();
        let publisher = world.up(version, "publisher");
        let idle = world.join(&lasting(version, "idle"));
        world.subscribe(idle, "t", QoS::ExactlyOnce);
        let before = memory::held();
        world.block(idle);
        let payload = "x".repeat(1_000);
        for value in 0..3_000_u16 {
            let qos = QOS[usize::from(value % 2)];
            world.send(publisher, publish("t", qos, value % 100 + 1, &payload));
            let _ = world.raw(publisher);
        }
        assert!(memory::held() - before > 1_000_000);
        world.lose(idle);
        world.broker.end_session(world.now, "idle").unwrap();
        world.poll();
        let held = memory::held() - before;
        assert_eq!(world.broker.counters().stored_messages, 0);
        assert!(held < 300_000, "{held}");
    }
}

#[test]
fn a_reader_that_takes_everything_at_once_loses_nothing_of_one_large_read() {
    // Whatever the limits of its queue: outputs drain in between.
    for version in [Version::V3_1_1, Version::V5] {
        for maximum in [50, 1_000] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                let mut world =
                    World::new(options_with(|options| options.maximum_queued_messages = maximum));
                let reader = world.up(version, "reader");
                world.subscribe(reader, "t", QoS::AtMostOnce);
                let peer = world.up(version, "c");
                let one = encode(version, publish("t", qos, 1, "x"));
                world.send_bytes(peer, &one.repeat(900));
                let heard = world.packets(reader).len();
                assert_eq!(heard, 900, "{version} QoS {qos}, {maximum} in a queue");
            }
        }
    }
}

#[test]
fn a_reader_that_takes_nothing_does_not_make_others_take_messages_one_by_one() {
    // Each turn of the input is a write to each reader: what is full and stays so ends none.
    for version in [Version::V3_1_1, Version::V5] {
        for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
            let mut world = World::new(options_with(|options| options.overflow = overflow));
            let reader = world.up(version, "reader");
            let idle = world.up(version, "idle");
            let peer = world.up(version, "c");
            for subscriber in [reader, idle] {
                world.subscribe(subscriber, "t", QoS::AtMostOnce);
            }
            world.block(idle);
            let one = encode(version, publish("t", QoS::AtMostOnce, 0, "x"));
            world.send_bytes(peer, &one.repeat(2_000));
            assert_eq!(world.packets(reader).len(), 2_000);
            world.resumed = 0;
            world.send_bytes(peer, &one.repeat(2_000));
            assert_eq!(world.packets(reader).len(), 2_000);
            // A message and two copies, of a budget of 1,000.
            assert!(world.resumed < 50, "{version} {overflow:?}: {} turns", world.resumed);
        }
    }
}
