//! Retained messages as state: whatever happens on the way, who subscribes knows in the end what
//! the last word on each topic is.

use std::collections::{BTreeMap, BTreeSet};

use sansio_mqtt::{Connect, Packet, Property, PubAck, QoS, Version};

use crate::random::{Dice, matches};
use crate::words::{lasting, options_with, v5, with};
use crate::world::{Peer, Way, World};

const TOPICS: [&str; 8] = ["a", "a/b", "a/b/c", "b", "b/c", "c", "c/d", "c/d/e"];
const FILTERS: [&str; 8] = ["a", "a/#", "a/+", "+/b", "#", "c/+", "c/#", "b"];

/// A client, what it subscribes to, and what it was told last of each topic.
#[derive(Default)]
struct Client {
    name: String,
    peer: Option<Peer>,
    filters: BTreeSet<&'static str>,
    told: BTreeMap<String, usize>,
    /// All that it was told.
    seen: BTreeSet<usize>,
}

struct Model {
    world: World,
    dice: Dice,
    publisher: Peer,
    clients: Vec<Client>,
    last: BTreeMap<&'static str, usize>,
    published: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let options = options_with(|options| {
            options.maximum_in_flight = [1, 2, 100][dice.roll(3)];
            options.work_budget = [1, 7, 1_000][dice.roll(3)];
        });
        let way = Way { fragment: usize::MAX, limit: dice.pick(&[usize::MAX, 1]) };
        let mut world = World::new(way, options);
        let publisher = world.join(&v5("publisher"));
        world.acknowledges = false;
        let client = |number| Client { name: format!("c{number}"), ..Client::default() };
        let clients = (0..4).map(client).collect();
        Self { world, dice, publisher, clients, last: BTreeMap::new(), published: 0 }
    }

    fn publish(&mut self) {
        self.published += 1;
        let topic = self.dice.pick(&TOPICS);
        self.last.insert(topic, self.published);
        let qos = self.dice.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
        self.world.retain(self.publisher, topic, qos, &format!("{}", self.published));
    }

    /// The client connects, whether it is connected or not.
    fn connect(&mut self, index: usize) {
        self.look(index, 4);
        let client = &mut self.clients[index];
        let list = [Property::SessionExpiryInterval(u32::MAX), Property::ReceiveMaximum(1)];
        let connect = match self.dice.roll(3) {
            0 => Connect { clean_start: false, ..with(v5(&client.name), &list) },
            1 => lasting(Version::V3_1_1, &client.name),
            _ => lasting(Version::V5, &client.name),
        };
        client.peer = Some(self.world.join(&connect));
    }

    fn subscribe(&mut self, index: usize) {
        let Some(peer) = self.clients[index].peer else { return };
        self.world.unblock(peer);
        let filter = self.dice.pick(&FILTERS);
        if self.dice.roll(3) == 0 {
            self.world.unsubscribe(peer, &[filter]);
            self.clients[index].filters.remove(filter);
        } else {
            self.world.subscribe(peer, filter, QoS::AtLeastOnce);
            self.clients[index].filters.insert(filter);
        }
    }

    /// The client looks at what came, and acknowledges all but one in so many.
    fn look(&mut self, index: usize, sides: usize) {
        let Some(peer) = self.clients[index].peer else { return };
        for packet in self.world.packets(peer) {
            let Packet::Publish(publish) = packet.packet() else { panic!("{packet}") };
            let payload: usize = std::str::from_utf8(publish.payload).unwrap().parse().unwrap();
            let client = &mut self.clients[index];
            // A repetition of what was seen says nothing new.
            if client.seen.insert(payload) || !publish.dup {
                client.told.insert(publish.topic.to_owned(), payload);
            }
            if self.dice.roll(sides) > 0 {
                self.world.send(peer, PubAck::new(publish.packet_id.unwrap()));
            }
        }
    }

    fn step(&mut self) {
        let index = self.dice.roll(self.clients.len());
        let peer = self.clients[index].peer;
        match (self.dice.roll(12), peer) {
            (0, _) | (_, None) => self.connect(index),
            (1..=3, _) => self.subscribe(index),
            (4..=6, _) => self.publish(),
            (7 | 8, _) => self.look(index, 4),
            (9, Some(peer)) => self.world.block(peer),
            (10, Some(peer)) => self.world.unblock(peer),
            (_, Some(peer)) => {
                self.look(index, 4);
                self.world.lose(peer);
                self.clients[index].peer = None;
            }
        }
    }

    fn finish(mut self) {
        for index in 0..self.clients.len() {
            // What was not acknowledged is sent again, and then all is.
            self.connect(index);
            for _ in 0..100_000 {
                if self.world.broker.session(&self.clients[index].name).unwrap().queued_messages
                    == 0
                {
                    break;
                }
                self.look(index, usize::MAX);
            }
            self.look(index, usize::MAX);
            let client = &self.clients[index];
            for (topic, last) in &self.last {
                if client.filters.iter().any(|filter| matches(filter, topic)) {
                    assert_eq!(client.told.get(*topic), Some(last), "{} of {topic}", client.name);
                }
            }
        }
        self.world.end();
    }
}

#[test]
fn in_the_end_everybody_knows_the_last_word() {
    // v5 [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT-3.8.4-4] [MQTT-4.6.0-5], v3.1.1 [MQTT-3.3.1-6]
    // [MQTT-4.6.0-6]
    for seed in 1..=300 {
        println!("seed {seed}");
        let mut model = Model::new(seed);
        for _ in 0..120 {
            model.step();
        }
        model.finish();
    }
}
