//! What went wrong in other clients, row by row.

use sansio_mqtt::client::{CallError, CleanStart, Client, Options};
use sansio_mqtt::{
    ConnAck, Packet, Properties, Property, PubRec, Publish, QoS, ReasonCode, Version,
};

use crate::calls::WHOLE;
use crate::world::{
    World, connect_of, of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, v5,
};

/// A session of 5.0 that lasts.
fn lasting() -> Options {
    let mut options = v5();
    options.clean_start = CleanStart::First;
    options.session_expiry_interval = 1_000;
    options
}

#[test]
fn a_topic_alias_maximum_of_zero_is_no_panic() {
    scenario(|world| {
        let mut options = v5();
        options.topic_alias_maximum = 0;
        world.up(options, &[Property::TopicAliasMaximum(0)]);
        world.publish("a/long/topic", QoS::AtMostOnce, "x");
        assert_eq!(world.sent(), ["PUBLISH \"a/long/topic\" QoS 0 \"x\""]);
    });
}

#[test]
fn identifier_zero_with_automatic_acknowledgement_is_no_panic() {
    for version in Version::ALL {
        for frame in [
            &[0x32, 0x06, 0, 1, b'a', 0, 0, 0][..],
            &[0x34, 0x06, 0, 1, b'a', 0, 0, 0][..],
            &[0x40, 0x02, 0, 0][..],
            &[0x50, 0x02, 0, 0][..],
            &[0x62, 0x02, 0, 0][..],
            &[0x70, 0x02, 0, 0][..],
            &[0x90, 0x04, 0, 0, 0, 0][..],
            &[0xb0, 0x04, 0, 0, 0, 0][..],
        ] {
            scenario(|world| {
                world.up(of(version), &[]).server_bytes(frame);
                assert!(world.closed);
                assert!(world.deliveries().is_empty());
            });
        }
    }
}

#[test]
fn an_acknowledgement_after_a_resume_with_a_receive_maximum_is_no_panic() {
    scenario(|world| {
        world.up(lasting(), &[Property::ReceiveMaximum(1)]);
        world.publish("a", QoS::AtLeastOnce, "1");
        world.publish("a", QoS::AtLeastOnce, "2");
        world.again(true, &[Property::ReceiveMaximum(1)]).forget();
        world.server(pub_ack(1));
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 1 #2 \"2\""]);
        world.server(pub_ack(2)).silent();
        assert_eq!(world.client().held(), 0);
    });
}

#[test]
fn pubrec_with_no_matching_subscribers_goes_on_with_pubrel() {
    scenario(|world| {
        world.up(v5(), &[]);
        let handle = world.publish("a", QoS::ExactlyOnce, "x").get();
        let reason_code = ReasonCode::NO_MATCHING_SUBSCRIBERS;
        world.forget().server(PubRec { reason_code, ..pub_rec(1) });
        assert_eq!(world.sent(), ["PUBREL #1"]);
        world.server(pub_comp(1));
        let told = world.told();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("published {handle}: acknowledged")), "{told:?}");
    });
}

#[test]
fn the_list_of_received_messages_ends_with_a_clean_start() {
    scenario(|world| {
        let mut options = lasting();
        options.clean_start = CleanStart::Always;
        world.up(options, &[]).server(publish("a", QoS::ExactlyOnce, 1, "old"));
        world.again(false, &[]).forget();
        world.server(publish("a", QoS::ExactlyOnce, 1, "new"));
        assert_eq!(world.told(), ["message a QoS 2 \"new\""]);
    });
}

#[test]
fn what_is_sent_again_stays_within_the_receive_maximum() {
    // v5 [U5-4.4-1]
    scenario(|world| {
        world.up(lasting(), &[]);
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce] {
            world.publish("a", qos, "x");
        }
        world.forget().again(true, &[Property::ReceiveMaximum(1)]);
        assert_eq!(world.sent()[1..], ["PUBLISH \"a\" QoS 1 #1 dup \"x\""]);
        world.server(pub_ack(1));
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 2 #2 dup \"x\""]);
        world.server(pub_rec(2)).server(pub_comp(2));
        assert_eq!(world.sent(), ["PUBREL #2", "PUBLISH \"a\" QoS 1 #3 dup \"x\""]);
    });
}

#[test]
fn an_alias_is_not_taken_for_sent_while_the_window_holds_its_message_back() {
    scenario(|world| {
        world.up(v5(), &[Property::ReceiveMaximum(1), Property::TopicAliasMaximum(9)]);
        world.publish("topic/0", QoS::AtLeastOnce, "1");
        world.publish("topic/1", QoS::AtLeastOnce, "2");
        world.forget();
        world.publish("topic/1", QoS::AtMostOnce, "3");
        let sent = world.sent();
        assert_eq!(sent, ["PUBLISH \"topic/1\" QoS 0 \"3\" {Topic Alias=2}"]);
    });
}

#[test]
fn a_packet_is_not_made_too_large_by_its_alias() {
    scenario(|world| {
        // 2 + 2 + 7 + 1 and the payload.
        world.up(v5(), &[Property::MaximumPacketSize(20), Property::TopicAliasMaximum(9)]);
        world.publish("topic/0", QoS::AtMostOnce, "12345678");
        let sent = world.sent_packets();
        assert_eq!(sent[0].packet().encoded_len(Version::V5), Ok(20));
    });
}

#[test]
fn a_second_connack_wipes_nothing() {
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.clean_start = CleanStart::Never;
            if version.is_v5() {
                options.session_expiry_interval = 1_000;
            }
            world.up(options, &[]);
            let handle = world.publish("a", QoS::AtLeastOnce, "x").get();
            world.forget().server(ConnAck::default());
            world.blamed(ReasonCode::PROTOCOL_ERROR);
            world.connect(version != Version::V3_1, &[]);
            assert_eq!(world.sent()[1..], ["PUBLISH \"a\" QoS 1 #1 dup \"x\""]);
            world.server(pub_ack(1));
            let told = world.told();
            let expected = format!("published {handle}: acknowledged 0x00 Success");
            assert_eq!(told.last(), Some(&expected));
        });
    }
}

#[test]
fn a_message_that_is_too_large_keeps_no_identifier_and_is_not_tried_again() {
    scenario(|world| {
        world.start(lasting());
        // Not known to be too large before the server says so.
        let large = world.publish("a", QoS::AtLeastOnce, "0123456789").get();
        world.publish("a", QoS::AtLeastOnce, "x");
        let properties = [Property::MaximumPacketSize(12), Property::ReceiveMaximum(1)];
        world.connect(false, &properties);
        let expected =
            format!("published {large}: a packet of 18 bytes where the server accepts 12");
        assert_eq!(world.told().last(), Some(&expected));
        assert_eq!(world.sent().len(), 2, "CONNECT and the other one");
        let publish =
            Publish { topic: "a", payload: &[0; 99], qos: QoS::AtLeastOnce, ..Publish::default() };
        let error = world.refused(|client, now| client.publish(now, &publish));
        assert_eq!(error, CallError::PacketTooLarge { size: 107, maximum: 12 });
        world.server(pub_ack(1)).again(true, &[]);
        assert_eq!(world.sent().len(), 1, "CONNECT alone");
        assert_eq!(world.client().held(), 0);
    });
}

#[test]
fn a_client_that_publishes_at_qos_0_notices_a_dead_server() {
    scenario(|world| {
        world.up(of(Version::V3_1_1), &[]);
        for _ in 0..30 {
            world.wait_secs(4);
            if world.closed {
                break;
            }
            world.publish("a", QoS::AtMostOnce, "x");
        }
        assert!(world.closed);
        assert_eq!(world.told().last().unwrap(), "disconnected: no PINGRESP in time");
    });
}

#[test]
fn messages_are_acknowledged_in_the_order_of_receipt() {
    scenario(|world| {
        let mut options = v5();
        options.acknowledgement = sansio_mqtt::client::Acknowledgement::Manual;
        world.up(options, &[]);
        for value in [5, 4, 6] {
            world.server(publish("a", QoS::AtLeastOnce, value, "x"));
        }
        let ids: Vec<_> =
            world.deliveries().iter().filter_map(|delivery| delivery.delivery_id).collect();
        world.acknowledge(ids[2]).acknowledge(ids[1]).silent();
        world.acknowledge(ids[0]);
        assert_eq!(world.sent(), ["PUBACK #5", "PUBACK #4", "PUBACK #6"]);
    });
}

#[test]
fn the_window_opens_with_pubcomp_and_not_with_pubrec() {
    scenario(|world| {
        world.up(v5(), &[Property::ReceiveMaximum(1)]);
        world.publish("a", QoS::ExactlyOnce, "1");
        world.publish("a", QoS::ExactlyOnce, "2");
        world.forget().server(pub_rec(1));
        assert_eq!(world.sent(), ["PUBREL #1"]);
        world.server(pub_comp(1));
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 2 #2 \"2\""]);
    });
}

#[test]
fn identifiers_do_not_collide_after_65535_messages() {
    let mut world = World::new(WHOLE);
    world.up(v5(), &[]);
    let oldest = world.publish("a", QoS::AtLeastOnce, "oldest").get();
    world.forget();
    for _ in 0..70_000 {
        world.publish("a", QoS::AtLeastOnce, "x");
        let sent = world.sent_packets();
        let Packet::Publish(publish) = sent[0].packet() else { panic!("{sent:?}") };
        let value = publish.packet_id.unwrap().get();
        assert_ne!(value, 1);
        world.server(pub_ack(value));
    }
    world.forget().server(pub_ack(1));
    assert_eq!(world.told(), [format!("published {oldest}: acknowledged 0x00 Success")]);
}

#[test]
fn the_keep_alive_of_an_earlier_connection_does_not_survive_one_without() {
    scenario(|world| {
        world.up(v5(), &[]).lose();
        let mut options = v5();
        options.keep_alive = 0;
        world.client().set_options(options).unwrap();
        world.connect(false, &[]).forget();
        assert_eq!(world.deadline, None);
        world.wait_secs(10_000).silent();
    });
}

#[test]
fn what_is_in_flight_survives_the_process() {
    scenario(|world| {
        if !world.way.durable {
            return;
        }
        world.up(lasting(), &[]);
        let once = world.publish("a", QoS::AtLeastOnce, "1").get();
        let exactly = world.publish("a", QoS::ExactlyOnce, "2").get();
        world.server(pub_rec(2)).crash(lasting()).connect(true, &[]);
        let sent = world.sent_packets();
        assert!(!connect_of(&sent[0]).clean_start);
        let mut lines: Vec<String> = sent[1..].iter().map(ToString::to_string).collect();
        lines.sort();
        assert_eq!(lines, ["PUBLISH \"a\" QoS 1 #1 dup \"1\"", "PUBREL #2"]);
        world.forget().server(pub_ack(1)).server(pub_comp(2));
        let expected =
            [once, exactly].map(|handle| format!("published {handle}: acknowledged 0x00 Success"));
        assert_eq!(world.told(), expected);
    });
}

// What codecs suffered from, seen through a client.

#[test]
fn a_length_that_is_too_short_for_its_header_is_no_panic() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]).server_bytes(&[0x30, 0x02, 0x00, 0x09]);
            world.blamed(ReasonCode::MALFORMED_PACKET);
        });
        // Nothing that is cut short is, wherever it is cut.
        for frame in [
            &[0x32, 0x09, 0, 1, b'a', 0, 7, 0, b'x', b'y', b'z'][..],
            &[0x40, 0x04, 0, 1, 0, 0][..],
            &[0x90, 0x04, 0, 1, 0, 0][..],
            &[0xb0, 0x04, 0, 1, 0, 0][..],
            &[0xe0, 0x02, 0, 0][..],
            &[0x20, 0x03, 0, 0, 0][..],
        ] {
            for len in 2..frame.len() {
                let mut cut = frame[..len].to_vec();
                cut[1] = u8::try_from(len - 2).unwrap();
                let mut world = World::new(WHOLE);
                world.up(of(version), &[]).server_bytes(&cut);
            }
        }
    }
}

#[test]
fn several_subscription_identifiers_do_not_end_up_in_the_payload() {
    scenario(|world| {
        world.up(v5(), &[]);
        let list = [1, 200, 70_000].map(Property::SubscriptionIdentifier);
        let properties = Properties::List(&list);
        world.server(Publish { properties, ..publish("a", QoS::AtMostOnce, 0, "payload") });
        let message = world.deliveries().remove(0).message;
        assert_eq!(message.payload(), b"payload");
        let identifiers: Vec<u32> = message.subscription_identifiers().collect();
        assert_eq!(identifiers, [1, 200, 70_000]);
    });
}

#[test]
fn what_is_too_long_is_refused_and_not_cut() {
    let long = "x".repeat(65_536);
    scenario(|world| {
        world.up(v5(), &[]);
        let list = [Property::UserProperty("k", &long)];
        for publish in [
            Publish { topic: &long, ..Publish::default() },
            Publish { topic: "a", properties: Properties::List(&list), ..Publish::default() },
        ] {
            world.refused(|client, now| client.publish(now, &publish));
        }
        world.poll().silent();
        let mut options = v5();
        options.client_id = long.clone();
        assert!(Client::new(options).is_err());
    });
}

#[test]
fn large_lengths_and_identifiers_are_read_whole() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            for len in [100, 128, 200, 16_384, 70_000] {
                let payload = vec![b'x'; len];
                let message = publish("a", QoS::ExactlyOnce, 0x8001, "");
                world.server(Publish { payload: &payload, ..message });
                assert_eq!(world.deliveries()[0].message.payload().len(), len);
                assert_eq!(world.sent(), ["PUBREC #32769"]);
                world.server(pub_rel(0x8001));
                assert_eq!(world.sent(), ["PUBCOMP #32769"]);
            }
        });
    }
}

#[test]
fn a_message_expiry_of_zero_is_one() {
    scenario(|world| {
        world.up(v5(), &[]);
        let list = [Property::MessageExpiryInterval(0)];
        let properties = Properties::List(&list);
        world.server(Publish { properties, ..publish("a", QoS::AtMostOnce, 0, "x") });
        let message = world.deliveries().remove(0).message;
        assert_eq!(message.properties().message_expiry_interval(), Some(0));
        world.publish_with(&Publish { topic: "a", properties, ..Publish::default() });
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 0 \"\" {Message Expiry Interval=0}"]);
    });
}

#[test]
fn the_order_of_user_properties_is_kept() {
    scenario(|world| {
        world.up(v5(), &[]);
        let list = [("b", "1"), ("a", "2"), ("b", "0")]
            .map(|(name, value)| Property::UserProperty(name, value));
        let properties = Properties::List(&list);
        world.server(Publish { properties, ..publish("a", QoS::AtLeastOnce, 1, "x") });
        assert_eq!(world.deliveries()[0].message.properties(), properties);
        world.forget().publish_with(&Publish { topic: "a", properties, ..Publish::default() });
        let sent = world.sent_packets();
        let Packet::Publish(publish) = sent[0].packet() else { panic!("{sent:?}") };
        assert_eq!(publish.properties, properties);
    });
}
