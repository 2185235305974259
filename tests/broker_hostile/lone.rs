//! Messages at QoS 0 that are all there is to be sent, to many readers: they go out as they are,
//! and nothing else is different.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sansio_mqtt::broker::{Authorizer, Client, Decision, Forwarded};
use sansio_mqtt::{Connect, Packet, Properties, Property, Publish, QoS, Version};

use crate::world::{Peer, World, of, options, publish};

/// Readers of every version that subscribe to `t`, and a publisher.
fn crowd(world: &mut World) -> (Vec<(Peer, Version)>, Peer) {
    let mut readers = Vec::new();
    for round in 0..3 {
        for version in Version::ALL {
            let reader = world.up(version, &format!("reader {version} {round}"));
            world.subscribe(reader, "t", QoS::AtLeastOnce);
            world.send(reader, Packet::PingReq);
            let _ = world.raw(reader);
            readers.push((reader, version));
        }
    }
    (readers, world.up(Version::V5, "publisher"))
}

fn block(world: &mut World, readers: &[(Peer, Version)]) {
    readers.iter().for_each(|(reader, _)| world.block(*reader));
}

#[test]
fn each_reader_gets_each_message_in_its_version() {
    let mut world = World::default();
    let (readers, publisher) = crowd(&mut world);
    for number in 0..300 {
        let payload = "x".repeat(number % 7) + &number.to_string();
        let properties = [Property::ContentType("type"), Property::UserProperty("k", &payload)];
        let properties = Properties::List(&properties[..number % 3]);
        let publish = Publish { properties, ..publish("t", QoS::AtMostOnce, 0, &payload) };
        // Some take it only when there is another one.
        let late = number % 5 == 0;
        if late {
            block(&mut world, &readers[..4]);
        }
        world.send(publisher, publish);
        if late {
            readers[..4].iter().for_each(|(reader, _)| world.unblock(*reader));
        }
        for (reader, version) in &readers {
            let packets = world.packets(*reader);
            assert_eq!(packets.len(), 1);
            let expected = match version.is_v5() {
                true => publish,
                false => Publish { properties: Properties::NONE, ..publish },
            };
            assert_eq!(packets[0].packet(), expected.into());
        }
    }
    assert_eq!(world.broker.counters().stored_messages, 0);
}

#[test]
fn what_waits_for_a_reader_comes_in_its_order() {
    let mut world = World::default();
    let (readers, publisher) = crowd(&mut world);
    block(&mut world, &readers);
    for (qos, payload) in [(0, "1"), (1, "2"), (0, "3"), (1, "4")] {
        let qos = if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        world.send(publisher, publish("t", qos, 1, payload));
    }
    for (reader, _) in readers {
        world.send(reader, Packet::PingReq);
        world.unblock(reader);
        let sent = world.sent(reader);
        assert_eq!(sent.len(), 5);
        assert_eq!(sent.iter().filter(|one| *one == "PINGRESP").count(), 1);
        let publishes: Vec<_> = sent.iter().filter(|one| *one != "PINGRESP").collect();
        for (publish, payload) in publishes.into_iter().zip(["1", "2", "3", "4"]) {
            assert!(publish.ends_with(&format!("\"{payload}\"")), "{publish}");
        }
    }
}

#[test]
fn nothing_that_waits_goes_out_behind_the_last_packet() {
    // v5 [MQTT-3.14.4-1]
    let mut world = World::default();
    let (readers, publisher) = crowd(&mut world);
    block(&mut world, &readers);
    world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
    for (reader, version) in readers {
        world.send_bytes(reader, &[0, 0]);
        world.unblock(reader);
        let last: &[u8] = if version.is_v5() { &[0xe0, 1, 0x81] } else { &[] };
        assert_eq!(world.raw(reader), last);
        assert!(world.is_closed(reader));
    }
    assert_eq!(world.broker.counters().stored_messages, 0);
}

#[test]
fn what_waits_for_one_that_is_gone_is_for_nobody_else() {
    let mut world = World::default();
    let (readers, publisher) = crowd(&mut world);
    block(&mut world, &readers);
    world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
    for (reader, _) in readers {
        world.lose(reader);
        // It has the number of the one that was lost.
        let other = world.up(Version::V3_1_1, "other");
        world.send(other, Packet::PingReq);
        assert_eq!(world.sent(other), ["PINGRESP"]);
        world.lose(other);
    }
    assert_eq!(world.broker.counters().stored_messages, 0);
}

#[test]
fn what_has_expired_while_it_waited_does_not_go_out_and_the_rest_says_what_is_left() {
    // v5 [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    for (waits, left) in [(4, Some(6)), (9, Some(1)), (10, None), (100, None)] {
        let mut world = World::default();
        let (readers, publisher) = crowd(&mut world);
        block(&mut world, &readers);
        let properties = Properties::List(&[Property::MessageExpiryInterval(10)]);
        let publish = Publish { properties, ..publish("t", QoS::AtMostOnce, 0, "x") };
        world.send(publisher, publish);
        world.wait_secs(waits);
        for (reader, version) in readers {
            world.unblock(reader);
            let expected: Vec<String> = left
                .map(|left| match version.is_v5() {
                    true => format!("PUBLISH \"t\" QoS 0 \"x\" {{Message Expiry Interval={left}}}"),
                    false => "PUBLISH \"t\" QoS 0 \"x\"".into(),
                })
                .into_iter()
                .collect();
            assert_eq!(world.sent(reader), expected);
        }
    }
}

#[derive(Clone, Default)]
struct Denied(Arc<Mutex<BTreeSet<String>>>);

impl Authorizer for Denied {
    fn deliver(&mut self, client: &Client, _: &Forwarded<'_>) -> Decision {
        match self.0.lock().unwrap().contains(&*client.client_id) {
            true => Decision::Deny,
            false => Decision::Allow,
        }
    }
}

#[test]
fn a_right_that_is_lost_while_a_message_waits_is_lost() {
    let denied = Denied::default();
    let mut world = World::with(options(), denied.clone());
    let (readers, publisher) = crowd(&mut world);
    for blocked in [true, false] {
        denied.0.lock().unwrap().clear();
        if blocked {
            block(&mut world, &readers);
            world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
        }
        denied.0.lock().unwrap().insert("reader 5.0 0".into());
        denied.0.lock().unwrap().insert("reader 3.1.1 1".into());
        if !blocked {
            world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
        }
        let mut heard = 0;
        for (reader, _) in &readers {
            world.unblock(*reader);
            heard += world.packets(*reader).len();
        }
        assert_eq!(heard, readers.len() - 2);
    }
    assert_eq!(world.broker.counters().withheld, 4);
}

#[test]
fn one_who_accepts_less_gets_what_it_accepts() {
    // v5 [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    let mut world = World::default();
    let (readers, publisher) = crowd(&mut world);
    let properties = Properties::List(&[Property::MaximumPacketSize(20)]);
    let small = world.join_again(&Connect { properties, ..of(Version::V5, "small") });
    world.subscribe(small, "t", QoS::AtMostOnce);
    for (length, fits) in [(14, true), (15, false), (100, false), (1, true)] {
        world.send(publisher, publish("t", QoS::AtMostOnce, 0, &"x".repeat(length)));
        assert_eq!(world.packets(small).len(), usize::from(fits), "{length}");
        for (reader, _) in &readers {
            assert_eq!(world.packets(*reader).len(), 1);
        }
    }
    assert_eq!(world.broker.counters().too_large, 2);
}
