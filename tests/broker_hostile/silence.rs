//! Clients that say nothing, or never all of it. MQTT 5.0 §3.1.2.10, §3.1.4.

use std::time::Duration;

use sansio_mqtt::broker::{DisconnectCause, Event};
use sansio_mqtt::{Connect, Packet, Properties, Property, QoS, Version};

use crate::memory;
use crate::world::{World, encode, in_all_versions, of, options_with, publish};

#[test]
fn who_sends_nothing_is_closed_when_the_time_to_connect_is_over() {
    // v5 [U5-3.1.4-1], v3.1.1 3.1.4
    in_all_versions(|world, version| {
        let peer = world.open(version);
        world.wait(Duration::from_millis(9_999));
        assert!(!world.is_closed(peer));
        world.wait(Duration::from_millis(1));
        assert!(world.is_closed(peer));
        assert_eq!(world.raw(peer), []);
        assert_eq!(world.cause(peer), Some(DisconnectCause::ConnectTimeout));
        assert_eq!(world.deadline, None);
    });
}

#[test]
fn a_connect_that_comes_byte_by_byte_moves_nothing() {
    // v5 [U5-3.1.4-1]
    in_all_versions(|world, version| {
        let peer = world.open(version);
        let name = "c".repeat(23);
        for byte in encode(version, of(version, &name)) {
            world.send_bytes(peer, &[byte]);
            world.wait_secs(1);
        }
        assert!(world.is_closed(peer));
        assert_eq!(world.raw(peer), []);
        assert_eq!(world.cause(peer), Some(DisconnectCause::ConnectTimeout));
        assert_eq!(world.broker.session(&name), None);
    });
}

#[test]
fn an_application_that_does_not_answer_and_a_client_that_does_not_go_on_meet_the_same_end() {
    let mut world = World::default();
    world.accepts = false;
    let peer = world.connect(&of(Version::V5, "c"));
    assert!(matches!(world.events[..], [Event::Connect { .. }]));
    // What it sends meanwhile changes nothing.
    world.send(peer, Packet::PingReq);
    world.wait_secs(10);
    assert!(world.is_closed(peer));
    // The answer to an AUTH never comes.
    let properties = Properties::List(&[Property::AuthenticationMethod("m")]);
    let peer = world.connect(&Connect { properties, ..of(Version::V5, "c") });
    let auth = sansio_mqtt::Auth {
        reason_code: sansio_mqtt::ReasonCode::CONTINUE_AUTHENTICATION,
        properties: Properties::NONE,
    };
    world.broker.authenticate(world.now, world.id(peer), &auth).unwrap();
    world.poll();
    world.wait_secs(10);
    assert!(world.is_closed(peer));
    assert_eq!(world.cause(peer), Some(DisconnectCause::ConnectTimeout));
    assert_eq!(world.broker.counters().connections, 0);
}

#[test]
fn an_exchange_of_auth_without_end_is_no_way_around_the_time_to_connect() {
    let mut world = World::default();
    world.accepts = false;
    let method = Properties::List(&[Property::AuthenticationMethod("m")]);
    let peer = world.connect(&Connect { properties: method, ..of(Version::V5, "c") });
    let reason_code = sansio_mqtt::ReasonCode::CONTINUE_AUTHENTICATION;
    for _ in 0..9 {
        let auth = sansio_mqtt::Auth { reason_code, properties: Properties::NONE };
        world.broker.authenticate(world.now, world.id(peer), &auth).unwrap();
        world.poll();
        world.send(peer, sansio_mqtt::Auth { reason_code, properties: method });
        world.wait_secs(1);
    }
    assert!(!world.is_closed(peer));
    world.wait_secs(1);
    assert!(world.is_closed(peer));
}

#[test]
fn half_a_packet_is_no_sign_of_life() {
    // v5 [MQTT-3.1.2-22], v3.1.1 [MQTT-3.1.2-24]: "does not receive an MQTT Control Packet".
    in_all_versions(|world, version| {
        let peer = world.join(&Connect { keep_alive: 10, ..of(version, "c") });
        let bytes = encode(version, publish("topic", QoS::AtMostOnce, 0, "a long payload"));
        for byte in &bytes[..15] {
            assert!(!world.is_closed(peer));
            world.send_bytes(peer, &[*byte]);
            world.wait_secs(1);
        }
        assert!(world.is_closed(peer));
        assert_eq!(world.cause(peer), Some(DisconnectCause::KeepAliveTimeout));
        let last: &[u8] = if version.is_v5() { &[0xe0, 1, 0x8d] } else { &[] };
        assert_eq!(world.raw(peer), last);
    });
}

#[test]
fn whole_packets_are_signs_of_life_to_the_millisecond() {
    in_all_versions(|world, version| {
        let peer = world.join(&Connect { keep_alive: 1, ..of(version, "c") });
        for _ in 0..100 {
            world.wait(Duration::from_millis(1_499));
            world.send(peer, publish("a", QoS::AtMostOnce, 0, "x"));
        }
        assert!(!world.is_closed(peer));
        world.wait(Duration::from_millis(1_499));
        assert!(!world.is_closed(peer));
        world.wait(Duration::from_millis(1));
        assert!(world.is_closed(peer));
    });
}

#[test]
fn a_keep_alive_of_18_hours_holds_a_connection_no_longer_than_that() {
    in_all_versions(|world, version| {
        let peer = world.join(&Connect { keep_alive: u16::MAX, ..of(version, "c") });
        world.wait(Duration::from_millis(65_535 * 1_500 - 1));
        assert!(!world.is_closed(peer));
        world.wait(Duration::from_millis(1));
        assert!(world.is_closed(peer));
    });
}

#[test]
fn without_keep_alive_half_a_packet_costs_nothing_for_ever() {
    in_all_versions(|world, version| {
        let before = memory::held();
        let peer = world.up(version, "c");
        let opened = memory::held() - before;
        // A remaining length of 2 MiB less its header: nothing is reserved for it.
        world.send_bytes(peer, &[0x30, 0xfc, 0xff, 0x7f, 0, 9]);
        world.wait_secs(1_000_000);
        assert!(!world.is_closed(peer));
        assert!(memory::held() - before - opened < 1_024);
        assert_eq!(world.broker.counters().bytes_received, world.broker.counters().bytes_received);
        assert_eq!(world.deadline, None);
    });
}

#[test]
fn a_server_keep_alive_bites_who_wanted_none() {
    // v5 [MQTT-3.2.2-22]
    let mut world = World::new(options_with(|options| options.maximum_keep_alive = 60));
    for keep_alive in [0, 61, u16::MAX] {
        let peer = world.connect(&Connect { keep_alive, ..of(Version::V5, "c") });
        let conn_ack = world.sent(peer);
        assert!(conn_ack[0].contains("Server Keep Alive=60"), "{conn_ack:?}");
        world.wait_secs(89);
        assert!(!world.is_closed(peer));
        world.wait_secs(1);
        assert_eq!(world.cause(peer), Some(DisconnectCause::KeepAliveTimeout));
    }
}

#[test]
fn who_is_to_be_closed_and_does_not_read_is_closed_when_the_time_for_that_is_over() {
    let mut world = World::default();
    let peer = world.up(Version::V5, "c");
    world.block(peer);
    world.send_bytes(peer, &[0, 0]);
    assert!(!world.is_closed(peer));
    // Its last words are all that is left, and nothing it says is heard.
    world.send(peer, Packet::PingReq);
    world.wait(Duration::from_millis(4_999));
    assert!(!world.is_closed(peer));
    world.wait(Duration::from_millis(1));
    assert!(world.is_closed(peer));
    assert_eq!(world.deadline, None);
    assert_eq!(world.broker.counters().connections, 0);
}

#[test]
fn who_is_refused_and_does_not_read_is_closed_when_the_time_for_that_is_over() {
    let mut world = World::default();
    let peer = world.open(Version::V3_1_1);
    world.block(peer);
    world.send_bytes(peer, b"\x10\x0c\0\x04MQTT\x04\0\0\0\0\0");
    assert!(!world.is_closed(peer));
    world.wait(Duration::from_secs(5));
    assert!(world.is_closed(peer));
    assert_eq!(world.broker.counters().connections, 0);
}

#[test]
fn a_connack_that_is_not_read_keeps_no_client_past_its_keep_alive() {
    in_all_versions(|world, version| {
        let peer = world.open(version);
        world.block(peer);
        world.send(peer, Connect { keep_alive: 10, ..of(version, "c") });
        world.wait_secs(14);
        assert!(!world.is_closed(peer));
        assert!(world.broker.session("c").unwrap().connection.is_some());
        world.wait_secs(1);
        assert!(world.broker.session("c").is_none());
        world.wait_secs(5);
        assert!(world.is_closed(peer));
    });
}
