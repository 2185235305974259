//! What went wrong in brokers, row by row, where no other file has it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sansio_mqtt::broker::{Authorizer, Client, Decision, DisconnectCause, Forwarded};
use sansio_mqtt::{
    Connect, Packet, Properties, Property, Publish, QoS, Subscribe, Subscription, Unsubscribe,
    Version, Will,
};

use crate::memory;
use crate::world::{
    FOR_EVER, World, encode, id, in_all_versions, lasting, of, options, options_with, publish,
};

#[test]
fn no_memory_is_reserved_for_a_packet_that_is_only_announced() {
    // 256 MiB, before CONNECT and in it.
    for header in [&[0x10, 0xff, 0xff, 0xff, 0x7f][..], &[0x30, 0xff, 0xff, 0xff, 0x7f]] {
        let mut world = World::default();
        let (peak, ()) = memory::peak(|| {
            for _ in 0..100 {
                let peer = world.open(Version::V5);
                world.send_bytes(peer, header);
                assert!(world.is_closed(peer));
            }
        });
        assert!(peak < 256 * 1_024, "{peak}");
    }
    // Nor for one that may be as large as that, when it has begun.
    let mut world = World::new(options_with(|options| {
        options.maximum_packet_size = u32::MAX;
        options.maximum_connect_size = u32::MAX;
    }));
    let (peak, ()) = memory::peak(|| {
        for _ in 0..100 {
            let peer = world.open(Version::V5);
            world.send_bytes(peer, &[0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, b'M']);
            assert!(!world.is_closed(peer));
        }
    });
    assert!(peak < 256 * 1_024, "{peak}");
}

#[test]
fn ill_formed_utf_8_is_passed_on_to_nobody() {
    // v5 [MQTT-1.5.4-1], v3.1.1 [MQTT-1.5.3-1]: in every place for text that a message has.
    let bad = [&b"\xc0\x80"[..], b"\xed\xa0\x80", b"\xff", b"a\xf4\x90\x80\x80", b"\0"];
    for text in bad {
        let len = text.len() as u8;
        let mut rows = Vec::new();
        // Content Type, Response Topic, and both halves of a User Property.
        for id in [0x03, 0x08] {
            rows.push([&[0, 1, b't', len + 3, id, 0, len][..], text].concat());
        }
        rows.push([&[0, 1, b't', len + 6, 0x26, 0, len][..], text, &[0, 1, b'v']].concat());
        rows.push([&[0, 1, b't', len + 6, 0x26, 0, 1, b'k', 0, len][..], text].concat());
        rows.push([&[0, len][..], text, &[0]].concat());
        for body in rows {
            let mut world = World::default();
            let reader = world.up(Version::V5, "reader");
            world.subscribe(reader, "#", QoS::AtMostOnce);
            let peer = world.up(Version::V5, "c");
            world.send_bytes(peer, &[&[0x30, body.len() as u8][..], &body].concat());
            assert_eq!(world.raw(peer), [0xe0, 1, 0x81], "{body:?}");
            assert_eq!(world.sent(reader), [""; 0]);
        }
        // The topic of a Will.
        let mut world = World::default();
        let peer = world.open(Version::V3_1_1);
        let body = [&b"\0\x04MQTT\x04\x06\0\0\0\x01c\0"[..], &[len], text, &[0, 0]].concat();
        world.send_bytes(peer, &[&[0x10, body.len() as u8][..], &body].concat());
        assert_eq!(world.raw(peer), []);
        assert!(world.is_closed(peer));
    }
}

/// Rights that can be taken away: who may publish, and who may read.
#[derive(Clone, Default)]
struct Revoked(Arc<Mutex<BTreeSet<&'static str>>>);

impl Revoked {
    fn decide(&self, client: Option<&Client>) -> Decision {
        let revoked = self.0.lock().unwrap();
        match client.is_some_and(|client| revoked.contains(&*client.client_id)) {
            true => Decision::Deny,
            false => Decision::Allow,
        }
    }
}

impl Authorizer for Revoked {
    fn deliver(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        match (self.decide(Some(client)), self.decide(message.publisher)) {
            (Decision::Allow, Decision::Allow) => Decision::Allow,
            _ => Decision::Deny,
        }
    }
}

#[test]
fn a_subscription_does_not_outlive_the_right_to_it() {
    for version in Version::ALL {
        let rights = Revoked::default();
        let mut world = World::with(options(), rights.clone());
        let reader = world.up(version, "reader");
        world.subscribe(reader, "a", QoS::ExactlyOnce);
        let peer = world.up(version, "c");
        world.send(peer, publish("a", QoS::AtMostOnce, 0, "1"));
        assert_eq!(world.sent(reader).len(), 1);
        // What waits already is held back too.
        world.block(reader);
        world.send(peer, publish("a", QoS::AtLeastOnce, 1, "2"));
        world.send(peer, publish("a", QoS::AtMostOnce, 0, "3"));
        rights.0.lock().unwrap().insert("reader");
        world.unblock(reader);
        world.send(peer, publish("a", QoS::AtLeastOnce, 1, "4"));
        assert_eq!(world.sent(reader), [""; 0]);
        assert_eq!(world.broker.counters().withheld, 3);
        assert_eq!(world.broker.session("reader").unwrap().queued_messages, 0);
        // It can be given back.
        rights.0.lock().unwrap().clear();
        world.send(peer, publish("a", QoS::AtMostOnce, 0, "5"));
        assert_eq!(world.sent(reader), ["PUBLISH \"a\" QoS 0 \"5\""]);
    }
}

#[test]
fn a_retained_message_does_not_outlive_its_publishers_right_to_it() {
    for version in Version::ALL {
        let rights = Revoked::default();
        let mut world = World::with(options(), rights.clone());
        let peer = world.up(version, "c");
        world.send(peer, Publish { retain: true, ..publish("a", QoS::AtMostOnce, 0, "1") });
        world.lose(peer);
        rights.0.lock().unwrap().insert("c");
        let reader = world.up(version, "reader");
        world.subscribe(reader, "a", QoS::AtMostOnce);
        assert_eq!(world.sent(reader), [""; 0]);
        rights.0.lock().unwrap().clear();
        let all = [Subscription::new("a", QoS::AtMostOnce)];
        world.send(reader, Subscribe::new(id(1), &all));
        assert_eq!(world.sent(reader)[1], "PUBLISH \"a\" QoS 0 retain \"1\"");
    }
}

#[test]
fn a_group_and_its_filter_are_two_subscriptions_however_they_are_mixed() {
    // v5 4.8.2
    let mut world = World::default();
    let peer =
        world.join(&Connect { properties: Properties::List(FOR_EVER), ..of(Version::V5, "c") });
    let publisher = world.up(Version::V5, "publisher");
    let both = ["$share/g/t", "t"].map(|filter| Subscription::new(filter, QoS::AtMostOnce));
    let count = |world: &mut World| {
        world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
        world.packets(peer).len()
    };
    for round in 0..100 {
        let turned = [both[1], both[0]];
        world.send(peer, Subscribe::new(id(1), if round % 2 == 0 { &both } else { &turned }));
        assert_eq!(world.sent(peer), ["SUBACK #1 [QoS 0, QoS 0]"]);
        assert_eq!(world.broker.counters().subscriptions, 2);
        assert_eq!(count(&mut world), 2);
        let filters: &[&str] = match round % 4 {
            0 => &["t", "$share/g/t"],
            1 => &["$share/g/t", "t"],
            2 => &["t", "$share/h/t", "$share/g/t"],
            _ => &["$share/g/t", "$share/g/t", "t", "t"],
        };
        world.send(peer, Unsubscribe::new(id(1), &filters[..1]));
        let _ = world.raw(peer);
        assert_eq!(world.broker.counters().subscriptions, 1);
        assert_eq!(count(&mut world), 1);
        world.send(peer, Unsubscribe::new(id(1), filters));
        let _ = world.raw(peer);
        assert_eq!(world.broker.counters().subscriptions, 0);
        assert_eq!(count(&mut world), 0);
    }
    // The end of a session takes both.
    world.send(peer, Subscribe::new(id(1), &both));
    world.broker.end_session(world.now, "c").unwrap();
    world.poll();
    assert_eq!(world.broker.counters().subscriptions, 0);
    world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
}

#[test]
fn a_retained_message_expires_once_however_often_it_is_read() {
    // v5 [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    let mut world = World::default();
    let peer = world.up(Version::V5, "c");
    let properties = Properties::List(&[Property::MessageExpiryInterval(100)]);
    let retain = Publish { retain: true, properties, ..publish("a", QoS::AtMostOnce, 0, "x") };
    world.send(peer, retain);
    let subscriptions = [Subscription::new("a", QoS::AtMostOnce)];
    for left in (10..100).rev().step_by(10) {
        world.wait_secs(if left == 99 { 1 } else { 10 });
        for _ in 0..5 {
            world.send(peer, Subscribe::new(id(1), &subscriptions));
            let sent = world.sent(peer);
            let expected =
                format!("PUBLISH \"a\" QoS 0 retain \"x\" {{Message Expiry Interval={left}}}");
            assert_eq!(sent[1..], [expected]);
        }
    }
    world.wait_secs(19);
    world.send(peer, Subscribe::new(id(1), &subscriptions));
    assert_eq!(world.sent(peer).len(), 1);
}

#[test]
fn an_empty_message_that_is_not_to_be_retained_removes_nothing() {
    // v5 [MQTT-3.3.1-6] [MQTT-3.3.1-8], v3.1.1 [MQTT-3.3.1-10] [MQTT-3.3.1-12]
    in_all_versions(|world, version| {
        let peer = world.up(version, "c");
        world.send(peer, Publish { retain: true, ..publish("a", QoS::AtMostOnce, 0, "x") });
        world.send(peer, publish("a", QoS::AtMostOnce, 0, ""));
        assert_eq!(world.broker.counters().retained_messages, 1);
        world.send(peer, Publish { retain: true, ..publish("a", QoS::AtMostOnce, 0, "") });
        assert_eq!(world.broker.counters().retained_messages, 0);
    });
}

#[test]
fn properties_that_are_not_for_the_receiver_are_not_passed_on() {
    // v5 [MQTT-3.3.2-7] [MQTT-3.3.4-6]: an alias is of one connection.
    let mut world = World::default();
    let readers = Version::ALL.map(|version| {
        let reader = world.up(version, &format!("reader {version}"));
        world.subscribe(reader, "t", QoS::AtMostOnce);
        reader
    });
    let peer = world.up(Version::V5, "c");
    let properties = [
        Property::TopicAlias(1),
        Property::ContentType("text"),
        Property::UserProperty("b", "1"),
        Property::UserProperty("a", "2"),
        Property::UserProperty("b", "1"),
    ];
    let properties = Properties::List(&properties);
    let publish = Publish { topic: "t", properties, payload: b"x", ..Publish::default() };
    world.send(peer, publish);
    world.send(peer, Publish { topic: "", ..publish });
    let passed_on = "PUBLISH \"t\" QoS 0 \"x\" {Content Type=\"text\", User Property=\"b\":\"1\", \
                     User Property=\"a\":\"2\", User Property=\"b\":\"1\"}";
    for (reader, version) in readers.into_iter().zip(Version::ALL) {
        let expected = if version.is_v5() { passed_on } else { "PUBLISH \"t\" QoS 0 \"x\"" };
        assert_eq!(world.sent(reader), [expected, expected], "{version}");
    }
}

#[test]
fn a_connection_is_not_held_by_a_keep_alive_that_ends_within_the_hour_when_nothing_is_said() {
    // A thousand at once: all are let go at their time, and others get in.
    for version in Version::ALL {
        let mut world = World::new(options_with(|options| options.maximum_connections = 1_000));
        for number in 0..1_000 {
            let client_id = format!("c{number}");
            let peer = world.connect(&Connect { keep_alive: 20, ..of(version, &client_id) });
            world.send_bytes(peer, &[0xc0]);
            world.ignore(peer);
        }
        assert!(world.broker.transport_opened(world.now).is_err());
        world.wait_secs(30);
        assert_eq!(world.broker.counters().connections, 0);
        let innocent = world.up(version, "innocent");
        world.serves(innocent);
    }
}

#[test]
fn what_the_standard_allows_and_others_refuse_is_accepted() {
    let mut world = World::default();
    // A password that is no text, and in 5.0 one without a user name. v5 3.1.2.9
    let password: Option<&[u8]> = Some(&[0, 0xff, 0xfe]);
    let _ = world.join(&Connect { password, ..of(Version::V5, "a") });
    let user_name = Some("u");
    for version in Version::ALL {
        let _ = world.join(&Connect { password, user_name, ..of(version, "b") });
    }
    // A Message Expiry Interval of 0, a Will without a payload, a DISCONNECT without a body.
    let peer = world.up(Version::V5, "c");
    let properties = Properties::List(&[Property::MessageExpiryInterval(0)]);
    let publish = Publish { properties, ..publish("a", QoS::AtLeastOnce, 1, "x") };
    world.send(peer, publish);
    assert_eq!(world.sent(peer), ["PUBACK #1 0x10 No matching subscribers"]);
    for body in [&[0xe0, 0][..], &[0xe0, 1, 0], &[0xe0, 2, 0, 0]] {
        let will = Some(Will { topic: "w", ..Will::default() });
        let peer = world.join(&Connect { will, ..of(Version::V5, "d") });
        world.send_bytes(peer, body);
        let cause = world.cause(peer);
        assert!(matches!(cause, Some(DisconnectCause::ByClient(code)) if code.get() == 0));
    }
}

#[test]
fn what_a_client_of_one_version_can_have_that_of_another_can_take_over() {
    for first in Version::ALL {
        for second in Version::ALL {
            let mut world = World::default();
            let peer = world.join(&lasting(first, "c"));
            world.subscribe(peer, "a", QoS::AtLeastOnce);
            world.block(peer);
            let publisher = world.up(Version::V5, "publisher");
            let properties = Properties::List(&[Property::UserProperty("k", "v")]);
            let publish = Publish { properties, ..publish("a", QoS::AtLeastOnce, 1, "x") };
            world.send(publisher, publish);
            let peer = world.join_again(&lasting(second, "c"));
            let words = if second.is_v5() { " {User Property=\"k\":\"v\"}" } else { "" };
            assert_eq!(world.sent(peer), [format!("PUBLISH \"a\" QoS 1 #1 \"x\"{words}")]);
        }
    }
}

#[test]
fn bytes_of_other_protocols_end_the_connection_without_a_byte() {
    let rows: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"AMQP\x00\x01\x00\x00",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff\xff",
    ];
    for bytes in rows {
        let mut world = World::default();
        let peer = world.open(Version::V5);
        world.send_bytes(peer, bytes);
        world.wait_secs(10);
        assert_eq!(world.raw(peer), []);
        assert!(world.is_closed(peer), "{bytes:?}");
    }
    // One message in a frame that is too short for it is the beginning of one.
    let mut world = World::default();
    let peer = world.up(Version::V5, "c");
    let bytes = encode(Version::V5, publish("a", QoS::AtLeastOnce, 1, "x"));
    world.send_bytes(peer, &bytes[..5]);
    world.send(peer, Packet::PingReq);
    assert!(!world.is_closed(peer) || world.violation(peer).reason_code().is_error());
}
