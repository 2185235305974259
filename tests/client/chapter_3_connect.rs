//! CONNECT, and the session that it begins or resumes: MQTT 5.0 §3.1, §3.2.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use sansio_mqtt::client::{CallError, CleanStart, Client, LastWill, Options, SessionLost};
use sansio_mqtt::{
    ConnAck, Message, Packet, Properties, Property, Publish, QoS, ReasonCode, TopicName, Version,
};

use crate::world::{connect_of, of, pub_ack, pub_rel, publish, scenario, v5};

#[test]
fn nothing_is_sent_before_the_server_has_accepted_the_connection() {
    // v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
    for version in Version::ALL {
        scenario(|world| {
            world.start(of(version));
            world.publish("a", QoS::AtMostOnce, "x");
            world.open();
            let sent = world.sent();
            assert_eq!(sent.len(), 1);
            assert!(sent[0].starts_with("CONNECT "), "{sent:?}");
            world.server(ConnAck::default());
            assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 0 \"x\""]);
        });
    }
}

#[test]
fn a_packet_before_connack_closes_the_connection_without_a_word() {
    for packet in
        [Packet::PingResp, publish("a", QoS::AtMostOnce, 0, "x").into(), pub_ack(1).into()]
    {
        scenario(|world| {
            world.start(v5()).open().forget();
            world.server(packet);
            assert!(world.closed);
            assert_eq!(world.sent(), [""; 0]);
            let expected =
                format!("disconnected: the server sent {} out of place", packet.packet_type());
            assert_eq!(world.told(), [expected]);
        });
    }
}

#[test]
fn a_second_connack_is_a_violation_and_wipes_nothing() {
    scenario(|world| {
        world.up(v5(), &[]);
        world.publish("a", QoS::AtLeastOnce, "x");
        world.forget();
        world.server(ConnAck::default());
        assert_eq!(world.sent(), [format!("DISCONNECT {}", ReasonCode::PROTOCOL_ERROR)]);
        assert!(world.closed);
    });
}

#[test]
fn connect_says_what_the_options_say() {
    scenario(|world| {
        let mut options = v5();
        options.keep_alive = 7;
        options.user_name = Some("u".into());
        options.password = Some(Bytes::from_static(b"p"));
        options.session_expiry_interval = 100;
        options.receive_maximum = 3;
        options.maximum_packet_size = 1_000;
        options.topic_alias_maximum = 4;
        options.request_response_information = true;
        options.request_problem_information = false;
        options.user_properties = vec![("a", "1"), ("b", "2"), ("a", "3")]
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let topic = TopicName::new("w").unwrap();
        let message = Message::new(topic, &b"gone"[..]).with_qos(QoS::AtLeastOnce);
        options.will = Some(LastWill { message, delay_interval: 9 });
        world.start(options).open();
        let sent = world.sent_packets();
        let connect = connect_of(&sent[0]);
        assert_eq!((connect.client_id, connect.keep_alive), ("c", 7));
        assert_eq!((connect.user_name, connect.password), (Some("u"), Some(&b"p"[..])));
        let expected = [
            Property::SessionExpiryInterval(100),
            Property::ReceiveMaximum(3),
            Property::MaximumPacketSize(1_000),
            Property::TopicAliasMaximum(4),
            Property::RequestResponseInformation(true),
            Property::RequestProblemInformation(false),
            Property::UserProperty("a", "1"),
            Property::UserProperty("b", "2"),
            Property::UserProperty("a", "3"),
        ];
        assert_eq!(connect.properties, Properties::List(&expected));
        let will = connect.will.unwrap();
        assert_eq!((will.topic, will.payload, will.qos), ("w", &b"gone"[..], QoS::AtLeastOnce));
        assert_eq!(will.properties, Properties::List(&[Property::WillDelayInterval(9)]));
    });
}

#[test]
fn clean_start_is_what_the_options_say_on_every_connection() {
    use CleanStart::{Always, First, Never};
    for version in Version::ALL {
        for (clean_start, expected) in [
            (Always, [true, true, true]),
            (First, [true, false, false]),
            (Never, [false, false, false]),
        ] {
            scenario(|world| {
                let mut options = of(version);
                options.clean_start = clean_start;
                if version.is_v5() {
                    options.session_expiry_interval = 100;
                }
                world.start(options);
                let mut server_has_one = false;
                for expected in expected {
                    world.lose().open();
                    let sent = world.sent_packets();
                    let clean_start = connect_of(&sent[0]).clean_start;
                    assert_eq!(clean_start, expected, "{version}");
                    let session_present =
                        server_has_one && !clean_start && version != Version::V3_1;
                    world.server(ConnAck { session_present, ..ConnAck::default() });
                    assert!(!world.closed);
                    // A clean session of 3.x ends with its connection.
                    server_has_one = version.is_v5() || !clean_start;
                }
            });
        }
    }
}

#[test]
fn a_clean_start_ends_what_was_in_flight_and_what_was_received() {
    // v5 [MQTT-3.1.2-4], v3.1.1 [MQTT-3.1.2-6]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            if version.is_v5() {
                options.session_expiry_interval = 100;
            }
            world.up(options, &[]);
            let handle = world.publish("a", QoS::AtLeastOnce, "x").get();
            world.server(publish("b", QoS::ExactlyOnce, 1, "y"));
            assert_eq!(world.told(), ["message b QoS 2 \"y\""]);
            world.forget().again(false, &[]);
            let told = world.told();
            assert!(told.contains(&format!("published {handle}: lost with the session")));
            assert!(world.sent()[1..].is_empty(), "nothing is sent again");
            // The same identifier is another message now.
            let packet = Publish { dup: true, ..publish("b", QoS::ExactlyOnce, 1, "z") };
            world.server(packet);
            assert_eq!(world.told(), ["message b QoS 2 \"z\" dup"]);
            assert_eq!(world.sent(), ["PUBREC #1"]);
        });
    }
}

#[test]
fn session_present_after_a_clean_start_closes_the_connection() {
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            world.start(of(version)).open().forget();
            world.server(ConnAck { session_present: true, ..ConnAck::default() });
            world.blamed(ReasonCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn a_session_that_the_client_knows_nothing_of_closes_the_connection() {
    // v5 [MQTT-3.2.2-4]
    let connack = ConnAck { session_present: true, ..ConnAck::default() };
    let mut never = v5();
    never.clean_start = CleanStart::Never;
    never.session_expiry_interval = 100;
    scenario(|world| {
        world.start(never.clone()).open().forget();
        world.server(connack);
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
    // Those who have said so go on, and in 3.1.1 everyone does.
    let mut adopting = never.clone();
    adopting.adopt_session = true;
    let mut before = of(Version::V3_1_1);
    before.clean_start = CleanStart::Never;
    for options in [adopting, before] {
        scenario(|world| {
            world.start(options.clone()).open().forget();
            world.server(connack);
            assert_eq!(world.told(), ["connected again"]);
            world.server(publish("a", QoS::AtLeastOnce, 5, "x"));
            assert_eq!(world.sent(), ["PUBACK #5"]);
        });
    }
}

#[test]
fn a_session_that_the_server_lost_is_given_up() {
    // v5 [MQTT-3.2.2-5]
    for version in [Version::V3_1_1, Version::V5] {
        for session_lost in [SessionLost::Fail, SessionLost::Republish] {
            scenario(|world| {
                let mut options = of(version);
                options.clean_start = CleanStart::Never;
                options.session_lost = session_lost;
                if version.is_v5() {
                    options.session_expiry_interval = 100;
                }
                world.up(options, &[]);
                let handle = world.publish("a", QoS::AtLeastOnce, "x").get();
                world.forget().again(false, &[]);
                let sent = world.sent().split_off(1);
                let told = world.told().split_off(1);
                if session_lost == SessionLost::Fail {
                    assert_eq!(sent, [""; 0]);
                    let lost = format!("published {handle}: lost with the session");
                    assert!(told.contains(&lost), "{told:?}");
                } else {
                    // A new message, and so without DUP.
                    assert_eq!(sent.len(), 1);
                    assert!(sent[0].starts_with("PUBLISH \"a\" QoS 1 #"), "{sent:?}");
                    assert!(!sent[0].contains("dup"), "{sent:?}");
                    assert_eq!(told, ["connected"]);
                }
            });
        }
    }
}

#[test]
fn an_empty_client_identifier_makes_a_clean_session_before_5() {
    // v3.1.1 [MQTT-3.1.3-7]
    let mut options = Options::new(Version::V3_1_1, "");
    options.clean_start = CleanStart::Never;
    assert!(Client::new(options.clone()).is_err());
    // 3.1 has no empty identifiers.
    assert!(Client::new(Options::new(Version::V3_1, "")).is_err());
    for clean_start in [CleanStart::First, CleanStart::Always] {
        options.clean_start = clean_start;
        scenario(|world| {
            world.start(options.clone());
            for _ in 0..3 {
                world.lose().open();
                let sent = world.sent_packets();
                let connect = connect_of(&sent[0]);
                assert_eq!((connect.client_id, connect.clean_start), ("", true));
                world.server(ConnAck::default());
            }
        });
    }
}

#[test]
fn the_identifier_that_the_server_assigned_is_used_from_then_on() {
    scenario(|world| {
        let mut options = Options::new(Version::V5, "");
        options.clean_start = CleanStart::First;
        options.session_expiry_interval = 100;
        world.start(options.clone()).open();
        assert_eq!(connect_of(&world.sent_packets()[0]).client_id, "");
        let assigned = [Property::AssignedClientIdentifier("auto-7")];
        let properties = Properties::List(&assigned);
        world.server(ConnAck { properties, ..ConnAck::default() });
        for _ in 0..2 {
            world.lose().open();
            let sent = world.sent_packets();
            let connect = connect_of(&sent[0]);
            assert_eq!((connect.client_id, connect.clean_start), ("auto-7", false));
            world.server(ConnAck { session_present: true, ..ConnAck::default() });
        }
        if world.way.durable {
            world.crash(options.clone()).open();
            assert_eq!(connect_of(&world.sent_packets()[0]).client_id, "auto-7");
        }
    });
}

#[test]
fn a_session_belongs_to_its_client_identifier() {
    // v5 [MQTT-3.1.3-2], v3.1.1 [MQTT-3.1.3-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]).lose();
            let other = Options::new(version, "d");
            let error = world.refused(|client, _| client.set_options(other));
            assert_eq!(error, CallError::OtherSession);
            let mut same = of(version);
            same.user_name = Some("someone".into());
            world.client().set_options(same).unwrap();
            world.forget().open();
            let sent = world.sent_packets();
            let connect = connect_of(&sent[0]);
            assert_eq!((connect.client_id, connect.user_name), ("c", Some("someone")));
        });
    }
}

#[test]
fn the_server_has_to_answer_in_time() {
    // v5 [U5-3.2-1]
    for version in Version::ALL {
        scenario(|world| {
            world.start(of(version)).open().forget();
            world.wait(Duration::from_millis(19_999));
            world.silent();
            world.wait(Duration::from_millis(1));
            assert_eq!(world.sent(), [""; 0]);
            assert!(world.closed);
            assert_eq!(world.told(), ["disconnected: no CONNACK in time"]);
            // The next one has as long.
            world.open().wait_secs(19);
            assert!(!world.closed);
            world.server(ConnAck::default()).wait_secs(19);
            assert!(!world.closed);
        });
    }
}

#[test]
fn a_stream_means_the_same_wherever_it_is_cut() {
    // v5 [MQTT-4.2.0-1], v3.1.1 [MQTT-7.1.2-1]
    for version in Version::ALL {
        let results: RefCell<Vec<(Vec<String>, Vec<String>)>> = RefCell::default();
        scenario(|world| {
            world.start(of(version)).open();
            let mut bytes = Vec::new();
            for packet in [
                Packet::from(ConnAck::default()),
                publish("a", QoS::AtMostOnce, 0, "x").into(),
                publish("b", QoS::AtLeastOnce, 1, "y").into(),
                publish("c", QoS::ExactlyOnce, 2, "z").into(),
                Packet::PingResp,
            ] {
                packet.encode(version, &mut bytes).unwrap();
            }
            world.server_bytes(&bytes).server(pub_rel(2));
            results.borrow_mut().push((world.sent(), world.told()));
        });
        let results = results.into_inner();
        assert_eq!(results[0].0[1..], ["PUBACK #1", "PUBREC #2", "PUBCOMP #2"]);
        assert_eq!(results[0].1.len(), 4);
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
    }
}
