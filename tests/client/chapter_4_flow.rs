//! Flow control and Packet Identifiers: MQTT 5.0 §2.2.1, §4.9.

use sansio_mqtt::client::{Client, Event, Output, Received, Transmitted};
use sansio_mqtt::{
    Instant, Outgoing, Packet, Properties, Property, PubRec, Publish, QoS, ReasonCode,
    Subscription, Version,
};

use crate::sessions::{acknowledged, by_hand, lasting};
use crate::world::{of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, sub_ack, v5};

/// How many messages are sent of those that are published.
fn count(sent: &[String]) -> usize {
    sent.iter().filter(|line| line.starts_with("PUBLISH")).count()
}

#[test]
fn no_more_messages_are_unacknowledged_than_the_server_takes() {
    // v5 [MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.up(v5(), &[Property::ReceiveMaximum(2)]);
            for _ in 0..5 {
                world.publish("a", qos, "x");
            }
            assert_eq!(count(&world.sent()), 2);
            for id in 1..=5 {
                if qos == QoS::AtLeastOnce {
                    world.server(pub_ack(id));
                } else {
                    // The window opens at PUBCOMP, not at PUBREC.
                    world.server(pub_rec(id));
                    assert_eq!(world.sent(), [format!("PUBREL #{id}")]);
                    world.server(pub_comp(id));
                }
                assert_eq!(count(&world.sent()), usize::from(id <= 3), "{id}");
            }
            assert_eq!(world.client().held(), 0);
        });
    }
}

#[test]
fn a_pubrec_with_an_error_opens_the_window() {
    // v5 [MQTT-4.9.0-2]
    scenario(|world| {
        world.up(v5(), &[Property::ReceiveMaximum(1)]);
        world.publish("a", QoS::ExactlyOnce, "x");
        world.publish("a", QoS::ExactlyOnce, "y");
        world.forget().server(PubRec { reason_code: ReasonCode::QUOTA_EXCEEDED, ..pub_rec(1) });
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 2 #2 \"y\""]);
    });
}

#[test]
fn without_a_receive_maximum_as_many_are_sent_as_the_options_say() {
    // v5 [MQTT-4.9.0-1]
    for version in Version::ALL {
        for (maximum, expected) in [(3, 3), (65_535, 400)] {
            scenario(|world| {
                let mut options = of(version);
                options.maximum_in_flight = maximum;
                world.up(options, &[]);
                for _ in 0..400 {
                    world.publish("a", QoS::AtLeastOnce, "x");
                }
                assert_eq!(count(&world.sent()), expected);
            });
        }
    }
}

#[test]
fn a_full_window_holds_back_messages_at_qos_1_and_2_alone() {
    // v5 [MQTT-3.3.4-8] [MQTT-4.9.0-3]
    scenario(|world| {
        world.up(v5(), &[Property::ReceiveMaximum(1)]);
        world.publish("a", QoS::ExactlyOnce, "x");
        world.publish("a", QoS::AtLeastOnce, "y");
        world.forget();
        world.publish("a", QoS::AtMostOnce, "z");
        let (now, one) = (world.now, [Subscription::new("a", QoS::AtLeastOnce)]);
        world.client().subscribe(now, &one, Properties::NONE).unwrap();
        world.client().unsubscribe(now, &["a"], Properties::NONE).unwrap();
        world.poll();
        let sent =
            ["PUBLISH \"a\" QoS 0 \"z\"", "SUBSCRIBE #2 [\"a\" QoS 1]", "UNSUBSCRIBE #3 [\"a\"]"];
        assert_eq!(world.sent(), sent);
        world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
        world.server(publish("a", QoS::ExactlyOnce, 2, "x")).server(pub_rel(2));
        assert_eq!(world.sent(), ["PUBACK #1", "PUBREC #2", "PUBCOMP #2"]);
        world.server(pub_rec(1));
        assert_eq!(world.sent(), ["PUBREL #1"]);
        world.server(sub_ack(2, &[ReasonCode::GRANTED_QOS_1]));
        world.server(sansio_mqtt::UnsubAck::new(crate::world::id(3), &[ReasonCode::SUCCESS]));
        world.wait_secs(60);
        assert_eq!(world.sent(), ["PINGREQ"]);
    });
}

#[test]
fn what_is_sent_again_stays_within_the_window() {
    // v5 [U5-4.4-1] [MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
    scenario(|world| {
        world.up(lasting(Version::V5), &[Property::ReceiveMaximum(10)]);
        let handles = ["1", "2", "3", "4"].map(|one| world.publish("a", QoS::AtLeastOnce, one));
        world.resume_with(&[Property::ReceiveMaximum(1)]);
        world.publish("a", QoS::AtLeastOnce, "5");
        assert_eq!(world.sent_after_connect(), ["PUBLISH \"a\" QoS 1 #1 dup \"1\""]);
        world.forget();
        for id in 1..=3 {
            world.server(pub_ack(id));
            let next = id + 1;
            assert_eq!(world.sent(), [format!("PUBLISH \"a\" QoS 1 #{next} dup \"{next}\"")]);
        }
        world.server(pub_ack(4));
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 1 #5 \"5\""]);
        assert_eq!(world.told(), handles.map(acknowledged));
    });
}

#[test]
fn pubrels_are_sent_again_whatever_the_window() {
    // v5 [U5-4.4-1] [MQTT-4.9.0-3]
    scenario(|world| {
        world.up(lasting(Version::V5), &[Property::ReceiveMaximum(10)]);
        for _ in 0..3 {
            world.publish("a", QoS::ExactlyOnce, "x");
        }
        world.server(pub_rec(1)).server(pub_rec(2));
        world.resume_with(&[Property::ReceiveMaximum(1)]);
        let sent = world.sent_after_connect();
        assert_eq!(sent[..2], ["PUBREL #1", "PUBREL #2"]);
        world.server(pub_comp(1)).server(pub_comp(2));
        let sent: Vec<String> = sent.into_iter().skip(2).chain(world.sent()).collect();
        assert_eq!(sent, ["PUBLISH \"a\" QoS 2 #3 dup \"x\""]);
    });
}

#[test]
fn more_messages_than_the_client_takes_end_the_connection() {
    // v5 [U5-3.3.4-5]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            let mut options = by_hand(Version::V5);
            options.receive_maximum = 2;
            world.up(options, &[]);
            world.server(publish("a", qos, 1, "x")).server(publish("a", QoS::AtMostOnce, 0, "x"));
            world.server(publish("a", qos, 2, "x"));
            assert_eq!(world.sent(), [""; 0]);
            world.server(publish("a", qos, 3, "x"));
            let code = ReasonCode::RECEIVE_MAXIMUM_EXCEEDED;
            assert_eq!(world.sent(), [format!("DISCONNECT {code}")]);
            assert!(world.closed);
        });
    }
}

#[test]
fn an_acknowledgement_makes_room_for_another_message() {
    // v5 [U5-3.3.4-5]
    scenario(|world| {
        let mut options = v5();
        options.receive_maximum = 1;
        world.up(options, &[]);
        for id in 1..10 {
            world.server(publish("a", QoS::AtLeastOnce, id, "x"));
            world.server(publish("a", QoS::ExactlyOnce, id, "x")).server(pub_rel(id));
        }
        assert_eq!(world.sent().len(), 27);
        world.server(publish("a", QoS::ExactlyOnce, 1, "x"));
        // PUBREC makes none.
        world.forget().server(publish("a", QoS::AtLeastOnce, 2, "x"));
        let code = ReasonCode::RECEIVE_MAXIMUM_EXCEEDED;
        assert_eq!(world.sent(), [format!("DISCONNECT {code}")]);
    });
}

#[test]
fn what_the_server_sends_again_counts_once() {
    // v5 [U5-3.3.4-5]
    scenario(|world| {
        let mut options = by_hand(Version::V5);
        options.receive_maximum = 2;
        world.up(options, &[]);
        let messages = [1, 2].map(|id| publish("a", QoS::ExactlyOnce, id, "x"));
        for message in messages {
            world.server(message).server(Publish { dup: true, ..message });
        }
        let ids: Vec<_> = world.deliveries().iter().map(|one| one.delivery_id.unwrap()).collect();
        world.acknowledge(ids[0]).resume().forget();
        for message in messages {
            world.server(Publish { dup: true, ..message });
        }
        assert_eq!(world.sent(), ["PUBREC #1"]);
        world.acknowledge(ids[1]).server(pub_rel(1)).server(pub_rel(2)).forget();
        for id in [3, 4] {
            world.server(publish("a", QoS::ExactlyOnce, id, "x"));
        }
        assert!(!world.closed);
    });
}

#[test]
fn before_5_0_the_input_is_paused_in_place_of_a_receive_maximum() {
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let mut options = by_hand(version);
            options.receive_maximum = 2;
            world.up(options, &[]);
            for id in 1..=4 {
                world.server(publish("a", QoS::AtLeastOnce, id, "x"));
            }
            let first = world.deliveries();
            assert_eq!(first.len(), 2);
            // The server is not blamed for what it was not asked.
            world.wait_secs(1_000);
            assert!(!world.closed);
            for delivery in first {
                world.acknowledge(delivery.delivery_id.unwrap());
            }
            assert_eq!(world.deliveries().len(), 2);
            assert_eq!(world.sent_of("PUBACK"), ["PUBACK #1", "PUBACK #2"]);
        });
    }
}

#[test]
fn before_5_0_another_connection_is_accepted_while_the_application_has_all_it_takes() {
    // v3.1.1 [MQTT-4.1.0-1]
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let mut options = by_hand(version);
            options.receive_maximum = 2;
            world.up(options, &[]);
            let messages = [1, 2, 3].map(|id| publish("a", QoS::ExactlyOnce, id, "x"));
            world.server(messages[0]).server(messages[1]);
            let ids: Vec<_> =
                world.deliveries().iter().map(|one| one.delivery_id.unwrap()).collect();
            world.resume();
            let told = world.told();
            assert!(told.iter().any(|line| line.starts_with("connected")), "{told:?}");
            for message in messages {
                world.server(Publish { dup: true, ..message });
            }
            for delivery_id in ids {
                world.acknowledge(delivery_id);
            }
            assert_eq!(world.deliveries().len(), 1, "the third");
        });
    }
}

#[test]
fn an_identifier_that_is_in_use_is_not_given_to_another_packet() {
    // v5 [MQTT-2.2.1-3] [MQTT-4.3.2-1] [MQTT-4.3.3-1], v3.1.1 [MQTT-2.3.1-2]
    for version in [Version::V3_1_1, Version::V5] {
        // 65,535 and more of them: one way is enough.
        let mut client = Client::new(lasting(version)).unwrap();
        let now = Instant::from_micros(1);
        let connection = client.transport_opened(now).unwrap();
        let mut wire = Wire { outgoing: Outgoing::new(), client: &mut client, version };
        wire.server(connection, sansio_mqtt::ConnAck::default().into());
        wire.sent(connection);
        // The first two are never acknowledged, nor is one in the middle.
        let mut stuck = Vec::new();
        for number in 0..140_000 {
            let qos = if number % 3 == 1 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            let publish = Publish { topic: "a", qos, ..Publish::default() };
            wire.client.publish(now, &publish).unwrap();
            let sent = wire.sent(connection);
            assert_eq!(sent.len(), 1);
            let id = sent[0];
            assert!(id > 0 && !stuck.contains(&id), "{id}");
            if [0, 1, 29_999].contains(&number) {
                stuck.push(id);
            } else if qos == QoS::AtLeastOnce {
                wire.server(connection, pub_ack(id).into());
            } else {
                wire.server(connection, pub_rec(id).into());
                assert_eq!(wire.sent(connection), [id]);
                wire.server(connection, pub_comp(id).into());
            }
        }
        assert_eq!(client.held(), 3);
    }
}

/// As much of a connection as a long run needs.
struct Wire<'a> {
    outgoing: Outgoing,
    client: &'a mut Client,
    version: Version,
}

impl Wire<'_> {
    fn server(&mut self, connection: sansio_mqtt::client::ConnectionId, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        let mut bytes = bytes::BytesMut::from(&bytes[..]);
        let now = Instant::from_micros(1);
        assert_eq!(self.client.receive(now, connection, &mut bytes), Received::Drained);
        assert!(bytes.is_empty());
    }

    /// The identifiers that were sent.
    fn sent(&mut self, connection: sansio_mqtt::client::ConnectionId) -> Vec<u16> {
        loop {
            match self.client.poll_output() {
                Output::Timeout(_) => break,
                Output::Event(Event::Disconnected(cause)) => panic!("{cause}"),
                _ => {}
            }
        }
        let now = Instant::from_micros(1);
        let left = self.client.transmit(now, connection, usize::MAX, &mut self.outgoing);
        assert_eq!(left, Transmitted::All);
        let mut bytes = bytes::BytesMut::new();
        bytes::BufMut::put(&mut bytes, &mut self.outgoing);
        let mut decoder = sansio_mqtt::Decoder::from_client().with_version(self.version);
        let mut ids = Vec::new();
        while let Some((packet, len)) = decoder.decode(&bytes).unwrap() {
            match packet {
                Packet::Publish(publish) => ids.extend(publish.packet_id.map(u16::from)),
                Packet::PubRel(pub_rel) => ids.push(pub_rel.packet_id.get()),
                _ => {}
            }
            bytes::Buf::advance(&mut bytes, len);
        }
        ids
    }
}
