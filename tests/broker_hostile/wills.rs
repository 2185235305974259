//! Wills of those who want to do harm with them. MQTT 5.0 §3.1.2.5, §3.1.3.2.2.

use std::time::Duration;

use sansio_mqtt::{Connect, Disconnect, Properties, Property, QoS, ReasonCode, Version, Will};

use crate::memory;
use crate::world::{FOR_EVER, Peer, World, of, options_with};

const WILL: &str = "PUBLISH \"will\" QoS 0 \"x\"";

fn reader(world: &mut World) -> Peer {
    let reader = world.up(Version::V5, "reader");
    world.subscribe(reader, "will", QoS::AtMostOnce);
    reader
}

/// Connects with a Will of this delay, for a session of this expiry.
fn with_will(world: &mut World, client_id: &str, delay: u32, expiry: u32) -> Peer {
    let (delay, expiry) =
        ([Property::WillDelayInterval(delay)], [Property::SessionExpiryInterval(expiry)]);
    let will = Will {
        topic: "will",
        payload: b"x",
        properties: Properties::List(&delay),
        ..Will::default()
    };
    world.join(&Connect {
        clean_start: false,
        will: Some(will),
        properties: Properties::List(&expiry),
        ..of(Version::V5, client_id)
    })
}

#[test]
fn a_will_comes_at_the_end_of_its_delay_or_of_the_session_whichever_is_first() {
    // v5 [MQTT-3.1.2-8] 3.1.3.2.2
    let rows = [
        (0, 0, 0),
        (0, 100, 0),
        (10, 0, 0),
        (10, 5, 5),
        (10, 10, 10),
        (10, 100, 10),
        (u32::MAX, 7, 7),
        (u32::MAX, 0, 0),
        (3, u32::MAX, 3),
    ];
    for (delay, expiry, after) in rows {
        println!("delay {delay}, expiry {expiry}");
        let mut world = World::default();
        let reader = reader(&mut world);
        let peer = with_will(&mut world, "c", delay, expiry);
        world.lose(peer);
        if after > 0 {
            world.wait(Duration::from_millis(after * 1_000 - 1));
            assert_eq!(world.sent(reader), [""; 0]);
            world.wait(Duration::from_millis(1));
        }
        assert_eq!(world.sent(reader), [WILL]);
        world.wait_secs(1_000);
        assert_eq!(world.sent(reader), [""; 0]);
    }
}

#[test]
fn a_will_that_is_136_years_away_is_dropped_with_its_session() {
    let mut world = World::default();
    let reader = reader(&mut world);
    let before = memory::held();
    let peer = with_will(&mut world, "c", u32::MAX, u32::MAX);
    world.lose(peer);
    world.wait_secs(u64::from(u32::MAX) - 1);
    assert_eq!(world.sent(reader), [""; 0]);
    // It ends with the session, of which this is the end. v5 [MQTT-3.1.2-8]
    world.broker.end_session(world.now, "c").unwrap();
    world.poll();
    assert_eq!(world.sent(reader), [WILL]);
    assert_eq!(world.deadline, None);
    world.forget_closed();
    let left = memory::held() - before;
    assert!(left < 8_192, "{left}");
}

#[test]
fn a_will_that_waits_is_taken_back_by_who_comes_back() {
    // v5 [MQTT-3.1.3-9]
    let mut world = World::default();
    let reader = reader(&mut world);
    for _ in 0..1_000 {
        let peer = with_will(&mut world, "c", 10, 100);
        world.lose(peer);
        world.wait_secs(9);
    }
    assert_eq!(world.sent(reader), [""; 0]);
    world.wait_secs(1);
    assert_eq!(world.sent(reader), [WILL]);
    // A clean start ends the session, and with it the delay.
    let peer = with_will(&mut world, "c", 10, 100);
    world.lose(peer);
    let _ = world.up(Version::V5, "c");
    assert_eq!(world.sent(reader), [WILL]);
    world.wait_secs(200);
    assert_eq!(world.sent(reader), [""; 0]);
}

#[test]
fn a_delay_above_the_maximum_is_refused() {
    let mut world = World::new(options_with(|options| options.maximum_will_delay_interval = 60));
    for (delay, code) in [(60, 0), (61, 0x97), (u32::MAX, 0x97)] {
        let properties = [Property::WillDelayInterval(delay)];
        let properties = Properties::List(&properties);
        let will = Some(Will { topic: "will", properties, ..Will::default() });
        let peer = world.connect(&Connect { will, ..of(Version::V5, "c") });
        assert_eq!(world.raw(peer)[3], code);
    }
}

#[test]
fn thousands_of_wills_that_come_at_once_are_all_published() {
    let mut world = World::default();
    let reader = reader(&mut world);
    for number in 0..2_000 {
        let peer = with_will(&mut world, &format!("c{number}"), 10, 60);
        world.lose(peer);
    }
    world.wait_secs(10);
    assert_eq!(world.packets(reader).len(), 2_000);
    world.wait_secs(60);
    assert_eq!(world.broker.counters().sessions, 1);
    assert_eq!(world.deadline, None);
    // None is when the broker shuts down.
    for number in 0..100 {
        let _ = with_will(&mut world, &format!("c{number}"), 0, 60);
    }
    let reason_code = ReasonCode::SERVER_SHUTTING_DOWN;
    let disconnect = Disconnect { reason_code, properties: Properties::NONE };
    world.broker.shut_down(world.now, &disconnect).unwrap();
    world.poll();
    assert_eq!(world.broker.counters().connections, 0);
    assert_eq!(world.raw(reader), [0xe0, 1, 0x8b]);
}

#[test]
fn a_will_that_disconnects_its_reader_whose_will_disconnects_the_next_ends() {
    // Each queue is full with one message, and a full queue disconnects.
    let mut world = World::new(options_with(|options| {
        options.maximum_queued_messages = 1;
        options.overflow = sansio_mqtt::broker::Overflow::Disconnect;
    }));
    const CHAIN: usize = 300;
    let topics: Vec<_> = (0..=CHAIN).map(|number| format!("chain/{number}")).collect();
    let peers: Vec<_> = (0..CHAIN)
        .map(|number| {
            let topic = &*topics[number + 1];
            let will =
                Some(Will { topic, payload: b"x", qos: QoS::AtLeastOnce, ..Will::default() });
            let client_id = format!("c{number}");
            let properties = Properties::List(FOR_EVER);
            let connect = Connect { will, properties, ..of(Version::V5, &client_id) };
            let peer = world.join(&connect);
            world.subscribe(peer, &topics[number], QoS::AtLeastOnce);
            world.block(peer);
            peer
        })
        .collect();
    let innocent = world.up(Version::V5, "innocent");
    for topic in &topics[..CHAIN] {
        world.send(innocent, crate::world::publish(topic, QoS::AtLeastOnce, 1, "x"));
    }
    let _ = world.raw(innocent);
    assert_eq!(world.broker.counters().connected, CHAIN + 1);
    // The first falls, and all with it.
    world.send(innocent, crate::world::publish(&topics[0], QoS::AtLeastOnce, 1, "x"));
    assert_eq!(world.sent(innocent), ["PUBACK #1"]);
    assert_eq!(world.broker.counters().connected, 1);
    world.wait_secs(5);
    assert!(peers.into_iter().all(|peer| world.is_closed(peer)));
    world.serves(innocent);
}

#[test]
fn a_will_is_held_once_however_many_want_it() {
    let mut world = World::default();
    let readers: Vec<_> = (0..200)
        .map(|number| {
            let peer = world.up(Version::V5, &format!("reader-{number}"));
            world.subscribe(peer, "will", QoS::AtMostOnce);
            world.block(peer);
            peer
        })
        .collect();
    let payload = vec![7; 50_000];
    let will = Some(Will { topic: "will", payload: &payload, ..Will::default() });
    let peer = world.join(&Connect { will, ..of(Version::V5, "c") });
    let before = memory::held();
    world.lose(peer);
    let more = memory::held() - before;
    assert!(more < 200 * 1_000, "{more}");
    assert_eq!(world.broker.counters().stored_messages, 1);
    for reader in readers {
        world.unblock(reader);
        assert!(world.raw(reader).len() > 50_000);
    }
    assert_eq!(world.broker.counters().stored_messages, 0);
}

/// A CONNECT with a Will of so many bytes of payload, and of properties.
fn large_will(world: &mut World, client_id: &str, payload: usize, words: &str) -> Peer {
    let payload = vec![7; payload];
    let properties = [Property::WillDelayInterval(10), Property::UserProperty("k", words)];
    let properties = Properties::List(&properties);
    let will = Some(Will { topic: "will", payload: &payload, properties, ..Will::default() });
    let properties = Properties::List(&[Property::SessionExpiryInterval(60)]);
    let connect = Connect { clean_start: false, will, properties, ..of(Version::V5, client_id) };
    world.connect(&connect)
}

#[test]
fn wills_are_bounded_with_their_properties() {
    let mut world = World::new(options_with(|options| options.maximum_will_bytes = 10_000));
    for (payload, words, code) in [(9_000, 0, 0), (11_000, 0, 0x97), (0, 11_000, 0x97)] {
        let peer = large_will(&mut world, "c", payload, &"x".repeat(words));
        assert_eq!(world.raw(peer)[3], code, "{payload} and {words} bytes");
        let _ = world.broker.end_session(world.now, "c");
        world.poll();
        assert_eq!(world.broker.counters().will_bytes, 0);
    }
}

#[test]
fn who_has_a_will_can_come_back_with_it_when_there_is_no_room_for_another() {
    let mut world = World::new(options_with(|options| options.maximum_will_bytes = 10_000));
    let mut peer = large_will(&mut world, "c", 9_000, "");
    assert_eq!(world.raw(peer)[3], 0);
    let other = large_will(&mut world, "other", 9_000, "");
    assert_eq!(world.raw(other)[3], 0x97);
    // While its old connection is there, and when that is gone and its Will waits.
    for is_lost in [false, true] {
        if is_lost {
            world.lose(peer);
        }
        peer = large_will(&mut world, "c", 9_000, "");
        assert_eq!(world.raw(peer)[3], 0, "lost before: {is_lost}");
    }
}

#[test]
fn a_will_that_is_gone_makes_room_however_it_went() {
    type End = fn(&mut World, Peer);
    let rows: [(&str, End); 9] = [
        ("lost, and its delay is over", |world, peer| {
            world.lose(peer);
            world.wait_secs(10);
        }),
        ("lost, and its session is over", |world, peer| {
            world.lose(peer);
            world.wait_secs(60);
        }),
        ("disconnected", |world, peer| world.send(peer, Disconnect::default())),
        ("disconnected with its Will", |world, peer| {
            world.send_bytes(peer, &[0xe0, 1, 4]);
            world.wait_secs(10);
        }),
        ("a session that is ended", |world, _| {
            world.broker.end_session(world.now, "c").unwrap();
            world.poll();
        }),
        ("a clean start", |world, _| {
            let _ = world.up(Version::V5, "c");
        }),
        ("one without a Will that takes over", |world, _| {
            let _ = world.join_again(&crate::world::lasting(Version::V5, "c"));
            world.wait_secs(10);
        }),
        ("one that comes back without a Will", |world, peer| {
            world.lose(peer);
            let _ = world.join_again(&crate::world::lasting(Version::V5, "c"));
        }),
        ("a broken packet", |world, peer| {
            world.send_bytes(peer, &[0, 0]);
            world.wait_secs(10);
        }),
    ];
    for (what, end) in rows {
        let mut world = World::default();
        let peer = large_will(&mut world, "c", 9_000, "words");
        assert!(world.broker.counters().will_bytes > 9_000);
        end(&mut world, peer);
        assert_eq!(world.broker.counters().will_bytes, 0, "{what}");
    }
}

#[test]
fn a_will_of_who_is_refused_takes_no_room() {
    struct NoWills;
    impl sansio_mqtt::broker::Authorizer for NoWills {
        fn will(
            &mut self,
            _: &sansio_mqtt::broker::Client,
            _: &Will<'_>,
        ) -> sansio_mqtt::broker::Decision {
            sansio_mqtt::broker::Decision::Deny
        }
    }
    let mut world = World::with(options_with(|_| {}), NoWills);
    let peer = large_will(&mut world, "c", 9_000, "");
    assert_eq!(world.raw(peer)[3], 0x87);
    assert_eq!(world.broker.counters().will_bytes, 0);
    let mut world = World::new(options_with(|options| options.maximum_sessions = 1));
    let reader = reader(&mut world);
    let peer = large_will(&mut world, "c", 9_000, "");
    assert_eq!(world.raw(peer)[3], 0x97);
    assert_eq!(world.broker.counters().will_bytes, 0);
    // And one who cannot be told that it is connected.
    let mut other = World::default();
    let will = Some(Will { topic: "will", payload: &[7; 9_000], ..Will::default() });
    let properties = Properties::List(&[Property::MaximumPacketSize(1)]);
    let peer = other.connect(&Connect { will, properties, ..of(Version::V5, "c") });
    assert_eq!(other.raw(peer), []);
    assert!(other.is_closed(peer));
    assert_eq!(other.broker.counters().will_bytes, 0);
    assert_eq!(world.sent(reader), [""; 0]);
}
