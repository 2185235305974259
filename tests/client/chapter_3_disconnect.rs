//! DISCONNECT in both directions, and how a connection ends: MQTT 5.0 §3.14.

use std::time::Duration;

use sansio_mqtt::client::{CallError, CleanStart, DisconnectCause, Options};
use sansio_mqtt::{
    Cause, Disconnect, EncodeError, Packet, PacketType, Properties, Property, PropertyId, QoS,
    ReasonCode, Sender, Version,
};

use crate::calls::disconnect;
use crate::world::{of, pub_ack, pub_comp, pub_rec, publish, scenario, sub_ack, v5};

#[test]
fn disconnect_is_the_last_packet() {
    // v5 [MQTT-3.14.4-1] [MQTT-3.14.4-2], v3.1.1 [MQTT-3.14.4-1] [MQTT-3.14.4-2]
    for version in Version::ALL {
        for at_once in [false, true] {
            scenario(|world| {
                world.up(of(version), &[]);
                match at_once {
                    true => world.disconnect_now(),
                    false => world.disconnect(),
                };
                world.publish("a", QoS::AtMostOnce, "x");
                world.server(publish("b", QoS::AtLeastOnce, 1, "y"));
                world.wait_secs(1_000);
                assert_eq!(world.sent(), ["DISCONNECT 0x00 Normal disconnection"]);
                assert!(world.closed);
                assert_eq!(world.told(), ["disconnected: the application disconnected"]);
            });
        }
    }
}

#[test]
fn nothing_follows_a_disconnect_that_the_transport_has_not_taken() {
    // v5 [MQTT-3.14.4-1] [MQTT-3.14.4-2], v3.1.1 [MQTT-3.14.4-1] [MQTT-3.14.4-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            world.writable = false;
            world.disconnect_now();
            world.publish("a", QoS::AtMostOnce, "x");
            world.subscribe("a");
            world.server(publish("b", QoS::AtLeastOnce, 1, "y"));
            let again = disconnect(ReasonCode::SUCCESS);
            let error = world.refused(|client, now| client.disconnect_now(now, &again));
            assert_eq!(error, CallError::NotConnected);
            assert!(!world.closed);
            world.unblock();
            assert_eq!(world.sent(), ["DISCONNECT 0x00 Normal disconnection"]);
            assert!(world.closed);
        });
    }
}

#[test]
fn a_transport_that_takes_no_disconnect_is_closed_all_the_same() {
    // v5 [MQTT-3.14.4-2] [MQTT-4.13.2-1], v3.1.1 [MQTT-3.14.4-1]
    scenario(|world| {
        world.up(v5(), &[]);
        world.writable = false;
        world.disconnect_now().wait(Duration::from_millis(4_999));
        assert!(!world.closed);
        world.wait(Duration::from_millis(1));
        assert!(world.closed);
        assert_eq!(world.told(), ["disconnected: the application disconnected"]);
        // The same where the server is to blame.
        world.writable = true;
        world.connect(false, &[]).forget();
        world.writable = false;
        world.server_bytes(&[0, 0]).wait_secs(5);
        assert!(world.closed);
        assert_eq!(world.cause().reason_code(), Some(ReasonCode::MALFORMED_PACKET));
    });
}

#[test]
fn a_graceful_end_waits_for_what_was_called_for_before() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            world.publish("a", QoS::ExactlyOnce, "1");
            world.publish("a", QoS::AtLeastOnce, "2");
            world.publish("a", QoS::AtMostOnce, "3");
            world.subscribe("b");
            world.forget().disconnect();
            world.silent();
            world.server(pub_rec(1)).server(pub_ack(2));
            assert_eq!(world.sent(), ["PUBREL #1"]);
            // What comes in is still answered.
            world.server(publish("b", QoS::AtLeastOnce, 7, "y"));
            assert_eq!(world.sent(), ["PUBACK #7"]);
            world.server(pub_comp(1)).silent();
            world.server(sub_ack(3, &[ReasonCode::GRANTED_QOS_1]));
            assert_eq!(world.sent(), ["DISCONNECT 0x00 Normal disconnection"]);
            assert!(world.closed);
            let told = world.told();
            assert_eq!(told.last().unwrap(), "disconnected: the application disconnected");
            assert_eq!(told.len(), 5, "{told:?}");
        });
    }
}

#[test]
fn a_graceful_end_sends_what_the_transport_and_the_window_held_back() {
    scenario(|world| {
        world.up(v5(), &[Property::ReceiveMaximum(1)]);
        world.writable = false;
        for payload in ["1", "2"] {
            world.publish("a", QoS::AtLeastOnce, payload);
        }
        world.publish("a", QoS::AtMostOnce, "3");
        world.disconnect();
        world.unblock().server(pub_ack(1)).server(pub_ack(2));
        let expected = [
            "PUBLISH \"a\" QoS 1 #1 \"1\"",
            "PUBLISH \"a\" QoS 0 \"3\"",
            "PUBLISH \"a\" QoS 1 #2 \"2\"",
            "DISCONNECT 0x00 Normal disconnection",
        ];
        assert_eq!(world.sent(), expected);
        assert!(world.closed);
    });
}

#[test]
fn a_graceful_end_comes_in_time_whatever_is_left() {
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.clean_start = CleanStart::Never;
            if version.is_v5() {
                options.session_expiry_interval = 100;
            }
            world.up(options, &[]);
            let handle = world.publish("a", QoS::AtLeastOnce, "x").get();
            world.forget().disconnect().wait(Duration::from_millis(4_999));
            world.silent();
            world.wait(Duration::from_millis(1));
            assert_eq!(world.sent(), ["DISCONNECT 0x00 Normal disconnection"]);
            assert!(world.closed);
            assert_eq!(world.told(), ["disconnected: the application disconnected"]);
            // It is not lost: the next connection goes on with it.
            world.connect(version != Version::V3_1, &[]);
            world.server(pub_ack(1));
            let told = world.told();
            let expected = format!("published {handle}: acknowledged 0x00 Success");
            assert_eq!(told.last(), Some(&expected));
        });
    }
}

#[test]
fn calls_are_refused_while_a_graceful_end_is_coming() {
    scenario(|world| {
        world.up(v5(), &[]);
        world.publish("a", QoS::AtLeastOnce, "x");
        world.disconnect().forget();
        let publish = sansio_mqtt::Publish { topic: "a", ..sansio_mqtt::Publish::default() };
        let subscription = [sansio_mqtt::Subscription::new("a", QoS::AtMostOnce)];
        let end = disconnect(ReasonCode::SUCCESS);
        let errors = [
            world.refused(|client, now| client.publish(now, &publish)),
            world.refused(|client, now| client.subscribe(now, &subscription, Properties::NONE)),
            world.refused(|client, now| client.unsubscribe(now, &["a"], Properties::NONE)),
            world.refused(|client, now| client.disconnect(now, &end)),
        ];
        assert_eq!(errors, [CallError::Disconnecting; 4]);
        // Who cannot wait says so.
        world.disconnect_now();
        assert_eq!(world.sent(), ["DISCONNECT 0x00 Normal disconnection"]);
        assert!(world.closed);
    });
}

#[test]
fn the_transport_may_break_while_a_graceful_end_is_coming() {
    scenario(|world| {
        world.up(v5(), &[]);
        world.publish("a", QoS::AtMostOnce, "x");
        world.publish("a", QoS::AtLeastOnce, "x");
        world.disconnect().lose();
        assert_eq!(world.told().last().unwrap(), "disconnected: the transport was closed");
        world.connect(false, &[]);
        world.publish("a", QoS::AtMostOnce, "x");
        assert!(!world.closed, "that end was the other connection's");
    });
}

#[test]
fn a_disconnect_says_what_it_is_told_to() {
    scenario(|world| {
        let mut options = v5();
        options.session_expiry_interval = 100;
        world.up(options, &[]);
        let list = [
            Property::SessionExpiryInterval(7),
            Property::ReasonString("why"),
            Property::UserProperty("a", "1"),
        ];
        let packet = Disconnect {
            reason_code: ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
            properties: Properties::List(&list),
        };
        world.call(|client, now| client.disconnect_now(now, &packet)).unwrap();
        let sent = world.sent_packets();
        assert_eq!(sent[0].packet(), Packet::Disconnect(packet));
    });
}

#[test]
fn words_that_make_a_disconnect_too_large_are_left_out() {
    // v5 [MQTT-3.14.2-3] [MQTT-3.14.2-4]
    let long = "why ".repeat(10);
    let list = [
        Property::SessionExpiryInterval(7),
        Property::ReasonString(&long),
        Property::UserProperty("name", &long),
    ];
    use PropertyId::{ReasonString, SessionExpiryInterval, UserProperty};
    // 2 + 1 + 1 and 5, and 43, and 49.
    for (maximum, kept) in [
        (101, &[SessionExpiryInterval, ReasonString, UserProperty][..]),
        (100, &[SessionExpiryInterval, ReasonString][..]),
        (52, &[SessionExpiryInterval, ReasonString][..]),
        (51, &[SessionExpiryInterval][..]),
        (9, &[SessionExpiryInterval][..]),
    ] {
        scenario(|world| {
            let mut options = v5();
            options.session_expiry_interval = 100;
            world.up(options, &[Property::MaximumPacketSize(maximum)]);
            let code = ReasonCode::UNSPECIFIED_ERROR;
            let packet = Disconnect { properties: Properties::List(&list), ..disconnect(code) };
            world.call(|client, now| client.disconnect(now, &packet)).unwrap();
            let sent = world.sent_packets();
            let Packet::Disconnect(found) = sent[0].packet() else { panic!("{sent:?}") };
            let ids: Vec<PropertyId> = found.properties.iter().map(|one| one.id()).collect();
            assert_eq!((ids, found.reason_code), (kept.to_vec(), code), "{maximum} bytes");
        });
    }
}

#[test]
fn a_session_that_ends_with_its_connection_is_not_made_to_last() {
    // v5 3.14.2.2.2: what counts is the interval of the CONNECT.
    let packet = |list| Disconnect { properties: Properties::List(list), ..Disconnect::default() };
    let lasting = packet(&[Property::SessionExpiryInterval(5)]);
    let ending = packet(&[Property::SessionExpiryInterval(0)]);
    for by_server in [None, Some(Property::SessionExpiryInterval(100))] {
        scenario(|world| {
            world.up(v5(), by_server.as_slice());
            let error = world.refused(|client, now| client.disconnect(now, &lasting));
            assert_eq!(error, CallError::SessionEndsWithConnection);
            let error = world.refused(|client, now| client.disconnect_now(now, &lasting));
            assert_eq!(error, CallError::SessionEndsWithConnection);
            world.call(|client, now| client.disconnect(now, &ending)).unwrap();
            assert!(world.closed);
        });
    }
    scenario(|world| {
        let mut options = v5();
        options.session_expiry_interval = 100;
        // The server's word does not make the client's DISCONNECT wrong.
        world.up(options, &[Property::SessionExpiryInterval(0)]);
        world.call(|client, now| client.disconnect(now, &lasting)).unwrap();
        assert!(world.closed);
    });
}

/// Options for a session of 5.0 that lasts.
fn lasting(seconds: u32) -> Options {
    let mut options = v5();
    options.clean_start = CleanStart::First;
    options.session_expiry_interval = seconds;
    options
}

#[test]
fn a_session_ends_when_the_last_word_on_it_says() {
    // v5 [U5-3.1.2.11.2-2] [U5-3.2.2.3.2-1] [MQTT-3.1.2-23]
    const FOREVER: u32 = u32::MAX;
    // What CONNECT, CONNACK and DISCONNECT say, and after how many seconds the session is over.
    for (connect, connack, disconnect, expected) in [
        (0, None, None, 0),
        (30, None, None, 30),
        (30, Some(5), None, 5),
        (5, Some(30), None, 30),
        (30, Some(0), None, 0),
        (30, None, Some(7), 7),
        (30, Some(5), Some(0), 0),
        (30, None, Some(0), 0),
        (FOREVER, None, None, FOREVER),
        (30, Some(FOREVER), None, FOREVER),
    ] {
        scenario(|world| {
            let list = connack.map(Property::SessionExpiryInterval);
            world.up(lasting(connect), list.as_slice());
            let handle = world.publish("a", QoS::AtLeastOnce, "x").get();
            world.forget();
            let list = disconnect.map(Property::SessionExpiryInterval);
            let properties = Properties::List(list.as_slice());
            let packet = Disconnect { properties, ..Disconnect::default() };
            match disconnect {
                Some(_) => {
                    world.call(|client, now| client.disconnect_now(now, &packet)).unwrap();
                }
                None => drop(world.lose()),
            }
            let over = format!("published {handle}: lost with the session");
            match expected {
                0 => assert!(world.told().contains(&over)),
                FOREVER => {
                    world.wait_secs(u64::from(u32::MAX) + 1);
                    assert!(!world.told().contains(&over));
                }
                seconds => {
                    world.wait_secs(u64::from(seconds) - 1);
                    assert!(!world.told().contains(&over), "too early");
                    world.wait_secs(1);
                    assert!(world.told().contains(&over), "too late");
                }
            }
            world.forget().open();
            let sent = world.sent_packets();
            let connect = crate::world::connect_of(&sent[0]);
            assert_eq!(connect.clean_start, expected != FOREVER);
        });
    }
}

#[test]
fn after_the_servers_disconnect_nothing_is_sent() {
    // v5 [MQTT-3.14.4-1] [MQTT-4.13.2-1]
    let codes = (0..=0xff).map(ReasonCode::new);
    for code in codes.filter(|code| code.is_allowed_in(PacketType::Disconnect, Sender::Server)) {
        scenario(|world| {
            world.up(v5(), &[Property::ReceiveMaximum(1)]);
            world.writable = false;
            world.publish("a", QoS::AtMostOnce, "x");
            world.publish("a", QoS::AtLeastOnce, "x");
            world.server(publish("b", QoS::AtLeastOnce, 1, "y"));
            world.forget().server(disconnect(code)).unblock();
            assert_eq!(world.sent(), [""; 0]);
            assert!(world.closed);
            let cause = world.cause();
            assert!(matches!(cause, DisconnectCause::ByServer { .. }), "{cause:?}");
            assert_eq!(cause.reason_code(), Some(code));
        });
    }
}

#[test]
fn what_the_server_says_at_the_end_is_told() {
    scenario(|world| {
        let mut options = v5();
        options.request_problem_information = false;
        world.up(options, &[]);
        let list = [Property::ReasonString("maintenance"), Property::UserProperty("k", "v")];
        let properties = Properties::List(&list);
        let code = ReasonCode::SERVER_SHUTTING_DOWN;
        world.server(Disconnect { properties, ..disconnect(code) });
        let cause = world.cause();
        assert_eq!(cause.reason_string(), Some("maintenance"));
        assert_eq!(cause.to_string(), "disconnected by the server with 0x8b Server shutting down");
    });
}

#[test]
fn each_end_has_reason_codes_of_its_own() {
    // v5 [U5-3.14.2.1-2]
    for value in 0..=0xff {
        let code = ReasonCode::new(value);
        let [client, server] = [Sender::Client, Sender::Server]
            .map(|sender| code.is_allowed_in(PacketType::Disconnect, sender));
        if !server {
            scenario(|world| {
                world.up(v5(), &[]).server_bytes(&[0xe0, 1, value]);
                world.blamed(ReasonCode::PROTOCOL_ERROR);
            });
        }
        if !client {
            scenario(|world| {
                world.up(v5(), &[]);
                let packet = disconnect(code);
                for error in [
                    world.refused(|client, now| client.disconnect(now, &packet)),
                    world.refused(|client, now| client.disconnect_now(now, &packet)),
                ] {
                    let invalid = EncodeError::Invalid(Cause::InvalidReasonCode(value));
                    let expected =
                        [CallError::ReasonCodeNotAllowed(code), CallError::Invalid(invalid)];
                    assert!(expected.contains(&error), "{code}: {error:?}");
                }
            });
        }
    }
    // Some of each kind, so that the table cannot agree with itself alone.
    for (value, client, server) in [
        (0x04, true, false),
        (0x8b, false, true),
        (0x8e, false, true),
        (0x87, false, true),
        (0x93, true, true),
        (0x01, false, false),
    ] {
        let code = ReasonCode::new(value);
        assert_eq!(code.is_allowed_in(PacketType::Disconnect, Sender::Client), client, "{code}");
        assert_eq!(code.is_allowed_in(PacketType::Disconnect, Sender::Server), server, "{code}");
    }
}

#[test]
fn a_disconnect_of_3_has_nothing_to_say() {
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            world.up(of(version), &[]);
            let list = [Property::ReasonString("why")];
            let properties = Properties::List(&list);
            for packet in [
                disconnect(ReasonCode::UNSPECIFIED_ERROR),
                Disconnect { properties, ..Disconnect::default() },
            ] {
                let error = world.refused(|client, now| client.disconnect(now, &packet));
                assert!(matches!(error, CallError::Invalid(_)), "{error:?}");
            }
            // And the server does not send any.
            world.server_bytes(&[0xe0, 0]);
            assert!(world.closed);
            assert_eq!(world.sent(), [""; 0]);
        });
    }
}
