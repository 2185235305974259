//! What the broker says it supports, and what becomes of who asks for more: MQTT 5.0 §3.2.2.

use sansio_mqtt::broker::{Acceptance, CallError, DisconnectCause, Violation};
use sansio_mqtt::{
    Connect, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscribe, Subscription,
    Version, Will,
};

use crate::words::{conn_ack_of, lasting, of, options_with, publish, v5, with};
use crate::world::{Answer, Peer, World, scenario, scenario_with};

/// Connects, and looks at the properties of the CONNACK.
fn told<T>(
    world: &mut World,
    connect: &Connect<'_>,
    look: impl FnOnce(Properties<'_>) -> T,
) -> (Peer, T) {
    let (peer, packet) = world.join_with(connect);
    let found = look(conn_ack_of(&packet).properties);
    (peer, found)
}

#[test]
fn a_connack_says_what_a_client_has_to_know_and_nothing_more() {
    // v5 [MQTT-3.1.2-28] [MQTT-4.12.0-6]
    scenario(|world| {
        let (_, found) = told(world, &v5("a"), |properties| {
            properties.iter().map(|property| property.to_string()).collect::<Vec<_>>()
        });
        let mut found = found;
        found.sort();
        assert_eq!(
            found,
            ["Maximum Packet Size=2097152", "Receive Maximum=1024", "Topic Alias Maximum=32"]
        );
    });
}

#[test]
fn a_connack_has_the_limits_of_the_options() {
    // v5 [MQTT-3.2.2-9]
    let options = options_with(|options| {
        options.maximum_packet_size = 1_000;
        options.receive_maximum = 7;
        options.topic_alias_maximum = 5;
        options.maximum_qos = QoS::AtLeastOnce;
        options.retain_available = false;
        options.wildcard_subscription_available = false;
        options.subscription_identifiers_available = false;
        options.shared_subscription_available = false;
        options.maximum_keep_alive = 60;
        options.maximum_session_expiry_interval = 100;
    });
    scenario_with(&options, |world| {
        let (_, ()) = told(world, &lasting(Version::V5, "a"), |found| {
            assert_eq!(found.maximum_packet_size(), Some(1_000));
            assert_eq!(found.receive_maximum(), Some(7));
            assert_eq!(found.topic_alias_maximum(), Some(5));
            assert_eq!(found.maximum_qos(), Some(QoS::AtLeastOnce));
            assert_eq!(found.retain_available(), Some(false));
            assert_eq!(found.wildcard_subscription_available(), Some(false));
            assert_eq!(found.subscription_identifier_available(), Some(false));
            assert_eq!(found.shared_subscription_available(), Some(false));
            assert_eq!(found.server_keep_alive(), Some(60));
            assert_eq!(found.session_expiry_interval(), Some(100));
        });
        // Nothing of it can be said in 3.x.
        for (version, name) in [(Version::V3_1, "b"), (Version::V3_1_1, "c")] {
            let peer = world.join(&of(version, name));
            assert_eq!(world.raw(peer), [0x20, 0x02, 0x00, 0x00]);
        }
    });
}

#[test]
fn limits_that_are_those_of_the_protocol_need_not_be_told() {
    let options = options_with(|options| {
        options.receive_maximum = u16::MAX;
        options.topic_alias_maximum = 0;
    });
    scenario_with(&options, |world| {
        let (_, ()) = told(world, &v5("a"), |found| {
            assert_eq!((found.receive_maximum(), found.topic_alias_maximum()), (None, None));
        });
    });
}

#[test]
fn a_session_is_not_promised_for_longer_than_it_lasts() {
    // v5 3.2.2.3.2
    let options = options_with(|options| options.maximum_session_expiry_interval = 100);
    for (wanted, cap, expected) in [
        (None, u32::MAX, None),
        (Some(0), u32::MAX, None),
        (Some(100), u32::MAX, None),
        (Some(101), u32::MAX, Some(100)),
        (Some(u32::MAX), u32::MAX, Some(100)),
        (Some(50), 40, Some(40)),
        (Some(40), 40, None),
        (Some(500), 200, Some(100)),
        (Some(500), 0, Some(0)),
    ] {
        scenario_with(&options, |world| {
            world.answer = Answer::Later;
            let list = wanted.map(Property::SessionExpiryInterval);
            let peer = world.connect(&with(v5("a"), list.as_slice()));
            let mut acceptance = Acceptance::default();
            acceptance.maximum_session_expiry_interval = cap;
            world.accept(peer, &acceptance);
            let packet = world.take_connack(peer);
            let found = conn_ack_of(&packet).properties.session_expiry_interval();
            assert_eq!(found, expected, "{wanted:?} {cap}");
            let lasts = expected.or(wanted).unwrap_or(0);
            assert_eq!(world.broker.session("a").unwrap().session_expiry_interval, lasts);
            world.lose(peer);
            if lasts > 0 {
                world.wait_millis(u64::from(lasts) * 1_000 - 1);
                assert!(world.broker.session("a").is_some());
                world.wait_millis(1);
            }
            assert!(world.broker.session("a").is_none());
        });
    }
}

#[test]
fn a_keep_alive_that_is_too_long_is_replaced_in_5_0() {
    // v5 [MQTT-3.2.2-22] 3.2.2.3.14
    let options = options_with(|options| options.maximum_keep_alive = 60);
    for (keep_alive, expected) in [(0, Some(60)), (61, Some(60)), (60, None), (30, None)] {
        scenario_with(&options, |world| {
            let connect = Connect { keep_alive, ..v5("a") };
            let (peer, found) = told(world, &connect, |found| found.server_keep_alive());
            assert_eq!(found, expected, "{keep_alive}");
            let lasts = u64::from(expected.unwrap_or(keep_alive)) * 1_500;
            world.wait_millis(lasts - 1);
            world.silent(peer);
            world.wait_millis(1);
            world.ended(peer, ReasonCode::KEEP_ALIVE_TIMEOUT);
        });
    }
}

#[test]
fn response_information_is_for_those_who_ask() {
    // v5 [MQTT-3.1.2-28]
    let options = options_with(|options| options.response_information = Some("responses/".into()));
    for (asked, expected) in
        [(None, None), (Some(false), None), (Some(true), Some("responses/".to_owned()))]
    {
        scenario_with(&options, |world| {
            let list = asked.map(Property::RequestResponseInformation);
            let connect = with(v5("a"), list.as_slice());
            let (_, found) =
                told(world, &connect, |found| found.response_information().map(str::to_owned));
            assert_eq!(found, expected, "{asked:?}");
        });
    }
    scenario(|world| {
        let connect = with(v5("a"), &[Property::RequestResponseInformation(true)]);
        let (_, found) = told(world, &connect, |found| found.response_information().is_some());
        assert!(!found, "there is none");
    });
}

#[test]
fn what_the_application_says_goes_into_the_connack_if_it_is_wanted_and_fits() {
    // v5 [MQTT-3.2.2-19] [MQTT-3.2.2-20]
    let reason = Property::ReasonString("welcome, and stay for as long as you like");
    let user = Property::UserProperty("region", "the one that is nearest to where you are");
    let list = [reason, user];
    for (asked, maximum, expected) in [
        (None, None, &[reason, user][..]),
        (Some(true), None, &[reason, user]),
        (Some(false), None, &[]),
        // 16 bytes without them, 44 of the Reason String.
        (None, Some(60), &[reason]),
        (None, Some(59), &[]),
        (None, Some(16), &[]),
    ] {
        scenario(|world| {
            world.answer = Answer::Later;
            let mut properties = Vec::new();
            properties.extend(asked.map(Property::RequestProblemInformation));
            properties.extend(maximum.map(Property::MaximumPacketSize));
            let peer = world.connect(&with(v5("a"), &properties));
            let mut acceptance = Acceptance::default();
            acceptance.properties = Properties::List(&list);
            world.accept(peer, &acceptance);
            let packet = world.take_connack(peer);
            let found = conn_ack_of(&packet).properties;
            let words: Vec<_> = found.iter().filter(|property| list.contains(property)).collect();
            assert_eq!(words, expected, "{asked:?} {maximum:?}");
            assert!(packet.frame().len() <= maximum.unwrap_or(u32::MAX) as usize);
            world.silent(peer);
        });
    }
}

#[test]
fn a_client_that_takes_no_connack_gets_none() {
    // v5 [MQTT-3.1.2-24]
    for maximum in 1..16 {
        scenario(|world| {
            let peer = world.connect(&with(v5("a"), &[Property::MaximumPacketSize(maximum)]));
            assert!(world.closed(peer), "there is no way to go on");
            for packet in world.packets(peer) {
                assert!(packet.frame().len() <= maximum as usize, "{packet}");
                assert!(conn_ack_of(&packet).reason_code.is_error());
            }
            assert_eq!(world.broker.counters().sessions, 0);
        });
    }
}

#[test]
fn what_is_not_for_the_caller_to_say_is_refused() {
    scenario(|world| {
        world.answer = Answer::Later;
        let peer = world.connect(&v5("a"));
        let connection = world.id(peer);
        for property in [
            Property::ReceiveMaximum(1),
            Property::AssignedClientIdentifier("b"),
            Property::SessionExpiryInterval(1),
            Property::MaximumQoS(QoS::AtMostOnce),
            Property::TopicAliasMaximum(1),
        ] {
            let list = [property];
            let mut acceptance = Acceptance::default();
            acceptance.properties = Properties::List(&list);
            let result = world.call(|broker, now| broker.accept(now, connection, &acceptance));
            assert_eq!(result, Err(CallError::PropertyNotForCaller(property.id())));
        }
        let list = [Property::ContentType("x")];
        let mut acceptance = Acceptance::default();
        acceptance.properties = Properties::List(&list);
        let result = world.call(|broker, now| broker.accept(now, connection, &acceptance));
        assert!(result.is_err(), "it goes into no CONNACK");
        world.silent(peer);
        world.accept(peer, &Acceptance::default());
        let _ = world.take_connack(peer);
        world.silent(peer);
    });
}

#[test]
fn a_will_that_is_not_supported_is_refused() {
    // v5 [MQTT-3.2.2-12] [MQTT-3.2.2-13]
    let qos_0 = options_with(|options| options.maximum_qos = QoS::AtMostOnce);
    let qos_1 = options_with(|options| options.maximum_qos = QoS::AtLeastOnce);
    let not_retained = options_with(|options| options.retain_available = false);
    let will = |qos, retain| Will { qos, retain, topic: "w", payload: b"x", ..Will::default() };
    let (at_most, at_least, exactly) = (QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce);
    for (options, will, expected) in [
        (&qos_0, will(at_most, false), None),
        (&qos_0, will(at_least, false), Some(ReasonCode::QOS_NOT_SUPPORTED)),
        (&qos_0, will(exactly, true), Some(ReasonCode::QOS_NOT_SUPPORTED)),
        (&qos_1, will(at_least, true), None),
        (&qos_1, will(exactly, false), Some(ReasonCode::QOS_NOT_SUPPORTED)),
        (&not_retained, will(exactly, false), None),
        (&not_retained, will(at_most, true), Some(ReasonCode::RETAIN_NOT_SUPPORTED)),
    ] {
        scenario_with(options, |world| {
            let peer = world.connect(&Connect { will: Some(will), ..v5("a") });
            match expected {
                Some(code) => world.refused(peer, code),
                None => {
                    let _ = world.take_connack(peer);
                    world.silent(peer);
                }
            }
            // There is no return code for it in 3.x, and there is a connection or there is none.
            let peer = world.connect(&Connect { will: Some(will), ..of(Version::V3_1_1, "b") });
            assert_eq!(world.closed(peer), expected.is_some());
            assert_eq!(world.broker.session("b").is_some(), expected.is_none());
        });
    }
}

#[test]
fn a_will_above_what_the_application_grants_is_refused() {
    // v5 [MQTT-3.2.2-12]
    for (granted, code) in
        [(QoS::AtMostOnce, Some(ReasonCode::QOS_NOT_SUPPORTED)), (QoS::AtLeastOnce, None)]
    {
        scenario(|world| {
            let old = world.join(&lasting(Version::V5, "a"));
            world.answer = Answer::Later;
            let will = Will { qos: QoS::AtLeastOnce, topic: "w", ..Will::default() };
            let peer = world.connect(&Connect { will: Some(will), ..v5("a") });
            let mut acceptance = Acceptance::default();
            acceptance.maximum_qos = granted;
            world.accept(peer, &acceptance);
            match code {
                Some(code) => {
                    world.refused(peer, code);
                    assert_eq!(world.cause(peer), DisconnectCause::Refused(code));
                    world.silent(old);
                }
                None => {
                    let _ = world.take_connack(peer);
                    world.silent(peer);
                }
            }
        });
    }
}

#[test]
fn a_will_that_would_wait_for_too_long_is_refused() {
    let options = options_with(|options| options.maximum_will_delay_interval = 60);
    for (delay, fits) in [(None, true), (Some(0), true), (Some(60), true), (Some(61), false)] {
        scenario_with(&options, |world| {
            let list = delay.map(Property::WillDelayInterval);
            let properties = Properties::List(list.as_slice());
            let will = Will { topic: "w", properties, ..Will::default() };
            let peer = world.connect(&Connect { will: Some(will), ..v5("a") });
            if fits {
                let _ = world.take_connack(peer);
                world.silent(peer);
            } else {
                world.refused(peer, ReasonCode::QUOTA_EXCEEDED);
            }
        });
    }
}

#[test]
fn a_message_above_the_maximum_qos_ends_the_connection() {
    // v5 [U5-3.2.2.3.4-2]
    for (maximum, qos) in [
        (QoS::AtMostOnce, QoS::AtLeastOnce),
        (QoS::AtMostOnce, QoS::ExactlyOnce),
        (QoS::AtLeastOnce, QoS::ExactlyOnce),
    ] {
        let options = options_with(|options| options.maximum_qos = maximum);
        scenario_with(&options, |world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe_to(watcher, &[Subscription::new("#", QoS::ExactlyOnce)]);
            let peer = world.join(&v5("a"));
            world.publish(peer, "a", maximum, "in order");
            assert_eq!(world.heard(watcher).len(), 1);
            world.send(peer, publish("a", qos, 100, "too high"));
            world.ended(peer, ReasonCode::QOS_NOT_SUPPORTED);
            let cause = world.cause(peer);
            assert_eq!(cause, Violation::QoSNotSupported(qos).into());
            world.silent(watcher);
        });
        // The application may say so of one client.
        scenario(|world| {
            world.answer = Answer::Later;
            let peer = world.connect(&v5("a"));
            let mut acceptance = Acceptance::default();
            acceptance.maximum_qos = maximum;
            world.accept(peer, &acceptance);
            let packet = world.take_connack(peer);
            assert_eq!(conn_ack_of(&packet).properties.maximum_qos(), Some(maximum));
            world.send(peer, publish("a", qos, 100, "too high"));
            world.ended(peer, ReasonCode::QOS_NOT_SUPPORTED);
        });
    }
}

#[test]
fn any_qos_can_be_asked_for_and_the_one_that_there_is_is_granted() {
    // v5 [MQTT-3.2.2-10] [MQTT-3.8.4-7]
    for maximum in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let options = options_with(|options| options.maximum_qos = maximum);
        for version in Version::ALL {
            scenario_with(&options, |world| {
                let peer = world.join(&of(version, "a"));
                let list = [
                    Subscription::new("a", QoS::AtMostOnce),
                    Subscription::new("b", QoS::AtLeastOnce),
                    Subscription::new("c", QoS::ExactlyOnce),
                ];
                let codes = world.subscribe_to(peer, &list);
                let granted = ReasonCode::new(maximum.get());
                assert_eq!(codes, [ReasonCode::GRANTED_QOS_0, granted, granted]);
            });
        }
    }
}

#[test]
fn a_message_to_be_retained_ends_the_connection_where_none_are() {
    // v5 [U5-3.2.2.3.5-2]
    let options = options_with(|options| options.retain_available = false);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario_with(&options, |world| {
            let peer = world.join(&v5("a"));
            world.publish(peer, "a", qos, "in order");
            world.send(peer, Publish { retain: true, ..publish("a", qos, 100, "x") });
            world.ended(peer, ReasonCode::RETAIN_NOT_SUPPORTED);
            assert_eq!(world.cause(peer), Violation::RetainNotSupported.into());
            assert_eq!(world.broker.counters().retained_messages, 0);
        });
    }
}

#[test]
fn subscriptions_that_are_not_supported_end_the_connection_in_5_0() {
    // v5 [U5-3.2.2.3.11-1] [U5-3.2.2.3.12-1] [U5-3.2.2.3.13-1]
    let wildcards = options_with(|options| options.wildcard_subscription_available = false);
    let identifiers = options_with(|options| options.subscription_identifiers_available = false);
    let shared = options_with(|options| options.shared_subscription_available = false);
    let identifier: &[Property<'_>] = &[Property::SubscriptionIdentifier(1)];
    for (options, filter, properties, code) in [
        (&wildcards, "a/#", &[][..], ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED),
        (&wildcards, "+", &[], ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED),
        (&wildcards, "$share/g/+/a", &[], ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED),
        (&identifiers, "a", identifier, ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED),
        (&shared, "$share/g/a", &[], ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED),
    ] {
        scenario_with(options, |world| {
            let peer = world.join(&v5("a"));
            world.subscribe(peer, "plain", QoS::AtMostOnce);
            let list = [
                Subscription::new("b", QoS::AtMostOnce),
                Subscription::new(filter, QoS::AtMostOnce),
            ];
            let packet_id = world.next_id(peer);
            let properties = Properties::List(properties);
            let subscribe = Subscribe::new(packet_id, &list);
            world.send(peer, Subscribe { properties, ..subscribe });
            world.ended(peer, code);
            assert_eq!(world.broker.counters().subscriptions, 0, "the session is gone");
        });
    }
}

#[test]
fn wildcards_that_are_not_supported_are_a_failure_in_3_1_1() {
    // v3.1.1 [MQTT-3.8.3-2]
    let options = options_with(|options| options.wildcard_subscription_available = false);
    scenario_with(&options, |world| {
        let peer = world.join(&of(Version::V3_1_1, "a"));
        let list = ["a/#", "a", "+/a"].map(|filter| Subscription::new(filter, QoS::AtMostOnce));
        let codes = world.subscribe_to(peer, &list);
        let failure = ReasonCode::UNSPECIFIED_ERROR;
        assert_eq!(codes, [failure, ReasonCode::SUCCESS, failure]);
        world.publish(peer, "a/a", QoS::AtMostOnce, "x");
        world.publish(peer, "a", QoS::AtMostOnce, "x");
        assert_eq!(world.heard(peer), ["a x"]);
    });
}

#[test]
fn dollar_share_is_an_ordinary_filter_before_5_0() {
    // v5 4.8.2
    let options = options_with(|options| options.shared_subscription_available = false);
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario_with(&options, |world| {
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "$share/g/a", QoS::AtMostOnce);
            world.publish(peer, "a", QoS::AtMostOnce, "x");
            world.silent(peer);
            world
                .call(|broker, now| {
                    broker.publish(now, &publish("$share/g/a", QoS::AtMostOnce, 0, "y"))
                })
                .unwrap();
            assert_eq!(world.heard(peer), ["$share/g/a y"]);
        });
    }
}

#[test]
fn a_packet_that_is_too_large_ends_the_connection() {
    // v5 [U5-3.2.2.3.6-2] [MQTT-4.13.1-1]
    let options = options_with(|options| options.maximum_packet_size = 100);
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            let properties = usize::from(version.is_v5());
            let payload = "x".repeat(100 - 2 - 3 - properties);
            world.publish(peer, "a", QoS::AtMostOnce, &payload);
            assert_eq!(world.heard(watcher).len(), 1);
            world.silent(peer);
            world.publish(peer, "a", QoS::AtMostOnce, &(payload + "x"));
            world.ended(peer, ReasonCode::PACKET_TOO_LARGE);
            world.silent(watcher);
        });
    }
    // It is not waited for.
    scenario_with(&options, |world| {
        let peer = world.join(&v5("a"));
        world.send_bytes(peer, b"\x30\x63");
        world.ended(peer, ReasonCode::PACKET_TOO_LARGE);
    });
}

#[test]
fn a_connect_that_is_too_large_is_not_waited_for() {
    let options = options_with(|options| options.maximum_connect_size = 200);
    for version in [Version::V3_1_1, Version::V5] {
        scenario_with(&options, |world| {
            let size = Packet::from(of(version, "")).encoded_len(version).unwrap() + 1;
            let fitting = world.connect(&of(version, &"a".repeat(200 - size)));
            let _ = world.take_connack(fitting);
            let peer = world.connect(&of(version, &"a".repeat(201 - size)));
            assert!(world.closed(peer));
            for packet in world.packets(peer) {
                assert_eq!(conn_ack_of(&packet).reason_code, ReasonCode::PACKET_TOO_LARGE);
            }
            // Once connected a packet can be larger.
            world.publish(fitting, "a", QoS::AtMostOnce, &"x".repeat(1_000));
            world.silent(fitting);
            let peer = world.open(version);
            world.send_bytes(peer, b"\x10\xff\xff\xff\x7f");
            assert!(world.closed(peer), "what is announced is enough");
        });
    }
}

#[test]
fn there_are_no_more_connections_than_there_may_be() {
    let options = options_with(|options| options.maximum_connections = 2);
    scenario_with(&options, |world| {
        let first = world.open(Version::V5);
        let second = world.join(&v5("b"));
        let one_more = world.call(|broker, now| broker.transport_opened(now));
        assert_eq!(one_more, Err(CallError::TooManyConnections));
        world.lose(first);
        let third = world.join(&v5("c"));
        let one_more = world.call(|broker, now| broker.transport_opened(now));
        assert_eq!(one_more, Err(CallError::TooManyConnections));
        world.leave(second);
        world.join(&v5("d"));
        world.silent(third);
    });
}

#[test]
fn there_are_no_more_sessions_than_there_may_be() {
    let options = options_with(|options| options.maximum_sessions = 2);
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let code = if version.is_v5() {
                ReasonCode::QUOTA_EXCEEDED
            } else {
                ReasonCode::SERVER_UNAVAILABLE
            };
            let first = world.join(&lasting(version, "a"));
            world.leave(first);
            let second = world.join(&of(version, "b"));
            let third = world.connect(&of(version, "c"));
            world.refused(third, code);
            // Who has a session is not one more, with it or with a new one.
            let first = world.join(&lasting(version, "a"));
            world.leave(first);
            let first = world.join(&of(version, "a"));
            world.silent(second);
            world.leave(first);
            world.join(&of(version, "c"));
            assert_eq!(world.broker.counters().sessions, 2);
        });
    }
}

#[test]
fn a_connection_refused_for_its_will_takes_nobody_over() {
    // v5 [MQTT-3.2.2-12] [MQTT-3.1.4-3]
    let options = options_with(|options| options.maximum_qos = QoS::AtMostOnce);
    scenario_with(&options, |world| {
        let first = world.join(&lasting(Version::V5, "a"));
        let will = Will { qos: QoS::AtLeastOnce, topic: "w", ..Will::default() };
        let second = world.connect(&Connect { will: Some(will), ..v5("a") });
        world.refused(second, ReasonCode::QOS_NOT_SUPPORTED);
        world.silent(first);
    });
}
