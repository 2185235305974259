//! Servers that break the rules: the client says which in 5.0, closes the connection, and lives on.
//! MQTT 5.0 §4.13, §4.8.

use bytes::BytesMut;
use sansio_mqtt::client::{Acknowledgement, CleanStart, Options, Output, Received};
use sansio_mqtt::{
    ConnAck, Packet, Properties, Property, PubRec, PubRel, Publish, QoS, ReasonCode, SubAck,
    UnsubAck, Version,
};

use crate::calls::WHOLE;
use crate::frames::{self, Row};
use crate::world::{
    World, id, of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, sub_ack, v5,
};

/// Frames that no server may send in this version, and the Reason Code of each.
fn broken(version: Version) -> Vec<Row> {
    let v5 = version.is_v5();
    let mut rows = frames::from_anybody(v5);
    rows.extend([
        ("PUBREL with flags 0", vec![0x60, 0x02, 0, 1], 0x81),
        ("SUBACK without codes", vec![0x90, 0x02, 0, 1], if v5 { 0x81 } else { 0x82 }),
        ("PINGRESP with a body", vec![0xd0, 0x01, 0], 0x81),
        // What only clients send.
        ("CONNECT", vec![0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0], 0x82),
        ("SUBSCRIBE", vec![0x82, 0x06, 0, 1, 0, 1, b'a', 0], 0x82),
        ("UNSUBSCRIBE", vec![0xa2, 0x05, 0, 1, 0, 1, b'a'], 0x82),
        ("PINGREQ", vec![0xc0, 0x00], 0x82),
    ]);
    if v5 {
        rows.extend([
            ("remaining length not minimal", vec![0xd0, 0x80, 0x00], 0x81),
            ("subscription identifier 0", vec![0x30, 0x06, 0, 1, b'a', 2, 0x0b, 0], 0x82),
            ("SUBACK with an unknown code", vec![0x90, 0x04, 0, 1, 0, 0x03], 0x82),
            ("DISCONNECT with an expiry", vec![0xe0, 0x07, 0, 5, 0x11, 0, 0, 0, 1], 0x82),
            ("AUTH of the client", vec![0xf0, 0x06, 0x19, 4, 0x15, 0, 1, b'm'], 0x82),
        ]);
    } else {
        rows.extend([
            ("DISCONNECT", vec![0xe0, 0x00], 0x82),
            ("SUBACK with an unknown code", vec![0x90, 0x03, 0, 1, 0x03], 0x82),
        ]);
    }
    rows
}

#[test]
fn a_broken_packet_ends_the_connection_with_the_reason_and_the_client_lives_on() {
    // v5 [U5-4.13.1-2] [MQTT-4.13.2-1], v3.1.1 [MQTT-4.8.0-1]
    for version in Version::ALL {
        for (what, frame, code) in broken(version) {
            scenario(|world| {
                println!("{version}: {what}");
                world.up(of(version), &[]);
                world.server_bytes(&frame);
                world.blamed(ReasonCode::new(code));
                // What comes behind it is not read.
                world.lose().connect(false, &[]).forget();
                world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
                assert_eq!(world.sent(), ["PUBACK #1"]);
                assert_eq!(world.told(), ["message a QoS 1 \"x\""]);
            });
        }
    }
}

#[test]
fn a_broken_packet_before_connack_ends_the_connection_without_a_word() {
    for version in Version::ALL {
        for (what, frame, code) in broken(version) {
            scenario(|world| {
                println!("{version}: {what}");
                world.start(of(version)).open().forget().server_bytes(&frame);
                assert!(world.closed);
                assert_eq!(world.sent(), [""; 0]);
                assert_eq!(world.cause().reason_code(), Some(ReasonCode::new(code)));
            });
        }
    }
}

#[test]
fn what_comes_behind_a_broken_packet_is_not_read() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let mut bytes = vec![0x00, 0x00];
            let packet = Packet::from(publish("a", QoS::AtLeastOnce, 1, "x"));
            packet.encode(version, &mut bytes).unwrap();
            world.server_bytes(&bytes);
            world.blamed(ReasonCode::MALFORMED_PACKET);
        });
    }
}

#[test]
fn a_packet_above_the_clients_maximum_ends_the_connection_before_it_is_there() {
    // v5 [U5-3.1.2.11.4-2]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.maximum_packet_size = 64;
            world.up(options, &[]);
            let fits = vec![b'x'; if version.is_v5() { 58 } else { 59 }];
            world.server(Publish { payload: &fits, ..publish("a", QoS::AtMostOnce, 0, "") });
            assert_eq!(world.deliveries().len(), 1);
            // The header alone is enough.
            world.server_bytes(&[0x30, 63]);
            world.blamed(ReasonCode::PACKET_TOO_LARGE);
        });
        scenario(|world| {
            world.up(of(version), &[]).server_bytes(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
            world.blamed(ReasonCode::PACKET_TOO_LARGE);
        });
    }
}

#[test]
fn an_acknowledgement_of_another_kind_ends_the_connection() {
    // v5 [U5-4.3.3-1]
    type Answer = fn() -> Packet<'static>;
    let rows: [(QoS, bool, Answer); 6] = [
        (QoS::AtLeastOnce, false, || pub_rec(1).into()),
        (QoS::AtLeastOnce, false, || pub_comp(1).into()),
        (QoS::ExactlyOnce, false, || pub_ack(1).into()),
        (QoS::ExactlyOnce, false, || pub_comp(1).into()),
        (QoS::ExactlyOnce, true, || pub_ack(1).into()),
        (QoS::ExactlyOnce, true, || SubAck::new(id(1), &[ReasonCode::SUCCESS]).into()),
    ];
    for version in Version::ALL {
        for (qos, received, answer) in rows {
            scenario(|world| {
                let mut options = of(version);
                options.clean_start = CleanStart::Never;
                if version.is_v5() {
                    options.session_expiry_interval = 100;
                }
                world.up(options, &[]);
                world.publish("a", qos, "x");
                if received {
                    world.server(pub_rec(1));
                }
                world.forget().server(answer());
                world.blamed(ReasonCode::PROTOCOL_ERROR);
                // The exchange is where it was.
                world.connect(version != Version::V3_1, &[]);
                let sent = world.sent();
                let expected = if received { "PUBREL #1" } else { "PUBLISH" };
                assert!(sent[1].starts_with(expected), "{sent:?}");
            });
        }
    }
}

#[test]
fn what_can_be_recovered_from_is_no_violation() {
    // v5 [U5-3.6.2.1-1]
    for version in Version::ALL {
        let not_found = match version.is_v5() {
            true => " 0x92 Packet Identifier not found",
            false => "",
        };
        scenario(|world| {
            world.up(of(version), &[]);
            let code = match version.is_v5() {
                true => ReasonCode::QUOTA_EXCEEDED,
                false => ReasonCode::SUCCESS,
            };
            world.server(pub_ack(11)).server(pub_comp(12)).silent();
            assert_eq!(world.client().counters().unknown_acknowledgements, 2);
            world.server(pub_rec(13));
            assert_eq!(world.sent(), [format!("PUBREL #13{not_found}")]);
            world.server(pub_rel(14));
            assert_eq!(world.sent(), [format!("PUBCOMP #14{not_found}")]);
            if version.is_v5() {
                // An unknown one with an error needs no answer; neither does PUBCOMP 0x92.
                world.server(PubRec { reason_code: code, ..pub_rec(15) }).silent();
                let reason_code = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
                world.server(sansio_mqtt::PubComp { reason_code, ..pub_comp(13) }).silent();
                world.server(PubRel { reason_code, ..pub_rel(16) });
                assert_eq!(world.sent(), [format!("PUBCOMP #16{not_found}")]);
            }
            assert_eq!(world.told(), [""; 0]);
        });
    }
}

#[test]
fn words_that_were_not_asked_for_end_the_connection() {
    // v5 [U5-3.1.2.11.7-2]
    let codes = [ReasonCode::SUCCESS];
    for property in [Property::ReasonString("why"), Property::UserProperty("k", "v")] {
        let properties = Properties::List(std::slice::from_ref(&property));
        let rows: [Packet<'_>; 6] = [
            sansio_mqtt::PubAck { properties, ..pub_ack(1) }.into(),
            PubRec { properties, ..pub_rec(2) }.into(),
            PubRel { properties, ..pub_rel(9) }.into(),
            sansio_mqtt::PubComp { properties, ..pub_comp(9) }.into(),
            SubAck { properties, ..sub_ack(3, &codes) }.into(),
            UnsubAck { properties, ..UnsubAck::new(id(4), &codes) }.into(),
        ];
        for packet in rows {
            for wanted in [false, true] {
                scenario(|world| {
                    let mut options = v5();
                    options.request_problem_information = wanted;
                    world.up(options, &[]);
                    world.publish("a", QoS::AtLeastOnce, "x");
                    world.publish("a", QoS::ExactlyOnce, "x");
                    world.subscribe("b");
                    world.unsubscribe("b");
                    world.forget().server(packet);
                    match wanted {
                        true => assert!(!world.closed),
                        false => world.blamed(ReasonCode::PROTOCOL_ERROR),
                    }
                });
            }
        }
        // PUBLISH, CONNACK and DISCONNECT may have them.
        scenario(|world| {
            let mut options = v5();
            options.request_problem_information = false;
            world.start(options).open();
            world.server(ConnAck { properties, ..ConnAck::default() });
            if let Property::UserProperty(..) = property {
                world.server(Publish { properties, ..publish("a", QoS::AtMostOnce, 0, "x") });
            }
            assert!(!world.closed);
        });
    }
}

fn options_of_a_flood(version: Version) -> Options {
    let mut options = of(version);
    options.receive_maximum = u16::MAX;
    options.acknowledgement = Acknowledgement::Manual;
    options
}

/// Bytes of many packets.
fn bytes_of(version: Version, packets: impl Iterator<Item = Packet<'static>>) -> BytesMut {
    let mut bytes = Vec::new();
    packets.for_each(|packet| packet.encode(version, &mut bytes).unwrap());
    BytesMut::from(&bytes[..])
}

#[test]
fn a_flood_that_the_application_does_not_take_is_taken_in_portions() {
    for version in Version::ALL {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let mut world = World::new(WHOLE);
            world.up(options_of_a_flood(version), &[]);
            let mut bytes = bytes_of(
                version,
                (1..=5_000).map(|value| publish("a", qos, value, "payload").into()),
            );
            let (all, now) = (bytes.len(), world.now);
            let connection = world.connection.unwrap();
            // Nobody takes any output: it stops, and stays where it is.
            assert_eq!(world.client().receive(now, connection, &mut bytes), Received::Paused);
            let left = bytes.len();
            assert!(left > all / 2, "{left} of {all} bytes are left");
            for _ in 0..10 {
                assert_eq!(world.client().receive(now, connection, &mut bytes), Received::Paused);
                assert_eq!(bytes.len(), left);
            }
            // With an application that takes them, all arrive.
            let mut messages = 0;
            loop {
                let mut output = world.client().poll_output();
                while let Output::Event(_) = output {
                    messages += 1;
                    output = world.client().poll_output();
                }
                let Output::Resume(_) = output else { break };
                let _ = world.client().receive(now, connection, &mut bytes);
            }
            assert_eq!(messages, 5_000);
        }
    }
}

#[test]
fn a_flood_that_the_server_does_not_take_the_answers_of_is_held_up() {
    for version in Version::ALL {
        let mut world = World::new(WHOLE);
        world.up(of(version), &[]);
        world.writable = false;
        let mut bytes = bytes_of(version, (1..=60_000).map(|value| pub_rel(value).into()));
        let (now, connection) = (world.now, world.connection.unwrap());
        assert_eq!(world.client().receive(now, connection, &mut bytes), Received::Paused);
        let left = bytes.len();
        world.poll();
        assert_eq!(world.client().receive(now, connection, &mut bytes), Received::Paused);
        assert_eq!((bytes.len(), left > 0), (left, true));
        // When the server takes them the rest comes.
        let mut answers = 0;
        while !bytes.is_empty() {
            world.unblock();
            answers += world.sent_packets().len();
            world.writable = false;
            let _ = world.client().receive(now, connection, &mut bytes);
        }
        world.unblock();
        answers += world.sent_packets().len();
        assert_eq!(answers, 60_000);
    }
}

#[test]
fn messages_at_qos_2_that_repeat_one_identifier_take_no_room() {
    for version in Version::ALL {
        let mut world = World::new(WHOLE);
        world.up(of(version), &[]);
        for round in 0..10_000 {
            let message = publish("a", QoS::ExactlyOnce, 1, "x");
            world.server(Publish { dup: round > 0, ..message });
        }
        assert_eq!(world.deliveries().len(), 1);
        assert_eq!(world.client().counters().duplicates, 9_999);
        assert_eq!(world.sent_packets().len(), 10_000);
        assert!(format!("{:?}", world.client()).len() < 10_000, "something grows");
    }
}

#[test]
fn a_server_that_says_nothing_at_all_is_given_up() {
    for version in Version::ALL {
        scenario(|world| {
            world.start(of(version)).open().wait_secs(20);
            assert_eq!(world.told(), ["disconnected: no CONNACK in time"]);
            world.connect(false, &[]).forget().wait_secs(100);
            assert!(world.closed);
            assert_eq!(world.told(), ["disconnected: no PINGRESP in time"]);
            assert_eq!(world.deadline, None, "nothing is left to be done");
        });
    }
}

#[test]
fn a_connack_that_makes_no_sense_ends_the_connection() {
    let connack = |properties: &[u8]| {
        let len = u8::try_from(properties.len()).unwrap();
        [&[0x20, len + 3, 0, 0, len], properties].concat()
    };
    for (what, frame, code) in [
        ("receive maximum 0", connack(&[0x21, 0, 0]), 0x82),
        ("maximum QoS 2", connack(&[0x24, 2]), 0x82),
        ("retain available 2", connack(&[0x25, 2]), 0x82),
        ("maximum packet size 0", connack(&[0x27, 0, 0, 0, 0]), 0x82),
        ("maximum QoS twice", connack(&[0x24, 1, 0x24, 1]), 0x82),
        ("topic alias", connack(&[0x23, 0, 1]), 0x81),
        ("will delay", connack(&[0x18, 0, 0, 0, 1]), 0x81),
        ("reserved flags", vec![0x20, 3, 2, 0, 0], 0x81),
        ("session present with an error", vec![0x20, 3, 1, 0x87, 0], 0x82),
        ("an unknown code", vec![0x20, 3, 0, 0x55, 0], 0x82),
        ("no properties", vec![0x20, 2, 0, 0], 0x81),
        ("nothing", vec![0x20, 0], 0x81),
    ] {
        scenario(|world| {
            println!("{what}");
            world.start(v5()).open().forget().server_bytes(&frame);
            assert!(world.closed);
            assert_eq!(world.sent(), [""; 0]);
            assert_eq!(world.cause().reason_code(), Some(ReasonCode::new(code)));
        });
    }
}
