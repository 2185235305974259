//! Clients that come and go: nothing of them stays, and no timer. MQTT 5.0 §3.1.4, §4.1.

use std::time::Duration;

use sansio_mqtt::broker::DisconnectCause;
use sansio_mqtt::{Connect, Disconnect, Properties, Property, QoS, Version, Will};

use crate::memory;
use crate::world::{FOR_EVER, World, lasting, of, publish};

/// What storage that is kept to be used again may come to.
const KEPT: isize = 16 * 1024;

/// Bytes that a round leaves behind, once others have been before it.
fn left_behind(world: &mut World, rounds: usize, round: impl Fn(&mut World, usize)) -> isize {
    let many = |world: &mut World, rounds: usize| {
        for number in 0..rounds {
            round(world, number);
            if number % 50 == 49 {
                world.forget_closed();
            }
        }
        world.wait_secs(100);
        world.forget_closed();
    };
    // As many as make all tables grow that are kept.
    many(world, rounds.min(1_500));
    let before = memory::held();
    many(world, rounds);
    memory::held() - before
}

#[test]
fn a_hundred_thousand_connections_leave_nothing_behind() {
    let mut world = World::default();
    let left = left_behind(&mut world, 100_000, |world, number| {
        let version = Version::ALL[number % 3];
        let peer = world.connect(&Connect { keep_alive: 60, ..of(version, "c") });
        match number % 4 {
            0 => world.lose(peer),
            1 => world.send(peer, Disconnect::default()),
            2 => world.send_bytes(peer, &[0, 0]),
            // It is taken over by the next.
            _ => {}
        }
        // Who is taken over, or lost, is not there any more a moment later.
        world.wait(Duration::from_micros(10));
    });
    assert!(left < KEPT, "{left}");
    let last = world.up(Version::V5, "c");
    world.lose(last);
    let counters = world.broker.counters();
    assert_eq!((counters.connections, counters.sessions, counters.connected), (0, 0, 0));
    assert_eq!(world.deadline, None);
}

#[test]
fn connections_that_never_connect_leave_nothing_behind() {
    let mut world = World::default();
    let left = left_behind(&mut world, 20_000, |world, number| {
        let peer = world.open(Version::V5);
        match number % 3 {
            0 => world.lose(peer),
            1 => world.send_bytes(peer, b"GET / HTTP/1.1\r\n\r\n"),
            _ => {
                world.send_bytes(peer, &[0x10]);
                world.wait_secs(10);
            }
        }
    });
    assert!(left < KEPT, "{left}");
    assert_eq!(world.broker.counters().connections, 0);
    assert_eq!(world.deadline, None);
}

#[test]
fn refused_and_crafted_connects_leave_nothing_behind() {
    // Wills and their properties above all.
    let properties = [
        Property::WillDelayInterval(9),
        Property::ContentType("type"),
        Property::ResponseTopic("response"),
        Property::UserProperty("key", "value"),
    ];
    let will = Will {
        topic: "w",
        payload: &[7; 1_000],
        properties: Properties::List(&properties),
        ..Will::default()
    };
    let whole = crate::world::encode(
        Version::V5,
        Connect { will: Some(will), user_name: Some("u"), ..of(Version::V5, "c") },
    );
    let mut world = World::default();
    let left = left_behind(&mut world, 3_000, |world, number| {
        // Any byte is another one.
        let mut crafted = whole.clone();
        let at = 3 + number % (whole.len() - 3);
        crafted[at] ^= 1 << (number % 8);
        let peer = world.open(Version::V5);
        world.send_bytes(peer, &crafted);
        world.send_bytes(peer, &[0; 9]);
        world.wait_secs(20);
        // Some of them are well-formed, and ask for an expiry or a Keep Alive.
        world.lose(peer);
        let ids: Vec<_> = world.broker.sessions().map(|one| one.client.client_id.clone()).collect();
        for client_id in ids {
            world.broker.end_session(world.now, &client_id).unwrap();
            world.poll();
        }
    });
    assert!(left < KEPT, "{left}");
    assert_eq!(world.broker.counters().sessions, 0);
    assert_eq!(world.broker.counters().connections, 0);
}

#[test]
fn a_storm_of_take_overs_leaves_one_connection_and_its_subscriptions() {
    // v5 [MQTT-3.1.4-3], v3.1.1 [MQTT-3.1.4-2]
    for version in Version::ALL {
        let mut world = World::default();
        let innocent = world.up(version, "innocent");
        let reader = world.up(version, "reader");
        world.subscribe(reader, "will", QoS::AtMostOnce);
        let will = Some(Will { topic: "will", payload: b"x", ..Will::default() });
        let connect = Connect { will, ..lasting(version, "c") };
        let mut peer = world.join(&connect);
        for round in 0..300 {
            world.subscribe(peer, &format!("f/{}", round % 10), QoS::AtMostOnce);
            let next = world.connect(&connect);
            let last: &[u8] = if version.is_v5() { &[0xe0, 1, 0x8e] } else { &[] };
            assert_eq!(world.raw(peer), last);
            assert!(world.is_closed(peer));
            assert_eq!(world.cause(peer), Some(DisconnectCause::TakenOver));
            assert_eq!(world.sent(next).len(), 1);
            // Who was taken over has no DISCONNECT of its own: its Will is published.
            assert_eq!(world.sent(reader), ["PUBLISH \"will\" QoS 0 \"x\""]);
            peer = next;
        }
        assert_eq!(world.broker.counters().connections, 3);
        assert_eq!(world.broker.session("c").unwrap().subscriptions, 10);
        world.send(innocent, publish("f/3", QoS::AtMostOnce, 0, "x"));
        assert_eq!(world.sent(peer), ["PUBLISH \"f/3\" QoS 0 \"x\""]);
    }
}

#[test]
fn those_taken_over_who_never_read_are_closed_in_time_and_counted_until_then() {
    let mut world = World::default();
    let peers: Vec<_> = (0..100)
        .map(|_| {
            let peer = world.up(Version::V5, "c");
            world.block(peer);
            peer
        })
        .collect();
    assert_eq!(world.broker.counters().connections, 100);
    assert_eq!(world.broker.counters().connected, 1);
    world.wait_secs(5);
    assert_eq!(world.broker.counters().connections, 1);
    let closed = peers.into_iter().filter(|peer| world.is_closed(*peer)).count();
    assert_eq!(closed, 99);
}

#[test]
fn a_take_over_amid_changes_to_the_subscriptions_leaves_them_whole() {
    // What was written before the take-over counts, what comes after does not.
    for version in Version::ALL {
        let mut world = World::default();
        let publisher = world.up(version, "publisher");
        for round in 0..50 {
            let peer = world.join(&lasting(version, "c"));
            world.subscribe(peer, "a", QoS::AtLeastOnce);
            world.subscribe(peer, "b/#", QoS::AtLeastOnce);
            let next = world.join(&lasting(version, "c"));
            // The old connection goes on talking.
            let filters = ["a", "b/#"];
            world.send(peer, sansio_mqtt::Unsubscribe::new(crate::world::id(9), &filters));
            world.send(publisher, publish("a", QoS::AtMostOnce, 0, "x"));
            world.send(publisher, publish("b", QoS::AtMostOnce, 0, "x"));
            assert_eq!(world.sent(next).len(), 2, "{round}");
            assert_eq!(world.broker.counters().subscriptions, 2);
            if round % 3 == 0 {
                let _ = world.broker.end_session(world.now, "c");
                world.poll();
                assert_eq!(world.broker.counters().subscriptions, 0);
            }
        }
    }
}

#[test]
fn sessions_that_expire_leave_nothing_behind() {
    let mut world = World::default();
    let left = left_behind(&mut world, 1_500, |world, number| {
        let client_id = format!("client-{number}");
        let expiry = [Property::SessionExpiryInterval(60)];
        let properties = Properties::List(&expiry);
        let connect = Connect { clean_start: false, properties, ..of(Version::V5, &client_id) };
        let peer = world.join(&connect);
        world.subscribe(peer, "t", QoS::AtLeastOnce);
        world.subscribe(peer, "a/+/c", QoS::AtLeastOnce);
        world.subscribe(peer, "$share/g/t", QoS::AtLeastOnce);
        world.lose(peer);
        let publisher = world.up(Version::V5, "publisher");
        world.send(publisher, publish("t", QoS::AtLeastOnce, 1, "x"));
        world.lose(publisher);
        world.wait_secs(6);
    });
    let counters = world.broker.counters();
    assert_eq!((counters.sessions, counters.subscriptions, counters.stored_messages), (0, 0, 0));
    assert_eq!(world.deadline, None);
    assert!(left < KEPT, "{left}");
}

#[test]
fn a_client_that_subscribes_and_unsubscribes_for_ever_leaves_nothing_behind() {
    for version in [Version::V3_1_1, Version::V5] {
        let mut world = World::default();
        let peer = world.join(&Connect {
            properties: Properties::List(if version.is_v5() { FOR_EVER } else { &[] }),
            ..of(version, "c")
        });
        let round = |world: &mut World, number: usize| {
            let filters =
                [format!("f/{number}"), format!("+/{number}/#"), format!("$share/g{number}/t")];
            for filter in &filters {
                world.subscribe(peer, filter, QoS::AtMostOnce);
            }
            let filters = filters.each_ref().map(String::as_str);
            world.send(peer, sansio_mqtt::Unsubscribe::new(crate::world::id(9), &filters));
            let _ = world.raw(peer);
        };
        (0..100).for_each(|number| round(&mut world, number));
        let before = memory::held();
        (100..3_000).for_each(|number| round(&mut world, number));
        let left = memory::held() - before;
        assert!(left < KEPT, "{left}");
        assert_eq!(world.broker.counters().subscriptions, 0);
    }
}

/// SplitMix64.
fn random(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) % below as u64) as usize
}

#[test]
fn a_group_gives_each_message_to_one_who_is_there_whoever_comes_and_goes() {
    // v5 4.8.2 [U5-4.8.2-1]
    let names: Vec<_> = (0..5).map(|number| format!("c{number}")).collect();
    let mut seed = 1;
    for _ in 0..20 {
        let mut world = World::default();
        let publisher = world.up(Version::V5, "publisher");
        // Of each client: its connection, and whether it is a member.
        let mut clients = vec![(None::<crate::world::Peer>, false); names.len()];
        for step in 0..120 {
            let at = random(&mut seed, names.len());
            let (peer, is_member) = &mut clients[at];
            match (random(&mut seed, 6), *peer) {
                (0 | 1, _) | (_, None) => {
                    *peer = Some(world.join_again(&lasting(Version::V5, &names[at])));
                }
                (2, Some(up)) => {
                    world.lose(up);
                    *peer = None;
                }
                (3, Some(_)) => {
                    let _ = world.broker.end_session(world.now, &names[at]);
                    world.poll();
                    (*peer, *is_member) = (None, false);
                }
                (4, Some(up)) if *is_member => {
                    world.send(
                        up,
                        sansio_mqtt::Unsubscribe::new(crate::world::id(9), &["$share/g/t"]),
                    );
                    *is_member = false;
                }
                (_, Some(up)) => {
                    let group = [sansio_mqtt::Subscription::new("$share/g/t", QoS::AtLeastOnce)];
                    world.send(up, sansio_mqtt::Subscribe::new(crate::world::id(9), &group));
                    *is_member = true;
                }
            }
            let drain = |world: &mut World| {
                let mut messages = Vec::new();
                for (index, (peer, _)) in clients.iter().enumerate() {
                    for packet in peer.map(|peer| world.packets(peer)).unwrap_or_default() {
                        let sansio_mqtt::Packet::Publish(publish) = packet.packet() else {
                            continue;
                        };
                        messages.push(index);
                        let ack = sansio_mqtt::PubAck::new(publish.packet_id.unwrap());
                        world.send(peer.unwrap(), ack);
                    }
                }
                messages
            };
            // What waited for who was not there.
            while !drain(&mut world).is_empty() {}
            world.send(publisher, publish("t", QoS::AtLeastOnce, 1, "x"));
            let answer = world.raw(publisher);
            let messages = drain(&mut world);
            let there = clients.iter().filter(|one| one.0.is_some() && one.1).count();
            let members = clients.iter().filter(|one| one.1).count();
            assert_eq!(messages.len(), there.min(1), "step {step}: {clients:?}");
            assert!(messages.iter().all(|index| clients[*index].1));
            assert_eq!(answer.len(), if members > 0 { 4 } else { 5 }, "step {step}: {answer:?}");
        }
    }
}
