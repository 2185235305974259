//! Message Expiry Interval: MQTT 5.0 §3.3.2.3.3.

use sansio_mqtt::{Properties, Property, Publish, QoS, Version};

use crate::words::{QOS, lasting, of, pub_comp, pub_rec, pub_rel, publish, v5};
use crate::world::scenario;

#[test]
fn a_message_expires_while_its_subscriber_is_away() {
    // v5 [MQTT-3.3.2-5] [MQTT-3.3.2-6] [U5-3.3.2.3.3-1]
    for (expiry, away, expected) in [
        (10, 3, Some(7)),
        (10, 9, Some(1)),
        (10, 10, None),
        (10, 11, None),
        (1, 2, None),
        (0, 1, None),
    ] {
        scenario(|world| {
            let peer = world.join(&lasting(Version::V5, "a"));
            world.subscribe(peer, "a", QoS::AtLeastOnce);
            world.leave(peer);
            let publisher = world.join(&v5("publisher"));
            let list = [Property::MessageExpiryInterval(expiry)];
            let properties = Properties::List(&list);
            let expiring = Publish { properties, ..publish("a", QoS::AtLeastOnce, 0, "x") };
            world.publish_with(publisher, &expiring);
            world.publish(publisher, "a", QoS::AtLeastOnce, "lasting");
            world.wait_secs(away);
            let peer = world.join(&lasting(Version::V5, "a"));
            let mut lines = Vec::new();
            lines.extend(
                expected.map(|left| format!("a x QoS 1 {{Message Expiry Interval={left}}}")),
            );
            lines.push("a lasting QoS 1".into());
            assert_eq!(world.heard(peer), lines, "{expiry} {away}");
            assert_eq!(world.broker.counters().expired, u64::from(expected.is_none()));
        });
    }
}

#[test]
fn a_message_that_is_passed_on_at_once_has_its_whole_time() {
    // v5 [MQTT-3.3.2-6]
    for qos in QOS {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            world.subscribe(peer, "a", QoS::ExactlyOnce);
            let old = world.join(&of(Version::V3_1_1, "old"));
            world.subscribe(old, "a", QoS::ExactlyOnce);
            let list = [Property::MessageExpiryInterval(10)];
            let properties = Properties::List(&list);
            world.publish_with(peer, &Publish { properties, ..publish("a", qos, 0, "x") });
            let heard = world.heard(peer);
            assert!(heard[0].ends_with("{Message Expiry Interval=10}"), "{heard:?}");
            assert_eq!(world.heard(old).len(), 1);
        });
    }
}

#[test]
fn a_message_expires_while_a_reader_is_slow() {
    // v5 [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    for qos in QOS {
        for version in [Version::V3_1_1, Version::V5] {
            scenario(|world| {
                let peer = world.join(&of(version, "a"));
                world.subscribe(peer, "a", QoS::ExactlyOnce);
                world.block(peer);
                let publisher = world.join(&v5("publisher"));
                for (expiry, payload) in [(2, "short"), (10, "long")] {
                    let list = [Property::MessageExpiryInterval(expiry)];
                    let properties = Properties::List(&list);
                    world.publish_with(
                        publisher,
                        &Publish { properties, ..publish("a", qos, 0, payload) },
                    );
                }
                world.wait_secs(4);
                world.unblock(peer);
                let heard = world.heard(peer);
                assert_eq!(heard.len(), 1, "{heard:?}");
                assert!(heard[0].starts_with("a long"), "{heard:?}");
                assert_eq!(heard[0].ends_with("{Message Expiry Interval=6}"), version.is_v5());
            });
        }
    }
}

#[test]
fn what_was_begun_is_not_cut_short_by_expiry() {
    // v5 [MQTT-4.3.3-7] [MQTT-4.3.3-13]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&lasting(Version::V5, "a"));
        world.subscribe(peer, "a", QoS::ExactlyOnce);
        world.by_hand(peer);
        let list = [Property::MessageExpiryInterval(1)];
        let properties = Properties::List(&list);
        world.publish_with(
            publisher,
            &Publish { properties, ..publish("a", QoS::ExactlyOnce, 0, "x") },
        );
        world.publish_with(
            publisher,
            &Publish { properties, ..publish("a", QoS::ExactlyOnce, 0, "y") },
        );
        assert_eq!(world.sent(peer).len(), 2);
        world.send(peer, pub_rec(1));
        assert_eq!(world.sent(peer), ["PUBREL #1"]);
        world.wait_secs(5);
        world.lose(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.by_hand(peer);
        world.wait_secs(5);
        let sent = world.sent(peer);
        assert_eq!(sent.len(), 2, "{sent:?}");
        let is = |wanted: &str| sent.iter().any(|line| line.starts_with(wanted));
        assert!(is("PUBREL #1") && is("PUBLISH \"a\" QoS 2 #2 dup"), "{sent:?}");
        world.send(peer, pub_comp(1));
        world.send(peer, pub_rec(2));
        assert_eq!(world.sent(peer), ["PUBREL #2"]);
        world.send(peer, pub_comp(2));
        world.silent(peer);
    });
    // On the other side too: the message is gone, the exchange goes on.
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let list = [Property::MessageExpiryInterval(1)];
        let properties = Properties::List(&list);
        world.send(peer, Publish { properties, ..publish("a", QoS::ExactlyOnce, 3, "x") });
        world.packets(peer);
        world.wait_secs(5);
        world.send(peer, pub_rel(3));
        assert_eq!(world.sent(peer), ["PUBCOMP #3"]);
    });
}
