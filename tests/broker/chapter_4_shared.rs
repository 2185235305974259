//! Shared Subscriptions: MQTT 5.0 §4.8.2.

use sansio_mqtt::{
    Packet, Property, PubAck, PubRec, QoS, ReasonCode, Subscription, Unsubscribe, Version,
};

use crate::words::{lasting, options_with, pub_ack, pub_comp, pub_rec, v5};
use crate::world::{Peer, World, scenario, scenario_with};

/// How many messages each was sent.
fn counts(world: &mut World, peers: &[Peer]) -> Vec<usize> {
    peers.iter().map(|&peer| world.heard(peer).len()).collect()
}

/// Members of a group, each with a session that lasts.
fn members(world: &mut World, names: &[&str], qos: QoS) -> Vec<Peer> {
    let mut peers = Vec::new();
    for name in names {
        let peer = world.join(&lasting(Version::V5, name));
        world.subscribe(peer, "$share/g/t", qos);
        peers.push(peer);
    }
    peers
}

#[test]
fn each_group_gets_one_copy_of_each_message() {
    // v5 [U5-4.8.2-1]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let names = ["m1", "m2", "m3", "m4", "m5", "m6"];
        let peers = names.map(|name| world.join(&v5(name)));
        for (index, &peer) in peers.iter().enumerate() {
            let filter = if index < 3 { "$share/g/t/#" } else { "$share/h/t/#" };
            world.subscribe(peer, filter, QoS::ExactlyOnce);
        }
        for round in 0..9 {
            let qos = QoS::new(round % 3).unwrap();
            world.publish(publisher, "t/1", qos, "x");
            let found = counts(world, &peers);
            assert_eq!(found[..3].iter().sum::<usize>(), 1, "{found:?}");
            assert_eq!(found[3..].iter().sum::<usize>(), 1, "{found:?}");
        }
    });
}

#[test]
fn members_take_turns() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers = members(world, &["m1", "m2", "m3"], QoS::AtLeastOnce);
        for _ in 0..4 {
            let mut found = Vec::new();
            for _ in 0..3 {
                world.publish(publisher, "t", QoS::AtLeastOnce, "x");
                found.push(counts(world, &peers));
            }
            found.sort();
            assert_eq!(found, [[0, 0, 1], [0, 1, 0], [1, 0, 0]]);
        }
        // One that goes leaves its turns to the others.
        let codes = world.unsubscribe(peers[1], &["$share/g/t"]);
        assert_eq!(codes, [ReasonCode::SUCCESS]);
        for _ in 0..4 {
            world.publish(publisher, "t", QoS::AtMostOnce, "x");
        }
        assert_eq!(counts(world, &peers), [2, 0, 2]);
    });
}

#[test]
fn a_group_is_a_share_name_and_a_filter() {
    // v5 [U5-4.8.2-1]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let names = ["m1", "m2", "m3", "m4"];
        let peers = names.map(|name| world.join(&v5(name)));
        for (&peer, filter) in
            peers.iter().zip(["$share/g/t", "$share/g/+", "$share/h/t", "$share/G/t"])
        {
            world.subscribe(peer, filter, QoS::AtMostOnce);
        }
        world.publish(publisher, "t", QoS::AtMostOnce, "x");
        assert_eq!(counts(world, &peers), [1; 4]);
    });
}

#[test]
fn who_subscribes_beside_its_group_gets_both_copies() {
    // v5 [U5-4.8.2-1] 4.8.2
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&v5("a"));
        world.subscribe_as(peer, "$share/g/t", QoS::AtLeastOnce, 1);
        world.subscribe_as(peer, "t", QoS::AtMostOnce, 2);
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        let mut heard = world.heard(peer);
        heard.sort();
        let expected = [
            format!("t x QoS 1 {{{}}}", Property::SubscriptionIdentifier(1)),
            format!("t x {{{}}}", Property::SubscriptionIdentifier(2)),
        ];
        assert_eq!(heard, expected);
        // Unsubscribing from one leaves the other.
        assert_eq!(world.unsubscribe(peer, &["t"]), [ReasonCode::SUCCESS]);
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        assert_eq!(world.heard(peer).len(), 1);
    });
}

#[test]
fn a_member_gets_what_it_was_granted() {
    // v5 [MQTT-4.8.2-3]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let names = ["m0", "m1", "m2"];
        for (name, granted) in names.into_iter().zip(crate::words::QOS) {
            let peer = world.join(&v5(name));
            world.subscribe(peer, "$share/g/t", granted);
            for published in crate::words::QOS {
                world.publish(publisher, "t", published, "x");
                let expected = match granted.min(published) {
                    QoS::AtMostOnce => "t x".to_owned(),
                    qos => format!("t x QoS {qos}"),
                };
                assert_eq!(world.heard(peer), [expected]);
            }
            world.unsubscribe(peer, &["$share/g/t"]);
        }
    });
}

#[test]
fn wildcards_do_not_match_topics_of_the_server_in_a_group_either() {
    // v5 [MQTT-4.7.2-1]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        world.subscribe(peer, "$share/g/#", QoS::AtMostOnce);
        let message = crate::words::publish("$SYS/x", QoS::AtMostOnce, 0, "x");
        world.call(|broker, now| broker.publish(now, &message)).unwrap();
        world.silent(peer);
        world.publish(peer, "t", QoS::AtMostOnce, "x");
        assert_eq!(world.heard(peer), ["t x"]);
    });
}

#[test]
fn who_is_connected_is_preferred() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers = members(world, &["m1", "m2", "m3"], QoS::AtLeastOnce);
        world.leave(peers[0]);
        world.leave(peers[2]);
        for _ in 0..6 {
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        }
        assert_eq!(world.heard(peers[1]).len(), 6);
        for name in ["m1", "m3"] {
            assert_eq!(world.broker.session(name).unwrap().queued_messages, 0);
        }
    });
}

#[test]
fn who_comes_back_takes_its_turns_again() {
    // v5 [U5-4.8.2-1] [MQTT-3.1.2-5]
    for is_taken_over in [true, false] {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let mut peers = members(world, &["m1", "m2"], QoS::AtLeastOnce);
            for _ in 0..3 {
                if !is_taken_over {
                    world.lose(peers[0]);
                    world.publish(publisher, "t", QoS::AtMostOnce, "x");
                    assert_eq!(world.heard(peers[1]), ["t x"]);
                }
                peers[0] = world.join(&lasting(Version::V5, "m1"));
                for _ in 0..4 {
                    world.publish(publisher, "t", QoS::AtMostOnce, "x");
                }
                assert_eq!(counts(world, &peers), [2, 2]);
            }
        });
    }
}

#[test]
fn when_nobody_is_connected_a_message_waits_for_one() {
    // v5 [MQTT-4.5.0-1] [U5-4.8.2-1]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        for peer in members(world, &["m1", "m2"], QoS::ExactlyOnce) {
            world.leave(peer);
        }
        let code = world.publish(publisher, "t", QoS::AtLeastOnce, "1");
        assert_eq!(code, ReasonCode::SUCCESS);
        world.publish(publisher, "t", QoS::ExactlyOnce, "2");
        world.publish(publisher, "t", QoS::AtMostOnce, "0");
        let mut heard = Vec::new();
        for name in ["m1", "m2"] {
            let peer = world.join(&lasting(Version::V5, name));
            heard.extend(world.heard(peer));
        }
        heard.sort();
        assert_eq!(heard, ["t 1 QoS 1", "t 2 QoS 2"]);
    });
}

#[test]
fn who_has_no_room_is_passed_over() {
    let options = options_with(|options| options.maximum_queued_messages = 2);
    scenario_with(&options, |world| {
        let publisher = world.join(&v5("publisher"));
        let peers = members(world, &["m1", "m2"], QoS::AtLeastOnce);
        world.by_hand(peers[0]);
        for _ in 0..10 {
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        }
        let found = counts(world, &peers);
        assert_eq!(found, [2, 8], "one acknowledges, one does not");
        assert_eq!(world.broker.counters().dropped, 0);
    });
}

#[test]
fn a_member_that_comes_back_finishes_what_was_begun_with_it() {
    // v5 [MQTT-4.8.2-4]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers = members(world, &["m1", "m2"], QoS::ExactlyOnce);
        for &peer in &peers {
            world.by_hand(peer);
        }
        world.publish(publisher, "t", QoS::ExactlyOnce, "x");
        world.publish(publisher, "t", QoS::ExactlyOnce, "y");
        assert_eq!(counts(world, &peers), [1, 1]);
        world.send(peers[0], pub_rec(1));
        assert_eq!(world.sent(peers[0]), ["PUBREL #1"]);
        world.lose(peers[0]);
        world.lose(peers[1]);
        world.wait_secs(100);
        let first = world.join(&lasting(Version::V5, "m1"));
        assert_eq!(world.sent(first), ["PUBREL #1"]);
        world.send(first, pub_comp(1));
        let second = world.join(&lasting(Version::V5, "m2"));
        let heard = world.heard(second);
        assert_eq!(heard.len(), 1);
        assert!(heard[0].ends_with(" QoS 2 dup"), "{heard:?}");
        world.silent(first);
    });
}

#[test]
fn what_was_begun_at_qos_2_is_nobody_elses() {
    // v5 [MQTT-4.8.2-5]
    for stage in [0, 1] {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peers = members(world, &["m1", "m2"], QoS::ExactlyOnce);
            world.by_hand(peers[0]);
            world.by_hand(peers[1]);
            world.publish(publisher, "t", QoS::ExactlyOnce, "x");
            let found = counts(world, &peers);
            let holder = found.iter().position(|count| *count == 1).unwrap();
            if stage == 1 {
                world.send(peers[holder], pub_rec(1));
                world.packets(peers[holder]);
            }
            let name = ["m1", "m2"][holder];
            world.call(|broker, now| broker.end_session(now, name)).unwrap();
            world.silent(peers[1 - holder]);
            assert_eq!(world.broker.counters().stored_messages, 0);
        });
    }
}

#[test]
fn what_was_begun_at_qos_1_goes_to_somebody_else_when_the_session_ends() {
    // v5 [U5-4.8.2-2]
    for connected in [true, false] {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peers = members(world, &["m1", "m2"], QoS::ExactlyOnce);
            world.by_hand(peers[0]);
            world.by_hand(peers[1]);
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            let found = counts(world, &peers);
            let holder = found.iter().position(|count| *count == 1).unwrap();
            if !connected {
                world.lose(peers[holder]);
            }
            world.silent(peers[1 - holder]);
            let name = ["m1", "m2"][holder];
            world.call(|broker, now| broker.end_session(now, name)).unwrap();
            assert_eq!(world.heard(peers[1 - holder]), ["t x QoS 1"]);
            assert_eq!(world.broker.session(["m2", "m1"][holder]).unwrap().queued_messages, 1);
        });
    }
}

#[test]
fn what_waits_for_a_member_goes_to_somebody_else_when_its_session_ends() {
    // v5 [U5-4.8.2-2] [U5-4.8.2-1]: nothing was begun.
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peers = members(world, &["m1"], QoS::ExactlyOnce);
            world.leave(peers[0]);
            world.publish(publisher, "t", qos, "x");
            let other = members(world, &["m2"], QoS::ExactlyOnce)[0];
            world.silent(other);
            world.call(|broker, now| broker.end_session(now, "m1")).unwrap();
            assert_eq!(world.heard(other), [format!("t x QoS {qos}")]);
        });
    }
}

#[test]
fn a_session_that_expires_hands_over_what_it_has() {
    // v5 [U5-4.8.2-2]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let list = [Property::SessionExpiryInterval(10)];
        let short = world.join(&crate::words::with(v5("short"), &list));
        world.subscribe(short, "$share/g/t", QoS::AtLeastOnce);
        world.leave(short);
        for payload in ["1", "2", "3"] {
            world.publish(publisher, "t", QoS::AtLeastOnce, payload);
        }
        let other = members(world, &["other"], QoS::AtLeastOnce)[0];
        world.silent(other);
        world.wait_secs(10);
        assert_eq!(world.heard(other), ["t 1 QoS 1", "t 2 QoS 1", "t 3 QoS 1"]);
    });
}

#[test]
fn a_member_that_says_no_ends_the_message() {
    // v5 [MQTT-4.8.2-6]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peers = members(world, &["m1", "m2"], QoS::ExactlyOnce);
            world.by_hand(peers[0]);
            world.by_hand(peers[1]);
            world.publish(publisher, "t", qos, "x");
            let found = counts(world, &peers);
            let holder = found.iter().position(|count| *count == 1).unwrap();
            let reason_code = ReasonCode::QUOTA_EXCEEDED;
            let no: Packet<'_> = if qos == QoS::AtLeastOnce {
                PubAck { reason_code, ..pub_ack(1) }.into()
            } else {
                PubRec { reason_code, ..pub_rec(1) }.into()
            };
            world.send(peers[holder], no);
            world.silent(peers[holder]);
            world.silent(peers[1 - holder]);
            world.call(|broker, now| broker.end_session(now, ["m1", "m2"][holder])).unwrap();
            world.silent(peers[1 - holder]);
        });
    }
}

#[test]
fn unsubscribing_from_a_group_keeps_what_was_begun() {
    // v5 [MQTT-3.10.4-3] [MQTT-3.10.4-2]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = members(world, &["m1"], QoS::AtLeastOnce)[0];
        world.by_hand(peer);
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        assert_eq!(world.heard(peer), ["t x QoS 1"]);
        assert_eq!(world.unsubscribe(peer, &["$share/g/t"]), [ReasonCode::SUCCESS]);
        assert_eq!(world.unsubscribe(peer, &["$share/g/t"]), [ReasonCode::NO_SUBSCRIPTION_EXISTED]);
        let code = world.publish(publisher, "t", QoS::AtLeastOnce, "y");
        assert_eq!(code, ReasonCode::NO_MATCHING_SUBSCRIBERS);
        world.lose(peer);
        let peer = world.join(&lasting(Version::V5, "m1"));
        assert_eq!(world.heard(peer), ["t x QoS 1 dup"]);
    });
}

#[test]
fn a_member_that_subscribes_again_is_one_member() {
    // v5 [MQTT-3.8.4-3]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers = members(world, &["m1", "m2"], QoS::AtLeastOnce);
        world.subscribe(peers[0], "$share/g/t", QoS::AtMostOnce);
        for _ in 0..4 {
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        }
        assert_eq!(world.heard(peers[0]), ["t x", "t x"]);
        assert_eq!(world.heard(peers[1]), ["t x QoS 1", "t x QoS 1"]);
        assert_eq!(world.broker.counters().subscriptions, 2);
    });
}

#[test]
fn retain_as_published_is_that_of_the_member() {
    // v5 [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    for retain_as_published in [true, false] {
        scenario(|world| {
            let peer = world.join(&v5("a"));
            let filter = Subscription::new("$share/g/t", QoS::AtMostOnce);
            world.subscribe_to(peer, &[Subscription { retain_as_published, ..filter }]);
            world.retain(peer, "t", QoS::AtMostOnce, "x");
            let expected = if retain_as_published { "t x retain" } else { "t x" };
            assert_eq!(world.heard(peer), [expected]);
        });
    }
}

#[test]
fn messages_for_one_member_stay_in_order() {
    // v5 [MQTT-4.6.0-5]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers = members(world, &["m1", "m2", "m3"], QoS::AtLeastOnce);
        for number in 0..30 {
            world.publish(publisher, "t", QoS::AtLeastOnce, &format!("{number:02}"));
        }
        for peer in peers {
            let heard = world.heard(peer);
            assert_eq!(heard.len(), 10);
            assert!(heard.is_sorted(), "{heard:?}");
        }
    });
}

/// Two members, of which the first acknowledges nothing and takes one message at a time; the
/// second takes and acknowledges. Six messages were published for them in turn.
fn one_of_two_is_slow(world: &mut World, qos: QoS) -> (Peer, Peer) {
    let publisher = world.join(&v5("publisher"));
    let list = [Property::SessionExpiryInterval(1_000), Property::ReceiveMaximum(1)];
    let slow = world.join(&crate::words::with(v5("slow"), &list));
    world.subscribe(slow, "$share/g/t", QoS::ExactlyOnce);
    let fast = world.join(&lasting(Version::V5, "fast"));
    world.subscribe(fast, "$share/g/t", QoS::ExactlyOnce);
    world.by_hand(slow);
    for number in 1..=6 {
        world.publish(publisher, "t", qos, &format!("{number}"));
    }
    assert_eq!(world.heard(slow).len(), 1);
    assert_eq!(world.heard(fast).len(), 3);
    assert_eq!(world.broker.session("slow").unwrap().queued_messages, 3);
    (slow, fast)
}

#[test]
fn what_a_member_was_not_sent_goes_to_another_when_its_connection_ends() {
    // v5 [U5-4.8.2-1] [MQTT-4.8.2-4] [MQTT-4.6.0-5]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            let (slow, fast) = one_of_two_is_slow(world, qos);
            world.lose(slow);
            let heard = world.heard(fast);
            assert_eq!(heard.len(), 2, "all but the one that was begun");
            assert!(heard.is_sorted(), "{heard:?}");
            let slow = world.join(&lasting(Version::V5, "slow"));
            let heard = world.heard(slow);
            assert!(heard.len() == 1 && heard[0].ends_with(" dup"), "{heard:?}");
        });
    }
}

#[test]
fn what_a_member_was_not_sent_goes_to_another_when_it_leaves_the_group() {
    // v5 [U5-4.8.2-1] [MQTT-3.10.4-2] [MQTT-3.10.4-3]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            let (slow, fast) = one_of_two_is_slow(world, qos);
            assert_eq!(world.unsubscribe(slow, &["$share/g/t"]), [ReasonCode::SUCCESS]);
            assert_eq!(world.heard(fast).len(), 2);
            world.silent(slow);
            assert_eq!(world.broker.session("slow").unwrap().queued_messages, 1);
        });
    }
}

#[test]
fn without_another_a_member_keeps_what_it_has() {
    // v5 [MQTT-4.5.0-1] [U5-4.8.2-1]
    for leaves in [true, false] {
        scenario(|world| {
            let (slow, fast) = one_of_two_is_slow(world, QoS::AtLeastOnce);
            world.leave(fast);
            if leaves {
                world.unsubscribe(slow, &["$share/g/t"]);
            }
            world.lose(slow);
            world.by_itself();
            let slow = world.join(&lasting(Version::V5, "slow"));
            assert_eq!(world.heard(slow).len(), 3);
        });
    }
}

#[test]
fn messages_of_other_subscriptions_stay_where_they_are() {
    // v5 [MQTT-4.5.0-1]
    scenario(|world| {
        let (slow, fast) = one_of_two_is_slow(world, QoS::AtLeastOnce);
        world.subscribe(slow, "own", QoS::AtLeastOnce);
        world.subscribe(slow, "$share/h/other", QoS::AtLeastOnce);
        let publisher = world.join(&v5("publisher"));
        for topic in ["own", "other"] {
            world.publish(publisher, topic, QoS::AtLeastOnce, "x");
        }
        world.unsubscribe(slow, &["$share/g/t"]);
        assert_eq!(world.heard(fast).len(), 2);
        world.lose(slow);
        world.silent(fast);
        world.by_itself();
        let slow = world.join(&lasting(Version::V5, "slow"));
        let heard = world.heard(slow);
        assert_eq!(heard[1..], ["own x QoS 1", "other x QoS 1"]);
    });
}

#[test]
fn a_member_at_qos_0_is_not_passed_what_was_promised_to_another() {
    // v5 [MQTT-4.8.2-3]: what waits at QoS 1 is not to be lost on the way.
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let member = world.join(&lasting(Version::V5, "m1"));
        world.subscribe(member, "$share/g/t", QoS::AtLeastOnce);
        world.leave(member);
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        let other = world.join(&v5("m2"));
        world.subscribe(other, "$share/g/t", QoS::AtMostOnce);
        let member = world.join(&lasting(Version::V5, "m1"));
        assert_eq!(world.heard(member), ["t x QoS 1"]);
        world.silent(other);
    });
}

#[test]
fn a_message_goes_to_a_member_that_has_room_for_all_of_it() {
    let options = options_with(|options| options.maximum_queued_bytes = 1_000);
    scenario_with(&options, |world| {
        let publisher = world.join(&v5("publisher"));
        let peers = members(world, &["m1", "m2"], QoS::AtLeastOnce);
        peers.iter().for_each(|&peer| world.block(peer));
        // One has 700 bytes, and so has the other; then both have room for 200, and none for 500.
        for (bytes, dropped) in [(700, 0), (200, 0), (500, 0), (500, 1)] {
            world.publish(publisher, "t", QoS::AtLeastOnce, &"x".repeat(bytes));
            assert_eq!(world.broker.counters().dropped, dropped, "{bytes}");
        }
        peers.iter().for_each(|&peer| world.unblock(peer));
        assert_eq!(counts(world, &peers).iter().sum::<usize>(), 3);
    });
}

#[test]
fn a_member_that_has_got_a_message_already_may_have_no_room_for_it_again() {
    let options = options_with(|options| options.maximum_queued_messages = 2);
    scenario_with(&options, |world| {
        let publisher = world.join(&v5("publisher"));
        let both = world.join(&v5("both"));
        for filter in ["t", "u", "$share/g/t"] {
            world.subscribe(both, filter, QoS::AtLeastOnce);
        }
        let other = world.join(&v5("other"));
        world.subscribe(other, "$share/g/t", QoS::AtLeastOnce);
        world.block(both);
        world.publish(publisher, "u", QoS::AtLeastOnce, "fill");
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        assert_eq!(world.broker.counters().dropped, 0);
        assert_eq!(world.heard(other), ["t x QoS 1"]);
        world.unblock(both);
        assert_eq!(world.heard(both), ["u fill QoS 1", "t x QoS 1"]);
    });
}

#[test]
fn what_a_member_leaves_behind_goes_to_others_whichever_groups_it_leaves() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let leaving = world.join(&lasting(Version::V5, "leaving"));
        for filter in ["$share/g/a", "$share/g/b", "$share/g/c"] {
            world.subscribe(leaving, filter, QoS::AtLeastOnce);
        }
        world.block(leaving);
        for topic in ["a", "b", "c"] {
            world.publish(publisher, topic, QoS::AtLeastOnce, "x");
        }
        let other = world.join(&v5("other"));
        for filter in ["$share/g/a", "$share/g/b", "$share/g/c"] {
            world.subscribe(other, filter, QoS::AtLeastOnce);
        }
        let packet_id = world.next_id(leaving);
        let filters = ["$share/g/c", "$share/g/a"];
        world.send(leaving, Unsubscribe::new(packet_id, &filters));
        assert_eq!(world.heard(other), ["a x QoS 1", "c x QoS 1"]);
        world.unblock(leaving);
        let heard = world.packets(leaving);
        let of_b = |packet: Packet<'_>| matches!(packet, Packet::Publish(one) if one.topic == "b");
        assert_eq!(heard.iter().filter(|packet| of_b(packet.packet())).count(), 1);
        assert_eq!(heard.len(), 2, "{heard:?}");
    });
}
