//! Retained messages on their way to one who takes them slowly: MQTT 5.0 §3.3.1.3.

use sansio_mqtt::{
    Connect, Packet, Property, Publish, QoS, RetainHandling, Subscribe, Subscription, Version,
};

use crate::words::{of, pub_ack, v5, with};
use crate::world::{Peer, World, scenario};

/// Retains this many messages at QoS 1, below `r`.
fn retain_many(world: &mut World, count: usize) -> Peer {
    let publisher = world.join(&v5("publisher"));
    for number in 0..count {
        world.retain(publisher, &format!("r/{number:03}"), QoS::AtLeastOnce, "x");
    }
    publisher
}

/// A client that takes one message at a time, and acknowledges nothing by itself.
fn one_at_a_time() -> [Property<'static>; 2] {
    [Property::SessionExpiryInterval(1_000), Property::ReceiveMaximum(1)]
}

/// Acknowledges what comes one by one, so many times; the payloads and topics.
fn acknowledge(world: &mut World, peer: Peer, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..count {
        for packet in world.packets(peer) {
            let Packet::Publish(publish) = packet.packet() else { panic!("{packet}") };
            heard.push(publish.topic.to_owned());
            world.send(peer, pub_ack(publish.packet_id.unwrap().get()));
        }
    }
    heard
}

#[test]
fn what_is_retained_goes_on_coming_on_the_next_connection() {
    // v5 [MQTT-4.1.0-1] [MQTT-4.5.0-1] 4.1: messages that wait for their turn belong to the
    // session.
    scenario(|world| {
        retain_many(world, 100);
        let list = one_at_a_time();
        let connect = Connect { clean_start: false, ..with(v5("a"), &list) };
        let peer = world.join(&connect);
        world.by_hand(peer);
        world.subscribe(peer, "r/+", QoS::AtLeastOnce);
        let mut heard = acknowledge(world, peer, 10);
        assert_eq!(heard.len(), 10);
        world.lose(peer);
        world.wait_secs(100);
        let peer = world.join(&connect);
        heard.extend(acknowledge(world, peer, 200));
        heard.sort();
        heard.dedup();
        assert_eq!(heard.len(), 100);
        world.silent(peer);
    });
}

#[test]
fn what_is_retained_stops_coming_after_unsubscribe() {
    // v5 [MQTT-3.10.4-2]
    scenario(|world| {
        retain_many(world, 100);
        let list = one_at_a_time();
        let peer = world.join(&with(v5("a"), &list));
        world.by_hand(peer);
        world.subscribe(peer, "r/+", QoS::AtLeastOnce);
        assert_eq!(acknowledge(world, peer, 3).len(), 3);
        world.unsubscribe(peer, &["r/+"]);
        // Some may be on their way; not all of them.
        let more = acknowledge(world, peer, 200).len();
        assert!(more < 60, "{more} more");
        // And from the beginning, when it subscribes again.
        world.subscribe(peer, "r/+", QoS::AtLeastOnce);
        assert_eq!(acknowledge(world, peer, 200).len(), 100);
    });
}

#[test]
fn a_new_session_is_not_sent_what_the_old_one_asked_for() {
    // v5 [MQTT-3.1.2-4]
    scenario(|world| {
        retain_many(world, 100);
        let list = one_at_a_time();
        let peer = world.join(&with(v5("a"), &list));
        world.by_hand(peer);
        world.subscribe(peer, "r/+", QoS::AtLeastOnce);
        world.lose(peer);
        let peer = world.join(&v5("a"));
        world.silent(peer);
        world.subscribe(peer, "other", QoS::AtLeastOnce);
        world.silent(peer);
    });
}

#[test]
fn a_retained_message_does_not_come_behind_the_one_that_took_its_place() {
    // v5 [MQTT-3.3.1-5] [MQTT-4.6.0-5]
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        for version in Version::ALL {
            scenario(|world| {
                let publisher = world.join(&v5("publisher"));
                world.retain(publisher, "t", qos, "old");
                let peer = world.join(&of(version, "a"));
                world.block(peer);
                let packet_id = world.next_id(peer);
                let list = [Subscription::new("t", qos)];
                world.send(peer, Subscribe::new(packet_id, &list));
                world.retain(publisher, "t", qos, "new");
                world.publish(publisher, "t", qos, "last");
                world.unblock(peer);
                let _ = world.take(peer, |packet| matches!(packet, Packet::SubAck(_)));
                let heard = world.heard(peer);
                let of =
                    |word: &str| heard.iter().position(|line| line.split(' ').nth(1) == Some(word));
                assert!(of("new").is_some() && of("new") < of("last"), "{heard:?}");
                assert!(of("old").is_none() || of("old") < of("new"), "{heard:?}");
                assert_eq!(
                    heard.iter().filter(|line| line.contains("new")).count(),
                    1,
                    "{heard:?}"
                );
            });
        }
    }
}

#[test]
fn a_retained_message_that_is_cleared_before_its_turn_does_not_come() {
    // v5 [MQTT-3.3.1-6]
    scenario(|world| {
        let publisher = retain_many(world, 60);
        let list = one_at_a_time();
        let peer = world.join(&with(v5("a"), &list));
        world.by_hand(peer);
        world.subscribe(peer, "r/+", QoS::AtLeastOnce);
        let mut heard = acknowledge(world, peer, 1);
        for number in 0..60 {
            world.retain(publisher, &format!("r/{number:03}"), QoS::AtMostOnce, "");
        }
        let cleared = |lines: &[Packet<'_>]| {
            lines.iter().filter(|packet| matches!(packet, Packet::Publish(publish) if publish.payload.is_empty())).count()
        };
        let packets = world.packets(peer);
        let packets: Vec<Packet<'_>> = packets.iter().map(|packet| packet.packet()).collect();
        assert_eq!(cleared(&packets), 60, "it hears of it");
        for packet in &packets {
            if let Packet::Publish(Publish { packet_id: Some(id), topic, .. }) = packet {
                heard.push((*topic).to_owned());
                world.send(peer, pub_ack(id.get()));
            }
        }
        heard.extend(acknowledge(world, peer, 200));
        assert!(heard.len() < 60, "{}", heard.len());
    });
}

#[test]
fn subscribing_again_while_retained_messages_come_loses_none() {
    // v5 [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    for retain_handling in [
        RetainHandling::SendAtSubscribe,
        RetainHandling::SendAtSubscribeIfNew,
        RetainHandling::DoNotSend,
    ] {
        scenario(|world| {
            retain_many(world, 50);
            let list = one_at_a_time();
            let peer = world.join(&with(v5("a"), &list));
            world.by_hand(peer);
            world.subscribe(peer, "r/+", QoS::AtLeastOnce);
            let mut heard = acknowledge(world, peer, 5);
            let filter = Subscription::new("r/+", QoS::AtLeastOnce);
            let again = [Subscription { retain_handling, ..filter }];
            let packet_id = world.next_id(peer);
            world.send(peer, Subscribe::new(packet_id, &again));
            let _ = world.take(peer, |packet| matches!(packet, Packet::SubAck(_)));
            heard.extend(acknowledge(world, peer, 200));
            let count = heard.len();
            heard.sort();
            heard.dedup();
            assert_eq!(heard.len(), 50, "what the first one asked for comes");
            if retain_handling != RetainHandling::SendAtSubscribe {
                assert_eq!(count, 50);
            }
        });
    }
}
