//! Who may do what, with the rights of the moment: MQTT 5.0 §5.4.2.

use std::sync::{Arc, Mutex};

use sansio_mqtt::broker::{Acceptance, Authorizer, Broker, Client, Decision, Forwarded, Output};
use sansio_mqtt::{
    Connect, Instant, Property, Publish, QoS, ReasonCode, Subscription, Version, Will,
};

use crate::rights::Act;
use crate::words::{QOS, lasting, of, options, options_with, publish, v5};
use crate::world::{Answer, scenario, scenario_with};

#[test]
fn what_a_client_may_not_publish_is_acknowledged_and_not_passed_on() {
    // v5 3.4.2.1, v3.1.1 [MQTT-3.3.5-2]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::ExactlyOnce);
            let peer = world.join(&of(version, "a"));
            world.rights.deny(Act::Publish, "a", "secret");
            for qos in QOS {
                for _ in 0..2 {
                    let code = world.retain(peer, "secret", qos, "x");
                    let expected = if version.is_v5() && qos > QoS::AtMostOnce {
                        ReasonCode::NOT_AUTHORIZED
                    } else {
                        ReasonCode::SUCCESS
                    };
                    assert_eq!(code, expected);
                    world.silent(peer);
                }
            }
            world.silent(watcher);
            let counters = world.broker.counters();
            assert_eq!((counters.retained_messages, counters.refused), (0, 6));
            // It may be that it may later.
            world.rights.allow(Act::Publish, "a", "secret");
            world.publish(peer, "secret", QoS::AtLeastOnce, "x");
            assert_eq!(world.heard(watcher), ["secret x QoS 1"]);
        });
    }
}

#[test]
fn what_is_behind_an_alias_is_asked_for_by_its_name() {
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.join(&v5("a"));
        let list = [Property::TopicAlias(1)];
        let properties = sansio_mqtt::Properties::List(&list);
        world.rights.asked();
        world.send(peer, Publish { properties, ..publish("t", QoS::AtMostOnce, 0, "x") });
        world.rights.deny(Act::Publish, "a", "t");
        world.send(peer, Publish { properties, ..publish("", QoS::AtMostOnce, 0, "y") });
        assert_eq!(world.heard(watcher), ["t x"]);
        let asked = world.rights.asked();
        assert_eq!(asked, ["Publish a t", "Deliver watcher t by a", "Publish a t"]);
    });
}

#[test]
fn a_repetition_of_what_was_refused_is_asked_for_again() {
    // v3.1.1 [MQTT-4.3.3-2] [MQTT-3.3.5-2]: in 3.x a refusal is acknowledged like anything else.
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            world.rights.deny(Act::Publish, "a", "t");
            world.send(peer, publish("t", QoS::ExactlyOnce, 1, "x"));
            world.rights.allow(Act::Publish, "a", "t");
            world.send(peer, Publish { dup: true, ..publish("t", QoS::ExactlyOnce, 1, "x") });
            assert_eq!(world.sent(peer), ["PUBREC #1"; 2]);
            world.send(peer, crate::words::pub_rel(1));
            assert_eq!(world.sent(peer), ["PUBCOMP #1"]);
            world.silent(watcher);
        });
    }
}

#[test]
fn what_a_client_may_not_subscribe_to_is_a_failure_in_the_suback() {
    // v5 [MQTT-3.8.4-7] [MQTT-3.9.3-1], v3.1.1 [MQTT-3.8.4-5] [MQTT-3.9.3-1]
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.retain(peer, "secret/1", QoS::AtMostOnce, "x");
            world.rights.deny(Act::Subscribe, "a", "secret/#");
            world.rights.deny(Act::Subscribe, "a", "$share/g/secret");
            world.rights.asked();
            let list = ["secret/#", "open", "$share/g/secret"]
                .map(|filter| Subscription::new(filter, QoS::AtLeastOnce));
            let codes = world.subscribe_to(peer, &list);
            let failure = if version.is_v5() {
                ReasonCode::NOT_AUTHORIZED
            } else {
                ReasonCode::UNSPECIFIED_ERROR
            };
            assert_eq!(codes, [failure, ReasonCode::GRANTED_QOS_1, failure]);
            let expected =
                ["Subscribe a secret/#", "Subscribe a open", "Subscribe a $share/g/secret"];
            assert_eq!(world.rights.asked(), expected);
            world.silent(peer);
            // One that was made before stays as it was.
            world.subscribe(peer, "mine", QoS::AtLeastOnce);
            world.rights.deny(Act::Subscribe, "a", "mine");
            let list = [Subscription::new("mine", QoS::AtMostOnce)];
            assert_eq!(world.subscribe_to(peer, &list), [failure]);
            world.publish(peer, "mine", QoS::AtLeastOnce, "x");
            assert_eq!(world.heard(peer), ["mine x QoS 1"]);
        });
    }
}

#[test]
fn a_subscription_that_is_refused_is_granted_in_vain_in_3_1() {
    scenario(|world| {
        let peer = world.join(&of(Version::V3_1, "a"));
        world.rights.deny(Act::Subscribe, "a", "secret");
        let list = [Subscription::new("secret", QoS::AtMostOnce)];
        let packet_id = world.next_id(peer);
        world.send(peer, sansio_mqtt::Subscribe::new(packet_id, &list));
        let publisher = world.join(&v5("publisher"));
        let code = world.publish(publisher, "secret", QoS::AtLeastOnce, "x");
        assert_eq!(code, ReasonCode::NO_MATCHING_SUBSCRIBERS);
        // 3.1 has no failure in its SUBACK: it is granted in vain.
        assert_eq!(world.sent(peer), ["SUBACK #1 [QoS 0]"]);
        assert!(!world.closed(peer));
    });
}

#[test]
fn a_will_that_a_client_may_not_have_is_refused() {
    // v5 [MQTT-3.1.4-2], v3.1.1 [MQTT-3.2.2-5]
    let will = Will { topic: "secret", ..Will::default() };
    for version in Version::ALL {
        scenario(|world| {
            world.rights.deny(Act::Will, "a", "secret");
            let old = world.join(&lasting(version, "a"));
            world.rights.asked();
            let peer = world.connect(&Connect { will: Some(will), ..of(version, "a") });
            assert_eq!(world.rights.asked(), ["Will a secret"]);
            world.refused(peer, ReasonCode::NOT_AUTHORIZED);
            world.silent(old);
            world.rights.allow(Act::Will, "a", "secret");
            world.join(&Connect { will: Some(will), ..of(version, "a") });
            world.ended(old, ReasonCode::SESSION_TAKEN_OVER);
        });
    }
}

#[test]
fn a_right_that_is_taken_away_bites_at_the_next_message() {
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&of(version, "a"));
            let other = world.join(&of(version, "b"));
            for peer in [peer, other] {
                world.subscribe(peer, "#", QoS::ExactlyOnce);
            }
            world.rights.deny(Act::Deliver, "a", "t");
            for qos in QOS {
                world.publish(publisher, "t", qos, "x");
                world.publish(publisher, "u", qos, "x");
            }
            assert_eq!(world.heard(peer), ["u x", "u x QoS 1", "u x QoS 2"]);
            assert_eq!(world.heard(other).len(), 6);
            assert_eq!(world.broker.counters().withheld, 3);
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
            world.rights.allow(Act::Deliver, "a", "t");
            world.publish(publisher, "t", QoS::AtLeastOnce, "y");
            assert_eq!(world.heard(peer), ["t y QoS 1"]);
        });
    }
}

#[test]
fn what_is_withheld_takes_no_place_in_the_window() {
    // v5 [MQTT-4.9.0-1]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&crate::words::with(v5("a"), &[Property::ReceiveMaximum(1)]));
        world.subscribe(peer, "#", QoS::ExactlyOnce);
        world.rights.deny(Act::Deliver, "a", "t");
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce] {
            world.publish(publisher, "t", qos, "x");
        }
        world.publish(publisher, "u", QoS::AtLeastOnce, "x");
        assert_eq!(world.heard(peer), ["u x QoS 1"]);
    });
}

#[test]
fn a_right_is_asked_for_when_a_message_is_about_to_be_sent() {
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "#", QoS::AtLeastOnce);
            world.leave(peer);
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            world.publish(publisher, "u", QoS::AtLeastOnce, "x");
            // It is taken away while the message waits.
            world.rights.deny(Act::Deliver, "a", "t");
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(world.heard(peer), ["u x QoS 1"]);
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
        });
    }
}

#[test]
fn what_was_sent_is_sent_again_whatever_the_rights_are() {
    // v5 [MQTT-4.4.0-1], v3.1.1 [MQTT-4.4.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "#", QoS::AtLeastOnce);
            world.by_hand(peer);
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            world.lose(peer);
            world.rights.deny(Act::Deliver, "a", "t");
            world.rights.asked();
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(world.heard(peer), ["t x QoS 1 dup"]);
            assert_eq!(world.rights.asked(), [""; 0]);
        });
    }
}

#[test]
fn a_retained_message_is_asked_for_when_it_is_replayed() {
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            world.retain(publisher, "t", QoS::AtMostOnce, "x");
            world.retain(publisher, "u", QoS::AtMostOnce, "x");
            let peer = world.join(&of(version, "a"));
            world.rights.deny(Act::Replay, "a", "t");
            world.rights.asked();
            world.subscribe(peer, "+", QoS::AtMostOnce);
            assert_eq!(world.heard(peer), ["u x retain"]);
            let mut asked = world.rights.asked();
            asked.retain(|line| line.starts_with("Replay"));
            asked.sort();
            assert_eq!(asked, ["Replay a t by publisher", "Replay a u by publisher"]);
            // What comes now is no replay.
            world.publish(publisher, "t", QoS::AtMostOnce, "y");
            assert_eq!(world.heard(peer), ["t y"]);
        });
    }
}

#[test]
fn the_publisher_of_a_retained_message_is_known_after_it_is_gone() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        world.retain(publisher, "t", QoS::AtMostOnce, "x");
        world.leave(publisher);
        let message = Publish { retain: true, ..publish("u", QoS::AtMostOnce, 0, "x") };
        world.call(|broker, now| broker.publish(now, &message)).unwrap();
        let will = Will { topic: "w", retain: true, payload: b"x", ..Will::default() };
        let dying = world.join(&Connect { will: Some(will), ..v5("dying") });
        world.lose(dying);
        let peer = world.join(&v5("a"));
        world.rights.asked();
        world.subscribe(peer, "#", QoS::AtMostOnce);
        assert_eq!(world.heard(peer).len(), 3);
        let mut asked = world.rights.asked();
        asked.retain(|line| line.starts_with("Replay"));
        asked.sort();
        let expected =
            ["Replay a t by publisher", "Replay a u by application", "Replay a w by dying"];
        assert_eq!(asked, expected);
    });
}

#[test]
fn a_member_of_a_group_that_may_not_hear_a_message_does_not_hear_it() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&v5("a"));
        world.subscribe(peer, "$share/g/t", QoS::AtLeastOnce);
        world.rights.deny(Act::Deliver, "a", "t");
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        world.silent(peer);
        assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
    });
}

#[test]
fn the_application_is_asked_about_its_own_messages_at_delivery_only() {
    scenario(|world| {
        let peer = world.join(&v5("a"));
        world.subscribe(peer, "#", QoS::AtMostOnce);
        world.rights.asked();
        world
            .call(|broker, now| broker.publish(now, &publish("t", QoS::AtMostOnce, 0, "x")))
            .unwrap();
        assert_eq!(world.rights.asked(), ["Deliver a t by application"]);
    });
}

#[test]
fn a_client_is_known_by_its_identity_or_its_user_name() {
    for (identity, user_name, expected) in [
        (None, None, "Publish a t"),
        (None, Some("bob"), "Publish a as bob t"),
        (Some("alice"), None, "Publish a as alice t"),
        (Some("alice"), Some("bob"), "Publish a as alice t"),
        (Some("#"), Some("+/x"), "Publish a as # t"),
    ] {
        for version in Version::ALL {
            scenario(|world| {
                world.answer = Answer::Later;
                let peer = world.connect(&Connect { user_name, ..of(version, "a") });
                let mut acceptance = Acceptance::default();
                acceptance.identity = identity;
                world.accept(peer, &acceptance);
                world.forget();
                world.publish(peer, "t", QoS::AtMostOnce, "x");
                assert_eq!(world.rights.asked(), [expected]);
                let info = world.broker.session("a").unwrap();
                assert_eq!(info.client.identity.as_deref(), identity.or(user_name));
            });
        }
    }
}

#[test]
fn a_session_that_somebody_else_goes_on_with_is_that_of_the_new_identity() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&Connect { user_name: Some("old"), ..lasting(Version::V5, "a") });
        world.subscribe(peer, "t", QoS::AtLeastOnce);
        world.leave(peer);
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        world.rights.asked();
        world.join(&Connect { user_name: Some("new"), ..lasting(Version::V5, "a") });
        assert_eq!(world.rights.asked(), ["Deliver a as new t by publisher"]);
    });
}

#[test]
fn an_expired_or_oversized_message_is_not_asked_for() {
    let options = options_with(|options| options.maximum_topic_levels = 2);
    scenario_with(&options, |world| {
        let peer = world.join(&v5("a"));
        world.rights.asked();
        world.publish(peer, "t/t/t", QoS::AtMostOnce, "x");
        assert_eq!(world.rights.asked(), [""; 0]);
    });
}

/// Says yes to all but one client's deliveries, and nothing about replays.
struct Deliveries(Arc<Mutex<Vec<String>>>);

impl Authorizer for Deliveries {
    fn deliver(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        self.0.lock().unwrap().push(message.topic.into());
        if &*client.client_id == "denied" { Decision::Deny } else { Decision::Allow }
    }
}

#[test]
fn who_may_not_be_sent_a_message_is_not_sent_it_from_what_is_retained() {
    // By default a replay is a delivery.
    let asked = Arc::default();
    let mut broker = Broker::new(options(), Box::new(Deliveries(Arc::clone(&asked))));
    let now = Instant::from_micros(0);
    let message = Publish { retain: true, ..publish("t", QoS::AtMostOnce, 0, "x") };
    let _ = broker.publish(now, &message).unwrap();
    let connection = broker.transport_opened(now).unwrap();
    let mut bytes = bytes::BytesMut::from(
        &b"\x10\x12\x00\x04MQTT\x04\x02\x00\x00\x00\x06denied\x82\x06\x00\x01\x00\x01t\x00"[..],
    );
    let _ = broker.receive(now, connection, &mut bytes);
    let mut out = sansio_mqtt::Outgoing::new();
    loop {
        match broker.poll_output() {
            Output::Event(sansio_mqtt::broker::Event::Connect { connection, .. }) => {
                broker.accept(now, connection, &Acceptance::default()).unwrap();
            }
            Output::Resume(connection) => {
                let _ = broker.receive(now, connection, &mut bytes);
            }
            Output::Transmit(connection) => {
                let _ = broker.transmit(now, connection, usize::MAX, &mut out);
            }
            Output::Timeout(_) => break,
            _ => {}
        }
    }
    assert_eq!(*asked.lock().unwrap(), ["t"]);
    assert_eq!(bytes::Buf::chunk(&out), b"\x20\x02\x00\x00\x90\x03\x00\x01\x00");
}
