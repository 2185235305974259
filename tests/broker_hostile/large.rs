//! Much of what may be there in any number: properties, levels, filters, retained messages. Work
//! grows with what came in, and not with its square.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use sansio_mqtt::broker::{Authorizer, Client, Decision, Forwarded, Output, RetainedLimits};
use sansio_mqtt::{
    Connect, Outgoing, Packet, Properties, Property, Publish, QoS, Subscribe, Subscription, Version,
};

use crate::memory;
use crate::world::{Peer, World, encode, id, lasting, of, options, options_with, publish};

/// How long an action takes, whoever else is at work on the machine.
fn time(action: impl FnOnce()) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the machine reads no clock, its test does")]
    let start = std::time::Instant::now();
    action();
    start.elapsed()
}

/// Whether the second of two actions takes less than so many times as long as the first: the
/// shortest times of a few runs are compared, and of more as long as it does not look so.
fn assert_within(times: u32, what: &str, mut actions: impl FnMut(usize)) {
    let mut shortest = [Duration::MAX; 2];
    for round in 1..=40 {
        for (index, shortest) in shortest.iter_mut().enumerate() {
            *shortest = time(|| actions(index)).min(*shortest);
        }
        if round >= 4 && shortest[1] < times * shortest[0] {
            break;
        }
    }
    println!("{what}: {shortest:?}");
    assert!(shortest[1] < times * shortest[0], "{what}: {shortest:?}");
}

/// Four times as much may take eight times as long, which leaves room for noise: with the square
/// it would be sixteen times.
const LINEAR: u32 = 8;

fn user_properties(count: usize) -> Vec<Property<'static>> {
    vec![Property::UserProperty("k", "v"); count]
}

#[test]
fn thousands_of_user_properties_in_connect_take_time_in_proportion() {
    let connects = [400, 1_600].map(|count| {
        let properties = user_properties(count);
        let properties = Properties::List(&properties);
        encode(Version::V5, Connect { properties, ..of(Version::V5, "c") })
    });
    assert_within(LINEAR, "CONNECT", |index| {
        let mut world = World::default();
        let peer = world.open(Version::V5);
        world.send_bytes(peer, &connects[index]);
        assert_eq!(world.raw(peer)[0], 0x20);
    });
}

#[test]
fn thousands_of_user_properties_in_publish_arrive_in_their_order_in_proportion() {
    // v5 [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    let publishes = [1_000, 4_000].map(|count| {
        let mut properties = user_properties(count);
        properties[7] = Property::UserProperty("seven", "8");
        let properties = Properties::List(&properties);
        encode(Version::V5, Publish { properties, ..publish("t", QoS::AtMostOnce, 0, "x") })
    });
    let mut world = World::default();
    let reader = world.up(Version::V5, "reader");
    world.subscribe(reader, "t", QoS::AtMostOnce);
    let peer = world.up(Version::V5, "c");
    assert_within(LINEAR, "PUBLISH", |index| {
        world.send_bytes(peer, &publishes[index]);
        assert!(world.raw(reader) == publishes[index], "another PUBLISH");
    });
}

#[test]
fn filters_in_one_subscribe_take_time_in_proportion() {
    // A filter of a session with many subscriptions and much to be replayed costs about as much as
    // one of a session with few.
    let mut worlds = [10, 1_000].map(|count| {
        let filters: Vec<_> = (0..count).map(|number| format!("f/{number}")).collect();
        let subscriptions: Vec<_> = filters
            .iter()
            .cycle()
            .take(4_000)
            .map(|filter| Subscription::new(filter, QoS::AtMostOnce))
            .collect();
        let bytes = encode(Version::V5, Subscribe::new(id(1), &subscriptions));
        let mut world = World::default();
        let peer = world.up(Version::V5, "c");
        let retain = Publish { retain: true, ..publish("f/0", QoS::AtMostOnce, 0, "x") };
        world.send(peer, retain);
        world.block(peer);
        (world, peer, bytes)
    });
    assert_within(LINEAR, "SUBSCRIBE", |index| {
        let (world, peer, bytes) = &mut worlds[index];
        world.send_bytes(*peer, bytes);
        world.unblock(*peer);
        assert!(world.raw(*peer).len() > 4_000);
        world.block(*peer);
    });
}

#[test]
fn overlapping_subscriptions_of_one_session_take_time_in_proportion() {
    // Combinations of `+` all match, each with an identifier of its own. v5 [MQTT-3.3.4-3]
    let mut worlds = [8, 10].map(|levels| {
        let mut world =
            World::new(options_with(|options| options.maximum_subscriptions_per_session = 2_000));
        let peer = world.up(Version::V5, "c");
        for (number, filter) in combinations(levels, "a").enumerate() {
            let subscriptions = [Subscription::new(&filter, QoS::AtMostOnce)];
            let properties = [Property::SubscriptionIdentifier(number as u32 + 1)];
            let properties = Properties::List(&properties);
            world.send(peer, Subscribe { properties, ..Subscribe::new(id(1), &subscriptions) });
        }
        let _ = world.raw(peer);
        let topic = vec!["a"; levels].join("/");
        (1 << levels, world, peer, encode(Version::V5, publish(&topic, QoS::AtMostOnce, 0, "x")))
    });
    assert_within(LINEAR, "overlapping subscriptions", |index| {
        let (count, world, peer, bytes) = &mut worlds[index];
        world.send_bytes(*peer, bytes);
        let packets = world.packets(*peer);
        let Packet::Publish(publish) = packets[0].packet() else { panic!() };
        assert_eq!(publish.properties.subscription_identifiers().count(), *count);
    });
}

/// Filters with `+` in place of any of so many levels.
fn combinations(levels: usize, level: &str) -> impl Iterator<Item = String> {
    (0..1_u32 << levels).map(move |bits| {
        let one = |at: usize| if bits >> at & 1 == 1 { "+" } else { level };
        (0..levels).map(one).collect::<Vec<_>>().join("/")
    })
}

#[test]
fn filters_made_to_blow_up_matching_take_time_in_proportion_to_themselves() {
    // No match at the end: every way along the topic is gone. Each session has its maximum.
    let mut worlds = [10, 12].map(|levels: usize| {
        let mut world = World::default();
        let filters: Vec<_> = combinations(levels, "a").map(|filter| filter + "/z").collect();
        for (number, filters) in filters.chunks(1_000).enumerate() {
            let peer = world.up(Version::V5, &format!("attacker-{number}"));
            let subscriptions: Vec<_> =
                filters.iter().map(|one| Subscription::new(one, QoS::AtMostOnce)).collect();
            world.send(peer, Subscribe::new(id(1), &subscriptions));
        }
        assert_eq!(world.broker.counters().subscriptions, 1 << levels);
        let innocent = world.up(Version::V5, "innocent");
        let topic = vec!["a"; levels + 1].join("/");
        let bytes = encode(Version::V5, publish(&topic, QoS::AtLeastOnce, 1, "x"));
        (world, innocent, bytes)
    });
    assert_within(LINEAR, "combinations", |index| {
        let (world, innocent, bytes) = &mut worlds[index];
        world.send_bytes(*innocent, bytes);
        assert_eq!(world.raw(*innocent), [0x40, 3, 0, 1, 0x10]);
    });
}

#[test]
fn deep_topics_and_filters_end_nowhere_and_overflow_nothing() {
    // With no limit but the standard's.
    let options = options_with(|options| {
        options.maximum_topic_levels = usize::MAX;
        options.maximum_topic_length = usize::MAX;
        options.maximum_wildcards = usize::MAX;
    });
    for version in Version::ALL {
        let mut world = World::new(options.clone());
        let reader = world.up(version, "reader");
        let deep = "/".repeat(65_400);
        let wild = "+/".repeat(32_700) + "#";
        for filter in [&deep, &wild, &"a/".repeat(30_000)] {
            world.subscribe(reader, filter, QoS::AtMostOnce);
        }
        let peer = world.up(version, "c");
        let retain = Publish { retain: true, ..publish(&deep, QoS::AtMostOnce, 0, "x") };
        world.send(peer, retain);
        assert_eq!(world.packets(reader).len(), 1);
        let late = world.up(version, "late");
        world.subscribe(late, "#", QoS::AtMostOnce);
        world.lose(reader);
        world.serves(peer);
        assert_eq!(world.broker.counters().subscriptions, 2);
    }
}

/// Allows everything but to be shown a retained message.
struct Hidden;

impl Authorizer for Hidden {
    fn replay(&mut self, _: &Client, _: &Forwarded<'_>) -> Decision {
        Decision::Deny
    }
}

fn retain(world: &mut World, qos: QoS, count: usize) {
    let peer = world.up(Version::V3_1_1, "retaining");
    for number in 0..count {
        let topic = format!("retained/{}/{number}", number % 100);
        world.send(peer, Publish { retain: true, ..publish(&topic, qos, 1, "payload") });
    }
    world.lose(peer);
    assert_eq!(world.broker.counters().retained_messages, count);
}

#[test]
fn many_retained_messages_for_one_that_never_reads_take_no_room() {
    let mut world = World::new(options_with(|options| options.maximum_queued_messages = 100));
    retain(&mut world, QoS::AtLeastOnce, 10_000);
    let innocent = world.up(Version::V5, "innocent");
    for version in [Version::V3_1_1, Version::V5] {
        let peer = world.up(version, "c");
        world.block(peer);
        let all = [Subscription::new("#", QoS::ExactlyOnce)];
        let subscribe = encode(version, Subscribe::new(id(1), &all));
        let before = memory::held();
        for _ in 0..1_000 {
            let _ = world.flood(peer, &subscribe);
        }
        let held = memory::held() - before;
        assert!(held < 160 * 1_024, "{held}");
        world.serves(innocent);
        // And one that reads, but acknowledges nothing.
        world.unblock(peer);
        let packets = world.packets(peer);
        let publishes =
            packets.iter().filter(|one| matches!(one.packet(), Packet::Publish(_))).count();
        // What fits into the window, and what was published to the innocent one.
        assert!(publishes <= 101, "{publishes}");
        let held = memory::held() - before;
        assert!(held < 512 * 1_024, "{held}");
        world.lose(peer);
    }
}

#[test]
fn a_large_message_is_held_once_however_it_is_sent() {
    // In the properties, so that it is not the payload that is shared.
    let value = "x".repeat(60_000);
    let list = [Property::UserProperty("k", &value); 3];
    let message =
        Publish { properties: Properties::List(&list), ..publish("t", QoS::AtLeastOnce, 1, "x") };
    let mut world = World::default();
    let publisher = world.up(Version::V5, "publisher");
    let slow = world.join(&lasting(Version::V5, "slow"));
    world.subscribe(slow, "t", QoS::AtLeastOnce);
    world.lose(slow);
    let aliased = [Property::TopicAliasMaximum(5)];
    let mut peers = vec![publisher];
    for number in 0..8 {
        let name = format!("reader {number}");
        let properties = Properties::List(&aliased[..number % 2]);
        let peer = world.join(&Connect { properties, ..of(Version::V5, &name) });
        world.subscribe(peer, "t", QoS::AtMostOnce);
        peers.push(peer);
    }
    let before = memory::held();
    for _ in 0..10 {
        world.send(publisher, message);
        peers.iter().for_each(|&peer| drop(world.raw(peer)));
    }
    let (held, stored) = (memory::held() - before, world.broker.counters().stored_bytes);
    assert!(stored > 1_800_000, "{stored}");
    assert!(held < stored as isize * 3 / 2, "{held} for {stored}");
}

#[test]
fn retained_messages_are_not_dropped_by_the_limit_of_the_queue() {
    for qos in crate::world::QOS {
        let mut world = World::new(options_with(|options| options.maximum_queued_messages = 10));
        retain(&mut world, QoS::AtLeastOnce, 1_000);
        let peer = world.up(Version::V5, "c");
        let all = [Subscription::new("#", qos)];
        world.send(peer, Subscribe::new(id(1), &all));
        let mut count = 0;
        loop {
            let before = count;
            for packet in world.packets(peer) {
                let Packet::Publish(publish) = packet.packet() else { continue };
                count += 1;
                if let Some(packet_id) = publish.packet_id {
                    world.send(peer, sansio_mqtt::PubAck::new(packet_id));
                }
            }
            if count == before {
                break;
            }
        }
        assert_eq!(count, 1_000, "QoS {qos}");
        assert_eq!(world.broker.session("c").unwrap().dropped, 0);
    }
}

#[test]
fn a_replay_that_is_all_withheld_ends_and_keeps_nobody_waiting() {
    let mut world = World::with(options(), Hidden);
    retain(&mut world, QoS::AtMostOnce, 10_000);
    let peer = world.up(Version::V5, "c");
    let all = [Subscription::new("#", QoS::AtMostOnce)];
    world.send(peer, Subscribe::new(id(1), &all));
    assert_eq!(world.sent(peer), ["SUBACK #1 [QoS 0]"]);
    assert_eq!(world.broker.counters().withheld, 10_000);
    world.serves(peer);
}

#[test]
fn retained_messages_are_bounded_in_number_and_bytes() {
    let mut limits = RetainedLimits::default();
    (limits.maximum_count, limits.maximum_bytes) = (100, 50_000);
    for version in Version::ALL {
        let mut world = World::new(options_with(|options| options.retained = limits));
        let peer = world.up(version, "c");
        let before = memory::held();
        for number in 0..1_000_u16 {
            let topic = format!("t/{number}");
            let retain = Publish {
                retain: true,
                ..publish(&topic, QoS::AtLeastOnce, number + 1, "a payload of some length")
            };
            world.send(peer, retain);
            let code: &[u8] = match number {
                _ if !version.is_v5() => &[],
                0..100 => &[0x10],
                _ => &[0x97],
            };
            assert_eq!(world.raw(peer)[4..], *code, "{number}");
        }
        assert_eq!(world.broker.counters().retained_messages, 100);
        assert_eq!(world.broker.counters().not_retained, 900);
        let held = memory::held() - before;
        assert!(held < 50_000 + 16 * 1_024, "{held}");
        // What is there can be replaced, and removed.
        let replaced = Publish { retain: true, ..publish("t/3", QoS::AtMostOnce, 0, "other") };
        world.send(peer, replaced);
        world.send(peer, Publish { retain: true, ..publish("t/4", QoS::AtMostOnce, 0, "") });
        assert_eq!(world.broker.counters().retained_messages, 99);
    }
}

#[test]
fn levels_without_end_in_retained_topics_are_given_back() {
    let mut world = World::default();
    let peer = world.up(Version::V5, "c");
    let deep = |number: usize| format!("{}{number}", format!("{number}/").repeat(120));
    let mut before = 0;
    for round in 0..20 {
        for payload in ["x", ""] {
            for number in 0..100 {
                let topic = deep(number + round * 100);
                let retain =
                    Publish { retain: true, ..publish(&topic, QoS::AtMostOnce, 0, payload) };
                world.send(peer, retain);
            }
        }
        if round == 1 {
            before = memory::held();
        }
    }
    let left = memory::held() - before;
    assert!(left < 16 * 1_024, "{left}");
}

#[test]
fn a_large_packet_in_small_pieces_takes_time_in_proportion() {
    let packets = [20_000, 80_000]
        .map(|len| encode(Version::V5, publish("a", QoS::AtMostOnce, 0, &"x".repeat(len))));
    let mut world = World::default();
    let peer = world.up(Version::V5, "c");
    assert_within(LINEAR, "pieces", |index| {
        packets[index].chunks(8).for_each(|bytes| world.send_bytes(peer, bytes));
        assert_eq!(world.not_taken(peer), 0);
    });
}

/// A group of so many that read nothing and have as much as they may, and one more with another
/// subscription, whose queue is full of messages of the group.
fn full_group(members: usize) -> (World, Vec<Peer>) {
    let mut world = World::new(options_with(|options| {
        options.maximum_queued_messages = 200;
        options.maximum_in_flight = 1;
    }));
    let publisher = world.up(Version::V5, "publisher");
    world.ignore(publisher);
    let peers: Vec<_> = (0..members)
        .map(|number| {
            let client_id = format!("c{number}");
            let peer = world.join(&lasting(Version::V5, &client_id));
            world.subscribe(peer, "$share/g/t", QoS::AtLeastOnce);
            world.block(peer);
            peer
        })
        .collect();
    for _ in 0..200 * members {
        world.send(publisher, publish("t", QoS::AtLeastOnce, 1, "x"));
    }
    world.lose(publisher);
    (world, peers)
}

#[test]
fn whoever_leaves_a_group_in_which_nobody_has_room_asks_for_it_once() {
    // v5 4.8.2: what it was not sent may go to others. There are eight times as many of them, each
    // full: that is no reason to ask them for each of its messages.
    let mut worlds = [10, 80].map(full_group);
    assert_within(4, "leaving a full group", |index| {
        let (world, _) = &mut worlds[index];
        // It comes back, takes over from itself, and goes again.
        let peer = world.join_again(&lasting(Version::V5, "c0"));
        world.block(peer);
        assert_eq!(world.broker.session("c0").unwrap().queued_messages, 200);
    });
}

#[test]
fn a_message_for_a_group_in_which_nobody_has_room_takes_time_in_proportion() {
    let mut worlds = [50, 200].map(|members| {
        let mut world = full_group(members).0;
        let peer = world.up(Version::V5, "publisher");
        (world, peer)
    });
    assert_within(LINEAR, "publishing to a full group", |index| {
        let (world, peer) = &mut worlds[index];
        for _ in 0..10 {
            world.send(*peer, publish("t", QoS::AtLeastOnce, 1, "x"));
        }
        assert_eq!(world.raw(*peer).len(), 40);
    });
}

#[test]
fn retained_messages_of_any_shape_hold_no_more_than_the_limits_say() {
    type Shape = fn(usize) -> (String, Vec<u8>, Vec<Property<'static>>);
    let rows: [(&str, Shape); 6] = [
        ("short", |number| (format!("{number}"), vec![7], Vec::new())),
        ("many levels of their own", |number| {
            (format!("{number}/").repeat(127) + "x", vec![7], Vec::new())
        }),
        ("many empty levels", |number| (format!("{number}{}", "/".repeat(127)), vec![7], vec![])),
        ("a long level of their own", |number| {
            (format!("{number}{}", "x".repeat(4_000)), vec![7], Vec::new())
        }),
        ("large payloads", |number| (format!("{number}"), vec![7; 20_000], Vec::new())),
        ("many properties", |number| {
            (format!("{number}"), vec![7], vec![Property::UserProperty("", ""); 2_000])
        }),
    ];
    let mut limits = RetainedLimits::default();
    (limits.maximum_count, limits.maximum_bytes) = (2_000, 1_000_000);
    for (what, shape) in rows {
        let mut world = World::new(options_with(|options| options.retained = limits));
        let peer = world.up(Version::V5, &"c".repeat(1_000));
        world.ignore(peer);
        let before = memory::held();
        for number in 0..1_200 {
            let (topic, payload, properties) = shape(number);
            let properties = Properties::List(&properties);
            let retain = Publish {
                topic: &topic,
                payload: &payload,
                properties,
                retain: true,
                ..Publish::default()
            };
            world.send(peer, retain);
        }
        let held = memory::held() - before;
        let count = world.broker.counters().retained_messages;
        println!("{what}: {count} messages in {held} bytes");
        // The text of a level is in the table of levels, too.
        assert!(held < 2 * 1_000_000 + count as isize * 256, "{what}: {held}");
        assert!(world.broker.counters().not_retained > 0);
    }
}

#[test]
fn subscriptions_of_any_shape_hold_no_more_than_the_limits_say() {
    type Shape = fn(usize) -> String;
    let rows: [(&str, Shape); 5] = [
        ("short", |number| format!("{number}")),
        ("a long level of their own", |number| format!("+/{number}{}", "x".repeat(980))),
        ("many levels of their own", |number| format!("+/{}x", format!("{number}/").repeat(60))),
        ("many empty levels", |number| format!("{number}{}#", "/".repeat(60))),
        ("groups of their own", |number| format!("$share/{number}/+/{number}")),
    ];
    for (what, shape) in rows {
        let mut world = World::new(options_with(|options| {
            options.maximum_subscriptions = 500;
            options.maximum_subscriptions_per_session = 500;
            options.maximum_topic_length = 1_000;
            options.maximum_topic_levels = 64;
        }));
        let peer = world.up(Version::V5, "c");
        let before = memory::held();
        for number in 0..600 {
            let filter = shape(number);
            let one = [Subscription::new(&filter, QoS::AtMostOnce)];
            world.send(peer, Subscribe::new(id(1), &one));
            let _ = world.raw(peer);
        }
        assert_eq!(world.broker.counters().subscriptions, 500, "{what}");
        let held = memory::held() - before;
        println!("{what}: {held} bytes");
        // The longest filter, and for each level a place in the tree and in the table of levels.
        assert!(held < 500 * (1_000 + 64 * 128 + 256), "{what}: {held}");
        // All of it is given back.
        world.lose(peer);
        assert!(memory::held() - before < 32 * 1_024, "{what}");
    }
}

/// Counts the retained messages that it holds back.
struct Counting(Arc<AtomicUsize>);

impl Authorizer for Counting {
    fn replay(&mut self, _: &Client, _: &Forwarded<'_>) -> Decision {
        self.0.fetch_add(1, Ordering::Relaxed);
        Decision::Deny
    }
}

#[test]
fn retained_messages_that_are_all_held_back_leave_room_for_others() {
    const RETAINED: usize = 10_000;
    let asked = Arc::new(AtomicUsize::new(0));
    let mut world = World::with(options(), Counting(asked.clone()));
    retain(&mut world, QoS::AtMostOnce, RETAINED);
    let peer = world.up(Version::V3_1_1, "c");
    let list = [Subscription::new("#", QoS::AtMostOnce)];
    let subscribe = encode(Version::V3_1_1, Subscribe::new(id(1), &list));
    let _ = world.broker.receive(world.now, world.id(peer), &mut BytesMut::from(&subscribe[..]));
    let (mut outgoing, mut most) = (Outgoing::new(), 0);
    while asked.load(Ordering::Relaxed) < RETAINED {
        let before = asked.load(Ordering::Relaxed);
        // Nothing comes before others have had their turn.
        loop {
            match world.broker.poll_output() {
                Output::Transmit(connection) => {
                    let out = &mut outgoing;
                    let _ = world.broker.transmit(world.now, connection, usize::MAX, out);
                }
                Output::Timeout(deadline) => {
                    let goes_on = deadline.is_some_and(|deadline| deadline <= world.now);
                    assert!(goes_on || asked.load(Ordering::Relaxed) == RETAINED);
                    break;
                }
                _ => {}
            }
        }
        most = most.max(asked.load(Ordering::Relaxed) - before);
        world.broker.handle_timeout(world.now);
    }
    println!("{most} at once at most");
    assert!(most < RETAINED / 2, "{most}");
}
