//! From the transport to the CONNACK: MQTT 5.0 §3.1, §3.2.

use std::time::Duration;

use sansio_mqtt::broker::{Acceptance, CallError, DisconnectCause, Violation};
use sansio_mqtt::{
    ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode,
    Subscribe, Subscription, Version,
};

use crate::words::{conn_ack_of, lasting, of, options_with, publish, v5, with};
use crate::world::{Answer, scenario, scenario_with};

#[test]
fn a_good_connect_is_answered_with_success_once() {
    // v5 [MQTT-3.1.4-5] [MQTT-3.2.0-2], v3.1.1 [MQTT-3.1.4-4] [MQTT-3.2.2-1] [MQTT-3.2.2-3]
    for version in Version::ALL {
        for clean_start in [true, false] {
            scenario(|world| {
                let peer = world.connect(&Connect { clean_start, ..of(version, "a") });
                assert_eq!(world.told(), ["connect a", "connected a"]);
                let raw = world.raw(peer);
                if version.is_v5() {
                    assert_eq!((raw[0], &raw[2..4]), (0x20, &[0, 0][..]));
                } else {
                    assert_eq!(raw, [0x20, 0x02, 0x00, 0x00]);
                }
                let packets = world.packets(peer);
                assert_eq!(packets.len(), 1, "{packets:?}");
                world.wait_secs(100_000);
                world.silent(peer);
            });
        }
    }
}

#[test]
fn clients_of_all_versions_hear_one_another() {
    scenario(|world| {
        let clients = ["one", "two", "three"];
        let peers: Vec<_> = Version::ALL
            .into_iter()
            .zip(clients)
            .map(|(version, client_id)| world.join(&of(version, client_id)))
            .collect();
        for &peer in &peers {
            world.subscribe(peer, "from/+", QoS::ExactlyOnce);
        }
        for (&publisher, client_id) in peers.iter().zip(clients) {
            world.publish(publisher, &format!("from/{client_id}"), QoS::ExactlyOnce, "x");
            for &peer in &peers {
                assert_eq!(world.heard(peer), [format!("from/{client_id} x QoS 2")]);
            }
        }
    });
}

/// A CONNECT of this protocol name and level, with a clean start and a client called `a`.
fn connect_of_level(name: &str, level: u8) -> Vec<u8> {
    let mut bytes = vec![0x10, 0, 0, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&[level, 0x02, 0, 0]);
    if name == "MQTT" && level >= 5 {
        bytes.push(0);
    }
    bytes.extend_from_slice(&[0, 1, b'a']);
    bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
    bytes
}

#[test]
fn an_unknown_level_is_answered_in_the_form_of_the_nearest_version() {
    // v5 [MQTT-3.1.2-2] [MQTT-3.2.2-7], v3.1.1 [MQTT-3.1.2-2] [MQTT-3.2.2-5]
    let v5_form: &[u8] = &[0x20, 0x03, 0x00, 0x84, 0x00];
    let v3_form: &[u8] = &[0x20, 0x02, 0x00, 0x01];
    let rows: [(&str, u8, Version, &[u8]); 11] = [
        ("MQTT", 0, Version::V3_1_1, v3_form),
        ("MQTT", 1, Version::V3_1_1, v3_form),
        ("MQTT", 3, Version::V3_1_1, v3_form),
        ("MQTT", 6, Version::V5, v5_form),
        ("MQTT", 7, Version::V5, v5_form),
        // Levels that bridges have for themselves.
        ("MQTT", 0x83, Version::V3_1_1, v3_form),
        ("MQTT", 0x84, Version::V3_1_1, v3_form),
        ("MQTT", 0xff, Version::V5, v5_form),
        ("MQIsdp", 2, Version::V3_1_1, v3_form),
        ("MQIsdp", 4, Version::V3_1_1, v3_form),
        ("MQIsdp", 5, Version::V3_1_1, v3_form),
    ];
    for (name, level, version, expected) in rows {
        scenario(|world| {
            let peer = world.open(version);
            world.send_bytes(peer, &connect_of_level(name, level));
            assert_eq!(world.raw(peer), expected, "{name} {level}");
            world.refused(peer, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
            let told = world.told();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("disconnected: "), "{told:?}");
        });
    }
}

#[test]
fn another_protocol_name_is_not_answered() {
    // v5 [MQTT-3.1.2-1], v3.1.1 [MQTT-3.1.2-1]
    for (name, level) in [("MQTX", 4), ("MQTX", 5), ("mqtt", 4), ("HTTP/1", 4), ("", 4)] {
        scenario(|world| {
            let peer = world.open(Version::V5);
            world.send_bytes(peer, &connect_of_level(name, level));
            assert!(world.closed(peer), "{name:?}");
            assert_eq!(world.raw(peer), [0; 0]);
            assert_eq!(world.told().len(), 1);
        });
    }
}

#[test]
fn nothing_is_answered_before_connect() {
    // v5 [MQTT-3.1.0-1] [MQTT-3.14.0-1], v3.1.1 [MQTT-3.1.0-1]
    let rows: [&[u8]; 9] = [
        b"\xc0\x00",
        b"\x30\x03\x00\x01a",
        b"\x30\x04\x00\x01a\x00",
        b"\x82\x06\x00\x01\x00\x01a\x00",
        b"\xa2\x05\x00\x01\x00\x01a",
        b"\x40\x02\x00\x01",
        b"\xe0\x00",
        b"\xf0\x00",
        // Of a server.
        b"\x20\x02\x00\x00",
    ];
    for bytes in rows {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            world.forget();
            let peer = world.open(Version::V5);
            world.send_bytes(peer, bytes);
            assert!(world.closed(peer), "{bytes:?}");
            assert_eq!(world.raw(peer), [0; 0]);
            assert!(matches!(world.cause(peer), DisconnectCause::Violation(_)));
            world.silent(watcher);
        });
    }
}

#[test]
fn a_second_connect_ends_the_connection() {
    // v5 [MQTT-3.1.0-2], v3.1.1 [MQTT-3.1.0-2]
    for version in Version::ALL {
        for client_id in ["a", "b"] {
            scenario(|world| {
                let peer = world.join(&of(version, "a"));
                world.send(peer, of(version, client_id));
                world.ended(peer, ReasonCode::PROTOCOL_ERROR);
                let cause = world.cause(peer);
                assert!(
                    matches!(cause, DisconnectCause::Violation(Violation::UnexpectedPacket(_))),
                    "{cause:?}"
                );
            });
        }
        // It is no better at once.
        scenario(|world| {
            let peer = world.open(version);
            let mut bytes = Vec::new();
            for _ in 0..2 {
                Packet::from(of(version, "a")).encode(version, &mut bytes).unwrap();
            }
            world.send_bytes(peer, &bytes);
            let _ = world.take_connack(peer);
            world.ended(peer, ReasonCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn what_is_sent_behind_connect_waits_for_the_answer() {
    // v5 3.1.4: clients may send more at once.
    for version in Version::ALL {
        scenario(|world| {
            world.answer = Answer::Later;
            let peer = world.connect(&of(version, "a"));
            let list = [Subscription::new("a", QoS::AtMostOnce)];
            world.send(peer, Subscribe::new(PacketId::MIN, &list));
            world.send(peer, publish("a", QoS::AtMostOnce, 0, "x"));
            world.send(peer, Packet::PingReq);
            assert_eq!(world.told(), ["connect a"]);
            assert!(world.at(peer).paused, "nothing is read until there is an answer");
            assert_eq!(world.sent(peer), [""; 0]);
            world.wait_secs(5);
            assert_eq!(world.sent(peer), [""; 0]);
            world.accept(peer, &Acceptance::default());
            let _ = world.take_connack(peer);
            let mut sent = world.sent(peer);
            sent.sort();
            assert_eq!(sent, ["PINGRESP", "PUBLISH \"a\" QoS 0 \"x\"", "SUBACK #1 [QoS 0]"]);
            assert_eq!(world.told(), ["connected a"]);
        });
    }
}

#[test]
fn nothing_is_done_of_what_comes_with_a_connect_that_is_refused() {
    // v5 [MQTT-3.1.4-6], v3.1.1 [MQTT-3.1.4-5]
    for version in Version::ALL {
        for answer in [Answer::Refuse(ReasonCode::NOT_AUTHORIZED), Answer::Later] {
            scenario(|world| {
                let watcher = world.join(&v5("watcher"));
                world.subscribe(watcher, "#", QoS::AtMostOnce);
                world.answer = answer;
                let peer = world.open(version);
                let mut bytes = Vec::new();
                Packet::from(of(version, "a")).encode(version, &mut bytes).unwrap();
                let retained = Publish { retain: true, ..publish("a", QoS::AtMostOnce, 0, "x") };
                Packet::from(retained).encode(version, &mut bytes).unwrap();
                world.send_bytes(peer, &bytes);
                if answer == Answer::Later {
                    let refusal = ConnAck::refuse(ReasonCode::NOT_AUTHORIZED);
                    world.refuse(peer, &refusal).unwrap();
                }
                world.refused(peer, ReasonCode::NOT_AUTHORIZED);
                world.silent(watcher);
                let counters = world.broker.counters();
                assert_eq!((counters.retained_messages, counters.publishes_received), (0, 0));
            });
        }
    }
    // Nor with one that is malformed.
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.open(Version::V5);
        // The reserved flag is set.
        world.send_bytes(
            peer,
            b"\x10\x0d\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x00\x30\x04\x00\x01a\x00",
        );
        world.refused(peer, ReasonCode::MALFORMED_PACKET);
        world.silent(watcher);
    });
}

#[test]
fn a_connect_that_breaks_the_rules_is_refused_with_its_code_in_5_0() {
    // v5 [MQTT-3.1.4-1] [MQTT-3.14.0-1] [MQTT-4.13.1-1] [MQTT-4.13.2-1] [U5-4.13.1-1]
    let rows: [(&[u8], ReasonCode, &str); 5] = [
        (
            b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x7f\x00\x00",
            ReasonCode::MALFORMED_PACKET,
            "the properties are longer than the packet",
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x00",
            ReasonCode::MALFORMED_PACKET,
            "the reserved flag is set",
        ),
        (
            b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00\xff",
            ReasonCode::MALFORMED_PACKET,
            "a byte is left over",
        ),
        (
            b"\x10\x17\x00\x04MQTT\x05\x02\x00\x00\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01\x00\x00",
            ReasonCode::PROTOCOL_ERROR,
            "Session Expiry Interval is there twice",
        ),
        (
            b"\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x00",
            ReasonCode::PROTOCOL_ERROR,
            "Receive Maximum is 0",
        ),
    ];
    for (bytes, code, why) in rows {
        scenario(|world| {
            let peer = world.open(Version::V5);
            world.send_bytes(peer, bytes);
            let raw = world.raw(peer);
            assert_eq!((raw[0], raw[2], raw[3]), (0x20, 0, code.get()), "{why}");
            world.refused(peer, code);
        });
    }
}

#[test]
fn a_connect_that_breaks_the_rules_is_not_answered_in_3_x() {
    // v3.1.1 [MQTT-3.1.4-1] [MQTT-3.2.2-6] [MQTT-4.8.0-1]
    let rows: [(Version, &[u8], &str); 4] = [
        (
            Version::V3_1_1,
            b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x00\xff",
            "a byte is left over",
        ),
        (
            Version::V3_1_1,
            b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00",
            "the reserved flag is set",
        ),
        (Version::V3_1_1, b"\x10\x0b\x00\x04MQTT\x04\x02\x00\x00\x00", "a field is cut"),
        (
            Version::V3_1,
            b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01a\xff",
            "a byte is left over",
        ),
    ];
    for (version, bytes, why) in rows {
        scenario(|world| {
            let peer = world.open(version);
            world.send_bytes(peer, bytes);
            assert!(world.closed(peer), "{why}");
            assert_eq!(world.raw(peer), [0; 0], "{why}");
        });
    }
}

#[test]
fn who_sends_no_connect_in_time_is_closed() {
    // v5 [U5-3.1.4-1]
    let full = connect_of_level("MQTT", 4);
    for sent in 0..full.len() {
        scenario(|world| {
            let peer = world.open(Version::V3_1_1);
            // Bytes that come in between do not buy time.
            for byte in &full[..sent] {
                world.wait_millis(500);
                world.send_bytes(peer, &[*byte]);
            }
            world.wait(Duration::from_micros(9_999_999 - 500_000 * sent as u64));
            assert!(!world.closed(peer));
            world.wait(Duration::from_micros(1));
            assert!(world.closed(peer));
            assert_eq!(world.raw(peer), [0; 0]);
            assert_eq!(world.cause(peer), DisconnectCause::ConnectTimeout);
            assert_eq!(world.broker.counters().connections, 0);
        });
    }
}

#[test]
fn the_time_for_connect_is_that_of_the_options_and_over_with_the_connack() {
    // v5 [U5-3.1.4-1]
    let options = options_with(|options| options.connect_timeout = Duration::from_secs(3));
    scenario_with(&options, |world| {
        let silent = world.open(Version::V5);
        let connected = world.join(&v5("a"));
        world.wait_millis(2_999);
        assert!(!world.closed(silent));
        world.wait_millis(1);
        assert!(world.closed(silent));
        world.wait_secs(100);
        world.silent(connected);
    });
}

#[test]
fn who_is_not_accepted_in_time_is_closed() {
    scenario(|world| {
        world.answer = Answer::Later;
        let peer = world.open(Version::V5);
        world.wait_secs(4);
        world.send(peer, v5("a"));
        world.wait(Duration::from_micros(5_999_999));
        assert!(!world.closed(peer));
        world.wait(Duration::from_micros(1));
        assert!(world.closed(peer));
        assert_eq!(world.cause(peer), DisconnectCause::ConnectTimeout);
        let connection = world.id(peer);
        let late = world.call(|broker, now| broker.accept(now, connection, &Acceptance::default()));
        assert_eq!(late, Err(CallError::UnknownConnection));
        assert_eq!(world.broker.counters().sessions, 0);
    });
}

#[test]
fn a_transport_that_breaks_before_the_answer_leaves_nothing_behind() {
    for version in Version::ALL {
        scenario(|world| {
            world.answer = Answer::Later;
            let peer = world.connect(&lasting(version, "a"));
            world.lose(peer);
            assert_eq!(world.cause(peer), DisconnectCause::TransportClosed);
            let connection = world.id(peer);
            let late =
                world.call(|broker, now| broker.accept(now, connection, &Acceptance::default()));
            assert_eq!(late, Err(CallError::UnknownConnection));
            let counters = world.broker.counters();
            assert_eq!((counters.sessions, counters.connections), (0, 0));
            assert_eq!(world.deadline, None, "nothing is left to wait for");
        });
    }
}

/// What each refusal is in 3.x: the nearest return code that there is, or none.
const REFUSALS: [(ReasonCode, Option<ReasonCode>); 22] = {
    use ReasonCode as R;
    [
        (R::UNSPECIFIED_ERROR, None),
        (R::MALFORMED_PACKET, None),
        (R::PROTOCOL_ERROR, None),
        (R::IMPLEMENTATION_SPECIFIC_ERROR, None),
        (R::UNSUPPORTED_PROTOCOL_VERSION, Some(R::UNSUPPORTED_PROTOCOL_VERSION)),
        (R::CLIENT_IDENTIFIER_NOT_VALID, Some(R::CLIENT_IDENTIFIER_NOT_VALID)),
        (R::BAD_USER_NAME_OR_PASSWORD, Some(R::BAD_USER_NAME_OR_PASSWORD)),
        (R::NOT_AUTHORIZED, Some(R::NOT_AUTHORIZED)),
        (R::SERVER_UNAVAILABLE, Some(R::SERVER_UNAVAILABLE)),
        (R::SERVER_BUSY, Some(R::SERVER_UNAVAILABLE)),
        (R::BANNED, Some(R::NOT_AUTHORIZED)),
        (R::BAD_AUTHENTICATION_METHOD, Some(R::NOT_AUTHORIZED)),
        (R::TOPIC_NAME_INVALID, None),
        (R::PACKET_TOO_LARGE, None),
        (R::QUOTA_EXCEEDED, Some(R::SERVER_UNAVAILABLE)),
        (R::PAYLOAD_FORMAT_INVALID, None),
        (R::RETAIN_NOT_SUPPORTED, None),
        (R::QOS_NOT_SUPPORTED, None),
        (R::USE_ANOTHER_SERVER, Some(R::SERVER_UNAVAILABLE)),
        (R::SERVER_MOVED, Some(R::SERVER_UNAVAILABLE)),
        (R::CONNECTION_RATE_EXCEEDED, Some(R::SERVER_UNAVAILABLE)),
        (R::SUCCESS, None),
    ]
};

#[test]
fn the_application_refuses_with_any_code_that_there_is() {
    // v5 [MQTT-3.1.3-8] [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-4.13.2-1],
    // v3.1.1 [MQTT-3.1.3-9] [MQTT-3.2.2-4] [MQTT-3.2.2-5] [MQTT-3.2.2-6]
    let refusals = REFUSALS.into_iter().filter(|(code, _)| code.is_error());
    for (code, return_code) in refusals {
        for version in Version::ALL {
            scenario(|world| {
                // There is a session, and it is not told of.
                let before = world.join(&lasting(version, "a"));
                world.leave(before);
                world.forget();
                world.answer = Answer::Refuse(code);
                let peer = world.connect(&lasting(version, "a"));
                match return_code {
                    _ if version.is_v5() => world.refused(peer, code),
                    Some(nearest) => {
                        let expected = [0x20, 0x02, 0x00, nearest.return_code().unwrap()];
                        assert_eq!(world.raw(peer), expected);
                        world.refused(peer, nearest);
                    }
                    None => {
                        assert!(world.closed(peer));
                        assert_eq!(world.raw(peer), [0; 0], "{code} has no return code");
                    }
                }
                assert_eq!(world.cause(peer), DisconnectCause::Refused(code));
                assert!(world.broker.session("a").is_some(), "it is not ended by it");
            });
        }
    }
}

#[test]
fn a_refusal_that_is_none_is_the_callers_mistake() {
    scenario(|world| {
        world.answer = Answer::Later;
        let peer = world.connect(&v5("a"));
        for code in [ReasonCode::SUCCESS, ReasonCode::KEEP_ALIVE_TIMEOUT, ReasonCode::new(0x18)] {
            let refusal = ConnAck { reason_code: code, ..ConnAck::default() };
            assert_eq!(world.refuse(peer, &refusal), Err(CallError::ReasonCodeNotAllowed(code)));
        }
        let present = ConnAck { session_present: true, ..ConnAck::refuse(ReasonCode::BANNED) };
        assert!(matches!(world.refuse(peer, &present), Err(CallError::Invalid(_))));
        world.silent(peer);
        world.accept(peer, &Acceptance::default());
        let _ = world.take_connack(peer);
        // There is one answer only.
        let connection = world.id(peer);
        let again =
            world.call(|broker, now| broker.accept(now, connection, &Acceptance::default()));
        assert_eq!(again, Err(CallError::NotAwaited));
        let refusal = ConnAck::refuse(ReasonCode::BANNED);
        assert_eq!(world.refuse(peer, &refusal), Err(CallError::NotAwaited));
        world.silent(peer);
    });
}

#[test]
fn a_refusal_says_why_in_words_if_they_fit() {
    // v5 [MQTT-3.2.2-19] [MQTT-3.2.2-20]
    let reason = Property::ReasonString("because of something that takes long to tell");
    let user = Property::UserProperty("more", "and something else that takes even longer to tell");
    let server = Property::ServerReference("elsewhere");
    let list = [reason, user, server];
    let len = |list: &[Property<'_>]| {
        let properties = Properties::List(list);
        let refusal = ConnAck { properties, ..ConnAck::refuse(ReasonCode::SERVER_MOVED) };
        u32::try_from(Packet::from(refusal).encoded_len(Version::V5).unwrap()).unwrap()
    };
    let rows: [(u32, &[Property<'_>]); 4] = [
        (len(&list), &list),
        (len(&list) - 1, &[reason, server]),
        (len(&[reason, server]), &[reason, server]),
        (len(&[reason, server]) - 1, &[server]),
    ];
    for (maximum, expected) in rows {
        scenario(|world| {
            let properties = Properties::List(&list);
            world.answer = Answer::Later;
            let maximum = [Property::MaximumPacketSize(maximum)];
            let peer = world.connect(&with(v5("a"), &maximum));
            let refusal = ConnAck { properties, ..ConnAck::refuse(ReasonCode::SERVER_MOVED) };
            world.refuse(peer, &refusal).unwrap();
            let packets = world.packets(peer);
            let found = conn_ack_of(&packets[0]).properties;
            assert_eq!(found, Properties::List(expected));
            assert!(world.closed(peer));
        });
    }
}

#[test]
fn a_client_that_is_gone_is_not_taken_over_by_one_that_is_refused() {
    // v5 [MQTT-3.1.4-2], v3.1.1 3.2.2.3
    for version in Version::ALL {
        scenario(|world| {
            let first = world.join(&of(version, "a"));
            world.answer = Answer::Refuse(ReasonCode::BAD_USER_NAME_OR_PASSWORD);
            let second = world.connect(&of(version, "a"));
            world.refused(second, ReasonCode::BAD_USER_NAME_OR_PASSWORD);
            world.silent(first);
        });
    }
}

#[test]
fn a_client_that_goes_before_it_is_accepted_says_goodbye_to_nobody() {
    scenario(|world| {
        world.answer = Answer::Later;
        let peer = world.connect(&v5("a"));
        world.send(peer, Disconnect::default());
        world.accept(peer, &Acceptance::default());
        let _ = world.take_connack(peer);
        assert!(world.closed(peer));
        assert_eq!(world.cause(peer), DisconnectCause::ByClient(ReasonCode::SUCCESS));
    });
}
