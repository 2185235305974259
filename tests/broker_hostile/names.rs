//! Client Identifiers, user names and topics that look like something else. MQTT 5.0 §4.7.

use std::sync::{Arc, Mutex};

use sansio_mqtt::broker::{Authorizer, Client, Decision, Forwarded};
use sansio_mqtt::{
    Connect, Packet, Publish, QoS, Subscribe, Subscription, Unsubscribe, Version, Will,
};

use crate::world::{World, id, in_all_versions, lasting, of, options, options_with, publish};

/// What can be taken for a filter, a path or a pattern by who does not look closely.
const NAMES: [&str; 12] =
    ["#", "+", "+/#", "$share/g/#", "$SYS", "$", "/", "../..", "*", "%c", "a\u{1}b", "é"];

#[test]
fn clients_with_names_like_filters_are_clients_like_others() {
    in_all_versions(|world, version| {
        let peers: Vec<_> = NAMES.iter().map(|name| world.join(&lasting(version, name))).collect();
        let innocent = world.up(version, "innocent");
        for (peer, name) in peers.iter().zip(NAMES) {
            assert_eq!(world.broker.session(name).unwrap().connection, Some(world.id(*peer)));
            world.serves(*peer);
        }
        assert_eq!(world.broker.counters().sessions, NAMES.len() + 1);
        world.serves(innocent);
        // Taking one over closes that one.
        let again = world.join(&lasting(version, "#"));
        assert!(world.is_closed(peers[0]));
        assert!(peers[1..].iter().all(|peer| !world.is_closed(*peer)));
        assert_eq!(world.broker.session("#").unwrap().connection, Some(world.id(again)));
        world.broker.end_session(world.now, "+").unwrap();
        assert_eq!(world.broker.counters().sessions, NAMES.len());
    });
}

/// A Client Identifier, and an identity.
type Names = (String, Option<String>);

/// Allows each client what is below its own identity, and writes down whom it was asked about.
#[derive(Clone, Default)]
struct OwnTree(Arc<Mutex<Vec<Names>>>);

impl OwnTree {
    fn decide(&self, client: &Client, topic: &str) -> Decision {
        let identity = client.identity.as_deref();
        let names = (client.client_id.to_string(), identity.map(str::to_string));
        self.0.lock().unwrap().push(names);
        let own = topic.strip_prefix("home/").and_then(|rest| rest.split_once('/'));
        match own.is_some_and(|(first, _)| Some(first) == identity) {
            true => Decision::Allow,
            false => Decision::Deny,
        }
    }
}

impl Authorizer for OwnTree {
    fn publish(&mut self, client: &Client, publish: &Publish<'_>) -> Decision {
        self.decide(client, publish.topic)
    }

    fn subscribe(&mut self, client: &Client, subscription: &Subscription<'_>) -> Decision {
        self.decide(client, subscription.topic_filter)
    }

    fn will(&mut self, client: &Client, will: &Will<'_>) -> Decision {
        self.decide(client, will.topic)
    }

    fn deliver(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        self.decide(client, message.topic)
    }
}

#[test]
fn an_authorizer_sees_names_as_they_are_and_they_open_nothing() {
    for version in Version::ALL {
        for name in ["#", "+", "alice/..", "$share/g/alice"] {
            let rights = OwnTree::default();
            let mut world = World::with(options(), rights.clone());
            let alice =
                world.join(&Connect { user_name: Some("alice"), ..of(version, "the client") });
            world.subscribe(alice, "home/alice/#", QoS::AtMostOnce);
            let thief = world.join(&Connect { user_name: Some(name), ..of(version, name) });
            let refused = match version {
                Version::V5 => "SUBACK #1 [0x87 Not authorized]",
                Version::V3_1_1 => "SUBACK #1 [0x80 Unspecified error]",
                Version::V3_1 => "SUBACK #1 [QoS 0]",
            };
            for filter in ["home/alice/#", "home/+/x", "#"] {
                rights.0.lock().unwrap().clear();
                let subscriptions = [Subscription::new(filter, QoS::AtMostOnce)];
                world.send(thief, Subscribe::new(id(1), &subscriptions));
                // What `home/+/x` asks for is below `+`, which its identity may really be.
                if !(name == "+" && filter == "home/+/x") {
                    assert_eq!(world.sent(thief), [refused]);
                } else {
                    let _ = world.raw(thief);
                }
                let seen = rights.0.lock().unwrap()[0].clone();
                assert_eq!(seen, (name.to_string(), Some(name.to_string())));
            }
            // Whatever it subscribes to, it is asked again about what is sent.
            world.send(alice, publish("home/alice/x", QoS::AtMostOnce, 0, "secret"));
            assert_eq!(world.sent(alice), ["PUBLISH \"home/alice/x\" QoS 0 \"secret\""]);
            assert_eq!(world.sent(thief), [""; 0]);
            world.send(thief, publish("home/alice/x", QoS::AtMostOnce, 0, "lie"));
            assert_eq!(world.sent(alice), [""; 0]);
            let will = Some(Will { topic: "home/alice/x", ..Will::default() });
            let peer = world.connect(&Connect { will, user_name: Some(name), ..of(version, "w") });
            let code: &[u8] =
                if version.is_v5() { &[0x20, 3, 0, 0x87, 0] } else { &[0x20, 2, 0, 5] };
            assert_eq!(world.raw(peer), code);
        }
    }
}

#[test]
fn a_guessed_identifier_is_not_assigned() {
    // v5 [MQTT-3.1.3-6], v3.1.1 [MQTT-3.1.3-6]: it is unique.
    for version in [Version::V3_1_1, Version::V5] {
        // The same seed assigns the same identifiers.
        let mut world = World::default();
        let first = world.up(version, "");
        let second = world.up(version, "");
        let name = |world: &World, peer| {
            let mut sessions = world.broker.sessions();
            let found = sessions.find(|one| one.connection == Some(world.id(peer)));
            found.unwrap().client.client_id.to_string()
        };
        let names = [name(&world, first), name(&world, second)];
        assert_ne!(names[0], names[1]);
        let mut world = World::default();
        let guessed = names.each_ref().map(|name| world.up(version, name));
        let assigned = world.up(version, "");
        assert!(guessed.into_iter().all(|peer| !world.is_closed(peer)));
        assert!(!names.contains(&name(&world, assigned)));
    }
}

#[test]
fn topics_that_begin_with_a_dollar_sign_are_not_for_clients_to_publish_to() {
    // v5 4.7.2, v3.1.1 4.7.2: "The Server SHOULD prevent".
    in_all_versions(|world, version| {
        let reader = world.up(version, "reader");
        world.subscribe(reader, "$SYS/#", QoS::AtMostOnce);
        let publisher = world.up(version, "publisher");
        let code = if version.is_v5() { " 0x87 Not authorized" } else { "" };
        for topic in ["$SYS/x", "$", "$share/g/t", "$é"] {
            world.send(publisher, publish(topic, QoS::AtMostOnce, 0, "x"));
            world.send(publisher, publish(topic, QoS::AtLeastOnce, 1, "x"));
            assert_eq!(world.sent(publisher), [format!("PUBACK #1{code}")]);
            let will = Some(Will { topic, ..Will::default() });
            let peer = world.connect(&Connect { will, ..of(version, "c") });
            let code: &[u8] =
                if version.is_v5() { &[0x20, 3, 0, 0x87, 0] } else { &[0x20, 2, 0, 5] };
            assert_eq!(world.raw(peer), code, "{topic}");
        }
        assert_eq!(world.sent(reader), [""; 0]);
        // They are for the application.
        world.broker.publish(world.now, &publish("$SYS/x", QoS::AtMostOnce, 0, "x")).unwrap();
        world.poll();
        assert_eq!(world.sent(reader), ["PUBLISH \"$SYS/x\" QoS 0 \"x\""]);
    });
}

/// Clients may publish to every topic.
fn open() -> World {
    World::new(options_with(|options| options.clients_may_publish_to_dollar_topics = true))
}

#[test]
fn topics_that_begin_with_a_dollar_sign_are_topics() {
    // v5 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.2-1]
    let topics =
        ["$", "$SYS", "$SYS/x", "$foo", "$foo/x", "$/", "$$", "$share", "$share/g/t", "$é"];
    for version in Version::ALL {
        let mut world = open();
        let all = world.up(version, "all");
        for filter in ["#", "+", "+/#", "+/x", "+/g/t"] {
            world.subscribe(all, filter, QoS::AtMostOnce);
        }
        let exact = world.up(version, "exact");
        for topic in topics.iter().filter(|topic| !topic.starts_with("$share/")) {
            world.subscribe(exact, topic, QoS::AtMostOnce);
        }
        let below = world.up(version, "below");
        world.subscribe(below, "$SYS/#", QoS::AtMostOnce);
        let publisher = world.up(version, "publisher");
        for topic in topics {
            let retain = Publish { retain: true, ..publish(topic, QoS::AtMostOnce, 0, "x") };
            world.send(publisher, retain);
            assert_eq!(world.sent(all), [""; 0], "{topic}");
            let expected = usize::from(!topic.starts_with("$share/"));
            assert_eq!(world.packets(exact).len(), expected, "{topic}");
            let expected = usize::from(topic.starts_with("$SYS"));
            assert_eq!(world.packets(below).len(), expected, "{topic}");
        }
        // Retained ones the same: nothing behind the SUBACK.
        for filter in ["#", "+", "+/#", "+/x"] {
            let late = world.up(version, "late");
            world.subscribe(late, filter, QoS::AtMostOnce);
            assert_eq!(world.sent(late), [""; 0]);
        }
        let late = world.up(version, "late");
        let filters = [Subscription::new("$SYS/#", QoS::AtMostOnce)];
        world.send(late, Subscribe::new(id(1), &filters));
        assert_eq!(world.packets(late).len(), 1 + 2);
        assert_eq!(world.broker.counters().retained_messages, topics.len());
    }
}

#[test]
fn topics_that_begin_with_a_letter_of_several_bytes_are_topics() {
    let topics = ["é", "é/x", "漢字/x", "\u{1f600}", "\u{10ffff}/x", "\u{feff}/x"];
    in_all_versions(|world, version| {
        let reader = world.up(version, "reader");
        world.subscribe(reader, "#", QoS::AtMostOnce);
        for topic in topics {
            world.subscribe(reader, topic, QoS::AtMostOnce);
            let publisher = world.up(version, "é");
            world.send(publisher, publish(topic, QoS::AtMostOnce, 0, "x"));
            let packets = world.packets(reader);
            let Packet::Publish(publish) = packets[0].packet() else { panic!("{packets:?}") };
            assert_eq!((publish.topic, packets.len()), (topic, 1));
        }
    });
}

#[test]
fn groups_are_nothing_special_before_5_0() {
    // v3.1.1 4.7: `$share` has no meaning there.
    for version in [Version::V3_1, Version::V3_1_1] {
        let mut world = open();
        let reader = world.up(version, "reader");
        for filter in ["$share/g/t", "$share/ab", "$share//", "$share/+/#"] {
            world.subscribe(reader, filter, QoS::AtMostOnce);
        }
        let publisher = world.up(version, "publisher");
        world.send(publisher, publish("t", QoS::AtMostOnce, 0, "x"));
        assert_eq!(world.sent(reader), [""; 0]);
        world.send(publisher, publish("$share/g/t", QoS::AtMostOnce, 0, "x"));
        let packets = world.packets(reader);
        assert_eq!(packets.len(), 1, "{packets:?}");
        // One of 5.0 leaves a group that is not this.
        let other = world.up(Version::V5, "other");
        world.send(other, Unsubscribe::new(id(1), &["$share/g/t"]));
        assert_eq!(world.sent(other), ["UNSUBACK #1 [0x11 No subscription existed]"]);
        assert_eq!(world.broker.counters().subscriptions, 4);
    }
}
