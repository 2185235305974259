//! Sessions: MQTT 5.0 §3.1.2.4, §3.1.2.11.2, §3.1.4, §4.1.

use std::time::Duration;

use sansio_mqtt::broker::DisconnectCause;
use sansio_mqtt::{Connect, Packet, Property, QoS, ReasonCode, Version};

use crate::words::{lasting, of, options_with, v5, with};
use crate::world::{scenario, scenario_with};

/// Versions whose CONNACK tells of a session.
const TELLING: [Version; 2] = [Version::V3_1_1, Version::V5];

#[test]
fn a_session_goes_on_with_what_came_in_between() {
    // v5 [MQTT-3.1.2-5] [MQTT-3.2.2-3] [MQTT-3.2.0-1] [MQTT-4.5.0-1] [MQTT-3.1.2-23],
    // v3.1.1 [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.2.2-2] [MQTT-3.2.0-1] [MQTT-4.5.0-1]
    // [MQTT-4.1.0-1]
    for version in Version::ALL {
        for by_disconnect in [true, false] {
            scenario(|world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&lasting(version, "a"));
                world.subscribe(peer, "t/+", QoS::ExactlyOnce);
                if by_disconnect {
                    world.leave(peer);
                } else {
                    world.lose(peer);
                }
                for (qos, payload) in
                    [(QoS::AtLeastOnce, "1"), (QoS::ExactlyOnce, "2"), (QoS::AtLeastOnce, "3")]
                {
                    world.publish(publisher, "t/x", qos, payload);
                }
                world.wait_secs(1_000_000);
                // The CONNACK is in front of it all.
                let (peer, present) = world.resume(&lasting(version, "a"));
                assert_eq!(present, version != Version::V3_1);
                assert_eq!(world.heard(peer), ["t/x 1 QoS 1", "t/x 2 QoS 2", "t/x 3 QoS 1"]);
                world.publish(publisher, "t/y", QoS::AtMostOnce, "4");
                assert_eq!(world.heard(peer), ["t/y 4"]);
                assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
            });
        }
    }
}

#[test]
fn nothing_is_there_to_go_on_with_for_who_was_never_there() {
    // v5 [MQTT-3.1.2-6] [MQTT-3.2.2-3], v3.1.1 [MQTT-3.2.2-3] [MQTT-3.1.2-4]
    for version in Version::ALL {
        scenario(|world| {
            let (_, present) = world.resume(&lasting(version, "a"));
            assert!(!present);
            assert_eq!(world.told(), ["connect a", "connected a"]);
        });
    }
}

#[test]
fn messages_of_qos_0_do_not_wait_for_who_is_away() {
    // v5 4.1, v3.1.1 [MQTT-3.1.2-5]: QoS 0 may be stored; it is not.
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::ExactlyOnce);
            world.subscribe(peer, "u", QoS::AtMostOnce);
            world.leave(peer);
            world.publish(publisher, "t", QoS::AtMostOnce, "x");
            world.publish(publisher, "u", QoS::ExactlyOnce, "x");
            let peer = world.join(&lasting(version, "a"));
            world.silent(peer);
        });
    }
}

#[test]
fn a_clean_start_leaves_nothing_of_what_was() {
    // v5 [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2], v3.1.1 [MQTT-3.1.2-6] [MQTT-3.1.4-3]
    // [MQTT-3.2.2-1]
    for version in Version::ALL {
        for connected in [true, false] {
            scenario(|world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&lasting(version, "a"));
                world.subscribe(peer, "t", QoS::ExactlyOnce);
                world.by_hand(peer);
                world.publish(publisher, "t", QoS::AtLeastOnce, "in flight");
                if !connected {
                    world.leave(peer);
                    world.publish(publisher, "t", QoS::AtLeastOnce, "waiting");
                }
                world.forget();
                let clean = Connect { clean_start: true, ..lasting(version, "a") };
                let (peer, present) = world.resume(&clean);
                assert!(!present);
                let told = world.told();
                let ended = told.iter().position(|line| line == "session ended a");
                let connected = told.iter().position(|line| line == "connected a");
                assert!(ended.is_some() && ended < connected, "{told:?}");
                let code = world.publish(publisher, "t", QoS::AtLeastOnce, "nobody hears it");
                assert_eq!(code, ReasonCode::NO_MATCHING_SUBSCRIBERS);
                world.silent(peer);
                assert_eq!(world.broker.counters().subscriptions, 0);
            });
        }
    }
}

#[test]
fn a_clean_session_of_3_x_ends_with_its_connection() {
    // v3.1.1 [MQTT-3.1.2-6] [MQTT-3.2.2-3]
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            world.leave(peer);
            let (peer, present) = world.resume(&of(version, "a"));
            assert!(!present);
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            world.leave(peer);
            assert!(world.broker.session("a").is_none());
            let (peer, present) = world.resume(&lasting(version, "a"));
            assert!(!present);
            world.publish(peer, "t", QoS::AtLeastOnce, "x");
            world.silent(peer);
        });
    }
}

#[test]
fn a_session_expires_when_its_time_is_over() {
    // v5 [MQTT-4.1.0-2] [U5-3.1.2.11.2-2]
    for clean_start in [true, false] {
        for expiry in [None, Some(0), Some(1), Some(30), Some(u32::MAX - 1), Some(u32::MAX)] {
            scenario(|world| {
                let list = expiry.map(Property::SessionExpiryInterval);
                let connect = Connect { clean_start, ..with(v5("a"), list.as_slice()) };
                let peer = world.join(&connect);
                world.subscribe(peer, "t", QoS::AtLeastOnce);
                // It does not age while there is a connection.
                world.wait_secs(10_000);
                world.forget();
                world.lose(peer);
                match expiry.unwrap_or(0) {
                    0 => assert!(world.broker.session("a").is_none()),
                    u32::MAX => {
                        assert_eq!(world.broker.session("a").unwrap().expires, None);
                        world.wait_secs(1 << 40);
                        assert!(world.broker.session("a").is_some());
                        return;
                    }
                    expiry => {
                        let lasts = Duration::from_secs(u64::from(expiry));
                        let due = world.now + lasts;
                        assert_eq!(world.broker.session("a").unwrap().expires, Some(due));
                        world.wait(lasts - Duration::from_micros(1));
                        assert!(world.broker.session("a").is_some());
                        world.wait(Duration::from_micros(1));
                        assert!(world.broker.session("a").is_none());
                    }
                }
                assert_eq!(world.told().last().unwrap(), "session ended a");
                let counters = world.broker.counters();
                assert_eq!((counters.sessions, counters.subscriptions), (0, 0));
                let (_, present) = world.resume(&lasting(Version::V5, "a"));
                assert!(!present);
            });
        }
    }
}

#[test]
fn sessions_of_3_x_last_until_they_are_ended() {
    // v3.1.1 [MQTT-3.1.2-4] [MQTT-4.1.0-1]
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario(|world| {
            let peer = world.join(&lasting(version, "a"));
            world.leave(peer);
            world.wait_secs(1 << 40);
            let info = world.broker.session("a").unwrap();
            assert_eq!((info.session_expiry_interval, info.expires), (u32::MAX, None));
        });
        // Unless the options say so.
        let options = options_with(|options| options.maximum_session_expiry_interval = 60);
        scenario_with(&options, |world| {
            let peer = world.join(&lasting(version, "a"));
            world.leave(peer);
            world.wait_secs(59);
            assert!(world.broker.session("a").is_some());
            world.wait_secs(1);
            assert!(world.broker.session("a").is_none());
        });
    }
}

#[test]
fn each_connection_says_anew_how_long_the_session_lasts() {
    // v5 3.1.2.11.2 [MQTT-4.1.0-2]
    scenario(|world| {
        let lasting_for = |expiry| [Property::SessionExpiryInterval(expiry)];
        let connect = |list| Connect { clean_start: false, ..with(v5("a"), list) };
        let (hundred, ten) = (lasting_for(100), lasting_for(10));
        let peer = world.join(&connect(&hundred));
        world.lose(peer);
        world.wait_secs(99);
        let (peer, present) = world.resume(&connect(&ten));
        assert!(present);
        // The first deadline is past, and without effect.
        world.wait_secs(500);
        world.silent(peer);
        world.lose(peer);
        world.wait_secs(9);
        assert!(world.broker.session("a").is_some());
        world.wait_secs(1);
        assert!(world.broker.session("a").is_none());
        // And one that says nothing ends with its connection.
        let peer = world.join(&connect(&hundred));
        world.lose(peer);
        let (peer, present) = world.resume(&connect(&[]));
        assert!(present);
        world.lose(peer);
        assert!(world.broker.session("a").is_none());
    });
}

#[test]
fn a_session_belongs_to_a_name() {
    // v5 [MQTT-3.1.3-2], v3.1.1 [MQTT-3.1.3-2]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let names = ["a", "A", "a "];
            for name in names {
                let peer = world.join(&lasting(version, name));
                world.subscribe(peer, "t", QoS::AtLeastOnce);
                world.leave(peer);
                world.publish(publisher, "t", QoS::AtLeastOnce, name);
            }
            assert_eq!(world.broker.counters().sessions, 4);
            for (index, name) in names.into_iter().enumerate() {
                world.by_hand(publisher);
                let peer = world.join(&lasting(version, name));
                let ids: Vec<_> = world
                    .packets(peer)
                    .iter()
                    .map(|packet| match packet.packet() {
                        Packet::Publish(publish) => publish.packet_id.unwrap().get(),
                        other => panic!("{other}"),
                    })
                    .collect();
                let expected: Vec<u16> = (1..).take(3 - index).collect();
                assert_eq!(ids, expected, "each has its own messages and identifiers");
            }
        });
    }
}

#[test]
fn a_session_goes_on_in_another_version() {
    for first in Version::ALL {
        for second in Version::ALL {
            scenario(|world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&lasting(first, "a"));
                world.subscribe(peer, "t", QoS::ExactlyOnce);
                world.by_hand(peer);
                let list = [Property::ContentType("x")];
                let message = sansio_mqtt::Publish {
                    properties: sansio_mqtt::Properties::List(&list),
                    ..crate::words::publish("t", QoS::ExactlyOnce, 0, "x")
                };
                world.publish_with(publisher, &message);
                world.lose(peer);
                world.publish_with(publisher, &message);
                world.by_itself();
                let (peer, present) = world.resume(&lasting(second, "a"));
                assert_eq!(present, second != Version::V3_1);
                let words = if second.is_v5() { " {Content Type=\"x\"}" } else { "" };
                let expected = [format!("t x QoS 2 dup{words}"), format!("t x QoS 2{words}")];
                assert_eq!(world.heard(peer), expected);
                assert_eq!(world.broker.session("a").unwrap().version, second);
            });
        }
    }
}

#[test]
fn state_is_kept_for_as_long_as_there_is_a_connection() {
    // v5 [MQTT-4.1.0-1], v3.1.1 [MQTT-4.1.0-2] [MQTT-4.1.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            world.by_hand(peer);
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            world.wait_secs(1 << 40);
            assert_eq!(world.heard(peer), ["t x QoS 1"], "and it is not sent again");
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 1);
            world.publish(publisher, "t", QoS::AtLeastOnce, "y");
            assert_eq!(world.heard(peer), ["t y QoS 1"]);
        });
    }
}

// Take-over

#[test]
fn a_second_connection_takes_the_first_ones_place() {
    // v5 [MQTT-3.1.4-3], v3.1.1 [MQTT-3.1.4-2]
    for first in Version::ALL {
        for second in Version::ALL {
            for connect in [of(second, "a"), lasting(second, "a")] {
                scenario(|world| {
                    let old = world.join(&lasting(first, "a"));
                    world.forget();
                    let (new, present) = world.resume(&connect);
                    world.ended(old, ReasonCode::SESSION_TAKEN_OVER);
                    assert_eq!(world.cause(old), DisconnectCause::TakenOver);
                    assert_eq!(present, !connect.clean_start && second != Version::V3_1);
                    world.silent(new);
                    let counters = world.broker.counters();
                    assert_eq!((counters.connections, counters.sessions), (1, 1));
                    let told = world.told();
                    let gone = told.iter().position(|line| line.starts_with("disconnected a"));
                    let there = told.iter().position(|line| line.starts_with("connected"));
                    assert!(gone < there, "{told:?}");
                });
            }
        }
    }
}

#[test]
fn who_takes_over_goes_on_with_what_was_in_flight() {
    // v5 [MQTT-3.1.4-3] [MQTT-4.4.0-1] [MQTT-3.2.0-1], v3.1.1 [MQTT-3.1.4-2] [MQTT-4.4.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let old = world.join(&lasting(version, "a"));
            world.subscribe(old, "t", QoS::ExactlyOnce);
            world.by_hand(old);
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            world.publish(publisher, "t", QoS::ExactlyOnce, "y");
            world.packets(old);
            let new = world.join(&lasting(version, "a"));
            world.ended(old, ReasonCode::SESSION_TAKEN_OVER);
            assert_eq!(world.heard(new), ["t x QoS 1 dup", "t y QoS 2 dup"]);
            world.publish(publisher, "t", QoS::AtMostOnce, "z");
            assert_eq!(world.heard(new), ["t z"]);
        });
    }
}

#[test]
fn a_session_that_would_not_outlive_its_connection_is_not_taken_over_in_5_0() {
    // v3.1.1 [MQTT-3.1.4-2] [MQTT-3.2.2-2], v5 [MQTT-3.1.4-3]: in 5.0 it ends with its connection.
    for version in TELLING {
        scenario(|world| {
            let connect = Connect { clean_start: false, ..of(version, "a") };
            let old = world.join(&connect);
            world.subscribe(old, "t", QoS::AtLeastOnce);
            let (new, present) = world.resume(&connect);
            assert_eq!(present, version == Version::V3_1_1);
            world.ended(old, ReasonCode::SESSION_TAKEN_OVER);
            world.publish(new, "t", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(new).len(), usize::from(present), "as was said");
        });
    }
}

#[test]
fn a_client_that_does_not_read_is_taken_over_all_the_same() {
    // v5 [MQTT-3.1.4-3]
    scenario(|world| {
        let old = world.join(&lasting(Version::V5, "a"));
        world.block(old);
        let (new, present) = world.resume(&lasting(Version::V5, "a"));
        assert!(present);
        world.send(new, Packet::PingReq);
        assert_eq!(world.sent(new), ["PINGRESP"]);
        // What the old one still says has no effect.
        world.send(old, crate::words::publish("t", QoS::AtMostOnce, 0, "x"));
        assert_eq!(world.broker.counters().publishes_received, 0);
        world.wait_secs(5);
        assert!(world.closed(old));
        world.silent(new);
        world.send(new, Packet::PingReq);
        assert_eq!(world.sent(new), ["PINGRESP"]);
    });
}

#[test]
fn taking_over_again_and_again_is_no_harm() {
    // v5 [MQTT-3.1.4-3], v3.1.1 [MQTT-3.1.4-2]
    for version in Version::ALL {
        scenario(|world| {
            let mut peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            for _ in 0..20 {
                let next = world.join(&lasting(version, "a"));
                world.ended(peer, ReasonCode::SESSION_TAKEN_OVER);
                peer = next;
            }
            world.publish(peer, "t", QoS::AtLeastOnce, "x");
            assert_eq!(world.heard(peer), ["t x QoS 1"]);
            assert_eq!(world.broker.counters().connections, 1);
        });
    }
}

#[test]
fn two_that_want_to_connect_under_one_name_are_accepted_one_after_the_other() {
    // v5 [MQTT-3.1.4-3]
    for version in Version::ALL {
        for reversed in [false, true] {
            scenario(|world| {
                world.answer = crate::world::Answer::Later;
                let peers = [0; 2].map(|_| world.connect(&lasting(version, "a")));
                let mut order = peers;
                if reversed {
                    order.reverse();
                }
                for peer in order {
                    world.accept(peer, &sansio_mqtt::broker::Acceptance::default());
                    let _ = world.take_connack(peer);
                }
                world.ended(order[0], ReasonCode::SESSION_TAKEN_OVER);
                world.silent(order[1]);
            });
        }
    }
}
