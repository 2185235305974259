//! SUBSCRIBE, UNSUBSCRIBE and their answers: MQTT 5.0 §3.8 to §3.11.

use sansio_mqtt::client::{CallError, CleanStart, Event, Options};
use sansio_mqtt::{
    Packet, Properties, Property, QoS, ReasonCode, RetainHandling, SubAck, Subscription, UnsubAck,
    Version,
};

use crate::sessions::id_of;
use crate::world::{World, id, of, pub_ack, scenario, sub_ack, v5};

/// What an UNSUBACK says: codes in 5.0, nothing before.
fn unsub_ack<'a>(version: Version, value: u16, codes: &'a [ReasonCode]) -> UnsubAck<'a> {
    UnsubAck::new(id(value), if version.is_v5() { codes } else { &[] })
}

/// Options for a session that lasts.
fn lasting(version: Version) -> Options {
    let mut options = of(version);
    options.clean_start = CleanStart::Never;
    if version.is_v5() {
        options.session_expiry_interval = 1_000;
    }
    options
}

#[test]
fn a_subscription_is_told_with_its_reason_codes() {
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            world.up(of(version), &[]);
            let subscriptions = [
                Subscription::new("a", QoS::ExactlyOnce),
                Subscription::new("b/#", QoS::AtMostOnce),
            ];
            let handle = world
                .call(|client, now| client.subscribe(now, &subscriptions, Properties::NONE))
                .unwrap()
                .get();
            assert_eq!(world.sent(), ["SUBSCRIBE #1 [\"a\" QoS 2, \"b/#\" QoS 0]"]);
            world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1, ReasonCode::UNSPECIFIED_ERROR]));
            // Some may be refused: that is an answer too.
            assert_eq!(world.told(), [format!("subscribed {handle}: 0x01 0x80")]);
            world.silent();
        });
    }
}

#[test]
fn the_end_of_a_subscription_is_told() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let handle = world.unsubscribe("a").get();
            assert_eq!(world.sent(), ["UNSUBSCRIBE #1 [\"a\"]"]);
            world.server(unsub_ack(version, 1, &[ReasonCode::NO_SUBSCRIPTION_EXISTED]));
            let codes = if version.is_v5() { "0x11" } else { "" };
            assert_eq!(world.told(), [format!("unsubscribed {handle}: {codes}")]);
            world.silent();
        });
    }
}

#[test]
fn options_and_properties_of_a_subscription_are_sent_and_those_of_the_answer_told() {
    scenario(|world| {
        world.up(v5(), &[]);
        let subscription = Subscription {
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
            ..Subscription::new("a", QoS::AtLeastOnce)
        };
        let list = [Property::SubscriptionIdentifier(7), Property::UserProperty("k", "v")];
        let properties = Properties::List(&list);
        world.call(|client, now| client.subscribe(now, &[subscription], properties)).unwrap();
        let packets = world.sent_packets();
        let Packet::Subscribe(subscribe) = packets[0].packet() else { panic!("{packets:?}") };
        assert_eq!(subscribe.properties, properties);
        assert_eq!(subscribe.subscriptions.iter().collect::<Vec<_>>(), [subscription]);

        let words = [Property::ReasonString("because")];
        let properties = Properties::List(&words);
        world.server(SubAck { properties, ..sub_ack(1, &[ReasonCode::NOT_AUTHORIZED]) });
        let events = world.events();
        let [Event::Subscribed { result: Ok(answer), .. }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(answer.reason_codes, [ReasonCode::NOT_AUTHORIZED]);
        let packet = answer.packet.as_ref().unwrap();
        let Packet::SubAck(answer) = packet.packet() else { panic!("{packet}") };
        assert_eq!(answer.properties.reason_string(), Some("because"));
    });
}

#[test]
fn an_answer_has_a_code_for_each_filter() {
    // v5 [U5-3.9.3-1]
    for version in Version::ALL {
        for codes in [&[ReasonCode::SUCCESS][..], &[ReasonCode::SUCCESS; 3][..]] {
            scenario(|world| {
                world.up(of(version), &[]);
                let two = [
                    Subscription::new("a", QoS::AtMostOnce),
                    Subscription::new("b", QoS::AtMostOnce),
                ];
                world.call(|client, now| client.subscribe(now, &two, Properties::NONE)).unwrap();
                world.forget().server(sub_ack(1, codes));
                world.blamed(ReasonCode::PROTOCOL_ERROR);
            });
        }
    }
}

#[test]
fn an_answer_to_unsubscribe_has_a_code_for_each_filter_in_5() {
    // v5 [U5-3.11.3-1]
    for codes in [&[ReasonCode::SUCCESS][..], &[ReasonCode::SUCCESS; 3][..]] {
        scenario(|world| {
            world.up(v5(), &[]);
            world
                .call(|client, now| client.unsubscribe(now, &["a", "b"], Properties::NONE))
                .unwrap();
            world.forget().server(UnsubAck::new(id(1), codes));
            world.blamed(ReasonCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn an_answer_that_nothing_waits_for_closes_the_connection() {
    for version in Version::ALL {
        let rows: [(&str, Packet<'_>); 6] = [
            ("nothing", sub_ack(9, &[ReasonCode::SUCCESS]).into()),
            ("nothing", unsub_ack(version, 9, &[ReasonCode::SUCCESS]).into()),
            ("unsubscribe", sub_ack(1, &[ReasonCode::SUCCESS]).into()),
            ("subscribe", unsub_ack(version, 1, &[ReasonCode::SUCCESS]).into()),
            ("publish", sub_ack(1, &[ReasonCode::SUCCESS]).into()),
            ("publish", unsub_ack(version, 1, &[ReasonCode::SUCCESS]).into()),
        ];
        for (before, answer) in rows {
            scenario(|world| {
                world.up(of(version), &[]);
                match before {
                    "subscribe" => drop(world.subscribe("a")),
                    "unsubscribe" => drop(world.unsubscribe("a")),
                    "publish" => drop(world.publish("a", QoS::AtLeastOnce, "x")),
                    _ => {}
                }
                world.forget().server(answer);
                world.blamed(ReasonCode::PROTOCOL_ERROR);
            });
        }
        // The other way round too.
        scenario(|world| {
            world.up(of(version), &[]);
            world.subscribe("a");
            world.forget().server(pub_ack(1));
            world.blamed(ReasonCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn an_answer_that_comes_twice_closes_the_connection() {
    scenario(|world| {
        world.up(v5(), &[]);
        world.subscribe("a");
        world.server(sub_ack(1, &[ReasonCode::SUCCESS])).forget();
        world.server(sub_ack(1, &[ReasonCode::SUCCESS]));
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
}

#[test]
fn an_answer_has_to_come_in_time() {
    for version in Version::ALL {
        for unsubscribe in [false, true] {
            scenario(|world| {
                let mut options = of(version);
                options.keep_alive = 0;
                world.up(options, &[]);
                match unsubscribe {
                    true => world.unsubscribe("a"),
                    false => world.subscribe("a"),
                };
                world.wait_secs(19).forget();
                assert!(!world.closed);
                world.wait_secs(1);
                assert!(world.closed);
                assert_eq!(world.told(), ["disconnected: no answer in time"]);
                let expected = match version.is_v5() {
                    true => vec![format!("DISCONNECT {}", ReasonCode::UNSPECIFIED_ERROR)],
                    false => vec![],
                };
                assert_eq!(world.sent(), expected);
            });
        }
    }
}

#[test]
fn without_an_answer_it_is_asked_for_on_the_next_connection_once() {
    for version in Version::ALL {
        for session_present in [false, true] {
            if session_present && version == Version::V3_1 {
                continue;
            }
            scenario(|world| {
                world.start(lasting(version)).connect(false, &[]);
                let first = world.subscribe("a").get();
                let second = world.unsubscribe("b").get();
                let sent = world.sent().split_off(1);
                assert_eq!(sent.len(), 2);
                world.again(session_present, &[]);
                assert_eq!(world.sent()[1..].len(), 2, "both once more");
                world.forget().lose();
                let told = world.told();
                let lost = "no answer before the connection ended";
                assert!(told.contains(&format!("subscribed {first}: {lost}")), "{told:?}");
                assert!(told.contains(&format!("unsubscribed {second}: {lost}")), "{told:?}");
                world.connect(session_present, &[]);
                assert_eq!(world.sent().len(), 1, "CONNECT alone");
            });
        }
    }
}

#[test]
fn what_was_asked_for_before_the_connection_is_sent_in_the_order_of_the_calls() {
    scenario(|world| {
        world.start(v5());
        world.subscribe("a");
        world.publish("a", QoS::AtLeastOnce, "1");
        world.unsubscribe("a");
        world.publish("a", QoS::AtMostOnce, "2");
        world.subscribe("b");
        world.connect(false, &[]);
        let sent: Vec<String> = world.sent().split_off(1);
        let names: Vec<&str> = sent.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["SUBSCRIBE", "PUBLISH", "UNSUBSCRIBE", "PUBLISH", "SUBSCRIBE"]);
    });
}

#[test]
fn what_the_server_lost_is_subscribed_to_again_if_it_shall_be() {
    for version in [Version::V3_1_1, Version::V5] {
        for resubscribe in [true, false] {
            scenario(|world| {
                let mut options = lasting(version);
                options.resubscribe = resubscribe;
                world.up(options, &[]);
                for (value, filter) in [(1, "a"), (2, "b"), (3, "refused"), (4, "ended")] {
                    world.subscribe(filter);
                    let code = match filter {
                        "refused" => ReasonCode::UNSPECIFIED_ERROR,
                        _ => ReasonCode::GRANTED_QOS_1,
                    };
                    world.server(sub_ack(value, &[code]));
                }
                world.unsubscribe("ended");
                world.server(unsub_ack(version, 5, &[ReasonCode::SUCCESS])).forget();
                // The server still has them.
                world.again(true, &[]);
                assert_eq!(world.sent().len(), 1);
                // It has lost them.
                world.publish("z", QoS::AtMostOnce, "x");
                world.forget().again(false, &[]);
                let sent = world.sent().split_off(1);
                if !resubscribe {
                    assert_eq!(sent, [""; 0]);
                    return;
                }
                assert_eq!(sent.len(), 1, "{sent:?}");
                assert!(sent[0].ends_with("[\"a\" QoS 1, \"b\" QoS 1]"), "{sent:?}");
                let value = sent[0].split(['#', ' ']).nth(2).unwrap().parse().unwrap();
                world.forget();
                world.server(sub_ack(value, &[ReasonCode::GRANTED_QOS_1; 2]));
                assert_eq!(world.told(), ["resubscribed [\"a\", \"b\"]: 0x01 0x01"]);
            });
        }
    }
}

#[test]
fn what_a_session_that_expired_had_is_subscribed_to_again_if_it_shall_be() {
    scenario(|world| {
        let mut options = lasting(Version::V5);
        options.resubscribe = true;
        options.session_expiry_interval = 10;
        world.up(options, &[]);
        world.subscribe("a");
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1])).forget();
        world.lose().wait_secs(20).connect(false, &[]);
        let sent = world.sent().split_off(1);
        assert_eq!(sent.len(), 1, "the server has not got it any more");
        assert!(sent[0].ends_with("[\"a\" QoS 1]"), "{sent:?}");
    });
}

#[test]
fn subscriptions_come_back_with_their_options_and_identifiers() {
    scenario(|world| {
        let mut options = lasting(Version::V5);
        options.resubscribe = true;
        world.up(options, &[]);
        let subscription = Subscription {
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::SendAtSubscribeIfNew,
            ..Subscription::new("a", QoS::ExactlyOnce)
        };
        let list = [Property::SubscriptionIdentifier(7)];
        let properties = Properties::List(&list);
        world.call(|client, now| client.subscribe(now, &[subscription], properties)).unwrap();
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_2])).forget().again(false, &[]);
        let packets = world.sent_packets();
        let Packet::Subscribe(subscribe) = packets[1].packet() else { panic!("{packets:?}") };
        assert_eq!(subscribe.properties, properties);
        assert_eq!(subscribe.subscriptions.iter().collect::<Vec<_>>(), [subscription]);
    });
}

#[test]
fn subscribing_again_does_not_pile_up_while_connections_break() {
    scenario(|world| {
        let mut options = lasting(Version::V5);
        options.resubscribe = true;
        world.up(options, &[]);
        world.subscribe("a");
        world.server(sub_ack(1, &[ReasonCode::GRANTED_QOS_1])).lose();
        for _ in 0..10 {
            // The server accepts, without a session, and the transport takes nothing after CONNECT.
            world.open();
            world.writable = false;
            world.server(sansio_mqtt::ConnAck::default()).lose();
            world.writable = true;
        }
        world.connect(false, &[]).forget();
        world.again(false, &[]);
        let sent = world.sent().split_off(1);
        assert_eq!(sent.len(), 1, "{sent:?}");
    });
}

/// How many subscriptions of 9 bytes there is room for.
fn room_for_subscriptions(world: &mut World) -> usize {
    let (now, one) = (world.now, [Subscription::new("b", QoS::AtLeastOnce)]);
    let subscribe = |_: &usize| {
        let result = world.client().subscribe(now, &one, Properties::NONE);
        assert!(result.is_ok() || result == Err(CallError::QueueFull), "{result:?}");
        result.is_ok()
    };
    let room = (0..10).take_while(subscribe).count();
    world.poll();
    room
}

#[test]
fn subscriptions_that_are_held_are_limited_in_bytes() {
    scenario(|world| {
        let mut options = lasting(Version::V5);
        (options.maximum_held_bytes, options.resubscribe) = (3 * 9 + 7, true);
        world.start(options);
        assert_eq!(room_for_subscriptions(world), 3);
        let now = world.now;
        let too_much = world.client().unsubscribe(now, &["b"], Properties::NONE);
        assert_eq!(too_much, Err(CallError::QueueFull), "of 8 bytes");
        // Messages count by themselves.
        world.publish("a", QoS::AtMostOnce, "123456789");
        world.connect(false, &[]).server(sub_ack(1, &[ReasonCode::SUCCESS]));
        assert_eq!(room_for_subscriptions(world), 1);
        // What is sent again is held on; what is given up is not.
        world.lose();
        assert_eq!(room_for_subscriptions(world), 0);
        world.connect(true, &[]).lose();
        assert_eq!(room_for_subscriptions(world), 3);
        // So is what the server lost, until it has that again.
        world.forget().connect(false, &[]);
        assert_eq!(room_for_subscriptions(world), 0);
        world.lose().forget().connect(false, &[]);
        let ids = world.sent_of("SUBSCRIBE").iter().map(|line| id_of(line)).collect::<Vec<_>>();
        assert_eq!(ids.len(), 4);
        for id in ids {
            world.server(sub_ack(id, &[ReasonCode::SUCCESS]));
        }
        assert_eq!(room_for_subscriptions(world), 3);
    });
}
