//! Retained messages: MQTT 5.0 §3.3.1.3, §3.8.3.1.

use sansio_mqtt::broker::Options;
use sansio_mqtt::{
    Properties, Property, Publish, QoS, ReasonCode, RetainHandling, Subscription, Version,
};

use crate::words::{QOS, lasting, of, options_with, publish, v5};
use crate::world::{World, scenario, scenario_with};

/// What a client that subscribes now is sent.
fn found(world: &mut World, version: Version, filter: &str) -> Vec<String> {
    let peer = world.join(&of(version, "finder"));
    world.subscribe(peer, filter, QoS::ExactlyOnce);
    let heard = world.heard(peer);
    world.leave(peer);
    heard
}

#[test]
fn who_subscribes_later_is_sent_the_last_retained_message() {
    // v5 [MQTT-3.3.1-5] [U5-3.3.1.3-1], v3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]
    // [MQTT-3.3.1-8]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            for first in QOS {
                for last in QOS {
                    world.retain(peer, "t", first, "A");
                    world.retain(peer, "t", last, "B");
                    let qos = match last {
                        QoS::AtMostOnce => String::new(),
                        qos => format!(" QoS {qos}"),
                    };
                    for subscriber in Version::ALL {
                        let expected = [format!("t B{qos} retain")];
                        assert_eq!(found(world, subscriber, "t"), expected, "{first} {last}");
                    }
                }
            }
        });
    }
}

#[test]
fn a_retained_message_is_sent_at_the_lower_qos() {
    // v3.1.1 [MQTT-3.3.1-5], v5 [MQTT-3.8.4-8]
    for version in Version::ALL {
        for retained in QOS {
            for granted in QOS {
                scenario(|world| {
                    let peer = world.join(&of(version, "a"));
                    world.retain(peer, "t", retained, "x");
                    world.subscribe(peer, "t", granted);
                    let expected = match retained.min(granted) {
                        QoS::AtMostOnce => "t x retain".to_owned(),
                        qos => format!("t x QoS {qos} retain"),
                    };
                    assert_eq!(world.heard(peer), [expected]);
                });
            }
        }
    }
}

#[test]
fn retained_messages_come_behind_the_suback() {
    // v5 3.8.4 [MQTT-3.8.4-5]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.retain(peer, "t/1", QoS::AtMostOnce, "x");
            world.retain(peer, "t/2", QoS::AtLeastOnce, "y");
            let list = [Subscription::new("t/+", QoS::ExactlyOnce)];
            let packet_id = world.next_id(peer);
            world.packets(peer);
            world.send(peer, sansio_mqtt::Subscribe::new(packet_id, &list));
            let sent = world.sent(peer);
            assert_eq!(sent.len(), 3, "{sent:?}");
            assert!(sent[0].starts_with("SUBACK"), "{sent:?}");
        });
    }
}

#[test]
fn only_topics_that_the_filter_matches_are_sent() {
    // v5 [MQTT-3.3.2-3] [MQTT-4.7.2-1], v3.1.1 [MQTT-3.3.2-3] [MQTT-4.7.2-1]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            for topic in ["t", "t/1", "t/1/a", "T", "u"] {
                world.retain(peer, topic, QoS::AtMostOnce, "x");
            }
            let own = Publish { retain: true, ..publish("$SYS/t", QoS::AtMostOnce, 0, "x") };
            world.call(|broker, now| broker.publish(now, &own)).unwrap();
            let sorted = |mut lines: Vec<String>| {
                lines.sort();
                lines
            };
            let rows: [(&str, &[&str]); 6] = [
                ("t", &["t x retain"]),
                ("t/+", &["t/1 x retain"]),
                ("t/#", &["t x retain", "t/1 x retain", "t/1/a x retain"]),
                (
                    "#",
                    &["T x retain", "t x retain", "t/1 x retain", "t/1/a x retain", "u x retain"],
                ),
                ("$SYS/#", &["$SYS/t x retain"]),
                ("nothing/#", &[]),
            ];
            for (filter, expected) in rows {
                assert_eq!(sorted(found(world, version, filter)), expected, "{filter}");
            }
        });
    }
}

#[test]
fn an_empty_message_clears_and_is_passed_on_like_any() {
    // v5 [MQTT-3.3.1-6] [MQTT-3.3.1-7], v3.1.1 [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    for version in Version::ALL {
        for qos in QOS {
            scenario(|world| {
                let watcher = world.join(&of(version, "watcher"));
                world.subscribe(watcher, "t", QoS::AtMostOnce);
                let peer = world.join(&of(version, "a"));
                world.retain(peer, "t", qos, "A");
                assert_eq!(world.broker.counters().retained_messages, 1);
                world.retain(peer, "t", qos, "");
                assert_eq!(world.heard(watcher), ["t A", "t "]);
                assert_eq!(found(world, version, "t"), [""; 0]);
                // On a topic that has none there is nothing to be kept.
                world.retain(peer, "fresh", qos, "");
                assert_eq!(found(world, version, "fresh"), [""; 0]);
                let counters = world.broker.counters();
                assert_eq!((counters.retained_messages, counters.retained_bytes), (0, 0));
            });
        }
    }
}

#[test]
fn an_empty_message_that_is_not_retained_clears_nothing() {
    // v5 [MQTT-3.3.1-8], v3.1.1 [MQTT-3.3.1-12]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.retain(peer, "t", QoS::AtLeastOnce, "A");
            world.publish(peer, "t", QoS::AtLeastOnce, "B");
            world.publish(peer, "t", QoS::AtLeastOnce, "");
            assert_eq!(found(world, version, "t"), ["t A QoS 1 retain"]);
        });
    }
}

#[test]
fn what_is_passed_on_is_not_marked_as_retained() {
    // v5 [MQTT-3.3.1-12], v3.1.1 [MQTT-3.3.1-9]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "t", QoS::AtMostOnce);
            world.retain(peer, "t", QoS::AtMostOnce, "x");
            world.publish(peer, "t", QoS::AtMostOnce, "y");
            assert_eq!(world.heard(peer), ["t x", "t y"]);
        });
    }
}

#[test]
fn retain_as_published_keeps_the_mark() {
    // v5 [MQTT-3.3.1-13]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let subscription =
            Subscription { retain_as_published: true, ..Subscription::new("t", QoS::AtMostOnce) };
        world.subscribe_to(peer, &[subscription]);
        world.publish(peer, "t", QoS::AtMostOnce, "x");
        world.retain(peer, "t", QoS::AtMostOnce, "y");
        world.retain(peer, "t", QoS::AtMostOnce, "");
        assert_eq!(world.heard(peer), ["t x", "t y retain", "t  retain"]);
        // Publishers of 3.1.1 count too.
        let old = world.join(&of(Version::V3_1_1, "old"));
        world.retain(old, "t", QoS::AtMostOnce, "z");
        assert_eq!(world.heard(peer), ["t z retain"]);
    });
}

#[test]
fn a_session_that_goes_on_in_3_1_1_has_no_mark() {
    // v3.1.1 [MQTT-3.3.1-9]: Retain As Published is of 5.0.
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(Version::V5, "a"));
            let subscription = Subscription {
                retain_as_published: true,
                ..Subscription::new("t", QoS::AtLeastOnce)
            };
            world.subscribe_to(peer, &[subscription]);
            world.leave(peer);
            world.retain(publisher, "t", QoS::AtLeastOnce, "away");
            let peer = world.join(&lasting(version, "a"));
            world.retain(publisher, "t", QoS::AtLeastOnce, "there");
            world.retain(publisher, "t", QoS::AtMostOnce, "at most");
            assert_eq!(world.heard(peer), ["t away QoS 1", "t there QoS 1", "t at most"]);
            world.leave(peer);
            let peer = world.join(&lasting(Version::V5, "a"));
            world.retain(publisher, "t", QoS::AtLeastOnce, "back");
            assert_eq!(world.heard(peer), ["t back QoS 1 retain"]);
        });
    }
}

#[test]
fn retained_messages_are_marked_without_retain_as_published_too() {
    // v5 3.3.1.3
    for retain_as_published in [true, false] {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            world.retain(peer, "t", QoS::AtMostOnce, "x");
            let subscription =
                Subscription { retain_as_published, ..Subscription::new("t", QoS::AtMostOnce) };
            world.subscribe_to(peer, &[subscription]);
            assert_eq!(world.heard(peer), ["t x retain"]);
        });
    }
}

#[test]
fn a_copy_for_overlapping_subscriptions_is_marked_if_one_of_them_keeps_the_mark() {
    // v5 [MQTT-3.3.1-13] [MQTT-3.3.4-2]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let keeping =
            Subscription { retain_as_published: true, ..Subscription::new("t/#", QoS::AtMostOnce) };
        world.subscribe_to(peer, &[keeping, Subscription::new("t/+", QoS::AtLeastOnce)]);
        world.retain(peer, "t/1", QoS::AtLeastOnce, "x");
        assert_eq!(world.heard(peer), ["t/1 x QoS 1 retain"]);
        world.publish(peer, "t/1", QoS::AtLeastOnce, "y");
        assert_eq!(world.heard(peer), ["t/1 y QoS 1"]);
        // Two that do not keep it do not, together.
        world.subscribe(peer, "u/#", QoS::AtMostOnce);
        world.subscribe(peer, "u/+", QoS::AtMostOnce);
        world.retain(peer, "u/1", QoS::AtLeastOnce, "z");
        assert_eq!(world.heard(peer), ["u/1 z"]);
    });
}

#[test]
fn retain_handling_says_when_retained_messages_are_sent() {
    // v5 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    for (retain_handling, first, second) in [
        (RetainHandling::SendAtSubscribe, 1, 1),
        (RetainHandling::SendAtSubscribeIfNew, 1, 0),
        (RetainHandling::DoNotSend, 0, 0),
    ] {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            world.retain(peer, "t", QoS::AtMostOnce, "x");
            let subscription =
                Subscription { retain_handling, ..Subscription::new("t", QoS::AtMostOnce) };
            for expected in [first, second, second] {
                world.subscribe_to(peer, &[subscription]);
                assert_eq!(world.heard(peer).len(), expected);
            }
            world.unsubscribe(peer, &["t"]);
            world.subscribe_to(peer, &[subscription]);
            assert_eq!(world.heard(peer).len(), first);
        });
    }
}

#[test]
fn a_subscription_of_an_earlier_connection_is_not_new() {
    // v5 [MQTT-3.3.1-10]
    scenario(|world| {
        let peer = world.join(&lasting(Version::V5, "a"));
        world.retain(peer, "t", QoS::AtMostOnce, "x");
        let subscription = Subscription {
            retain_handling: RetainHandling::SendAtSubscribeIfNew,
            ..Subscription::new("t", QoS::AtMostOnce)
        };
        world.subscribe_to(peer, &[subscription]);
        assert_eq!(world.heard(peer).len(), 1);
        world.leave(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.subscribe_to(peer, &[subscription]);
        world.silent(peer);
    });
}

#[test]
fn a_session_that_goes_on_is_not_sent_what_is_retained_again() {
    // v5 3.3.1.3
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&lasting(version, "a"));
            world.retain(peer, "t", QoS::AtLeastOnce, "x");
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            assert_eq!(world.heard(peer).len(), 1);
            world.leave(peer);
            let peer = world.join(&lasting(version, "a"));
            world.silent(peer);
        });
    }
}

#[test]
fn several_filters_are_handled_one_after_the_other() {
    // v5 [MQTT-3.8.4-5], v3.1.1 [MQTT-3.8.4-4]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.retain(peer, "t/1", QoS::AtMostOnce, "x");
            world.retain(peer, "t/2", QoS::AtMostOnce, "y");
            let list =
                ["t/1", "t/#", "t/2"].map(|filter| Subscription::new(filter, QoS::AtMostOnce));
            assert_eq!(world.subscribe_to(peer, &list).len(), 3);
            let mut heard = world.heard(peer);
            heard.sort();
            let expected = ["t/1 x retain", "t/1 x retain", "t/2 y retain", "t/2 y retain"];
            assert_eq!(heard, expected, "for each filter what it matches");
        });
    }
}

#[test]
fn what_is_retained_outlives_the_session_of_its_publisher() {
    // v3.1.1 [MQTT-3.1.2-7], v5 4.1
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.retain(peer, "t", QoS::AtMostOnce, "x");
            world.leave(peer);
            world.wait_secs(1_000_000);
            assert_eq!(world.broker.counters().sessions, 0);
            assert_eq!(found(world, version, "t"), ["t x retain"]);
        });
    }
}

#[test]
fn a_retained_message_expires_and_its_time_is_counted_down_once() {
    // v5 [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    for (waits, expected) in [(0, Some(10)), (3, Some(7)), (9, Some(1)), (10, None), (100, None)] {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            let list = [Property::MessageExpiryInterval(10)];
            let expiring = Publish {
                retain: true,
                properties: Properties::List(&list),
                ..publish("t", QoS::AtMostOnce, 0, "x")
            };
            world.publish_with(peer, &expiring);
            world.wait_secs(waits);
            let lines: Vec<String> = expected
                .map(|left| format!("t x retain {{Message Expiry Interval={left}}}"))
                .into_iter()
                .collect();
            for _ in 0..2 {
                assert_eq!(found(world, Version::V5, "t"), lines, "{waits}");
            }
            assert_eq!(found(world, Version::V3_1_1, "t").len(), lines.len());
        });
    }
}

#[test]
fn a_retained_message_goes_on_ageing_in_a_queue() {
    // v5 [MQTT-3.3.2-6]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let list = [Property::MessageExpiryInterval(10)];
        let expiring = Publish {
            retain: true,
            properties: Properties::List(&list),
            ..publish("t", QoS::AtLeastOnce, 0, "x")
        };
        world.publish_with(peer, &expiring);
        world.wait_secs(2);
        let slow = world.join(&of(Version::V5, "slow"));
        world.block(slow);
        let packet_id = world.next_id(slow);
        let filters = [Subscription::new("t", QoS::AtLeastOnce)];
        world.send(slow, sansio_mqtt::Subscribe::new(packet_id, &filters));
        world.wait_secs(3);
        world.unblock(slow);
        let sent = world.sent(slow);
        assert_eq!(sent[1], "PUBLISH \"t\" QoS 1 #1 retain \"x\" {Message Expiry Interval=5}");
    });
}

#[test]
fn a_retained_message_keeps_its_properties() {
    // v5 [MQTT-3.3.2-4] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let list = [
            Property::PayloadFormatIndicator(true),
            Property::ContentType("text/x"),
            Property::UserProperty("b", "1"),
            Property::UserProperty("a", "2"),
            Property::UserProperty("b", "1"),
            Property::TopicAlias(3),
        ];
        let full = Publish {
            retain: true,
            properties: Properties::List(&list),
            ..publish("t", QoS::AtMostOnce, 0, "x")
        };
        world.publish_with(peer, &full);
        world.subscribe_as(peer, "t", QoS::AtMostOnce, 5);
        let heard = world.heard(peer);
        for property in &list[..5] {
            assert!(heard[0].contains(&property.to_string()), "{heard:?}");
        }
        assert!(!heard[0].contains("Topic Alias"), "{heard:?}");
        assert!(heard[0].contains(&Property::SubscriptionIdentifier(5).to_string()), "{heard:?}");
        let user = heard[0].matches("User Property").count();
        assert_eq!(user, 3);
    });
}

#[test]
fn no_local_holds_for_what_is_retained_too() {
    // v5 [MQTT-3.8.3-3]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let other = world.join(&v5("b"));
        world.retain(peer, "own", QoS::AtMostOnce, "x");
        world.retain(other, "others", QoS::AtMostOnce, "y");
        let subscription =
            Subscription { no_local: true, ..Subscription::new("#", QoS::AtMostOnce) };
        world.subscribe_to(peer, &[subscription]);
        assert_eq!(world.heard(peer), ["others y retain"]);
    });
}

#[test]
fn a_shared_subscription_is_not_sent_what_is_retained() {
    // v5 [U5-3.8.4-1]
    for retain_handling in [RetainHandling::SendAtSubscribe, RetainHandling::SendAtSubscribeIfNew] {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            world.retain(peer, "t", QoS::AtMostOnce, "x");
            let filter = Subscription::new("$share/g/t", QoS::AtMostOnce);
            world.subscribe_to(peer, &[Subscription { retain_handling, ..filter }]);
            world.silent(peer);
        });
    }
}

#[test]
fn there_is_no_more_retained_than_there_may_be() {
    let count: Options = options_with(|options| options.retained.maximum_count = 2);
    let bytes = options_with(|options| options.retained.maximum_bytes = 10_000);
    for (options, payload) in [(&count, "x".to_owned()), (&bytes, "x".repeat(4_000))] {
        scenario_with(options, |world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&v5("a"));
            for topic in ["t/1", "t/2", "t/3"] {
                world.retain(peer, topic, QoS::AtMostOnce, &payload);
            }
            assert_eq!(world.heard(watcher).len(), 3, "they are passed on all the same");
            let mut lines = found(world, Version::V5, "t/+");
            lines.sort();
            assert_eq!(lines.len(), 2);
            assert!(lines[0].starts_with("t/1") && lines[1].starts_with("t/2"));
            assert_eq!(world.broker.counters().not_retained, 1);
            // What is replaced needs no room.
            world.retain(peer, "t/1", QoS::AtMostOnce, &payload);
            world.retain(peer, "t/2", QoS::AtMostOnce, "");
            world.retain(peer, "t/3", QoS::AtMostOnce, &payload);
            assert_eq!(found(world, Version::V5, "t/+").len(), 2);
            assert_eq!(world.broker.counters().not_retained, 1);
        });
    }
}

#[test]
fn what_cannot_be_retained_does_not_leave_what_it_would_replace() {
    // v5 [MQTT-3.3.1-5]: the old message is not the topic's last any more.
    let options = options_with(|options| options.retained.maximum_bytes = 1_000);
    scenario_with(&options, |world| {
        let peer = world.join(&v5("a"));
        world.retain(peer, "t", QoS::AtMostOnce, "old");
        world.retain(peer, "t", QoS::AtMostOnce, &"x".repeat(2_000));
        assert_eq!(found(world, Version::V5, "t"), [""; 0]);
    });
}

#[test]
fn a_publisher_that_can_be_told_is_told_what_has_no_room() {
    // v5 [MQTT-3.3.1-5] 3.4.2.1, 3.5.2.1: it is refused as a whole, and nothing has changed.
    let options = options_with(|options| options.retained.maximum_bytes = 1_000);
    for (version, qos) in [
        (Version::V5, QoS::AtLeastOnce),
        (Version::V5, QoS::ExactlyOnce),
        (Version::V5, QoS::AtMostOnce),
        (Version::V3_1_1, QoS::AtLeastOnce),
        (Version::V3_1, QoS::ExactlyOnce),
    ] {
        scenario_with(&options, |world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "t", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            world.retain(peer, "t", qos, "old");
            assert_eq!(world.heard(watcher), ["t old"]);
            let code = world.retain(peer, "t", qos, &"x".repeat(2_000));
            let is_told = version.is_v5() && qos > QoS::AtMostOnce;
            let expected = if is_told { ReasonCode::QUOTA_EXCEEDED } else { ReasonCode::SUCCESS };
            assert_eq!(code, expected);
            assert_eq!(world.heard(watcher).len(), usize::from(!is_told));
            assert_eq!(found(world, Version::V5, "t").len(), usize::from(is_told));
            // It may be published, if it need not be kept.
            let code = world.publish(peer, "t", qos, &"x".repeat(2_000));
            assert_eq!(code, ReasonCode::SUCCESS);
            assert_eq!(world.heard(watcher).len(), 1);
        });
    }
}

#[test]
fn resubscribing_sends_what_is_retained_again_and_loses_nothing() {
    // v5 [MQTT-3.8.4-3] [MQTT-3.8.4-4], v3.1.1 [MQTT-3.8.4-3]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            let publisher = world.join(&v5("publisher"));
            world.retain(publisher, "t", QoS::AtLeastOnce, "R");
            world.subscribe(peer, "t", QoS::ExactlyOnce);
            assert_eq!(world.heard(peer), ["t R QoS 1 retain"]);
            let mut expected = Vec::new();
            let mut heard = Vec::new();
            for round in 0..6 {
                let payload = format!("{round}");
                world.publish(publisher, "t", QoS::AtLeastOnce, &payload);
                expected.push(format!("t {payload} QoS 1"));
                if round % 2 == 0 {
                    world.subscribe(peer, "t", QoS::ExactlyOnce);
                    expected.push("t R QoS 1 retain".into());
                }
                heard.extend(world.heard(peer));
            }
            assert_eq!(heard, expected);
            world.subscribe(peer, "t", QoS::AtMostOnce);
            assert_eq!(world.heard(peer), ["t R retain"]);
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            assert_eq!(world.heard(peer), ["t x"], "one copy, at the new QoS");
        });
    }
}
