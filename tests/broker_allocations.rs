//! What a broker asks the allocator for once its buffers have grown, from a publisher to its
//! subscribers: nothing for a message at QoS 0, at most one allocation at QoS 1 and 2, and nothing
//! for each subscriber.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

use bytes::{Buf, BytesMut};
use sansio_mqtt::broker::{
    Acceptance, AllowAll, Broker, ConnectionId, Event, Options, Output, Transmitted,
};
use sansio_mqtt::{
    Connect, Decoder, Instant, Outgoing, Packet, PacketId, Properties, Property, Publish, QoS,
    Subscribe, Subscription, Version,
};

#[path = "support/answering.rs"]
mod answering;
#[path = "support/counting.rs"]
mod counting;

use answering::answer;

const NOW: Instant = Instant::from_micros(0);
const BATCH: u16 = 16;
const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A broker, and clients that answer what they are asked to, which allocates nothing by itself.
struct World {
    broker: Broker,
    version: Version,
    /// Connections, and what each has said that the broker has not heard.
    clients: Vec<(ConnectionId, BytesMut)>,
    outgoing: Outgoing,
    delivered: usize,
}

impl World {
    /// A publisher, which is the first client, and so many subscribers of a topic.
    fn new(version: Version, subscribers: usize, filter: &str, aliases: u16) -> Self {
        let mut world = Self {
            broker: Broker::new(Options::new(7), Box::new(AllowAll)),
            version,
            clients: Vec::new(),
            outgoing: Outgoing::new(),
            delivered: 0,
        };
        let properties = [Property::TopicAliasMaximum(aliases)];
        let properties =
            Properties::List(if version.is_v5() && aliases > 0 { &properties } else { &[] });
        for number in 0..=subscribers {
            let connection = world.broker.transport_opened(NOW).unwrap();
            world.clients.push((connection, BytesMut::with_capacity(1 << 16)));
            let client_id = format!("c{number}");
            let connect = Connect { version, client_id: &client_id, ..Connect::default() };
            world.say(number, Connect { properties, ..connect });
            if number > 0 {
                let subscriptions = [Subscription::new(filter, QoS::ExactlyOnce)];
                world.say(number, Subscribe::new(PacketId::MIN, &subscriptions));
            }
        }
        world
    }

    fn say<'a>(&mut self, client: usize, packet: impl Into<Packet<'a>>) {
        packet.into().encode(self.version, &mut self.clients[client].1).unwrap();
        self.run();
    }

    /// Does what the broker says until nobody has anything to say.
    fn run(&mut self) {
        loop {
            for (connection, incoming) in &mut self.clients {
                if !incoming.is_empty() {
                    let _ = self.broker.receive(NOW, *connection, incoming);
                }
            }
            self.poll();
            if self.clients.iter().all(|(_, incoming)| incoming.is_empty()) {
                return;
            }
        }
    }

    fn poll(&mut self) {
        loop {
            match self.broker.poll_output() {
                Output::Event(Event::Connect { connection, .. }) => {
                    self.broker.accept(NOW, connection, &Acceptance::default()).unwrap();
                }
                Output::Transmit(connection) => {
                    let out = &mut self.outgoing;
                    let left = self.broker.transmit(NOW, connection, usize::MAX, out);
                    assert_eq!(left, Transmitted::All);
                    let client =
                        self.clients.iter_mut().find(|client| client.0 == connection).unwrap();
                    while self.outgoing.has_remaining() {
                        let chunk = self.outgoing.chunk();
                        let decoder = Decoder::from_server(self.version);
                        self.delivered += answer(decoder, self.version, chunk, &mut client.1);
                        let len = chunk.len();
                        self.outgoing.advance(len);
                    }
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    /// The publisher sends these bytes, which are a batch of messages.
    fn publish(&mut self, batch: &[u8]) {
        self.clients[0].1.extend_from_slice(batch);
        self.run();
    }

    /// What a message allocates on average, after there were enough of them for buffers to grow.
    fn allocations_of_each(&mut self, batch: &[u8]) -> f64 {
        let subscribers = self.clients.len() - 1;
        let times: u16 = if subscribers > 10 { 8 } else { 50 };
        (0..times).for_each(|_| self.publish(batch));
        self.delivered = 0;
        let found = counting::allocations(|| (0..times).for_each(|_| self.publish(batch)));
        assert_eq!(self.delivered, usize::from(times * BATCH) * subscribers);
        assert_eq!(self.broker.counters().dropped, 0);
        found as f64 / f64::from(times * BATCH)
    }
}

const TOPIC: &str = "plant/4711/dev/0815/temp";

fn batch(version: Version, qos: QoS, properties: &[Property<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in 1..=BATCH {
        let publish = Publish {
            topic: TOPIC,
            qos,
            packet_id: PacketId::new(id).filter(|_| qos > QoS::AtMostOnce),
            payload: &[7; 64],
            properties: Properties::List(properties),
            ..Publish::default()
        };
        Packet::from(publish).encode(version, &mut bytes).unwrap();
    }
    bytes
}

#[test]
fn a_message_allocates_nothing_at_qos_0_and_one_thing_at_most_above_and_nothing_a_subscriber() {
    let mut failed = Vec::new();
    for version in VERSIONS {
        for filter in [TOPIC, "plant/+/dev/#"] {
            for aliases in [0, 10] {
                for qos in LEVELS {
                    for subscribers in [1, 100] {
                        let mut world = World::new(version, subscribers, filter, aliases);
                        let found = world.allocations_of_each(&batch(version, qos, &[]));
                        let what = format!(
                            "{version} QoS {qos}, {subscribers} subscribers of {filter}, aliases {aliases}"
                        );
                        println!("{what}: {found}");
                        let allowed = if qos == QoS::AtMostOnce { 0.0 } else { 1.0 };
                        if found > allowed {
                            failed.push((what, found));
                        }
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn properties_allocate_nothing_more() {
    let properties = [
        Property::MessageExpiryInterval(60),
        Property::ContentType("text/plain"),
        Property::ResponseTopic("to/me"),
        Property::UserProperty("key", "value"),
    ];
    for qos in LEVELS {
        let mut world = World::new(Version::V5, 10, TOPIC, 10);
        let found = world.allocations_of_each(&batch(Version::V5, qos, &properties));
        println!("QoS {qos}: {found}");
        assert!(found <= if qos == QoS::AtMostOnce { 0.0 } else { 1.0 }, "QoS {qos}: {found}");
    }
}

#[test]
fn pings_allocate_nothing() {
    for version in VERSIONS {
        let mut world = World::new(version, 1, TOPIC, 0);
        let mut pings = || {
            for _ in 0..100 {
                world.clients[1].1.extend_from_slice(&[0xc0, 0]);
                world.run();
            }
        };
        pings();
        assert_eq!(counting::allocations(pings), 0, "{version}");
    }
}

#[test]
fn a_large_payload_is_allocated_once_for_all() {
    for version in VERSIONS {
        for qos in LEVELS {
            let publish = Publish {
                topic: TOPIC,
                qos,
                packet_id: Some(PacketId::MIN).filter(|_| qos > QoS::AtMostOnce),
                payload: &[7; 16_384],
                ..Publish::default()
            };
            let mut bytes = Vec::new();
            Packet::from(publish).encode(version, &mut bytes).unwrap();
            let mut world = World::new(version, 100, TOPIC, 0);
            // Its clients answer nothing by hand: a payload is a chunk of its own here.
            let mut send = || {
                world.clients[0].1.extend_from_slice(&bytes);
                let (connection, incoming) = &mut world.clients[0];
                let _ = world.broker.receive(NOW, *connection, incoming);
                loop {
                    match world.broker.poll_output() {
                        Output::Transmit(connection) => {
                            let out = &mut world.outgoing;
                            let _ = world.broker.transmit(NOW, connection, usize::MAX, out);
                            out.advance(out.remaining());
                        }
                        Output::Timeout(_) => break,
                        _ => {}
                    }
                }
            };
            if qos == QoS::AtMostOnce {
                (0..10).for_each(|_| send());
                // The payload, and what shares it.
                let found = counting::allocations(&mut send);
                println!("{version} QoS {qos}: {found}");
                assert!(found <= 2, "{version}: {found}");
            }
            let before = counting::held();
            send();
            let held = counting::held() - before;
            // A place in the queue of each, and no copy.
            assert!(held < 16_384 + 100 * 1_536, "{version} QoS {qos}: {held}");
        }
    }
}
