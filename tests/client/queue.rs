//! Messages that wait: offline, for the window, until they expire or there is no more room.

use std::collections::BTreeSet;

use sansio_mqtt::client::{CallError, Handle, Options, Overflow};
use sansio_mqtt::{
    ConnAck, OwnedPacket, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscription,
    Version,
};

use crate::sessions::{acknowledged, ended, lasting};
use crate::world::{World, of, pub_ack, pub_comp, pub_rec, scenario, v5};

const DROPPED: &str = "dropped to make room";
const EXPIRED: &str = "expired before it was sent";

/// Publishes a message that expires.
fn publish_for(world: &mut World, seconds: u32, qos: QoS, payload: &str) -> Handle {
    let properties = [Property::MessageExpiryInterval(seconds)];
    let (topic, payload) = ("a", payload.as_bytes());
    let properties = (&properties).into();
    world.publish_with(&Publish { topic, qos, payload, properties, ..Publish::default() })
}

#[test]
fn messages_and_subscriptions_wait_for_the_first_connection() {
    for version in Version::ALL {
        scenario(|world| {
            world.start(of(version));
            let handles = [0, 1, 2].map(|qos| world.publish("a", QoS::new(qos).unwrap(), "x"));
            let (now, one) = (world.now, [Subscription::new("b", QoS::AtLeastOnce)]);
            world.client().subscribe(now, &one, Properties::NONE).unwrap();
            world.client().unsubscribe(now, &["c"], Properties::NONE).unwrap();
            assert_eq!(world.poll().told(), [""; 0]);
            assert_eq!(world.client().held(), 3);
            world.connect(false, &[]);
            let sent = world.sent_after_connect();
            let kinds: Vec<&str> =
                sent.iter().map(|line| line.split(' ').next().unwrap()).collect();
            assert_eq!(kinds, ["PUBLISH", "PUBLISH", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"]);
            let told = world.told();
            assert_eq!(told, ["connected".into(), ended(handles[0], "sent")]);
            world.server(pub_ack(1)).server(pub_rec(2)).server(pub_comp(2));
            assert_eq!(world.told(), [acknowledged(handles[1]), acknowledged(handles[2])]);
        });
    }
}

#[test]
fn a_refused_connection_loses_nothing_that_waits() {
    for version in Version::ALL {
        scenario(|world| {
            world.start(of(version));
            let handle = world.publish("a", QoS::AtLeastOnce, "x");
            let reason_code = ReasonCode::SERVER_UNAVAILABLE;
            world.open().server(ConnAck { reason_code, ..ConnAck::default() });
            assert!(world.closed);
            world.forget().connect(false, &[]);
            assert_eq!(world.sent_after_connect(), ["PUBLISH \"a\" QoS 1 #1 \"x\""]);
            world.forget().server(pub_ack(1));
            assert_eq!(world.told(), [acknowledged(handle)]);
        });
    }
}

#[test]
fn a_full_queue_refuses_and_says_so() {
    for qos in [0, 1, 2] {
        scenario(|world| {
            let mut options = v5();
            options.maximum_held = 2;
            world.start(options);
            let qos = QoS::new(qos).unwrap();
            let handles = ["1", "2"].map(|payload| world.publish("a", qos, payload));
            let now = world.now;
            let publish = Publish { topic: "a", qos, ..Publish::default() };
            assert_eq!(world.client().publish(now, &publish), Err(CallError::QueueFull));
            world.poll();
            assert_eq!((world.client().held(), world.told()), (2, Vec::new()));
            world.connect(false, &[]).forget();
            if qos == QoS::AtMostOnce {
                return;
            }
            // What is in flight is held too.
            assert_eq!(world.client().publish(now, &publish), Err(CallError::QueueFull));
            match qos {
                QoS::ExactlyOnce => world.server(pub_rec(1)).server(pub_comp(1)),
                _ => world.server(pub_ack(1)),
            };
            assert_eq!(world.told(), [acknowledged(handles[0])]);
            world.publish("a", qos, "3");
        });
    }
}

#[test]
fn a_queue_is_full_by_its_bytes_too() {
    scenario(|world| {
        let mut options = v5();
        options.maximum_held_bytes = 20;
        world.start(options);
        world.publish("a", QoS::AtMostOnce, "123456789");
        let now = world.now;
        for (payload, fits) in [("1234567890", false), ("123456789", true), ("", false)] {
            let (qos, payload) = (QoS::AtLeastOnce, payload.as_bytes());
            let publish = Publish { topic: "a", qos, payload, ..Publish::default() };
            let result = world.client().publish(now, &publish);
            assert_eq!(result.is_ok(), fits, "{result:?}");
        }
    });
}

fn dropping() -> Options {
    let mut options = lasting(Version::V5);
    options.maximum_held = 3;
    options.overflow = Overflow::DropOldest;
    options
}

#[test]
fn the_oldest_message_makes_room_if_it_shall() {
    scenario(|world| {
        world.start(dropping());
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        let handles = qos.map(|qos| world.publish("a", qos, "x"));
        for (handle, qos) in handles.into_iter().zip(qos) {
            world.publish("b", qos, "y");
            assert_eq!(world.told(), [ended(handle, DROPPED)]);
        }
        world.connect(false, &[]);
        let sent = [
            "PUBLISH \"b\" QoS 0 \"y\"",
            "PUBLISH \"b\" QoS 1 #1 \"y\"",
            "PUBLISH \"b\" QoS 2 #2 \"y\"",
        ];
        assert_eq!(world.sent_after_connect(), sent);
    });
}

#[test]
fn what_is_in_flight_makes_no_room() {
    scenario(|world| {
        world.up(dropping(), &[Property::ReceiveMaximum(2)]);
        let handles = ["1", "2", "3"].map(|one| world.publish("a", QoS::AtLeastOnce, one));
        world.lose().forget();
        let fourth = world.publish("a", QoS::AtMostOnce, "4");
        assert_eq!(world.told(), [ended(handles[2], DROPPED)]);
        world.publish("a", QoS::AtLeastOnce, "5");
        assert_eq!(world.told(), [ended(fourth, DROPPED)]);
        // What can make no room at all drops nothing.
        let now = world.now;
        let mut options = dropping();
        options.maximum_held = 2;
        world.client().set_options(options).unwrap();
        let publish = Publish { topic: "a", ..Publish::default() };
        assert_eq!(world.client().publish(now, &publish), Err(CallError::QueueFull));
        assert_eq!(world.poll().told(), [""; 0]);
    });
}

#[test]
fn what_was_never_sent_makes_room_from_within_the_window() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.up(dropping(), &[Property::ReceiveMaximum(2)]);
            world.writable = false;
            let [first, second, third] = ["1", "2", "3"].map(|one| world.publish("a", qos, one));
            // The third one enters the window in place of the first.
            let fourth = world.publish("a", QoS::AtMostOnce, "4");
            assert_eq!(world.told(), [ended(first, DROPPED)]);
            world.unblock();
            let sent = world.sent_of("PUBLISH");
            assert_eq!(sent.len(), 3, "{sent:?}");
            assert!(sent[0].contains("#2 \"2\"") && sent[1].contains("#3 \"3\""), "{sent:?}");
            assert_eq!(world.told(), [ended(fourth, "sent")]);
            for (id, handle) in [(2, second), (3, third)] {
                match qos {
                    QoS::ExactlyOnce => world.server(pub_rec(id)).server(pub_comp(id)),
                    _ => world.server(pub_ack(id)),
                };
                assert_eq!(world.told(), [acknowledged(handle)]);
            }
            assert_eq!(world.store.len(), usize::from(world.way.durable), "but for the session");
        });
    }
}

#[test]
fn what_was_never_sent_makes_room_behind_what_is_sent_again() {
    scenario(|world| {
        world.up(dropping(), &[]);
        world.publish("a", QoS::AtLeastOnce, "1");
        world.writable = false;
        let [second, third] = ["2", "3"].map(|one| world.publish("a", QoS::AtLeastOnce, one));
        // Without a connection, and on one that sends the first message again.
        world.lose().forget();
        world.publish("a", QoS::AtLeastOnce, "4");
        assert_eq!(world.told(), [ended(second, DROPPED)]);
        world.resume();
        world.publish("a", QoS::AtLeastOnce, "5");
        assert_eq!(world.told(), ["connected again".into(), ended(third, DROPPED)]);
        world.unblock();
        let sent = [
            "PUBLISH \"a\" QoS 1 #1 dup \"1\"",
            "PUBLISH \"a\" QoS 1 #4 \"4\"",
            "PUBLISH \"a\" QoS 1 #5 \"5\"",
        ];
        assert_eq!(world.sent_after_connect(), sent);
    });
}

#[test]
fn what_expires_in_the_queue_is_not_sent() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.start(v5());
            let first = publish_for(world, 10, qos, "1");
            let second = publish_for(world, 60, qos, "2");
            let third = world.publish("a", qos, "3");
            world.wait_secs(11).connect(false, &[]);
            let sent = world.sent_after_connect();
            assert!(sent.len() == 2 && sent[0].contains("\"2\"") && sent[1].contains("\"3\""));
            let told = world.told();
            assert!(told.contains(&ended(first, EXPIRED)), "{told:?}");
            if qos == QoS::AtMostOnce {
                assert_eq!(told[2..], [ended(second, "sent"), ended(third, "sent")]);
            }
        });
    }
}

#[test]
fn what_expires_behind_a_full_window_is_not_sent() {
    scenario(|world| {
        world.up(v5(), &[Property::ReceiveMaximum(1)]);
        let first = world.publish("a", QoS::AtLeastOnce, "1");
        let second = publish_for(world, 10, QoS::AtLeastOnce, "2");
        world.publish("a", QoS::AtLeastOnce, "3");
        world.forget().wait_secs(11).server(pub_ack(1));
        assert_eq!(world.sent_of("PUBLISH"), ["PUBLISH \"a\" QoS 1 #2 \"3\""]);
        assert_eq!(world.told(), [acknowledged(first), ended(second, EXPIRED)]);
    });
}

#[test]
fn what_expires_in_the_window_is_not_sent() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.up(v5(), &[Property::ReceiveMaximum(1)]);
            world.writable = false;
            let first = publish_for(world, 10, qos, "1");
            let second = publish_for(world, 10, qos, "2");
            world.publish("a", qos, "3");
            world.wait_secs(11).unblock();
            let sent = world.sent_of("PUBLISH");
            assert!(sent.len() == 1 && sent[0].contains("\"3\""), "{sent:?}");
            assert_eq!(world.told()[..2], [ended(first, EXPIRED), ended(second, EXPIRED)]);
        });
    }
}

#[test]
fn what_has_expired_makes_room_within_the_window() {
    scenario(|world| {
        let mut options = v5();
        options.maximum_held = 4;
        world.up(options, &[Property::ReceiveMaximum(3)]);
        world.writable = false;
        publish_for(world, 60, QoS::AtLeastOnce, "1");
        let gone = ["2", "3"].map(|one| publish_for(world, 10, QoS::AtLeastOnce, one));
        world.publish("a", QoS::AtLeastOnce, "4");
        world.wait_secs(11);
        // The fourth one enters the window.
        world.publish("a", QoS::AtMostOnce, "5");
        assert_eq!(world.told(), gone.map(|handle| ended(handle, EXPIRED)));
        world.unblock();
        let sent = world.sent_of("PUBLISH");
        assert_eq!(sent.len(), 3, "{sent:?}");
        assert!(sent[0].contains("#1 \"1\"") && sent[1].contains("#4 \"4\""), "{sent:?}");
    });
}

#[test]
fn what_was_sent_before_it_expired_is_sent_again() {
    // v5 [MQTT-4.3.3-7]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.up(dropping(), &[]);
            let first = publish_for(world, 10, qos, "1");
            world.writable = false;
            let second = publish_for(world, 10, qos, "2");
            world.lose().wait_secs(11).resume();
            world.unblock();
            let sent = world.sent_after_connect();
            assert!(sent.len() == 1 && sent[0].contains("#1 dup"), "{sent:?}");
            assert_eq!(world.told(), ["connected again".into(), ended(second, EXPIRED)]);
            match qos {
                QoS::ExactlyOnce => world.server(pub_rec(1)).server(pub_comp(1)),
                _ => world.server(pub_ack(1)),
            };
            assert_eq!(world.told(), [acknowledged(first)]);
        });
    }
}

#[test]
fn what_has_expired_makes_room_before_a_call_is_refused() {
    scenario(|world| {
        let mut options = v5();
        options.maximum_held = 2;
        world.start(options);
        let first = publish_for(world, 10, QoS::AtMostOnce, "1");
        let second = publish_for(world, 10, QoS::AtLeastOnce, "2");
        world.wait_secs(11);
        world.publish("a", QoS::AtLeastOnce, "3");
        let told: BTreeSet<String> = world.told().into_iter().collect();
        assert_eq!(told, [ended(first, EXPIRED), ended(second, EXPIRED)].into());
    });
}

#[test]
fn what_has_expired_makes_room_wherever_it_is_in_the_queue() {
    let large = "x".repeat(2_000);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            let mut options = v5();
            options.maximum_held = 6;
            world.start(options);
            world.publish("a", qos, "1");
            let gone = [publish_for(world, 10, qos, "2"), publish_for(world, 10, qos, &large)];
            world.publish("a", qos, &large);
            publish_for(world, 60, qos, "5");
            let last = publish_for(world, 20, qos, "6");
            for (expired, next) in [(&gone[..], ["7", "8"]), (&[last][..], ["9", "9"])] {
                let (now, publish) = (world.now, Publish { topic: "a", qos, ..Publish::default() });
                assert_eq!(world.client().publish(now, &publish), Err(CallError::QueueFull));
                world.wait_secs(11);
                for payload in next.into_iter().take(expired.len()) {
                    world.publish("a", qos, payload);
                }
                let expired = expired.iter().map(|handle| ended(*handle, EXPIRED));
                assert_eq!(world.told(), expired.collect::<Vec<_>>());
            }
            world.connect(false, &[]);
            let sent = world.sent_packets();
            let payload = |packet: &OwnedPacket| match packet.packet() {
                Packet::Publish(publish) => publish.payload.to_vec(),
                _ => Vec::new(),
            };
            let sent: Vec<Vec<u8>> = sent[1..].iter().map(payload).collect();
            assert_eq!(sent, ["1", &large, "5", "7", "8", "9"].map(str::as_bytes));
        });
    }
}

#[test]
fn the_time_in_the_queue_is_taken_off_the_interval() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.start(lasting(Version::V5));
            publish_for(world, 60, qos, "x");
            world.wait_secs(20).connect(false, &[]);
            assert_eq!(interval(world), Some(40));
            publish_for(world, 60, qos, "x");
            assert_eq!(interval(world), Some(60));
            if qos != QoS::AtMostOnce {
                // What is sent again has waited longer.
                world.wait_secs(15).resume();
                assert_eq!(interval(world), Some(25));
            }
        });
    }
}

/// The Message Expiry Interval of the first PUBLISH that was sent.
fn interval(world: &mut World) -> Option<u32> {
    let sent = world.sent_packets();
    sent.iter().find_map(|packet| match packet.packet() {
        Packet::Publish(publish) => publish.properties.message_expiry_interval(),
        _ => None,
    })
}

#[test]
fn what_the_server_turns_out_not_to_take_fails_when_it_is_known() {
    let rows = [
        (Property::MaximumQoS(QoS::AtMostOnce), 1, "", "a QoS above the server's maximum, 0"),
        (Property::RetainAvailable(false), 3, "retain", "a server that does not retain messages"),
        (
            Property::MaximumPacketSize(20),
            3,
            "much too large for it",
            "a packet of 29 bytes where the server accepts 20",
        ),
    ];
    for (property, fits, payload, what) in rows {
        scenario(|world| {
            world.start(v5());
            let (topic, qos, retain) = ("a", QoS::AtLeastOnce, payload == "retain");
            let payload = payload.as_bytes();
            let wrong = Publish { topic, qos, retain, payload, ..Publish::default() };
            let refused = world.publish_with(&wrong);
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce];
            for qos in qos.into_iter().take(fits) {
                world.publish("a", qos, "x");
            }
            world.connect(false, &[property]);
            assert_eq!(world.sent_after_connect().len(), fits, "{property}");
            assert!(world.told().contains(&ended(refused, what)));
            let now = world.now;
            assert!(world.client().publish(now, &wrong).is_err());
        });
    }
}

#[test]
fn every_operation_is_completed_once() {
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            let mut options = lasting(version);
            options.maximum_held = 4;
            options.overflow = Overflow::DropOldest;
            world.start(options);
            let mut handles = BTreeSet::new();
            for round in 0..6 {
                for qos in [0, 1, 2, 1] {
                    let (now, qos) = (world.now, QoS::new(qos).unwrap());
                    let publish = Publish { topic: "a", qos, ..Publish::default() };
                    // What is refused has no handle.
                    let handle = world.client().publish(now, &publish);
                    assert!(handle.is_err() || handles.insert(handle.unwrap().get()));
                }
                let (now, one) = (world.now, [Subscription::new("a", QoS::AtLeastOnce)]);
                let handle = world.client().subscribe(now, &one, Properties::NONE).unwrap();
                assert!(handles.insert(handle.get()));
                // Now the server has the session, now it does not, now it refuses.
                match round % 3 {
                    0 => world.lose().connect(false, &[]),
                    1 => world.lose().connect(true, &[]),
                    _ => {
                        let reason_code = ReasonCode::SERVER_UNAVAILABLE;
                        world.lose().open().server(ConnAck { reason_code, ..ConnAck::default() })
                    }
                };
            }
            let now = world.lose().connect(false, &[]).now;
            world.client().disconnect(now, &sansio_mqtt::Disconnect::default()).unwrap();
            world.poll().wait_secs(10);
            if version.is_v5() {
                world.wait_secs(4_000);
            } else {
                world.connect(false, &[]).lose();
            }
            let mut completed = BTreeSet::new();
            for line in world.told() {
                let mut words = line.split([' ', ':']);
                if let (Some("published" | "subscribed"), Some(number)) =
                    (words.next(), words.next())
                {
                    assert!(completed.insert(number.parse().unwrap()), "{line}");
                }
            }
            world.connect(false, &[]).lose().connect(false, &[]).lose();
            for line in world.told() {
                let number = line.split([' ', ':']).nth(1).map(str::parse);
                if let Some(Ok(number)) = number {
                    assert!(completed.insert(number), "{line}");
                }
            }
            assert_eq!(completed, handles);
        });
    }
}
