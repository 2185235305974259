//! Where two things meet that are simple alone.

use std::time::Duration;

use sansio_mqtt::broker::{DisconnectCause, Overflow};
use sansio_mqtt::{
    Connect, Disconnect, Instant, Packet, Properties, Property, Publish, QoS, ReasonCode,
    Subscription, Version, Will,
};

use crate::words::{lasting, of, options_with, pub_ack, pub_rel, publish, v5, with};
use crate::world::{scenario, scenario_with};

#[test]
fn a_client_whose_own_message_is_too_much_for_it_is_disconnected() {
    for version in Version::ALL {
        let options = options_with(|options| {
            options.maximum_queued_messages = 2;
            options.overflow = Overflow::Disconnect;
        });
        scenario_with(&options, |world| {
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            world.by_hand(peer);
            for value in 1..=3 {
                world.send(peer, publish("t", QoS::AtLeastOnce, value, "x"));
            }
            assert!(world.closed(peer));
            assert_eq!(world.cause(peer), DisconnectCause::QueueFull);
            let sent = world.sent(peer);
            if version.is_v5() {
                assert_eq!(sent.last().unwrap(), "DISCONNECT 0x97 Quota exceeded");
            }
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 2);
        });
    }
}

#[test]
fn one_that_falls_takes_others_along_and_it_ends() {
    let options = options_with(|options| {
        options.maximum_queued_messages = 1;
        options.overflow = Overflow::Disconnect;
    });
    scenario_with(&options, |world| {
        let publisher = world.join(&v5("publisher"));
        let names: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
        let topics: Vec<String> = (0..=10).map(|number| format!("will/{number}")).collect();
        let mut peers = Vec::new();
        // Each hears of the one before it, and cannot take it.
        for number in 0..10 {
            let will = Will {
                topic: &topics[number + 1],
                qos: QoS::AtLeastOnce,
                retain: true,
                payload: b"x",
                ..Will::default()
            };
            let connect = Connect { will: Some(will), ..lasting(Version::V5, &names[number]) };
            let peer = world.join(&connect);
            world.subscribe(peer, &topics[number], QoS::AtLeastOnce);
            world.subscribe(peer, "fill", QoS::AtLeastOnce);
            peers.push(peer);
        }
        for &peer in &peers {
            world.by_hand(peer);
        }
        world.publish(publisher, "fill", QoS::AtLeastOnce, "x");
        world.forget();
        world.publish(publisher, "will/0", QoS::AtLeastOnce, "x");
        for &peer in &peers {
            assert!(world.closed(peer));
        }
        assert_eq!(world.broker.counters().retained_messages, 10, "each has left its Will");
    });
}

#[test]
fn an_identifier_that_is_in_use_harms_no_exchange() {
    // v5 [MQTT-4.3.3-10] [MQTT-4.3.3-11] 3.4.2.1
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            world.send(peer, publish("t", QoS::ExactlyOnce, 5, "x"));
            assert_eq!(world.sent(peer), ["PUBREC #5"]);
            world.send(peer, publish("t", QoS::AtLeastOnce, 5, "y"));
            let sent = world.sent(peer);
            assert!(sent.len() == 1 && sent[0].starts_with("PUBACK #5"), "{sent:?}");
            if version.is_v5() {
                assert_eq!(sent, ["PUBACK #5 0x91 Packet Identifier in use"]);
                assert_eq!(world.heard(watcher), ["t x"]);
            }
            world.send(peer, Publish { dup: true, ..publish("t", QoS::ExactlyOnce, 5, "x") });
            world.send(peer, pub_rel(5));
            assert_eq!(world.sent(peer), ["PUBREC #5", "PUBCOMP #5"]);
            let heard = world.heard(watcher);
            assert!(!heard.contains(&"t x".to_owned()) || version.is_v5() || heard.len() == 2);
        });
    }
}

#[test]
fn a_will_goes_where_its_client_may_publish_and_no_farther() {
    // v5 [U5-4.7.2-1] [MQTT-3.1.4-2]
    let options = options_with(|options| options.maximum_topic_levels = 2);
    for version in Version::ALL {
        for (topic, code) in
            [("$SYS/x", ReasonCode::NOT_AUTHORIZED), ("a/b/c", ReasonCode::TOPIC_NAME_INVALID)]
        {
            scenario_with(&options, |world| {
                let watcher = world.join(&v5("watcher"));
                world.subscribe(watcher, "$SYS/#", QoS::AtMostOnce);
                world.subscribe(watcher, "#", QoS::AtMostOnce);
                let will = Will { topic, payload: b"x", ..Will::default() };
                let peer = world.connect(&Connect { will: Some(will), ..of(version, "a") });
                if version.is_v5() || code.return_code().is_some() {
                    world.refused(peer, code);
                } else {
                    assert!(world.closed(peer), "{topic}");
                    assert_eq!(world.raw(peer), [0; 0], "there is no return code for it");
                }
                world.silent(watcher);
            });
        }
    }
}

#[test]
fn topics_of_the_server_are_open_if_the_options_say_so() {
    // v5 [U5-4.7.2-1]
    let options = options_with(|options| options.clients_may_publish_to_dollar_topics = true);
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let watcher = world.join(&of(version, "watcher"));
            world.subscribe(watcher, "$queue/+", QoS::AtMostOnce);
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let will = Will { topic: "$queue/w", payload: b"x", ..Will::default() };
            let peer = world.join(&Connect { will: Some(will), ..of(version, "a") });
            world.publish(peer, "$queue/x", QoS::AtLeastOnce, "x");
            world.lose(peer);
            assert_eq!(world.heard(watcher), ["$queue/x x", "$queue/w x"]);
        });
    }
}

#[test]
fn the_will_of_a_client_is_its_own_message() {
    // v5 [MQTT-3.8.3-3]: No Local is about the client that published.
    scenario(|world| {
        let will = Will { topic: "w", qos: QoS::AtLeastOnce, payload: b"x", ..Will::default() };
        let connect = Connect { will: Some(will), ..lasting(Version::V5, "a") };
        let peer = world.join(&connect);
        let own = Subscription { no_local: true, ..Subscription::new("w", QoS::AtLeastOnce) };
        world.subscribe_to(peer, &[own]);
        world.lose(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.silent(peer);
    });
}

#[test]
fn the_end_of_time_is_no_trouble() {
    for version in Version::ALL {
        scenario(|world| {
            let list = [Property::SessionExpiryInterval(u32::MAX - 1)];
            world.now = Instant::MAX;
            world.call(|broker, now| broker.handle_timeout(now));
            let will_list = [Property::WillDelayInterval(u32::MAX)];
            let properties =
                if version.is_v5() { Properties::List(&will_list) } else { Properties::NONE };
            let will = Will { topic: "w", properties, ..Will::default() };
            let connect = Connect { keep_alive: 65_535, will: Some(will), ..of(version, "a") };
            let connect = if version.is_v5() { with(connect, &list) } else { connect };
            let peer = world.connect(&connect);
            world.call(|broker, now| broker.handle_timeout(now));
            // There is no time left for anything, and that is no reason to hang.
            let _ = world.packets(peer);
        });
        scenario(|world| {
            world.wait(Duration::from_secs(1 << 43));
            let peer = world.join(&Connect { keep_alive: 10, ..of(version, "a") });
            world.wait_secs(15);
            assert!(world.closed(peer));
        });
    }
}

#[test]
fn whoever_closes_first_is_the_one_who_closes() {
    scenario(|world| {
        // The transport breaks while the last bytes wait.
        let peer = world.join(&v5("a"));
        world.block(peer);
        world.send_bytes(peer, &[0xff, 0x00]);
        assert!(!world.closed(peer));
        world.lose(peer);
        assert!(matches!(world.cause(peer), DisconnectCause::Violation(_)), "and is told once");
        world.wait_secs(100);
        assert_eq!(world.deadline, None);
        assert_eq!(world.broker.counters().connections, 0);
    });
}

#[test]
fn nothing_more_is_heard_of_a_client_that_is_being_closed() {
    // v5 [MQTT-3.14.4-1]
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.subscribe(peer, "#", QoS::AtLeastOnce);
        world.block(peer);
        let connection = world.id(peer);
        let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
        world.call(|broker, now| broker.disconnect(now, connection, &disconnect)).unwrap();
        world.send(peer, publish("t", QoS::AtMostOnce, 0, "x"));
        world.send(peer, Disconnect::default());
        world.silent(watcher);
        // It counts as away already.
        world.publish(watcher, "t", QoS::AtLeastOnce, "y");
        world.unblock(peer);
        world.ended(peer, reason_code);
        let peer = world.join(&lasting(Version::V5, "a"));
        assert_eq!(world.heard(peer), ["t y QoS 1"]);
    });
}

#[test]
fn a_session_of_5_0_goes_on_in_3_1_1_with_all_its_subscriptions() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&lasting(Version::V5, "a"));
        world.subscribe_as(peer, "t", QoS::AtLeastOnce, 7);
        world.subscribe(peer, "$share/g/u", QoS::AtLeastOnce);
        world.leave(peer);
        let peer = world.join(&lasting(Version::V3_1_1, "a"));
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        world.publish(publisher, "u", QoS::AtLeastOnce, "x");
        assert_eq!(world.heard(peer), ["t x QoS 1", "u x QoS 1"]);
        world.leave(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.publish(publisher, "t", QoS::AtMostOnce, "x");
        assert_eq!(world.heard(peer), ["t x {Subscription Identifier=7}"]);
    });
}

#[test]
fn what_has_many_subscriptions_has_many_identifiers() {
    // v5 [MQTT-3.3.4-3] [MQTT-3.3.4-4]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let filters: Vec<String> = (0..64)
            .map(|bits| {
                (0..6)
                    .map(|bit| if bits >> bit & 1 == 1 { "+" } else { "a" })
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .collect();
        for (filter, value) in filters.iter().zip(1..) {
            world.subscribe_as(peer, filter, QoS::AtMostOnce, value * 1_000);
        }
        world.publish(peer, "a/a/a/a/a/a", QoS::AtLeastOnce, "x");
        let packets = world.packets(peer);
        let [only] = &packets[..] else { panic!("{packets:?}") };
        let Packet::Publish(found) = only.packet() else { panic!("{only}") };
        let mut ids: Vec<u32> = found.properties.subscription_identifiers().collect();
        ids.sort_unstable();
        let expected: Vec<u32> = (1..=64).map(|value| value * 1_000).collect();
        assert_eq!(ids, expected);
    });
}

#[test]
fn a_publisher_that_hears_itself_through_a_window_of_one_does_not_wait_for_itself() {
    // v5 [MQTT-3.3.4-10] [MQTT-4.9.0-3]
    scenario(|world| {
        let peer = world.join(&with(v5("a"), &[Property::ReceiveMaximum(1)]));
        world.subscribe(peer, "t", QoS::ExactlyOnce);
        for number in 0..20 {
            world.publish(peer, "t", QoS::ExactlyOnce, &format!("{number}"));
        }
        assert_eq!(world.heard(peer).len(), 20);
    });
}

#[test]
fn a_first_connection_that_waits_for_its_answer_is_not_in_the_way_of_a_second() {
    for version in Version::ALL {
        scenario(|world| {
            world.answer = crate::world::Answer::Later;
            let waiting = world.connect(&lasting(version, "a"));
            world.answer = crate::world::Answer::Accept;
            let second = world.join(&lasting(version, "a"));
            world.silent(second);
            world.wait_secs(10);
            assert!(world.closed(waiting));
            world.silent(second);
        });
    }
}

#[test]
fn an_acknowledgement_before_the_message_is_not_taken_for_it() {
    // v5 [MQTT-4.3.2-3] [MQTT-4.4.0-2]: the identifier is the broker's to give.
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            world.by_hand(peer);
            world.block(peer);
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            // Nothing was sent yet: this belongs to nothing that the client knows.
            world.send(peer, pub_ack(1));
            world.unblock(peer);
            assert_eq!(world.heard(peer), ["t x QoS 1"]);
        });
    }
}

#[test]
fn a_connection_that_is_refused_leaves_the_session_as_it_is() {
    // v5 [MQTT-3.1.3-9] [MQTT-3.1.4-2] [MQTT-4.1.0-2]: neither the Will nor the end is put off.
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "w", QoS::AtMostOnce);
        let (expiry, delay) =
            ([Property::SessionExpiryInterval(10)], [Property::WillDelayInterval(5)]);
        let will = Will {
            topic: "w",
            payload: b"x",
            properties: Properties::List(&delay),
            ..Will::default()
        };
        let peer = world.join(&Connect { will: Some(will), ..with(v5("a"), &expiry) });
        world.lose(peer);
        world.wait_secs(4);
        world.answer = crate::world::Answer::Refuse(ReasonCode::NOT_AUTHORIZED);
        for clean_start in [true, false] {
            let peer = world.connect(&Connect { clean_start, ..v5("a") });
            world.refused(peer, ReasonCode::NOT_AUTHORIZED);
        }
        world.silent(watcher);
        world.wait_secs(1);
        assert_eq!(world.heard(watcher), ["w x"]);
        world.wait_millis(4_999);
        assert!(world.broker.session("a").is_some());
        world.wait_millis(1);
        assert!(world.broker.session("a").is_none());
    });
}

#[test]
fn what_happens_while_the_application_thinks_has_happened() {
    // v5 [MQTT-3.2.2-3] [MQTT-3.1.2-6] [MQTT-3.1.2-8]
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "w", QoS::AtMostOnce);
        let (expiry, delay) =
            ([Property::SessionExpiryInterval(10)], [Property::WillDelayInterval(8)]);
        let will = Will {
            topic: "w",
            payload: b"x",
            properties: Properties::List(&delay),
            ..Will::default()
        };
        let peer = world.join(&Connect { will: Some(will), ..with(v5("a"), &expiry) });
        world.subscribe(peer, "t", QoS::AtLeastOnce);
        world.lose(peer);
        world.wait_secs(7);
        world.answer = crate::world::Answer::Later;
        let peer = world.connect(&lasting(Version::V5, "a"));
        world.wait_secs(2);
        assert_eq!(world.heard(watcher), ["w x"], "nobody was back in time");
        world.wait_secs(2);
        assert!(world.broker.session("a").is_none(), "nor before the session ended");
        world.accept(peer, &sansio_mqtt::broker::Acceptance::default());
        let packet = world.take_connack(peer);
        assert!(!crate::words::conn_ack_of(&packet).session_present);
        let code = world.publish(watcher, "t", QoS::AtLeastOnce, "x");
        assert_eq!(code, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    });
}

#[test]
fn a_place_that_is_taken_in_the_meantime_is_not_given_twice() {
    let options = options_with(|options| options.maximum_sessions = 1);
    for version in Version::ALL {
        scenario_with(&options, |world| {
            world.answer = crate::world::Answer::Later;
            let first = world.connect(&of(version, "a"));
            let second = world.connect(&of(version, "b"));
            let acceptance = sansio_mqtt::broker::Acceptance::default();
            world.accept(second, &acceptance);
            let _ = world.take_connack(second);
            world.accept(first, &acceptance);
            let code = if version.is_v5() {
                ReasonCode::QUOTA_EXCEEDED
            } else {
                ReasonCode::SERVER_UNAVAILABLE
            };
            world.refused(first, code);
            assert!(matches!(world.cause(first), DisconnectCause::Refused(_)));
            world.silent(second);
        });
    }
}

#[test]
fn a_session_changes_hands_between_a_clean_start_and_none() {
    // v5 [MQTT-3.1.2-4] [MQTT-3.1.2-5]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            for round in 0..5 {
                let peer = world.join(&Connect { clean_start: true, ..lasting(version, "a") });
                world.silent(peer);
                world.subscribe(peer, "t", QoS::AtLeastOnce);
                // In 3.x a clean session ends with its connection.
                world.lose(peer);
                let code = world.publish(publisher, "t", QoS::AtLeastOnce, "x");
                let (peer, present) = world.resume(&lasting(version, "a"));
                assert_eq!(present, version.is_v5(), "{round}");
                assert_eq!(code == ReasonCode::SUCCESS, version.is_v5());
                assert_eq!(world.heard(peer).len(), usize::from(version.is_v5()));
                world.leave(peer);
            }
        });
    }
}

#[test]
fn a_message_that_waits_for_one_connection_is_not_sent_by_another() {
    // v5 [MQTT-3.1.3-2], v3.1.1 [MQTT-3.1.3-2]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let names: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
        let mut peers = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let peer = world.join(&lasting(Version::ALL[number % 3], name));
            world.subscribe(peer, &format!("to/{name}"), QoS::ExactlyOnce);
            peers.push(peer);
        }
        // Some go, and others come in their places.
        for (number, &peer) in peers.iter().enumerate().filter(|(number, _)| number % 4 == 0) {
            if number % 8 == 0 {
                world.lose(peer);
            } else {
                world.call(|broker, now| broker.end_session(now, &names[number])).unwrap();
            }
        }
        for number in 0..20 {
            let name = format!("new{number}");
            let peer = world.join(&v5(&name));
            world.subscribe(peer, &format!("to/{name}"), QoS::ExactlyOnce);
            world.publish(publisher, &format!("to/{name}"), QoS::AtLeastOnce, &name);
            assert_eq!(world.heard(peer), [format!("to/{name} {name} QoS 1")]);
        }
        for name in &names {
            world.publish(publisher, &format!("to/{name}"), QoS::AtLeastOnce, name);
        }
        for (number, name) in names.iter().enumerate() {
            let peer = match number % 8 {
                0 => world.join(&lasting(Version::V5, name)),
                4 => continue,
                _ => peers[number],
            };
            assert_eq!(world.heard(peer), [format!("to/{name} {name} QoS 1")]);
        }
    });
}
