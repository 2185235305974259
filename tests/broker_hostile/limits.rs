//! More than a client may: each limit, with the Reason Code that there is for it.
//! MQTT 5.0 §3.2.2.3, §3.3.4.

use sansio_mqtt::broker::{Options, Violation};
use sansio_mqtt::{
    Connect, Packet, Properties, Property, PubRel, Publish, QoS, ReasonCode, Subscribe,
    Subscription, Unsubscribe, Version, Will,
};

use crate::world::{World, encode, id, in_all_versions, of, options_with, publish};

fn small() -> Options {
    options_with(|options| {
        options.receive_maximum = 10;
        options.maximum_packet_size = 64;
        options.topic_alias_maximum = 3;
    })
}

#[test]
fn one_message_above_the_receive_maximum_ends_a_connection_of_5_0() {
    // v5 [MQTT-3.3.4-9] [MQTT-4.9.0-2]
    let qos_2 = |world: &mut World, peer, value| {
        world.send(peer, publish("a", QoS::ExactlyOnce, value, "x"));
    };
    let mut world = World::new(small());
    let peer = world.up(Version::V5, "c");
    (1..=10).for_each(|value| qos_2(&mut world, peer, value));
    assert_eq!(world.sent(peer).len(), 10);
    // The same one again is not one more.
    qos_2(&mut world, peer, 3);
    assert_eq!(world.sent(peer), ["PUBREC #3"]);
    // QoS 0 does not count, and PUBREL makes room.
    world.send(peer, publish("a", QoS::AtMostOnce, 0, "x"));
    world.send(peer, PubRel::new(id(3)));
    assert_eq!(world.sent(peer), ["PUBCOMP #3"]);
    qos_2(&mut world, peer, 11);
    assert_eq!(world.sent(peer).len(), 1);
    world.send(peer, publish("a", QoS::AtLeastOnce, 12, "x"));
    world.blamed(peer, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
}

#[test]
fn a_client_of_5_0_that_does_not_read_its_pubacks_may_not_send_more() {
    // v5 [MQTT-3.3.4-9]: what the broker has not sent, the client cannot have.
    let mut world = World::new(small());
    let peer = world.up(Version::V5, "c");
    world.block(peer);
    for value in 1..=11 {
        world.send(peer, publish("a", QoS::AtLeastOnce, value, "x"));
    }
    world.unblock(peer);
    world.blamed(peer, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
}

#[test]
fn a_client_of_3_x_above_the_receive_maximum_waits_and_nothing_is_lost() {
    for version in [Version::V3_1, Version::V3_1_1] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut world = World::new(small());
            let reader = world.up(version, "reader");
            world.subscribe(reader, "a", QoS::AtMostOnce);
            let peer = world.up(version, "c");
            world.block(peer);
            for value in 1..=50 {
                world.send(peer, publish("a", qos, value, "x"));
            }
            assert_eq!(world.sent(reader).len(), 10);
            let left = 40 * encode(version, publish("a", qos, 1, "x")).len();
            assert_eq!(world.not_taken(peer), left);
            world.serves(reader);
            world.unblock(peer);
            assert_eq!(world.sent(peer).len(), 50);
            assert_eq!(world.sent(reader).len(), 40);
            assert_eq!(world.not_taken(peer), 0);
        }
    }
}

#[test]
fn a_packet_above_the_maximum_ends_the_connection_before_it_is_there() {
    // v5 [U5-3.2.2.3.6-1]
    for version in Version::ALL {
        let mut world = World::new(small());
        let peer = world.up(version, "c");
        let fits = "x".repeat(if version.is_v5() { 58 } else { 59 });
        world.send(peer, publish("a", QoS::AtMostOnce, 0, &fits));
        world.send(peer, Packet::PingReq);
        assert_eq!(world.sent(peer), ["PINGRESP"]);
        // The header alone is enough.
        world.send_bytes(peer, &[0x30, 63]);
        world.blamed(peer, ReasonCode::PACKET_TOO_LARGE);
        let peer = world.up(version, "c");
        world.send_bytes(peer, &[0x30, 0xff, 0xff, 0xff, 0x7f]);
        world.blamed(peer, ReasonCode::PACKET_TOO_LARGE);
    }
}

#[test]
fn a_connect_above_the_maximum_ends_the_connection_before_it_is_there() {
    for version in Version::ALL {
        let mut world = World::new(options_with(|options| options.maximum_connect_size = 64));
        let peer = world.open(version);
        world.send_bytes(peer, &[0x10, 63]);
        assert!(world.is_closed(peer));
        assert_eq!(world.violation(peer).reason_code(), ReasonCode::PACKET_TOO_LARGE);
        assert_eq!(world.raw(peer), []);
        // It is no limit for what comes after.
        let peer = world.up(version, "c");
        world.send(peer, publish("a", QoS::AtLeastOnce, 1, &"x".repeat(1_000)));
        assert_eq!(world.sent(peer).len(), 1);
    }
}

fn alias<'a>(topic: &'a str, properties: &'a [Property<'a>]) -> Publish<'a> {
    let properties = Properties::List(properties);
    Publish { topic, properties, payload: b"x", ..Publish::default() }
}

#[test]
fn an_alias_out_of_range_is_invalid_and_one_never_set_an_error() {
    // v5 [MQTT-3.3.2-8] [MQTT-3.3.2-9] 3.3.4
    const ZERO: &[u8] = &[0x30, 8, 0, 1, b'a', 3, 0x23, 0, 0, b'x'];
    let rows: [(&str, Vec<u8>, u8, Option<Violation>); 5] = [
        ("zero", ZERO.to_vec(), 0x94, None),
        (
            "above the maximum",
            encode(Version::V5, alias("a", &[Property::TopicAlias(4)])),
            0x94,
            Some(Violation::TopicAliasAboveMaximum(4)),
        ),
        (
            "far above the maximum, without a topic",
            encode(Version::V5, alias("", &[Property::TopicAlias(u16::MAX)])),
            0x94,
            Some(Violation::TopicAliasAboveMaximum(u16::MAX)),
        ),
        (
            "never set",
            encode(Version::V5, alias("", &[Property::TopicAlias(2)])),
            0x82,
            Some(Violation::UnknownTopicAlias(2)),
        ),
        ("no alias and no topic", vec![0x30, 3, 0, 0, 0], 0x82, None),
    ];
    for (what, bytes, code, violation) in rows {
        println!("{what}");
        let mut world = World::new(small());
        let peer = world.up(Version::V5, "c");
        // Others are set, one on each side.
        world.send(peer, alias("a", &[Property::TopicAlias(1)]));
        world.send(peer, alias("a", &[Property::TopicAlias(3)]));
        world.send_bytes(peer, &bytes);
        if let Some(violation) = violation {
            assert_eq!(world.violation(peer), violation);
        }
        world.blamed(peer, ReasonCode::new(code));
    }
}

#[test]
fn without_aliases_every_alias_is_invalid() {
    // v5 3.2.2.3.8
    let mut world = World::new(options_with(|options| options.topic_alias_maximum = 0));
    let peer = world.up(Version::V5, "c");
    world.send(peer, alias("a", &[Property::TopicAlias(1)]));
    world.blamed(peer, ReasonCode::TOPIC_ALIAS_INVALID);
}

#[test]
fn an_alias_does_not_outlive_its_connection() {
    // v5 [MQTT-3.3.2-7]
    let mut world = World::default();
    let peer = world.join(&crate::world::lasting(Version::V5, "c"));
    world.send(peer, alias("a", &[Property::TopicAlias(1)]));
    world.lose(peer);
    let peer = world.join(&crate::world::lasting(Version::V5, "c"));
    world.send(peer, alias("", &[Property::TopicAlias(1)]));
    world.blamed(peer, ReasonCode::PROTOCOL_ERROR);
}

#[test]
fn what_the_broker_said_it_has_not_is_refused_with_its_own_code() {
    // v5 [MQTT-3.2.2-11] [MQTT-3.2.2-12] [MQTT-3.2.2-13] 3.2.2.3.11 to 3.2.2.3.13
    let mut world = World::new(options_with(|options| {
        options.maximum_qos = QoS::AtMostOnce;
        options.retain_available = false;
        options.wildcard_subscription_available = false;
        options.subscription_identifiers_available = false;
        options.shared_subscription_available = false;
    }));
    let retain = Publish { retain: true, ..publish("a", QoS::AtMostOnce, 0, "x") };
    let wildcard = [Subscription::new("+", QoS::AtMostOnce)];
    let shared = [Subscription::new("$share/g/a", QoS::AtMostOnce)];
    let both = [Subscription::new("$share/g/#", QoS::AtMostOnce)];
    let plain = [Subscription::new("a", QoS::AtMostOnce)];
    let properties = Properties::List(&[Property::SubscriptionIdentifier(1)]);
    let with_id = Subscribe { properties, ..Subscribe::new(id(1), &plain) };
    let rows: [(Packet<'_>, &[u8]); 7] = [
        (publish("a", QoS::AtLeastOnce, 1, "x").into(), &[0x9b]),
        (publish("a", QoS::ExactlyOnce, 1, "x").into(), &[0x9b]),
        (retain.into(), &[0x9a]),
        (Subscribe::new(id(1), &wildcard).into(), &[0xa2]),
        (Subscribe::new(id(1), &shared).into(), &[0x9e]),
        (Subscribe::new(id(1), &both).into(), &[0x9e, 0xa2]),
        (with_id.into(), &[0xa1]),
    ];
    for (packet, codes) in rows {
        println!("{packet}");
        let peer = world.up(Version::V5, "c");
        world.send(peer, packet);
        let code = world.violation(peer).reason_code();
        assert!(codes.contains(&code.get()), "{code}");
        world.blamed(peer, code);
    }
    // A Will is refused as early as it can be.
    for (qos, retain, code) in [(QoS::AtLeastOnce, false, 0x9b), (QoS::AtMostOnce, true, 0x9a)] {
        let will = Some(Will { topic: "a", qos, retain, ..Will::default() });
        let peer = world.connect(&Connect { will, ..of(Version::V5, "c") });
        assert_eq!(world.raw(peer), [0x20, 3, 0, code, 0]);
        assert!(world.is_closed(peer));
    }
}

#[test]
fn topics_with_too_many_levels_or_bytes_go_nowhere_and_are_no_violation() {
    // v5 3.4.2.1: 0x90, "correctly formed, but is not accepted". 3.x has no way to say it.
    in_all_versions(|world, version| {
        let innocent = world.up(version, "innocent");
        world.subscribe(innocent, "#", QoS::AtMostOnce);
        let peer = world.up(version, "c");
        let rows = [
            ("/".repeat(127), true),
            ("/".repeat(128), false),
            ("/".repeat(65_535), false),
            ("x".repeat(4_096), true),
            ("x".repeat(4_097), false),
            ("x".repeat(65_535), false),
        ];
        for (topic, fits) in rows {
            let code = match version.is_v5() && !fits {
                true => " 0x90 Topic Name invalid",
                false => "",
            };
            world.send(peer, publish(&topic, QoS::AtMostOnce, 0, "x"));
            assert_eq!(world.packets(innocent).len(), usize::from(fits));
            world.send(peer, publish(&topic, QoS::AtLeastOnce, 1, "x"));
            assert_eq!(world.sent(peer), [format!("PUBACK #1{code}")]);
            world.send(peer, publish(&topic, QoS::ExactlyOnce, 1, "x"));
            assert_eq!(world.sent(peer), [format!("PUBREC #1{code}")]);
            world.send(peer, PubRel::new(id(1)));
            assert_eq!(world.sent(peer).len(), 1);
            assert_eq!(world.packets(innocent).len(), 2 * usize::from(fits));
            // To be retained is the same.
            let retain = Publish { retain: true, ..publish(&topic, QoS::AtMostOnce, 0, "x") };
            world.send(peer, retain);
            assert_eq!(world.packets(innocent).len(), usize::from(fits));
        }
        assert_eq!(world.broker.counters().retained_messages, 2);
        assert_eq!(world.broker.counters().refused, 16);
    });
}

#[test]
fn filters_with_too_many_levels_bytes_or_wildcards_are_refused_one_by_one() {
    // v5 3.9.3, v3.1.1 [MQTT-3.9.3-2]
    in_all_versions(|world, version| {
        let peer = world.up(version, "c");
        let rows = [
            ("/".repeat(127), true),
            ("/".repeat(128), false),
            ("/".repeat(65_400), false),
            ("/".repeat(65_535), false),
            (format!("{}#", "+/".repeat(15)), true),
            (format!("{}#", "+/".repeat(16)), false),
            (format!("{}#", "+/".repeat(32_767)), false),
            ("x".repeat(4_096), true),
            ("x".repeat(4_097), false),
        ];
        let subscriptions: Vec<_> =
            rows.iter().map(|(filter, _)| Subscription::new(filter, QoS::AtLeastOnce)).collect();
        world.send(peer, Subscribe::new(id(1), &subscriptions));
        let refused = match version {
            Version::V5 => "0x8f",
            Version::V3_1_1 => "0x80",
            // It has no way to refuse.
            Version::V3_1 => "QoS 0",
        };
        let packets = world.packets(peer);
        let Packet::SubAck(sub_ack) = packets[0].packet() else { panic!("{packets:?}") };
        for (code, (filter, fits)) in sub_ack.reason_codes.iter().zip(&rows) {
            let expected = match (fits, version) {
                (true, _) => 1,
                (false, Version::V5) => 0x8f,
                (false, Version::V3_1_1) => 0x80,
                (false, Version::V3_1) => 0,
            };
            assert_eq!(code.get(), expected, "{} bytes, {refused}", filter.len());
        }
        assert_eq!(world.broker.counters().subscriptions, 3);
        // They can be unsubscribed from like any that is not there.
        let filters: Vec<_> = rows.iter().map(|(filter, _)| &**filter).collect();
        world.send(peer, Unsubscribe::new(id(1), &filters));
        assert_eq!(world.packets(peer).len(), 1);
        assert_eq!(world.broker.counters().subscriptions, 0);
    });
}

#[test]
fn a_receive_maximum_of_zero_is_the_one_that_the_client_is_told() {
    // v5 3.2.2.3.3
    let mut world = World::new(options_with(|options| options.receive_maximum = 0));
    let peer = world.connect(&of(Version::V5, "c"));
    assert!(world.sent(peer)[0].contains("Receive Maximum=1"));
    world.send(peer, publish("a", QoS::AtLeastOnce, 1, "x"));
    assert_eq!(world.sent(peer), ["PUBACK #1 0x10 No matching subscribers"]);
    for version in [Version::V3_1, Version::V3_1_1] {
        let peer = world.up(version, "d");
        world.send(peer, publish("a", QoS::AtLeastOnce, 1, "x"));
        assert_eq!(world.sent(peer), ["PUBACK #1"]);
    }
}

#[test]
fn limits_of_zero_are_limits_of_one() {
    type Change = fn(&mut Options);
    let rows: [(&str, Change); 9] = [
        ("maximum_in_flight", |options| options.maximum_in_flight = 0),
        ("maximum_queued_messages", |options| options.maximum_queued_messages = 0),
        ("maximum_queued_bytes", |options| options.maximum_queued_bytes = 0),
        ("work_budget", |options| options.work_budget = 0),
        ("maximum_connections", |options| options.maximum_connections = 0),
        ("maximum_sessions", |options| options.maximum_sessions = 0),
        ("maximum_subscriptions", |options| options.maximum_subscriptions = 0),
        ("maximum_subscriptions_per_session", |options| {
            options.maximum_subscriptions_per_session = 0;
        }),
        ("maximum_topic_levels", |options| options.maximum_topic_levels = 0),
    ];
    let mut failed = Vec::new();
    for (what, change) in rows {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(options_with(change));
            let peer = world.up(Version::V5, "c");
            world.subscribe(peer, "a", QoS::AtLeastOnce);
            world.send(peer, publish("a", QoS::AtLeastOnce, 1, "x"));
            assert_eq!(world.sent(peer), ["PUBACK #1", "PUBLISH \"a\" QoS 1 #1 \"x\""]);
        });
        failed.extend(outcome.is_err().then_some(what));
    }
    assert_eq!(failed, [""; 0]);
}
