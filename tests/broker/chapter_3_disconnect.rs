//! PINGREQ, DISCONNECT, Keep Alive and violations: MQTT 5.0 §3.1.2.10, §3.12, §3.14, §4.13.

use std::time::Duration;

use sansio_mqtt::broker::{CallError, DisconnectCause, Options};
use sansio_mqtt::{
    Connect, Disconnect, Packet, PacketId, PacketType, Properties, Property, Publish, QoS,
    ReasonCode, Subscribe, Subscription, Version, Will,
};

use crate::words::{lasting, of, options_with, publish, v5, with};
use crate::world::{Answer, Peer, World, scenario, scenario_with};

#[test]
fn every_pingreq_is_answered() {
    // v5 [MQTT-3.12.4-1], v3.1.1 [MQTT-3.12.4-1]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.raw(peer);
            world.send(peer, Packet::PingReq);
            assert_eq!(world.raw(peer), [0xd0, 0x00]);
            world.send_bytes(peer, &[0xc0, 0x00, 0xc0, 0x00, 0xc0, 0x00]);
            assert_eq!(world.raw(peer), [0xd0, 0x00, 0xd0, 0x00, 0xd0, 0x00]);
        });
    }
}

// Keep Alive

fn keeping(version: Version, keep_alive: u16) -> Connect<'static> {
    Connect { keep_alive, ..of(version, "a") }
}

#[test]
fn who_is_silent_for_one_and_a_half_keep_alives_is_closed_then() {
    // v5 [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT-4.13.2-1], v3.1.1 [MQTT-3.1.2-24]
    for version in Version::ALL {
        for keep_alive in [1, 2, 5, 60, 65_535] {
            scenario(|world| {
                let peer = world.join(&keeping(version, keep_alive));
                let limit = Duration::from_secs(u64::from(keep_alive)) * 3 / 2;
                let tick = Duration::from_micros(1);
                world.wait(limit - tick);
                world.silent(peer);
                world.wait(tick);
                world.ended(peer, ReasonCode::KEEP_ALIVE_TIMEOUT);
                assert_eq!(world.cause(peer), DisconnectCause::KeepAliveTimeout);
                let now = world.now;
                assert_eq!(world.at(peer).closed, Some(now));
            });
        }
    }
}

#[test]
fn every_packet_counts_and_nothing_that_is_less() {
    // v5 [MQTT-3.1.2-22], v3.1.1 [MQTT-3.1.2-24]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&keeping(version, 2));
            for packet in [
                Packet::PingReq,
                publish("a", QoS::AtMostOnce, 0, "x").into(),
                publish("a", QoS::AtLeastOnce, 7, "x").into(),
                crate::words::pub_ack(9).into(),
            ] {
                world.wait_millis(2_999);
                world.send(peer, packet);
            }
            world.packets(peer);
            // The beginning of a packet is none.
            for byte in b"\x30\x7f\x00\x01" {
                world.wait_millis(700);
                world.send_bytes(peer, &[*byte]);
            }
            world.wait_millis(199);
            world.silent(peer);
            world.wait_millis(1);
            world.ended(peer, ReasonCode::KEEP_ALIVE_TIMEOUT);
        });
    }
}

#[test]
fn what_the_broker_sends_is_no_sign_of_the_client() {
    // v5 [MQTT-3.1.2-22], v3.1.1 [MQTT-3.1.2-24]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&keeping(version, 2));
            world.subscribe(peer, "a", QoS::AtMostOnce);
            for _ in 0..5 {
                world.wait_millis(500);
                world.publish(publisher, "a", QoS::AtMostOnce, "x");
            }
            assert_eq!(world.heard(peer).len(), 5);
            world.wait_millis(499);
            world.silent(peer);
            world.wait_millis(1);
            world.ended(peer, ReasonCode::KEEP_ALIVE_TIMEOUT);
        });
    }
}

#[test]
fn without_a_keep_alive_a_client_may_be_silent() {
    // v5 [U5-3.1.2.10-1] [MQTT-4.1.0-1], v3.1.1 [MQTT-4.1.0-2]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "a", QoS::AtMostOnce);
            world.wait_secs(100_000_000);
            assert_eq!(world.deadline, None, "there is nothing to wait for");
            world.publish(peer, "a", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(peer), ["a x"]);
        });
    }
}

#[test]
fn keep_alives_run_beside_one_another() {
    // v5 [MQTT-3.1.2-22], v3.1.1 [MQTT-3.1.2-24]
    scenario(|world| {
        let names: Vec<String> = (1..=20).map(|number| format!("c{number}")).collect();
        let peers: Vec<Peer> = names
            .iter()
            .zip(1..)
            .map(|(name, number)| {
                let version = Version::ALL[number % 3];
                let keep_alive = u16::try_from(number * 7 % 20 + 1).unwrap();
                world.join(&Connect { keep_alive, ..of(version, name) })
            })
            .collect();
        let start = world.now;
        world.wait_secs(100);
        for (peer, number) in peers.into_iter().zip(1..) {
            let keep_alive = number * 7 % 20 + 1;
            let due = start + Duration::from_millis(keep_alive * 1_500);
            assert_eq!(world.at(peer).closed, Some(due), "{number}");
        }
    });
}

#[test]
fn the_time_of_the_handshake_does_not_count() {
    // v5 3.1.2.10
    scenario(|world| {
        world.answer = Answer::Later;
        let peer = world.connect(&keeping(Version::V5, 2));
        world.wait_secs(8);
        world.accept(peer, &sansio_mqtt::broker::Acceptance::default());
        let _ = world.take_connack(peer);
        world.wait_millis(2_999);
        world.silent(peer);
        world.wait_millis(1);
        world.ended(peer, ReasonCode::KEEP_ALIVE_TIMEOUT);
    });
}

// DISCONNECT of a client

#[test]
fn disconnect_is_the_last_that_is_heard_of_a_client() {
    // v5 [MQTT-3.14.4-1] [MQTT-3.14.4-2]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            let mut bytes = Vec::new();
            Packet::from(Disconnect::default()).encode(version, &mut bytes).unwrap();
            Packet::from(publish("a", QoS::AtMostOnce, 0, "x"))
                .encode(version, &mut bytes)
                .unwrap();
            world.send_bytes(peer, &bytes);
            assert!(world.closed(peer));
            assert_eq!(world.sent(peer), [""; 0], "there is no answer to it");
            assert_eq!(world.cause(peer), DisconnectCause::ByClient(ReasonCode::SUCCESS));
            world.silent(watcher);
        });
    }
}

#[test]
fn what_was_asked_before_a_disconnect_is_answered() {
    // v5 [MQTT-3.8.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-3.12.4-1],
    // v3.1.1 [MQTT-3.8.4-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-3.12.4-1]: however TCP cuts it.
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            let subscriptions = [Subscription::new("t", QoS::AtMostOnce)];
            let packets: [Packet<'_>; 5] = [
                Subscribe::new(PacketId::MIN, &subscriptions).into(),
                publish("t", QoS::AtLeastOnce, 2, "x").into(),
                publish("t", QoS::ExactlyOnce, 3, "x").into(),
                Packet::PingReq,
                Disconnect::default().into(),
            ];
            let mut bytes = Vec::new();
            packets.iter().for_each(|packet| packet.encode(version, &mut bytes).unwrap());
            world.send_bytes(peer, &bytes);
            let sent: Vec<_> =
                world.packets(peer).iter().map(|one| one.packet().packet_type()).collect();
            let answers =
                [PacketType::SubAck, PacketType::PubAck, PacketType::PubRec, PacketType::PingResp];
            assert!(
                sent.iter().filter(|one| **one != PacketType::Publish).eq(&answers),
                "{sent:?}"
            );
            assert!(world.closed(peer));
            assert_eq!(world.cause(peer), DisconnectCause::ByClient(ReasonCode::SUCCESS));
        });
    }
}

#[test]
fn nothing_is_answered_before_the_connack() {
    // v5 [MQTT-3.2.0-1], v3.1.1 [MQTT-3.2.0-1]: all of it waits for the transport.
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.open(version);
            world.block(peer);
            let subscriptions = [Subscription::new("t", QoS::AtMostOnce)];
            let packets: [Packet<'_>; 3] = [
                of(version, "a").into(),
                Subscribe::new(PacketId::MIN, &subscriptions).into(),
                Disconnect::default().into(),
            ];
            let mut bytes = Vec::new();
            packets.iter().for_each(|packet| packet.encode(version, &mut bytes).unwrap());
            world.send_bytes(peer, &bytes);
            world.unblock(peer);
            let sent = world.packets(peer);
            let sent: Vec<_> = sent.iter().map(|one| one.packet().packet_type()).collect();
            assert_eq!(sent, [PacketType::ConnAck, PacketType::SubAck]);
            assert!(world.closed(peer));
        });
    }
}

#[test]
fn a_client_that_says_goodbye_and_takes_nothing_is_not_waited_for() {
    scenario(|world| {
        let peer = world.join(&v5("a"));
        world.block(peer);
        world.send(peer, Packet::PingReq);
        world.send(peer, Disconnect::default());
        assert!(!world.closed(peer));
        world.wait(Options::new(0).close_timeout);
        assert!(world.closed(peer));
    });
}

#[test]
fn a_client_says_why_it_goes() {
    // v5 3.14.2.1
    for reason_code in [
        ReasonCode::NORMAL_DISCONNECTION,
        ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
        ReasonCode::UNSPECIFIED_ERROR,
        ReasonCode::PACKET_TOO_LARGE,
    ] {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            let list = [Property::ReasonString("because"), Property::UserProperty("a", "b")];
            world.send(peer, Disconnect { reason_code, properties: Properties::List(&list) });
            assert!(world.closed(peer));
            assert_eq!(world.sent(peer), [""; 0]);
            assert_eq!(world.cause(peer), DisconnectCause::ByClient(reason_code));
        });
    }
}

#[test]
fn a_client_does_not_say_what_a_server_says() {
    // v5 [U5-3.14.2.1-2]
    for code in
        [0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2]
    {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            world.send_bytes(peer, &[0xe0, 0x02, code, 0x00]);
            world.ended(peer, ReasonCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn a_client_may_change_how_long_its_session_lasts_when_it_goes() {
    // v5 [U5-3.14.2.2.2-2]
    for (first, last, expected) in
        [(100, 0, 0), (100, 10, 10), (100, 1_000, 1_000), (10, u32::MAX, u32::MAX)]
    {
        scenario(|world| {
            let list = [Property::SessionExpiryInterval(first)];
            let peer = world.join(&with(v5("a"), &list));
            let list = [Property::SessionExpiryInterval(last)];
            let properties = Properties::List(&list);
            world.send(peer, Disconnect { properties, ..Disconnect::default() });
            assert!(world.closed(peer));
            world.forget();
            if expected > 0 {
                assert_eq!(world.broker.session("a").unwrap().session_expiry_interval, expected);
            }
            if expected == u32::MAX {
                world.wait_secs(u64::from(u32::MAX) + 1);
                assert!(world.broker.session("a").is_some(), "it does not expire");
                return;
            }
            if expected > 0 {
                world.wait(Duration::from_secs(u64::from(expected)) - Duration::from_micros(1));
                assert!(world.broker.session("a").is_some());
                world.wait(Duration::from_micros(1));
                assert_eq!(world.told(), ["session ended a"]);
            }
            assert!(world.broker.session("a").is_none());
        });
    }
}

#[test]
fn a_change_beyond_what_the_application_allows_is_cut() {
    // v5 3.14.2.2.2
    let options = options_with(|options| options.maximum_session_expiry_interval = 50);
    scenario_with(&options, |world| {
        let list = [Property::SessionExpiryInterval(10)];
        let peer = world.join(&with(v5("a"), &list));
        let list = [Property::SessionExpiryInterval(1_000)];
        let properties = Properties::List(&list);
        world.send(peer, Disconnect { properties, ..Disconnect::default() });
        assert_eq!(world.broker.session("a").unwrap().session_expiry_interval, 50);
    });
}

#[test]
fn a_session_that_ends_with_its_connection_cannot_be_made_to_last() {
    // v5 [U5-3.14.2.2.2-1] [MQTT-3.1.2-7]
    for list in [&[][..], &[Property::SessionExpiryInterval(0)]] {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "w", QoS::AtMostOnce);
            let will = Will { topic: "w", payload: b"gone", ..Will::default() };
            let peer = world.join(&Connect { will: Some(will), ..with(v5("a"), list) });
            let raised = [Property::SessionExpiryInterval(5)];
            let properties = Properties::List(&raised);
            world.send(peer, Disconnect { properties, ..Disconnect::default() });
            world.ended(peer, ReasonCode::PROTOCOL_ERROR);
            assert!(world.broker.session("a").is_none());
            assert_eq!(world.heard(watcher), ["w gone"], "it was no valid DISCONNECT");
        });
    }
    // Zero again is no change.
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let zero = [Property::SessionExpiryInterval(0)];
        let properties = Properties::List(&zero);
        world.send(peer, Disconnect { properties, ..Disconnect::default() });
        assert_eq!(world.cause(peer), DisconnectCause::ByClient(ReasonCode::SUCCESS));
    });
}

// DISCONNECT of the broker

#[test]
fn the_application_disconnects_a_client_with_a_reason_in_5_0() {
    // v5 [MQTT-3.14.4-1] [MQTT-3.14.4-2]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "#", QoS::AtMostOnce);
            let connection = world.id(peer);
            let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
            let disconnect = Disconnect { reason_code, ..Disconnect::default() };
            world.block(peer);
            world.call(|broker, now| broker.disconnect(now, connection, &disconnect)).unwrap();
            // Nothing comes behind it.
            world
                .call(|broker, now| broker.publish(now, &publish("a", QoS::AtMostOnce, 0, "x")))
                .unwrap();
            world.send(peer, Packet::PingReq);
            if !world.closed(peer) {
                world.unblock(peer);
            }
            world.ended(peer, reason_code);
            assert_eq!(world.cause(peer), DisconnectCause::ByApplication(reason_code));
            assert!(world.broker.session("a").unwrap().connection.is_none());
            let again = world.call(|broker, now| broker.disconnect(now, connection, &disconnect));
            assert_eq!(again, Err(CallError::UnknownConnection));
        });
    }
}

#[test]
fn a_disconnect_has_what_fits_of_its_words() {
    // v5 [MQTT-3.14.2-3] [MQTT-3.14.2-4]
    let reason = Property::ReasonString("because of something that takes long to tell");
    let user = Property::UserProperty("more", "and something else that takes even longer to tell");
    let list = [reason, user];
    let len = |list: &[Property<'_>]| {
        let properties = Properties::List(list);
        let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
        let packet = Packet::from(Disconnect { reason_code, properties });
        u32::try_from(packet.encoded_len(Version::V5).unwrap()).unwrap()
    };
    for (maximum, expected) in [
        (len(&list), &list[..]),
        (len(&list) - 1, &[reason]),
        (len(&[reason]), &[reason]),
        (len(&[reason]) - 1, &[]),
    ] {
        scenario(|world| {
            let maximum = [Property::MaximumPacketSize(maximum)];
            let peer = world.join(&with(v5("a"), &maximum));
            let connection = world.id(peer);
            let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
            let properties = Properties::List(&list);
            let disconnect = Disconnect { reason_code, properties };
            world.call(|broker, now| broker.disconnect(now, connection, &disconnect)).unwrap();
            let packets = world.packets(peer);
            let expected = Disconnect { reason_code, properties: Properties::List(expected) };
            assert_eq!(packets[0].packet(), expected.into());
            assert!(world.closed(peer));
        });
    }
}

#[test]
fn what_a_server_may_not_say_is_the_callers_mistake() {
    // v5 [MQTT-3.14.2-2]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let connection = world.id(peer);
        let list = [Property::SessionExpiryInterval(5)];
        let properties = Properties::List(&list);
        let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
        let result = world.call(|broker, now| {
            broker.disconnect(now, connection, &Disconnect { reason_code, properties })
        });
        assert!(result.is_err(), "only a client says so");
        for reason_code in [ReasonCode::DISCONNECT_WITH_WILL_MESSAGE, ReasonCode::BANNED] {
            let disconnect = Disconnect { reason_code, ..Disconnect::default() };
            let result = world.call(|broker, now| broker.disconnect(now, connection, &disconnect));
            assert_eq!(result, Err(CallError::ReasonCodeNotAllowed(reason_code)));
        }
        world.silent(peer);
    });
}

#[test]
fn who_does_not_take_the_last_bytes_is_closed_after_a_while() {
    // v5 [MQTT-4.13.2-1]
    let options = options_with(|options| options.close_timeout = Duration::from_secs(3));
    scenario_with(&options, |world| {
        let peer = world.join(&v5("a"));
        world.block(peer);
        world.send_bytes(peer, &[0xff, 0x00]);
        assert!(!world.closed(peer));
        world.wait_millis(2_999);
        assert!(!world.closed(peer));
        world.wait_millis(1);
        assert!(world.closed(peer));
        world.unblock(peer);
        assert_eq!(world.raw(peer).first(), Some(&0x20), "nothing behind the CONNACK");
    });
}

// Violations

/// What breaks a rule on a connection, in all versions from 3.1.1 on, and the code for it.
fn violations() -> Vec<(&'static [u8], ReasonCode, &'static str)> {
    use ReasonCode as R;
    vec![
        (b"\x00\x00", R::MALFORMED_PACKET, "a packet of type 0"),
        (b"\x36\x05\x00\x01a\x00\x01", R::MALFORMED_PACKET, "QoS 3"),
        (b"\x38\x04\x00\x01a\x00", R::MALFORMED_PACKET, "DUP at QoS 0"),
        (b"\x30\x01\x00", R::MALFORMED_PACKET, "a topic that is cut"),
        (b"\x30\x05\x00\x02\xc3\x28\x00", R::MALFORMED_PACKET, "a topic that is not UTF-8"),
        (b"\x30\xff\xff\xff\xff\x01", R::MALFORMED_PACKET, "a length of five bytes"),
        (b"\x30\x06\x00\x03a/+\x00", R::TOPIC_NAME_INVALID, "a topic with a wildcard"),
        (b"\x32\x06\x00\x01a\x00\x00\x00", R::PROTOCOL_ERROR, "the identifier 0"),
        (b"\x80\x07\x00\x01\x00\x00\x01a\x00", R::MALFORMED_PACKET, "SUBSCRIBE with other flags"),
        (b"\xc1\x00", R::MALFORMED_PACKET, "PINGREQ with flags"),
        (b"\xc0\x01\x00", R::MALFORMED_PACKET, "PINGREQ with a body"),
        (b"\xd0\x00", R::PROTOCOL_ERROR, "PINGRESP, which a server sends"),
        (b"\x90\x03\x00\x01\x00", R::PROTOCOL_ERROR, "SUBACK, which a server sends"),
        (b"\x20\x02\x00\x00", R::PROTOCOL_ERROR, "CONNACK, which a server sends"),
    ]
}

#[test]
fn who_breaks_a_rule_is_disconnected_with_the_code_for_it() {
    // v5 [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.0-1] [U5-4.13.1-1], v3.1.1 [MQTT-4.8.0-1]
    let of_v5_only: Vec<(&[u8], ReasonCode, &str)> = vec![
        (b"\x82\x07\x00\x01\x00\x00\x01a\x40", ReasonCode::MALFORMED_PACKET, "reserved options"),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x30", ReasonCode::PROTOCOL_ERROR, "retain handling 3"),
        (b"\x82\x03\x00\x01\x00", ReasonCode::PROTOCOL_ERROR, "no filters"),
        (
            b"\x82\x08\x00\x01\x00\x00\x02#a\x00",
            ReasonCode::TOPIC_FILTER_INVALID,
            "a filter that is none",
        ),
        (
            b"\x82\x11\x00\x01\x00\x00\x0b$share/g/ab\x04",
            ReasonCode::PROTOCOL_ERROR,
            "a shared subscription without local messages",
        ),
        (
            b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00",
            ReasonCode::PROTOCOL_ERROR,
            "subscription identifier 0",
        ),
        (
            b"\x30\x08\x00\x01a\x02\x0b\x05xy",
            ReasonCode::PROTOCOL_ERROR,
            "a subscription identifier from a client",
        ),
        (b"\xa2\x03\x00\x01\x00", ReasonCode::PROTOCOL_ERROR, "no filters"),
    ];
    for version in Version::ALL {
        let mut rows = violations();
        if version.is_v5() {
            rows.extend(of_v5_only.iter().copied());
        }
        for (bytes, code, why) in rows {
            scenario(|world| {
                let other = world.join(&v5("other"));
                world.subscribe(other, "#", QoS::AtMostOnce);
                let peer = world.join(&lasting(version, "a"));
                println!("{why}");
                world.send_bytes(peer, bytes);
                // What comes behind it is not looked at.
                if world.closed(peer) {
                    assert!(matches!(world.cause(peer), DisconnectCause::Violation(_)));
                }
                world.ended(peer, code);
                // All else lives on.
                world.silent(other);
                let (_, present) = world.resume(&lasting(version, "a"));
                assert_eq!(present, version != Version::V3_1);
            });
        }
    }
}

#[test]
fn nothing_is_done_of_what_comes_behind_a_violation() {
    // v5 [MQTT-4.13.1-1], v3.1.1 [MQTT-4.8.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            world.block(peer);
            let mut bytes = vec![0xc1, 0x00];
            let message = Publish { retain: true, ..publish("a", QoS::AtMostOnce, 0, "x") };
            Packet::from(message).encode(version, &mut bytes).unwrap();
            world.send_bytes(peer, &bytes);
            world.silent(watcher);
            assert_eq!(world.broker.counters().retained_messages, 0);
        });
    }
}

#[test]
fn what_came_before_a_violation_counts() {
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            let mut bytes = Vec::new();
            Packet::from(publish("a", QoS::AtMostOnce, 0, "x"))
                .encode(version, &mut bytes)
                .unwrap();
            bytes.extend_from_slice(&[0xc1, 0x00]);
            world.send_bytes(peer, &bytes);
            assert!(world.closed(peer));
            assert_eq!(world.heard(watcher), ["a x"]);
        });
    }
}

#[test]
fn a_connection_that_is_gone_is_spoken_of_in_vain() {
    scenario(|world: &mut World| {
        let peer = world.join(&lasting(Version::V5, "a"));
        let connection = world.id(peer);
        world.lose(peer);
        let counters = world.broker.counters();
        world.forget();
        // All of it is without effect, and a new connection has another number.
        let mut bytes = bytes::BytesMut::from(&b"\xc0\x00"[..]);
        let _ = world.call(|broker, now| broker.receive(now, connection, &mut bytes));
        let mut out = sansio_mqtt::Outgoing::new();
        let _ = world.call(|broker, now| broker.transmit(now, connection, usize::MAX, &mut out));
        assert!(out.is_empty());
        world.call(|broker, now| broker.transport_closed(now, connection));
        assert_eq!(world.told(), [""; 0]);
        assert_eq!(world.broker.counters(), counters);
        let next = world.join(&lasting(Version::V5, "a"));
        assert_ne!(world.id(next), connection);
        world.call(|broker, now| broker.transport_closed(now, connection));
        world.send(next, Packet::PingReq);
        assert_eq!(world.sent(next), ["PINGRESP"]);
    });
}
