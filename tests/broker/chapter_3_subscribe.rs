//! SUBSCRIBE and UNSUBSCRIBE: MQTT 5.0 §3.8 to §3.11.

use sansio_mqtt::{
    Packet, PacketId, Properties, Property, QoS, ReasonCode, Subscribe, Subscription, Unsubscribe,
    Version,
};

use crate::rights::Act;
use crate::words::{QOS, id, lasting, of, options_with, pub_comp, pub_rec, publish, v5, with};
use crate::world::{Peer, World, scenario, scenario_with};

/// The Subscription Identifiers of the one message that was sent, ascending.
fn identifiers(world: &mut World, peer: Peer) -> Vec<u32> {
    let packets = world.packets(peer);
    let [only] = &packets[..] else { panic!("{packets:?}") };
    let Packet::Publish(publish) = only.packet() else { panic!("{only}") };
    let mut found: Vec<u32> = publish.properties.subscription_identifiers().collect();
    found.sort_unstable();
    found
}

#[test]
fn a_subscribe_is_answered_with_a_code_for_each_filter_in_order() {
    // v5 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7]
    // [MQTT-3.9.3-1] [MQTT-2.2.1-6], v3.1.1 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-4]
    // [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-2.3.1-7]
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            world.rights.deny(Act::Subscribe, "a", "denied/#");
            let peer = world.join(&of(version, "a"));
            world.raw(peer);
            let list = [
                Subscription::new("a", QoS::ExactlyOnce),
                Subscription::new("denied/#", QoS::AtLeastOnce),
                Subscription::new("b", QoS::AtMostOnce),
                Subscription::new("c", QoS::AtLeastOnce),
                Subscription::new("denied", QoS::AtLeastOnce),
            ];
            world.send(peer, Subscribe::new(PacketId::MAX, &list));
            let expected: &[u8] = if version.is_v5() {
                &[0x90, 8, 0xff, 0xff, 0, 0x02, 0x87, 0x00, 0x01, 0x01]
            } else {
                &[0x90, 7, 0xff, 0xff, 0x02, 0x80, 0x00, 0x01, 0x01]
            };
            assert_eq!(world.raw(peer), expected);
            assert_eq!(world.sent(peer).len(), 1);
            assert_eq!(world.broker.session("a").unwrap().subscriptions, 4);
            world.publish(peer, "denied/x", QoS::AtLeastOnce, "x");
            world.silent(peer);
        });
    }
}

#[test]
fn a_subscription_that_is_made_again_takes_the_place_of_the_first() {
    // v5 [MQTT-3.8.4-3], v3.1.1 [MQTT-3.8.4-3]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            for filter in ["t/+", "t/1"] {
                world.subscribe(peer, filter, QoS::ExactlyOnce);
                world.subscribe(peer, filter, QoS::AtMostOnce);
                world.publish(peer, "t/1", QoS::ExactlyOnce, "x");
                assert_eq!(world.heard(peer), ["t/1 x"]);
                assert_eq!(world.broker.session("a").unwrap().subscriptions, 1);
                world.unsubscribe(peer, &[filter]);
            }
        });
    }
}

#[test]
fn a_subscription_that_is_made_again_has_the_new_options_and_identifier() {
    // v5 [MQTT-3.8.4-3]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        world.subscribe_as(peer, "t", QoS::AtMostOnce, 1);
        world.subscribe_as(peer, "t", QoS::AtMostOnce, 2);
        world.publish(peer, "t", QoS::AtMostOnce, "x");
        assert_eq!(identifiers(world, peer), [2]);
        world.subscribe(peer, "t", QoS::AtMostOnce);
        world.publish(peer, "t", QoS::AtMostOnce, "x");
        assert_eq!(identifiers(world, peer), [0; 0]);
        let plain = Subscription::new("t", QoS::AtMostOnce);
        world.subscribe_to(peer, &[Subscription { no_local: true, ..plain }]);
        world.publish(peer, "t", QoS::AtMostOnce, "x");
        world.silent(peer);
        world.subscribe_to(peer, &[plain]);
        world.publish(peer, "t", QoS::AtMostOnce, "x");
        assert_eq!(world.heard(peer), ["t x"]);
    });
}

#[test]
fn a_filter_that_is_there_twice_in_one_packet_counts_once() {
    // v5 [MQTT-3.8.4-5] [MQTT-3.8.4-3], v3.1.1 [MQTT-3.8.4-4]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            let list = [
                Subscription::new("t", QoS::ExactlyOnce),
                Subscription::new("t", QoS::AtLeastOnce),
            ];
            let codes = world.subscribe_to(peer, &list);
            assert_eq!(codes, [ReasonCode::GRANTED_QOS_2, ReasonCode::GRANTED_QOS_1]);
            world.publish(peer, "t", QoS::ExactlyOnce, "x");
            assert_eq!(world.heard(peer), ["t x QoS 1"]);
        });
    }
}

#[test]
fn overlapping_subscriptions_bring_one_copy_at_the_best_qos() {
    // v5 [MQTT-3.3.4-2], v3.1.1 [MQTT-3.3.5-1]
    for version in Version::ALL {
        for qos in QOS {
            scenario(|world| {
                let peer = world.join(&of(version, "a"));
                world.subscribe(peer, "a/#", QoS::ExactlyOnce);
                world.subscribe(peer, "a/+", QoS::AtLeastOnce);
                world.subscribe(peer, "a/b", QoS::AtMostOnce);
                world.publish(peer, "a/b", qos, "x");
                let expected = match qos {
                    QoS::AtMostOnce => "a/b x".to_owned(),
                    qos => format!("a/b x QoS {qos}"),
                };
                assert_eq!(world.heard(peer), [expected]);
                world.unsubscribe(peer, &["a/#"]);
                world.publish(peer, "a/b", QoS::ExactlyOnce, "x");
                assert_eq!(world.heard(peer), ["a/b x QoS 1"]);
            });
        }
    }
}

#[test]
fn a_copy_has_the_identifiers_of_all_its_subscriptions() {
    // v5 [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        world.subscribe_as(peer, "a/#", QoS::AtMostOnce, 1);
        world.subscribe_as(peer, "a/+", QoS::ExactlyOnce, 268_435_455);
        world.subscribe_as(peer, "a/b", QoS::AtLeastOnce, 300);
        world.subscribe(peer, "+/b", QoS::AtLeastOnce);
        world.subscribe_as(peer, "b", QoS::AtLeastOnce, 7);
        world.publish(peer, "a/b", QoS::AtMostOnce, "x");
        assert_eq!(identifiers(world, peer), [1, 300, 268_435_455]);
        world.publish(peer, "a/c", QoS::AtMostOnce, "x");
        assert_eq!(identifiers(world, peer), [1, 268_435_455]);
        world.publish(peer, "c/b", QoS::AtMostOnce, "x");
        assert_eq!(identifiers(world, peer), [0; 0]);
        // Another client has other identifiers.
        let other = world.join(&v5("b"));
        world.subscribe_as(other, "b", QoS::AtLeastOnce, 9);
        world.publish(other, "b", QoS::AtMostOnce, "x");
        assert_eq!(identifiers(world, peer), [7]);
        assert_eq!(identifiers(world, other), [9]);
    });
}

#[test]
fn the_identifiers_of_a_publisher_are_not_passed_on() {
    // v5 3.3.2.3.8: those of a delivery are of the subscriber.
    scenario(|world| {
        let away = world.join(&lasting(Version::V5, "away"));
        world.subscribe_as(away, "t", QoS::AtLeastOnce, 4);
        world.leave(away);
        let peer = world.join(&v5("a"));
        world.publish(peer, "t", QoS::AtLeastOnce, "x");
        // The identifier is part of the subscription, and so of the session.
        let away = world.join(&lasting(Version::V5, "away"));
        assert_eq!(identifiers(world, away), [4]);
    });
}

#[test]
fn no_local_spares_a_client_its_own_messages() {
    // v5 [MQTT-3.8.3-3]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let other = world.join(&v5("b"));
        let subscription =
            Subscription { no_local: true, ..Subscription::new("t", QoS::AtMostOnce) };
        world.subscribe_to(peer, &[subscription]);
        world.subscribe_to(other, &[subscription]);
        world.publish(peer, "t", QoS::AtLeastOnce, "x");
        world.silent(peer);
        assert_eq!(world.heard(other), ["t x"]);
        world.publish(other, "t", QoS::AtLeastOnce, "y");
        assert_eq!(world.heard(peer), ["t y"]);
        world.silent(other);
        world
            .call(|broker, now| broker.publish(now, &publish("t", QoS::AtMostOnce, 0, "z")))
            .unwrap();
        assert_eq!(world.heard(peer), ["t z"]);
    });
}

#[test]
fn no_local_is_about_the_client_and_not_its_connection() {
    // v5 [MQTT-3.8.3-3]
    scenario(|world| {
        let peer = world.join(&lasting(Version::V5, "a"));
        let subscription =
            Subscription { no_local: true, ..Subscription::new("t", QoS::AtLeastOnce) };
        world.subscribe_to(peer, &[subscription]);
        world.leave(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.publish(peer, "t", QoS::AtLeastOnce, "x");
        world.silent(peer);
    });
}

#[test]
fn no_local_is_that_of_one_subscription_among_those_that_overlap() {
    // v5 [MQTT-3.8.3-3] [MQTT-3.3.4-3] [MQTT-3.3.4-2]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let silent = Subscription { no_local: true, ..Subscription::new("t/#", QoS::ExactlyOnce) };
        world.subscribe_with(peer, &[silent], &[Property::SubscriptionIdentifier(1)]);
        world.subscribe_as(peer, "t/+", QoS::AtMostOnce, 2);
        world.publish(peer, "t/1", QoS::ExactlyOnce, "x");
        let packet = world.take(peer, |packet| matches!(packet, Packet::Publish(_)));
        let Packet::Publish(found) = packet.packet() else { panic!() };
        assert_eq!(found.qos, QoS::AtMostOnce, "the other one takes no part");
        assert_eq!(found.properties.subscription_identifiers().collect::<Vec<_>>(), [2]);
    });
}

#[test]
fn an_unsubscribe_is_answered_with_a_code_for_each_filter_in_order() {
    // v5 [MQTT-3.10.4-1] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1]
    // [MQTT-2.2.1-6], v3.1.1 [MQTT-3.10.4-1] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6]
    // [MQTT-2.3.1-7]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            for filter in ["a/+", "a/#", "b"] {
                world.subscribe(peer, filter, QoS::AtMostOnce);
            }
            world.raw(peer);
            world.send(peer, Unsubscribe::new(id(9), &["a/b", "a/+", "c", "b", "b"]));
            let expected: &[u8] = if version.is_v5() {
                &[0xb0, 8, 0, 9, 0, 0x11, 0x00, 0x11, 0x00, 0x11]
            } else {
                &[0xb0, 2, 0, 9]
            };
            assert_eq!(world.raw(peer), expected);
            world.packets(peer);
            world.publish(peer, "a/b", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(peer), ["a/b x"], "one is left");
            world.publish(peer, "b", QoS::AtMostOnce, "x");
            world.silent(peer);
            assert_eq!(world.broker.session("a").unwrap().subscriptions, 1);
        });
    }
}

#[test]
fn a_filter_that_nobody_has_is_unsubscribed_from_all_the_same() {
    // v5 [MQTT-3.10.4-5], v3.1.1 [MQTT-3.10.4-5]
    for version in Version::ALL {
        scenario(|world| {
            let other = world.join(&of(version, "other"));
            world.subscribe(other, "a/+", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "a", QoS::AtMostOnce);
            let codes = world.unsubscribe(peer, &["a/+", "A", "a/", "+"]);
            let none = [ReasonCode::NO_SUBSCRIPTION_EXISTED; 4];
            assert_eq!(codes, none[..codes.len()]);
            assert_eq!(codes.is_empty(), !version.is_v5());
            world.publish(peer, "a", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(peer), ["a x"]);
            world.publish(peer, "a/b", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(other), ["a/b x"], "another's is another's");
        });
    }
}

#[test]
fn after_unsubscribe_what_was_begun_is_brought_to_its_end_and_nothing_new_comes() {
    // v5 [MQTT-3.10.4-2] [MQTT-3.10.4-3], v3.1.1 [MQTT-3.10.4-2] [MQTT-3.10.4-3]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::ExactlyOnce);
            world.by_hand(peer);
            world.publish(publisher, "t", QoS::ExactlyOnce, "x");
            world.publish(publisher, "t", QoS::AtLeastOnce, "y");
            assert_eq!(world.sent(peer).len(), 2);
            world.unsubscribe(peer, &["t"]);
            world.publish(publisher, "t", QoS::ExactlyOnce, "z");
            world.silent(peer);
            world.send(peer, pub_rec(1));
            assert_eq!(world.sent(peer), ["PUBREL #1"]);
            world.send(peer, pub_comp(1));
            // What was not acknowledged is sent again.
            world.lose(peer);
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(world.heard(peer), ["t y QoS 1 dup"]);
        });
    }
}

#[test]
fn reasons_in_words_are_not_sent_to_who_wants_none() {
    // v5 [MQTT-3.1.2-29] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]
    // [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3]
    // [MQTT-3.7.2-2] [MQTT-3.7.2-3]: there are none in any acknowledgement, which has its
    // shortest form.
    for list in
        [&[Property::RequestProblemInformation(false)][..], &[Property::MaximumPacketSize(20)], &[]]
    {
        scenario(|world| {
            world.rights.deny(Act::Subscribe, "a", "denied");
            world.rights.deny(Act::Publish, "a", "denied");
            let peer = world.join(&with(v5("a"), list));
            world.raw(peer);
            let one = [Subscription::new("denied", QoS::AtMostOnce)];
            world.send(peer, Subscribe::new(id(1), &one));
            assert_eq!(world.raw(peer), [0x90, 4, 0, 1, 0, 0x87]);
            world.send(peer, Unsubscribe::new(id(2), &["denied"]));
            assert_eq!(world.raw(peer), [0xb0, 4, 0, 2, 0, 0x11]);
            world.send(peer, publish("denied", QoS::AtLeastOnce, 3, "x"));
            assert_eq!(world.raw(peer), [0x40, 3, 0, 3, 0x87]);
            world.send(peer, publish("denied", QoS::ExactlyOnce, 4, "x"));
            assert_eq!(world.raw(peer), [0x50, 3, 0, 4, 0x87]);
            world.send(peer, crate::words::pub_rel(4));
            assert_eq!(world.raw(peer), [0x70, 3, 0, 4, 0x92]);
            world.send(peer, pub_rec(5));
            assert_eq!(world.raw(peer), [0x62, 3, 0, 5, 0x92]);
        });
    }
}

#[test]
fn a_session_has_no_more_subscriptions_than_it_may() {
    let options = options_with(|options| options.maximum_subscriptions_per_session = 2);
    for version in [Version::V3_1_1, Version::V5] {
        scenario_with(&options, |world| {
            let peer = world.join(&of(version, "a"));
            let list = ["a", "b", "c"].map(|filter| Subscription::new(filter, QoS::AtMostOnce));
            let codes = world.subscribe_to(peer, &list);
            let failure = if version.is_v5() {
                ReasonCode::QUOTA_EXCEEDED
            } else {
                ReasonCode::UNSPECIFIED_ERROR
            };
            assert_eq!(codes, [ReasonCode::SUCCESS, ReasonCode::SUCCESS, failure]);
            // One that is there can be changed, and one can be given for another.
            world.subscribe(peer, "a", QoS::ExactlyOnce);
            world.unsubscribe(peer, &["b"]);
            world.subscribe(peer, "c", QoS::AtMostOnce);
            assert_eq!(world.broker.counters().subscriptions, 2);
            let other = world.join(&of(version, "b"));
            world.subscribe(other, "a", QoS::AtMostOnce);
        });
    }
}

#[test]
fn shared_subscriptions_count_as_others_do() {
    let options = options_with(|options| options.maximum_subscriptions_per_session = 2);
    scenario_with(&options, |world| {
        let peer = world.join(&v5("a"));
        let list = ["$share/g/a", "a", "$share/h/a"]
            .map(|filter| Subscription::new(filter, QoS::AtMostOnce));
        let codes = world.subscribe_to(peer, &list);
        assert_eq!(codes[2], ReasonCode::QUOTA_EXCEEDED);
        assert_eq!(world.broker.session("a").unwrap().subscriptions, 2);
        assert_eq!(world.broker.counters().subscriptions, 2);
    });
}

#[test]
fn there_are_no_more_subscriptions_than_there_may_be() {
    let options = options_with(|options| options.maximum_subscriptions = 2);
    scenario_with(&options, |world| {
        let first = world.join(&v5("a"));
        let second = world.join(&v5("b"));
        world.subscribe(first, "a", QoS::AtMostOnce);
        world.subscribe(second, "a", QoS::AtMostOnce);
        let one_more = [Subscription::new("b", QoS::AtMostOnce)];
        assert_eq!(world.subscribe_to(first, &one_more), [ReasonCode::QUOTA_EXCEEDED]);
        world.leave(second);
        world.subscribe(first, "b", QoS::AtMostOnce);
    });
}

#[test]
fn a_filter_beyond_the_limits_is_refused() {
    let options = options_with(|options| {
        options.maximum_topic_levels = 3;
        options.maximum_topic_length = 10;
        options.maximum_wildcards = 2;
    });
    for version in [Version::V3_1_1, Version::V5] {
        scenario_with(&options, |world| {
            let peer = world.join(&of(version, "a"));
            for filter in ["a/b/c", "0123456789", "+/+", "+/a/#"] {
                world.subscribe(peer, filter, QoS::AtMostOnce);
            }
            for filter in ["a/b/c/d", "0123456789a", "+/+/+", "+/+/#"] {
                let codes = world.subscribe_to(peer, &[Subscription::new(filter, QoS::AtMostOnce)]);
                let [code] = codes[..] else { panic!("{codes:?}") };
                let expected = if version.is_v5() {
                    ReasonCode::TOPIC_FILTER_INVALID
                } else {
                    ReasonCode::UNSPECIFIED_ERROR
                };
                assert_eq!(code, expected, "{filter}");
            }
            assert!(!world.closed(peer));
        });
    }
}

#[test]
fn a_subscribe_with_properties_of_no_use_to_the_broker_is_taken() {
    // v5 3.8.2.1.3
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let list = [Property::UserProperty("a", "b"), Property::SubscriptionIdentifier(3)];
        let filters = [Subscription::new("t", QoS::AtMostOnce)];
        let subscribe =
            Subscribe { properties: Properties::List(&list), ..Subscribe::new(id(1), &filters) };
        world.send(peer, subscribe);
        assert_eq!(world.sent(peer), ["SUBACK #1 [QoS 0]"]);
    });
}
