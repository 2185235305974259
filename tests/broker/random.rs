//! Many things in any order: rules that hold whatever happens.
//!
//! Clients come, go, break, are slow and are taken over while messages are published. Besides what
//! each world checks of every packet: nothing that was promised is lost, what is exactly once comes
//! once, and what a client did not ask for does not come.

use std::collections::{BTreeMap, BTreeSet};

use sansio_mqtt::broker::Options;
use sansio_mqtt::{Connect, Packet, PubComp, PubRec, QoS, ReasonCode, Version, Will};

use crate::words::{lasting, options_with, publish, v5};
use crate::world::{Peer, Way, World};

/// Numbers without a pattern, the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

const TOPICS: [&str; 5] = ["a", "a/b", "a/b/c", "b", "b/c"];
const FILTERS: [&str; 7] = ["a", "a/#", "a/+", "+/b", "b/#", "#", "b"];

pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            // `a/#` matches `a`.
            (Some(_) | None, _) => return false,
        }
    }
}

/// What a client knows and expects.
#[derive(Default)]
struct Client {
    name: String,
    peer: Option<Peer>,
    /// Its subscriptions, as the broker has acknowledged them.
    filters: BTreeMap<&'static str, QoS>,
    /// Identifiers at QoS 2 that wait for PUBREL.
    unreleased: BTreeSet<u16>,
    /// Messages that it was promised.
    promised: BTreeSet<String>,
    /// Messages that it may be sent.
    possible: BTreeSet<String>,
    /// How often each message came, repetitions left out at QoS 2.
    came: BTreeMap<String, usize>,
}

struct Model {
    world: World,
    dice: Dice,
    clients: Vec<Client>,
    published: usize,
    /// Messages at QoS 2, from end to end.
    exactly_once: BTreeSet<String>,
}

impl Model {
    fn new(seed: u64, options: &Options) -> Self {
        let mut dice = Dice::new(seed);
        let fragment = dice.pick(&[usize::MAX, 1, 3, 50]);
        let way = Way { fragment, limit: dice.pick(&[usize::MAX, 1, 40]) };
        let mut world = World::new(way, options.clone());
        world.acknowledges = false;
        let name = |number| Client { name: format!("c{number}"), ..Client::default() };
        let clients = (0..5).map(name).collect();
        Self { world, dice, clients, published: 0, exactly_once: BTreeSet::new() }
    }

    /// The client connects, whether it is connected or not, with the session that it has.
    fn connect(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let version = self.dice.pick(&Version::ALL);
        let clean_start = version.is_v5() && self.dice.roll(8) == 0;
        let will = Will { topic: "will", payload: b"x", ..Will::default() };
        let will = (self.dice.roll(3) == 0).then_some(will);
        let connect = Connect { clean_start, will, ..lasting(version, &client.name) };
        let (peer, present) = self.world.resume(&connect);
        if !present && version != Version::V3_1 {
            client.forget();
        }
        client.peer = Some(peer);
    }

    fn subscribe(&mut self, index: usize) {
        let (filter, qos) = (self.dice.pick(&FILTERS), self.dice.pick(&crate::words::QOS));
        let gone = self.dice.roll(3) == 0;
        let Some(peer) = self.reading(index) else { return };
        if gone {
            self.world.unsubscribe(peer, &[filter]);
            self.clients[index].filters.remove(filter);
        } else {
            self.world.subscribe(peer, filter, qos);
            self.clients[index].filters.insert(filter, qos);
        }
        self.look(index);
    }

    /// A connection that takes bytes, so that an answer comes.
    fn reading(&mut self, index: usize) -> Option<Peer> {
        let peer = self.clients[index].peer?;
        self.world.unblock(peer);
        Some(peer)
    }

    fn publish(&mut self, index: usize) {
        let Some(peer) = self.reading(index) else { return };
        self.published += 1;
        let (topic, qos) = (self.dice.pick(&TOPICS), self.dice.pick(&crate::words::QOS));
        let payload = format!("m{}", self.published);
        for client in &mut self.clients {
            let of = client.filters.iter().filter(|(filter, _)| matches(filter, topic));
            let Some(granted) = of.map(|(_, qos)| *qos).max() else { continue };
            client.possible.insert(payload.clone());
            match granted.min(qos) {
                QoS::AtMostOnce => {}
                granted => {
                    client.promised.insert(payload.clone());
                    if granted == QoS::ExactlyOnce {
                        self.exactly_once.insert(format!("{} {payload}", client.name));
                    }
                }
            }
        }
        let code = self.world.publish(peer, topic, qos, &payload);
        let is_heard = self.clients.iter().any(|client| client.possible.contains(&payload));
        let no_word = qos == QoS::AtMostOnce || !self.world.version(peer).is_v5();
        let expected = if is_heard || no_word {
            ReasonCode::SUCCESS
        } else {
            ReasonCode::NO_MATCHING_SUBSCRIBERS
        };
        assert_eq!(code, expected, "{topic}");
        self.look(index);
    }

    /// The client looks at what came, and acknowledges some of it.
    fn look(&mut self, index: usize) {
        let Some(peer) = self.clients[index].peer else { return };
        for packet in self.world.packets(peer) {
            let client = &mut self.clients[index];
            // A client is slow at times, and acknowledges what it has when it was asked again.
            match packet.packet() {
                // Of the others' Wills nothing is promised.
                Packet::Publish(publish) if publish.topic == "will" => {}
                Packet::Publish(publish) => {
                    let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                    assert!(client.possible.contains(&payload), "{} {packet}", client.name);
                    let id = publish.packet_id.map(|id| id.get());
                    let is_new = match (publish.qos, id) {
                        (QoS::ExactlyOnce, Some(id)) => client.unreleased.insert(id),
                        _ => true,
                    };
                    if is_new {
                        *client.came.entry(payload).or_default() += 1;
                    }
                    let Some(id) = publish.packet_id else { continue };
                    if self.dice.roll(4) == 0 {
                        continue;
                    }
                    match publish.qos {
                        QoS::ExactlyOnce => self.world.send(peer, PubRec::new(id)),
                        _ => self.world.send(peer, sansio_mqtt::PubAck::new(id)),
                    }
                }
                Packet::PubRel(ack) => {
                    client.unreleased.remove(&ack.packet_id.get());
                    if self.dice.roll(4) > 0 {
                        self.world.send(peer, PubComp::new(ack.packet_id));
                    }
                }
                other => panic!("{other}"),
            }
        }
    }

    fn step(&mut self) {
        let index = self.dice.roll(self.clients.len());
        let peer = self.clients[index].peer;
        match (self.dice.roll(20), peer) {
            (0 | 1, _) | (2..=4, None) => {
                // Who is taken over looks at what it has first, and then for the last time.
                self.look(index);
                self.connect(index);
            }
            (2..=4, Some(_)) => self.look(index),
            (5..=7, _) => self.subscribe(index),
            (8..=14, _) => self.publish(index),
            (15, Some(peer)) => self.world.block(peer),
            (16, Some(_)) => {
                let _ = self.reading(index);
                self.look(index);
            }
            (17, Some(peer)) => {
                self.look(index);
                self.world.lose(peer);
                self.clients[index].peer = None;
            }
            (18, Some(peer)) => {
                let _ = self.reading(index);
                self.look(index);
                self.world.leave(peer);
                self.clients[index].peer = None;
            }
            (19, _) => self.world.wait_secs(100),
            _ => {}
        }
    }

    /// Everybody comes back, and takes and acknowledges all that there is.
    fn finish(mut self) {
        for index in 0..self.clients.len() {
            self.look(index);
            let client = &mut self.clients[index];
            let name = client.name.clone();
            let connect = lasting(Version::V5, &name);
            let (peer, present) = self.world.resume(&connect);
            if !present {
                client.forget();
            }
            client.peer = Some(peer);
            // Some are not acknowledged at the first time; they are, on another connection.
            for _ in 0..1_000 {
                self.look(index);
                if self.world.broker.session(&name).unwrap().queued_messages == 0 {
                    break;
                }
                let (peer, present) = self.world.resume(&connect);
                assert!(present);
                self.clients[index].peer = Some(peer);
            }
            self.look(index);
            assert_eq!(self.world.broker.session(&name).unwrap().queued_messages, 0);
        }
        for client in &self.clients {
            for payload in &client.promised {
                assert!(client.came.contains_key(payload), "{} never got {payload}", client.name);
            }
            for (payload, count) in &client.came {
                let line = format!("{} {payload}", client.name);
                if self.exactly_once.contains(&line) {
                    assert_eq!(*count, 1, "{line}");
                }
            }
        }
        self.world.end();
    }
}

impl Client {
    /// There is a new session: what was promised to the old one is not owed any more.
    fn forget(&mut self) {
        self.filters.clear();
        self.unreleased.clear();
        self.promised.clear();
    }
}

#[test]
fn whatever_happens_nothing_promised_is_lost_and_what_is_exactly_once_comes_once() {
    // v5 [MQTT-4.3.2-3] [MQTT-4.3.3-10] [MQTT-4.4.0-1] [MQTT-4.5.0-1] [MQTT-3.3.1-1],
    // v3.1.1 [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-4.5.0-1]
    for seed in 1..=150 {
        let options = options_with(|options| {
            options.maximum_in_flight = [1, 2, 100][usize::try_from(seed % 3).unwrap()];
            options.work_budget = [1, 7, 1_000][usize::try_from(seed / 3 % 3).unwrap()];
        });
        println!("seed {seed}");
        let mut model = Model::new(seed, &options);
        for _ in 0..150 {
            model.step();
        }
        model.finish();
    }
}

#[test]
fn the_matching_of_this_file_is_that_of_the_standard() {
    for (filter, topic, expected) in [
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/+", "a", false),
        ("a/+", "a/b", true),
        ("+/b", "a/b", true),
        ("+/b", "a/b/c", false),
        ("b", "b/c", false),
        ("#", "a", true),
    ] {
        assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        let world = &mut World::new(
            Way { fragment: usize::MAX, limit: usize::MAX },
            crate::words::options(),
        );
        let peer = world.join(&v5("a"));
        world.subscribe(peer, filter, QoS::AtMostOnce);
        let message = publish(topic, QoS::AtMostOnce, 0, "x");
        world.call(|broker, now| broker.publish(now, &message)).unwrap();
        assert_eq!(world.heard(peer).len(), usize::from(expected));
    }
}
