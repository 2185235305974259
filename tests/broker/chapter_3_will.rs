//! Wills: MQTT 5.0 §3.1.2.5, §3.1.3.2.

use std::time::Duration;

use sansio_mqtt::broker::Broker;
use sansio_mqtt::{
    Connect, Disconnect, Instant, Properties, Property, Publish, QoS, ReasonCode, Subscription,
    Version, Will,
};

use crate::words::{QOS, lasting, of, options_with, v5, with};
use crate::world::{Answer, Peer, World, scenario, scenario_with};

const WILL: Will<'static> = Will {
    qos: QoS::AtMostOnce,
    retain: false,
    properties: Properties::NONE,
    topic: "w",
    payload: b"gone",
};

/// Somebody who hears of all wills.
fn watcher(world: &mut World) -> Peer {
    let watcher = world.join(&v5("watcher"));
    let all =
        Subscription { retain_as_published: true, ..Subscription::new("#", QoS::ExactlyOnce) };
    world.subscribe_to(watcher, &[all]);
    watcher
}

/// A CONNECT with a Will.
fn willing<'a>(connect: Connect<'a>, will: Will<'a>) -> Connect<'a> {
    Connect { will: Some(will), ..connect }
}

type End = fn(&mut World, Peer);

/// Ways for a connection to end, in which the client has not said that all is well.
const ENDS: [(&str, End); 7] = [
    ("the transport breaks", |world, peer| world.lose(peer)),
    ("the client is silent", |world, _| world.wait_secs(15)),
    ("the client breaks a rule", |world, peer| world.send_bytes(peer, &[0xc1, 0x00])),
    ("the client sends a second CONNECT", |world, peer| {
        world.send(peer, of(world.version(peer), "a"))
    }),
    ("the application disconnects it", |world, peer| {
        let connection = world.id(peer);
        let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
        world.call(|broker, now| broker.disconnect(now, connection, &disconnect)).unwrap();
    }),
    ("another connection takes it over", |world, peer| {
        let version = world.version(peer);
        world.join(&lasting(version, "a"));
    }),
    ("the application ends its session", |world, _| {
        world.call(|broker: &mut Broker, now: Instant| broker.end_session(now, "a")).unwrap();
    }),
];

#[test]
fn a_will_is_published_once_when_a_connection_ends_in_any_way_but_disconnect() {
    // v5 [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-22], v3.1.1 [MQTT-3.1.2-8] [MQTT-3.1.2-24]
    for version in Version::ALL {
        for (why, end) in ENDS {
            for connect in [of(version, "a"), lasting(version, "a")] {
                scenario(|world| {
                    println!("{why}");
                    let watcher = watcher(world);
                    let connect = Connect { keep_alive: 10, ..willing(connect, WILL) };
                    let peer = world.join(&connect);
                    world.wait_secs(5);
                    world.silent(watcher);
                    end(world, peer);
                    assert_eq!(world.heard(watcher), ["w gone"]);
                    world.wait_secs(1_000_000);
                    world.silent(watcher);
                });
            }
        }
    }
}

#[test]
fn disconnect_throws_a_will_away() {
    // v5 [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3], v3.1.1 [MQTT-3.1.2-8] [MQTT-3.1.2-10]
    // [MQTT-3.14.4-3]
    for version in Version::ALL {
        for connect in [of(version, "a"), lasting(version, "a")] {
            scenario(|world| {
                let watcher = watcher(world);
                let peer = world.join(&willing(connect, WILL));
                world.leave(peer);
                world.wait_secs(1_000_000);
                world.silent(watcher);
            });
        }
    }
}

#[test]
fn disconnect_with_any_other_code_leaves_the_will() {
    // v5 [MQTT-3.14.4-3]
    for reason_code in [
        ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
        ReasonCode::UNSPECIFIED_ERROR,
        ReasonCode::PROTOCOL_ERROR,
        ReasonCode::QUOTA_EXCEEDED,
    ] {
        scenario(|world| {
            let watcher = watcher(world);
            let peer = world.join(&willing(v5("a"), WILL));
            world.send(peer, Disconnect { reason_code, ..Disconnect::default() });
            assert!(world.closed(peer));
            assert_eq!(world.heard(watcher), ["w gone"]);
        });
    }
}

#[test]
fn without_a_will_nothing_is_published() {
    // v3.1.1 [MQTT-3.1.2-12], v5 3.1.2.5
    for version in Version::ALL {
        for (why, end) in ENDS {
            scenario(|world| {
                println!("{why}");
                let watcher = watcher(world);
                let peer = world.join(&Connect { keep_alive: 10, ..of(version, "a") });
                end(world, peer);
                world.wait_secs(1_000_000);
                world.silent(watcher);
            });
        }
    }
}

#[test]
fn a_connection_that_was_never_accepted_has_no_will() {
    // v5 [MQTT-3.1.2-7], v3.1.1 [MQTT-3.1.2-8]
    for version in Version::ALL {
        for answer in [Answer::Refuse(ReasonCode::NOT_AUTHORIZED), Answer::Later] {
            scenario(|world| {
                let watcher = watcher(world);
                world.answer = answer;
                let peer = world.connect(&willing(of(version, "a"), WILL));
                if answer == Answer::Later {
                    world.lose(peer);
                }
                world.wait_secs(100);
                world.silent(watcher);
            });
        }
    }
}

#[test]
fn a_will_that_was_published_is_no_more() {
    // v5 [MQTT-3.1.2-10], v3.1.1 [MQTT-3.1.2-10]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = watcher(world);
            let peer = world.join(&willing(lasting(version, "a"), WILL));
            world.lose(peer);
            assert_eq!(world.heard(watcher), ["w gone"]);
            let peer = world.join(&lasting(version, "a"));
            world.lose(peer);
            world.silent(watcher);
            // And one that was thrown away, neither.
            let peer = world.join(&willing(lasting(version, "a"), WILL));
            world.leave(peer);
            let peer = world.join(&lasting(version, "a"));
            world.lose(peer);
            world.silent(watcher);
        });
    }
}

#[test]
fn a_will_is_published_at_its_qos() {
    // v5 [MQTT-3.1.2-7], v3.1.1 [MQTT-3.1.2-8]
    for version in Version::ALL {
        for qos in QOS {
            scenario(|world| {
                let watcher = watcher(world);
                let peer = world.join(&willing(of(version, "a"), Will { qos, ..WILL }));
                world.lose(peer);
                let expected = match qos {
                    QoS::AtMostOnce => "w gone".to_owned(),
                    qos => format!("w gone QoS {qos}"),
                };
                assert_eq!(world.heard(watcher), [expected]);
            });
        }
    }
}

#[test]
fn a_will_is_retained_if_it_says_so() {
    // v5 [MQTT-3.1.2-14] [MQTT-3.1.2-15], v3.1.1 [MQTT-3.1.2-16] [MQTT-3.1.2-17]
    for version in Version::ALL {
        for retain in [false, true] {
            scenario(|world| {
                let watcher = watcher(world);
                let peer = world.join(&willing(of(version, "a"), Will { retain, ..WILL }));
                let before = world.join(&v5("before"));
                world.subscribe(before, "w", QoS::AtMostOnce);
                world.silent(before);
                world.lose(peer);
                assert_eq!(world.heard(before), ["w gone"]);
                let expected = if retain { "w gone retain" } else { "w gone" };
                assert_eq!(world.heard(watcher), [expected], "retain as published");
                let after = world.join(&v5("after"));
                world.subscribe(after, "w", QoS::AtMostOnce);
                assert_eq!(world.heard(after).len(), usize::from(retain));
            });
        }
    }
}

#[test]
fn an_empty_will_that_is_retained_clears_its_topic() {
    // v5 [MQTT-3.1.2-15] [MQTT-3.3.1-6]
    for version in Version::ALL {
        scenario(|world| {
            let peer =
                world.join(&willing(of(version, "a"), Will { retain: true, payload: b"", ..WILL }));
            world.retain(peer, "w", QoS::AtMostOnce, "here");
            assert_eq!(world.broker.counters().retained_messages, 1);
            world.lose(peer);
            assert_eq!(world.broker.counters().retained_messages, 0);
        });
    }
}

#[test]
fn the_properties_of_a_will_go_with_it() {
    // v5 [MQTT-3.1.3-10] [U5-3.1.3.2.4-1]
    let list = [
        Property::WillDelayInterval(0),
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(10),
        Property::ContentType("text/x"),
        Property::ResponseTopic("r"),
        Property::CorrelationData(&[0, 0xff]),
        Property::UserProperty("a", "1"),
        Property::UserProperty("b", "2"),
        Property::UserProperty("a", "3"),
    ];
    scenario(|world| {
        let watcher = watcher(world);
        let will = Will { properties: Properties::List(&list), ..WILL };
        let peer = world.join(&willing(v5("a"), will));
        // Its time begins when it is published.
        world.wait_secs(100);
        world.lose(peer);
        let packets = world.packets(watcher);
        let sansio_mqtt::Packet::Publish(found) = packets[0].packet() else { panic!() };
        let mut left: Vec<String> = list[1..].iter().map(|property| property.to_string()).collect();
        for property in found.properties.iter() {
            let line = property.to_string();
            let index = left.iter().position(|other| *other == line);
            left.remove(index.unwrap_or_else(|| panic!("{line}")));
        }
        assert_eq!(left, [""; 0]);
        let user: Vec<_> = found.properties.user_properties().collect();
        assert_eq!(user, [("a", "1"), ("b", "2"), ("a", "3")]);
    });
}

#[test]
fn a_will_that_is_queued_ages_from_its_publication() {
    // v5 [U5-3.1.3.2.4-1] [MQTT-3.3.2-6]
    scenario(|world| {
        let away = world.join(&lasting(Version::V5, "away"));
        world.subscribe(away, "w", QoS::AtLeastOnce);
        world.leave(away);
        let list = [Property::MessageExpiryInterval(10), Property::WillDelayInterval(20)];
        let will = Will { qos: QoS::AtLeastOnce, properties: Properties::List(&list), ..WILL };
        let peer = world.join(&willing(lasting(Version::V5, "a"), will));
        world.lose(peer);
        world.wait_secs(24);
        let away = world.join(&lasting(Version::V5, "away"));
        assert_eq!(world.heard(away), ["w gone QoS 1 {Message Expiry Interval=6}"]);
    });
}

/// A session that lasts for `expiry`, with a Will that waits for `delay`.
fn delayed<'a>(list: &'a [Property<'a>; 1], delay: &'a [Property<'a>; 1]) -> Connect<'a> {
    let will = Will { properties: Properties::List(delay), ..WILL };
    Connect { clean_start: false, ..willing(with(v5("a"), list), will) }
}

#[test]
fn a_will_waits_for_its_delay_or_the_end_of_the_session() {
    // v5 [MQTT-3.1.2-8] [U5-3.1.3.2.2-1]
    for (expiry, delay, due) in [
        (0, 0, 0),
        (0, 5, 0),
        (2, 5, 2),
        (5, 5, 5),
        (10, 5, 5),
        (u32::MAX, 5, 5),
        (u32::MAX, 0, 0),
        (100, u32::MAX, 100),
    ] {
        scenario(|world| {
            let watcher = watcher(world);
            let (expiry, delay) =
                ([Property::SessionExpiryInterval(expiry)], [Property::WillDelayInterval(delay)]);
            let peer = world.join(&delayed(&expiry, &delay));
            world.wait_secs(50);
            world.lose(peer);
            if due > 0 {
                world.wait_millis(due * 1_000 - 1);
                world.silent(watcher);
                world.wait_millis(1);
            }
            assert_eq!(world.heard(watcher), ["w gone"], "{expiry:?} {delay:?}");
            world.wait_secs(10_000);
            world.silent(watcher);
        });
    }
}

#[test]
fn the_delay_holds_in_every_way_to_end() {
    // v5 [MQTT-3.1.2-8] [U5-3.1.3.2.2-1]
    for (why, end) in ENDS {
        scenario(|world| {
            println!("{why}");
            let watcher = watcher(world);
            let (expiry, delay) =
                ([Property::SessionExpiryInterval(1_000)], [Property::WillDelayInterval(5)]);
            let peer = world.join(&Connect { keep_alive: 10, ..delayed(&expiry, &delay) });
            end(world, peer);
            let at_once = why.contains("ends its session");
            let never = why.contains("takes it over");
            assert_eq!(world.heard(watcher).len(), usize::from(at_once));
            world.wait_millis(4_999);
            world.silent(watcher);
            world.wait_millis(1);
            assert_eq!(world.heard(watcher).len(), usize::from(!at_once && !never));
        });
    }
}

#[test]
fn a_client_that_comes_back_in_time_cancels_its_will() {
    // v5 [MQTT-3.1.3-9] [MQTT-3.1.2-10]
    for (away, published) in [(1_000, 0), (4_999, 0), (5_000, 1), (6_000, 1)] {
        scenario(|world| {
            let watcher = watcher(world);
            let (expiry, delay) =
                ([Property::SessionExpiryInterval(100)], [Property::WillDelayInterval(5)]);
            let peer = world.join(&delayed(&expiry, &delay));
            world.lose(peer);
            world.wait_millis(away);
            let (_, present) = world.resume(&lasting(Version::V5, "a"));
            assert!(present);
            world.wait_secs(1_000);
            assert_eq!(world.heard(watcher).len(), published, "{away}");
        });
    }
}

#[test]
fn a_will_that_waits_is_published_when_a_new_session_takes_the_place_of_the_old() {
    // v5 [MQTT-3.1.2-8] [MQTT-3.1.2-4]
    scenario(|world| {
        let watcher = watcher(world);
        let (expiry, delay) =
            ([Property::SessionExpiryInterval(100)], [Property::WillDelayInterval(5)]);
        let peer = world.join(&delayed(&expiry, &delay));
        world.lose(peer);
        world.wait_secs(1);
        world.silent(watcher);
        world.join(&v5("a"));
        assert_eq!(world.heard(watcher), ["w gone"], "the session ended");
        world.wait_secs(100);
        world.silent(watcher);
    });
}

#[test]
fn a_will_that_waits_is_published_when_the_application_ends_the_session() {
    // v5 [MQTT-3.1.2-8] [U5-3.1.3.2.2-1]
    scenario(|world| {
        let watcher = watcher(world);
        let (expiry, delay) =
            ([Property::SessionExpiryInterval(100)], [Property::WillDelayInterval(5)]);
        let peer = world.join(&delayed(&expiry, &delay));
        world.lose(peer);
        world.wait_secs(1);
        world.call(|broker, now| broker.end_session(now, "a")).unwrap();
        assert_eq!(world.heard(watcher), ["w gone"]);
    });
}

#[test]
fn a_take_over_publishes_the_will_unless_it_waits_and_the_session_goes_on() {
    // v5 [MQTT-3.1.4-3] [MQTT-3.1.2-8] [MQTT-3.1.3-9]
    for (delay, clean_start, published) in
        [(0, false, 1), (0, true, 1), (5, false, 0), (5, true, 1)]
    {
        scenario(|world| {
            let watcher = watcher(world);
            let (expiry, delay) =
                ([Property::SessionExpiryInterval(100)], [Property::WillDelayInterval(delay)]);
            let first = world.join(&delayed(&expiry, &delay));
            let second = world.join(&Connect { clean_start, ..lasting(Version::V5, "a") });
            world.ended(first, ReasonCode::SESSION_TAKEN_OVER);
            world.wait_secs(1_000);
            assert_eq!(world.heard(watcher).len(), published, "{delay:?} {clean_start}");
            world.silent(second);
        });
    }
}

#[test]
fn a_new_connection_has_its_own_will() {
    // v5 [MQTT-3.1.2-7] [MQTT-3.1.3-9]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = watcher(world);
            let first = world.join(&willing(lasting(version, "a"), WILL));
            world.leave(first);
            let own = Will { topic: "other", payload: b"mine", ..WILL };
            let second = world.join(&willing(lasting(version, "a"), own));
            world.lose(second);
            assert_eq!(world.heard(watcher), ["other mine"]);
        });
    }
}

#[test]
fn a_session_that_ends_by_disconnect_takes_a_waiting_will_with_it_or_publishes_it() {
    // v5 [MQTT-3.14.4-3] [U5-3.14.2.2.2-2] [U5-3.1.3.2.2-1]
    for (reason_code, published) in
        [(ReasonCode::SUCCESS, 0), (ReasonCode::DISCONNECT_WITH_WILL_MESSAGE, 1)]
    {
        scenario(|world| {
            let watcher = watcher(world);
            let (expiry, delay) =
                ([Property::SessionExpiryInterval(100)], [Property::WillDelayInterval(5)]);
            let peer = world.join(&delayed(&expiry, &delay));
            let list = [Property::SessionExpiryInterval(0)];
            world.send(peer, Disconnect { reason_code, properties: Properties::List(&list) });
            assert_eq!(world.heard(watcher).len(), published);
            world.wait_secs(1_000);
            world.silent(watcher);
        });
    }
}

#[test]
fn wills_fire_in_the_order_of_their_deadlines() {
    scenario(|world| {
        let watcher = watcher(world);
        let expiry = [Property::SessionExpiryInterval(1_000)];
        let mut peers = Vec::new();
        for (name, delay) in [("c1", 30), ("c2", 10), ("c3", 20)] {
            let delay = [Property::WillDelayInterval(delay)];
            let properties = Properties::List(&delay);
            let will = Will { payload: name.as_bytes(), properties, ..WILL };
            peers.push(world.join(&willing(with(v5(name), &expiry), will)));
        }
        for peer in peers {
            world.lose(peer);
        }
        world.wait_secs(100);
        assert_eq!(world.heard(watcher), ["w c2", "w c3", "w c1"]);
    });
}

#[test]
fn a_will_finds_the_session_of_its_own_client() {
    // v5 3.1.2.5: it is published like any message.
    for version in Version::ALL {
        scenario(|world| {
            let will = Will { qos: QoS::AtLeastOnce, ..WILL };
            let peer = world.join(&willing(lasting(version, "a"), will));
            world.subscribe(peer, "w", QoS::AtLeastOnce);
            world.lose(peer);
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(world.heard(peer), ["w gone QoS 1"]);
            // It is not in front of the client's own messages, and not in their way.
            world.publish(peer, "w", QoS::AtLeastOnce, "back");
            assert_eq!(world.heard(peer), ["w back QoS 1"]);
        });
    }
}

#[test]
fn wills_hold_no_more_than_they_may_together() {
    let options = options_with(|options| options.maximum_will_bytes = 2_000);
    let payload = [b'x'; 1_200];
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let code = if version.is_v5() {
                ReasonCode::QUOTA_EXCEEDED
            } else {
                ReasonCode::SERVER_UNAVAILABLE
            };
            let will = Will { payload: &payload, ..WILL };
            let first = world.join(&willing(lasting(version, "a"), will));
            let second = world.connect(&willing(of(version, "b"), will));
            world.refused(second, code);
            // A small one fits, and the same client may have another in the place of its own.
            let small = world.join(&willing(of(version, "c"), WILL));
            let again = world.join(&willing(lasting(version, "a"), will));
            world.ended(first, ReasonCode::SESSION_TAKEN_OVER);
            world.silent(small);
            // Whether it is thrown away or published, its place is free.
            for end in 0..2 {
                let peer =
                    if end == 0 { again } else { world.join(&willing(of(version, "d"), will)) };
                if end == 0 {
                    world.leave(peer);
                } else {
                    world.lose(peer);
                }
            }
            let second = world.join(&willing(of(version, "b"), will));
            world.silent(second);
        });
    }
    // One that waits for its delay holds as much.
    scenario_with(&options, |world| {
        let (expiry, delay) =
            ([Property::SessionExpiryInterval(100)], [Property::WillDelayInterval(5)]);
        let will = Will { payload: &payload, properties: Properties::List(&delay), ..WILL };
        let peer = world.join(&willing(with(v5("a"), &expiry), will));
        world.lose(peer);
        let second = world.connect(&willing(v5("b"), will));
        world.refused(second, ReasonCode::QUOTA_EXCEEDED);
        world.wait_secs(5);
        let second = world.join(&willing(v5("b"), will));
        world.silent(second);
    });
}

#[test]
fn what_was_due_before_a_client_comes_back_comes_before() {
    // v5 [MQTT-3.1.2-8] [MQTT-3.1.3-9] 3.1.2.11.2: whether the broker was woken for it or not.
    for (expiry, waits, is_published, is_present) in
        [(10, 100, true, false), (1_000, 100, true, true), (1_000, 3, false, true)]
    {
        scenario(|world| {
            let watcher = watcher(world);
            let list = [Property::SessionExpiryInterval(expiry)];
            let delay = [Property::WillDelayInterval(5)];
            let will = Will { properties: Properties::List(&delay), ..WILL };
            let connect = Connect { clean_start: false, ..with(v5("a"), &list) };
            let peer = world.join(&willing(connect, will));
            world.lose(peer);
            // A call tells the broker how late it is, and nobody wakes it.
            let publish = Publish { topic: "clock", ..Publish::default() };
            let late = Duration::from_secs(waits);
            world.call(|broker, now| broker.publish(now + late, &publish)).unwrap();
            let (_, present) = world.resume(&connect);
            assert_eq!(present, is_present, "{expiry} {waits}");
            let heard = world.heard(watcher);
            assert_eq!(heard.iter().any(|line| line == "w gone"), is_published, "{heard:?}");
        });
    }
}
