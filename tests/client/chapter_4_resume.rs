//! What a session is, and what is sent again when it is resumed: MQTT 5.0 §4.1, §4.4.

use std::time::Duration;

use sansio_mqtt::client::{CleanStart, SessionLost};
use sansio_mqtt::{
    Disconnect, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscription, Version,
};

use crate::sessions::{acknowledged, by_hand, ended, id_of, lasting};
use crate::world::{of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, sub_ack};

const LOST: &str = "lost with the session";

#[test]
fn what_is_not_acknowledged_is_sent_again_under_the_same_identifiers() {
    // v5 [MQTT-4.4.0-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5]
    // v3.1.1 [MQTT-4.4.0-1] [MQTT-2.3.1-3] [MQTT-4.1.0-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let handles = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce]
                .map(|qos| world.publish("a", qos, "x"));
            world.server(pub_rec(3));
            for _ in 0..2 {
                world.resume();
                let mut sent = world.sent_after_connect();
                sent.sort();
                // In 3.1 PUBREL has the flag too.
                let rel = if version == Version::V3_1 { "PUBREL #3 dup" } else { "PUBREL #3" };
                let again =
                    ["PUBLISH \"a\" QoS 1 #1 dup \"x\"", "PUBLISH \"a\" QoS 2 #2 dup \"x\"", rel];
                assert_eq!(sent, again);
            }
            world.forget().server(pub_ack(1)).server(pub_rec(2));
            world.server(pub_comp(2)).server(pub_comp(3));
            assert_eq!(world.told(), handles.map(acknowledged));
            assert_eq!(world.resume().sent_after_connect(), [""; 0]);
        });
    }
}

#[test]
fn after_pubrec_the_message_is_never_sent_again() {
    // v5 [MQTT-4.3.3-6], v3.1.1 [MQTT-4.3.3-1]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            world.publish("a", QoS::ExactlyOnce, "x");
            world.server(pub_rec(1));
            for _ in 0..3 {
                let sent = world.resume().sent_after_connect();
                assert!(sent.len() == 1 && sent[0].starts_with("PUBREL #1"), "{sent:?}");
                // As a server that has not got the PUBREL would say.
                world.server(pub_rec(1));
                assert_eq!(world.sent(), [sent[0].clone()]);
            }
        });
    }
}

#[test]
fn nothing_is_sent_again_while_the_connection_lasts() {
    // v5 [MQTT-4.4.0-1] [MQTT-4.1.0-1], v3.1.1 [MQTT-4.1.0-2]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.keep_alive = 0;
            world.up(options, &[]);
            let first = world.publish("a", QoS::AtLeastOnce, "x");
            let second = world.publish("a", QoS::ExactlyOnce, "y");
            world.forget().wait(Duration::from_secs(1_000_000));
            assert_eq!(world.sent(), [""; 0]);
            world.server(pub_ack(1)).server(pub_rec(2)).wait(Duration::from_secs(1_000_000));
            assert_eq!(world.sent(), ["PUBREL #2"]);
            world.server(pub_comp(2));
            assert_eq!(world.told(), [acknowledged(first), acknowledged(second)]);
        });
    }
}

#[test]
fn a_message_that_was_never_sent_is_sent_without_dup() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            world.writable = false;
            world.publish("a", QoS::AtLeastOnce, "x");
            world.publish("a", QoS::ExactlyOnce, "y");
            assert_eq!(world.sent(), [""; 0]);
            world.writable = true;
            world.resume();
            let sent = ["PUBLISH \"a\" QoS 1 #1 \"x\"", "PUBLISH \"a\" QoS 2 #2 \"y\""];
            assert_eq!(world.sent_after_connect(), sent);
        });
    }
}

#[test]
fn the_list_of_received_identifiers_lasts_as_long_as_the_session() {
    // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2] [MQTT-4.1.0-1]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let message = publish("a", QoS::ExactlyOnce, 6, "x");
            world.server(message).resume().forget();
            world.server(Publish { dup: true, ..message });
            assert_eq!(world.sent(), ["PUBREC #6"]);
            assert_eq!(world.told(), [""; 0]);
            // What is forgotten is forgotten on both sides: nothing is dropped.
            world.lose().forget().connect(false, &[]).forget();
            if version == Version::V3_1 {
                // Which does not tell.
                return;
            }
            world.server(message);
            assert_eq!(world.sent(), ["PUBREC #6"]);
            assert_eq!(world.told(), ["message a QoS 2 \"x\""]);
        });
    }
}

#[test]
fn the_list_of_received_identifiers_is_forgotten_with_a_clean_start() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let message = publish("a", QoS::ExactlyOnce, 6, "x");
            world.server(message).lose().connect(false, &[]).forget();
            world.server(message);
            assert_eq!(world.sent(), ["PUBREC #6"]);
            assert_eq!(world.told(), ["message a QoS 2 \"x\""]);
        });
    }
}

#[test]
fn a_repeated_message_is_not_offered_twice_while_the_application_has_it() {
    // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2]
    for version in Version::ALL {
        for (qos, answer) in [(QoS::AtLeastOnce, "PUBACK #6"), (QoS::ExactlyOnce, "PUBREC #6")] {
            scenario(|world| {
                world.up(by_hand(version), &[]);
                let message = publish("a", qos, 6, "x");
                world.server(message);
                let delivery_id = world.deliveries()[0].delivery_id.unwrap();
                world.resume().forget();
                world.server(Publish { dup: true, ..message });
                assert_eq!((world.sent(), world.told()), (Vec::new(), Vec::new()));
                world.acknowledge(delivery_id);
                assert_eq!(world.sent(), [answer]);
            });
        }
    }
}

#[test]
fn what_is_acknowledged_between_connections_is_acknowledged_on_the_next_one() {
    for version in Version::ALL {
        for (qos, answer) in [(QoS::AtLeastOnce, "PUBACK #6"), (QoS::ExactlyOnce, "PUBREC #6")] {
            scenario(|world| {
                world.up(by_hand(version), &[]);
                let message = publish("a", qos, 6, "x");
                world.server(message);
                let delivery_id = world.deliveries()[0].delivery_id.unwrap();
                world.lose().acknowledge(delivery_id).resume();
                world.server(Publish { dup: true, ..message });
                let sent = world.sent_after_connect();
                let told = world.told();
                assert!(!told.iter().any(|line| line.starts_with("message")), "{told:?}");
                assert!(!sent.is_empty() && sent.iter().all(|line| line == answer), "{sent:?}");
                // One at QoS 1: a second one could hit another message under that identifier.
                assert!(qos == QoS::ExactlyOnce || sent.len() == 1, "{sent:?}");
            });
        }
    }
}

#[test]
fn what_is_refused_between_connections_is_answered_by_its_qos() {
    // v5 [MQTT-4.3.3-8]
    for (qos, answer) in [(QoS::AtLeastOnce, "PUBACK #6"), (QoS::ExactlyOnce, "PUBREC #6")] {
        scenario(|world| {
            world.up(by_hand(Version::V5), &[]);
            let message = publish("a", qos, 6, "x");
            world.server(message);
            let delivery_id = world.deliveries()[0].delivery_id.unwrap();
            let (now, code) = (world.lose().now, ReasonCode::QUOTA_EXCEEDED);
            let client = world.client();
            client.acknowledge_with(now, delivery_id, code, Properties::NONE).unwrap();
            world.poll().resume().server(Publish { dup: true, ..message });
            let sent = world.sent_after_connect();
            let right = sent.iter().all(|line| line.starts_with(answer));
            assert!(!sent.is_empty() && right, "{sent:?}");
        });
    }
}

#[test]
fn what_was_in_flight_fails_with_the_session() {
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let [first, second, third] = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce]
                .map(|qos| world.publish("a", qos, "x"));
            world.server(pub_rec(3)).lose();
            let fourth = world.publish("a", QoS::AtLeastOnce, "y");
            world.forget().connect(false, &[]);
            assert_eq!(world.sent_after_connect(), ["PUBLISH \"a\" QoS 1 #4 \"y\""]);
            let told = world.told();
            let ended = [first, second, third].map(|handle| ended(handle, LOST));
            assert_eq!(told[..3], ended);
            world.server(pub_ack(4));
            assert_eq!(world.told(), [acknowledged(fourth)]);
        });
    }
}

#[test]
fn what_was_in_flight_is_published_again_as_new_messages_if_it_shall_be() {
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            let mut options = lasting(version);
            options.session_lost = SessionLost::Republish;
            world.up(options, &[]);
            let handles =
                ["x", "y", "z"].map(|payload| world.publish("a", QoS::ExactlyOnce, payload));
            world.server(pub_rec(2)).lose();
            let last = world.publish("a", QoS::AtLeastOnce, "last");
            world.forget().connect(false, &[]);
            let sent = world.sent_after_connect();
            let ids: Vec<u16> = sent.iter().map(|line| id_of(line)).collect();
            let expected = [
                format!("PUBLISH \"a\" QoS 2 #{} \"x\"", ids[0]),
                format!("PUBLISH \"a\" QoS 2 #{} \"z\"", ids[1]),
                format!("PUBLISH \"a\" QoS 1 #{} \"last\"", ids[2]),
            ];
            assert_eq!(sent, expected);
            assert!(world.told().contains(&ended(handles[1], LOST)));
            for id in &ids[..2] {
                world.server(pub_rec(*id)).server(pub_comp(*id));
            }
            world.server(pub_ack(ids[2]));
            let handles = [handles[0], handles[2], last];
            assert_eq!(world.told(), handles.map(acknowledged));
        });
    }
}

#[test]
fn a_session_without_an_expiry_ends_with_its_connection() {
    // v5 [U5-3.1.2.11.2-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let handle = world.publish("a", QoS::AtLeastOnce, "x");
            world.forget().lose();
            let told = ["disconnected: the transport was closed".into(), ended(handle, LOST)];
            let mut is = world.told();
            is.sort();
            assert_eq!(is, told);
            assert_eq!(world.forget().connect(false, &[]).sent_after_connect(), [""; 0]);
        });
    }
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    // v5 [MQTT-3.1.2-23]
    scenario(|world| {
        world.up(lasting(Version::V5), &[]);
        let handle = world.publish("a", QoS::AtLeastOnce, "x");
        world.lose().forget().wait_secs(3_599);
        assert_eq!(world.told(), [""; 0]);
        world.wait_secs(1);
        assert_eq!(world.told(), [ended(handle, LOST)]);
        world.open();
        let sent = world.sent();
        assert!(sent[0].starts_with("CONNECT 5.0 \"c\" clean start"), "{sent:?}");
    });
}

#[test]
fn a_session_with_the_largest_expiry_never_ends() {
    // v5 [U5-3.1.2.11.2-2]
    scenario(|world| {
        let mut options = lasting(Version::V5);
        options.session_expiry_interval = u32::MAX;
        world.up(options, &[]);
        world.publish("a", QoS::AtLeastOnce, "x");
        world.lose().forget();
        assert_eq!(world.deadline, None);
        world.wait(Duration::from_secs(u64::from(u32::MAX) + 1)).resume();
        assert_eq!(world.sent_after_connect(), ["PUBLISH \"a\" QoS 1 #1 dup \"x\""]);
    });
}

#[test]
fn the_server_and_disconnect_may_change_when_a_session_ends() {
    // v5 [U5-3.2.2.3.2-1]
    let interval = |seconds| [Property::SessionExpiryInterval(seconds)];
    let rows = [(Some(10), None, 10), (None, Some(20), 20), (Some(10), Some(20), 20)];
    for (by_server, at_end, seconds) in rows {
        scenario(|world| {
            let by_server = by_server.map(interval);
            let properties = by_server.as_ref().map_or(&[][..], |list| &list[..]);
            world.up(lasting(Version::V5), properties);
            world.server(publish("a", QoS::ExactlyOnce, 6, "x"));
            let at_end = at_end.map(interval);
            let properties = at_end.as_ref().map_or(&[][..], |list| &list[..]);
            let (now, properties) = (world.now, properties.into());
            let disconnect = Disconnect { properties, ..Disconnect::default() };
            world.client().disconnect(now, &disconnect).unwrap();
            world.poll().forget().wait_secs(seconds - 1);
            assert_eq!(world.deadline, Some(world.now + Duration::from_secs(1)));
            world.wait_secs(1).open();
            let sent = world.sent();
            assert!(sent[0].starts_with("CONNECT 5.0 \"c\" clean start"), "{sent:?}");
        });
    }
}

#[test]
fn subscriptions_without_an_answer_are_asked_for_again_and_given_up_then() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let (now, one) = (world.now, [Subscription::new("a", QoS::AtLeastOnce)]);
            let handle = world.client().subscribe(now, &one, Properties::NONE).unwrap();
            world.poll();
            assert_eq!(world.sent_of("SUBSCRIBE").len(), 1);
            world.resume();
            let sent = world.sent_of("SUBSCRIBE");
            assert_eq!(sent.len(), 1);
            world.lose();
            let told = world.told();
            let what = "no answer before the connection ended";
            assert!(told.contains(&format!("subscribed {}: {what}", handle.get())), "{told:?}");
            world.resume();
            assert_eq!(world.sent_of("SUBSCRIBE"), [""; 0]);
        });
    }
}

#[test]
fn a_pubrel_that_comes_again_is_answered_again() {
    // v5 [MQTT-4.3.3-11] [MQTT-4.3.3-13], v3.1.1 [MQTT-4.3.3-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let properties = [Property::MessageExpiryInterval(1)];
            let properties = if version.is_v5() { &properties[..] } else { &[] };
            let message = publish("a", QoS::ExactlyOnce, 6, "x");
            world.server(Publish { properties: properties.into(), ..message });
            world.wait_secs(2).resume().forget().server(pub_rel(6));
            assert_eq!(world.sent(), ["PUBCOMP #6"]);
            world.resume().forget().server(pub_rel(6));
            let sent = world.sent();
            assert!(sent.len() == 1 && sent[0].starts_with("PUBCOMP #6"), "{sent:?}");
        });
    }
}

#[test]
fn expiry_does_not_cut_short_what_was_sent() {
    // v5 [MQTT-4.3.3-7] [MQTT-4.3.3-13]
    let properties = [Property::MessageExpiryInterval(5)];
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.up(lasting(Version::V5), &[]);
            let publish =
                Publish { topic: "a", qos, properties: (&properties).into(), ..Publish::default() };
            let handle = world.publish_with(&publish);
            world.wait_secs(10).resume();
            let sent = world.sent_packets();
            let again = sent.iter().find_map(|packet| match packet.packet() {
                Packet::Publish(publish) => Some((publish.dup, publish.packet_id)),
                _ => None,
            });
            assert_eq!(again, Some((true, Some(crate::world::id(1)))));
            if qos == QoS::ExactlyOnce {
                world.forget().server(pub_rec(1)).wait_secs(10).resume();
                assert_eq!(world.sent_after_connect(), ["PUBREL #1"]);
                world.forget().server(pub_comp(1));
            } else {
                world.forget().server(pub_ack(1));
            }
            assert_eq!(world.told(), [acknowledged(handle)]);
        });
    }
}

#[test]
fn a_message_that_is_too_large_for_the_next_connection_is_not_sent_again() {
    scenario(|world| {
        world.up(lasting(Version::V5), &[]);
        let large = world.publish("a", QoS::AtLeastOnce, "much too large");
        let small = world.publish("a", QoS::AtLeastOnce, "x");
        world.resume_with(&[Property::MaximumPacketSize(12)]);
        assert_eq!(world.sent_after_connect(), ["PUBLISH \"a\" QoS 1 #2 dup \"x\""]);
        let what = "a packet of 22 bytes where the server accepts 12";
        assert!(world.told().contains(&ended(large, what)));
        world.server(pub_ack(2));
        assert_eq!(world.told(), [acknowledged(small)]);
    });
}

#[test]
fn a_subscription_is_answered_after_the_session_was_resumed() {
    // v3.1.1 [MQTT-2.3.1-3]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = lasting(version);
            options.clean_start = CleanStart::Never;
            options.adopt_session = true;
            world.start(options).connect(version != Version::V3_1, &[]);
            world.publish("a", QoS::AtLeastOnce, "x");
            let (now, one) = (world.now, [Subscription::new("a", QoS::AtLeastOnce)]);
            world.client().subscribe(now, &one, Properties::NONE).unwrap();
            world.poll().forget().server(sub_ack(2, &[ReasonCode::GRANTED_QOS_1]));
            assert_eq!(world.told().len(), 1);
            // The identifier is free, and the message still has its own.
            assert_eq!(world.resume().sent_of("PUBLISH"), ["PUBLISH \"a\" QoS 1 #1 dup \"x\""]);
        });
    }
}
