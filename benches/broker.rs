//! What a message costs the broker machine, from the bytes that it comes in to the bytes that it
//! goes out in: to one subscriber and its acknowledgements, to a thousand, and with two clients of
//! this crate at its ends.
//!
//! `cargo bench --bench broker -- fan-out` measures those with "fan-out" in their name. How a hop
//! compares with another machine's: `benches/peers` with the feature `two-hops`, workloads `s0` to
//! `s2`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot run may panic")]

use std::hint::black_box;

use bytes::{Buf, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sansio_mqtt::broker::{
    Acceptance, AllowAll, Broker, ConnectionId, Event, Options, Output, Transmitted,
};
use sansio_mqtt::{
    Connect, Decoder, Instant, Outgoing, Packet, PacketId, Properties, Property, PubAck, PubComp,
    PubRec, PubRel, Publish, QoS, Subscribe, Subscription, Version,
};

const TOPIC: &str = "plant/4711/dev/0815/temp";
const PAYLOAD: &[u8] = &[0x5a; 64];
const BATCH: u16 = 16;
const NOW: Instant = Instant::from_micros(0);
const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A broker, and what its clients say in bytes.
struct World {
    broker: Broker,
    incoming: BytesMut,
    outgoing: Outgoing,
}

impl World {
    fn new() -> Self {
        let broker = Broker::new(Options::new(0x5eed), Box::new(AllowAll));
        Self { broker, incoming: BytesMut::new(), outgoing: Outgoing::new() }
    }

    /// A client that has connected; with `aliases` it offers as many.
    fn connect(&mut self, version: Version, client_id: &str, aliases: u16) -> ConnectionId {
        let connection = self.broker.transport_opened(NOW).unwrap();
        let list = [Property::TopicAliasMaximum(aliases)];
        let properties = if aliases > 0 { Properties::List(&list) } else { Properties::NONE };
        let connect = Connect { version, client_id, properties, ..Connect::default() };
        self.say(connection, version, &connect.into());
        connection
    }

    fn subscribe(&mut self, connection: ConnectionId, version: Version, filter: &str, qos: QoS) {
        let list = [Subscription::new(filter, qos)];
        self.say(connection, version, &Subscribe::new(PacketId::MIN, &list).into());
    }

    fn say(&mut self, connection: ConnectionId, version: Version, packet: &Packet<'_>) {
        packet.encode(version, &mut self.incoming).unwrap();
        self.receive(connection);
        self.run(|_, _| {});
    }

    fn receive(&mut self, connection: ConnectionId) {
        // It is paused behind a CONNECT: all that was said is taken.
        let _ = self.broker.receive(NOW, connection, &mut self.incoming);
        assert!(self.incoming.is_empty());
    }

    /// Does what the broker says until there is nothing to be done.
    fn run(&mut self, mut sent: impl FnMut(ConnectionId, &[u8])) {
        loop {
            match self.broker.poll_output() {
                Output::Transmit(connection) => loop {
                    let out = &mut self.outgoing;
                    let left = self.broker.transmit(NOW, connection, 64 * 1024, out);
                    while out.has_remaining() {
                        let chunk = out.chunk();
                        sent(connection, chunk);
                        let len = chunk.len();
                        out.advance(len);
                    }
                    if left == Transmitted::All {
                        break;
                    }
                },
                Output::Event(Event::Connect { connection, .. }) => {
                    self.broker.accept(NOW, connection, &Acceptance::default()).unwrap();
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

/// So many PUBLISH packets, behind one another.
fn publishes(version: Version, qos: QoS, count: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in 1..=count {
        let packet_id = PacketId::new(id).filter(|_| qos != QoS::AtMostOnce);
        let publish =
            Publish { qos, packet_id, topic: TOPIC, payload: PAYLOAD, ..Publish::default() };
        Packet::from(publish).encode(version, &mut bytes).unwrap();
    }
    bytes
}

/// A publisher and a subscriber that answer at the least cost: what the broker alone takes for a
/// batch of messages, both sides' acknowledgements included.
fn one_to_one(c: &mut Criterion) {
    let mut group = c.benchmark_group("one to one");
    group.throughput(Throughput::Elements(BATCH.into()));
    for version in VERSIONS {
        for qos in LEVELS {
            let mut world = World::new();
            let publisher = world.connect(version, "publisher", 0);
            let subscriber = world.connect(version, "subscriber", 0);
            world.subscribe(subscriber, version, TOPIC, qos);
            let bytes = publishes(version, qos, BATCH);
            let name = BenchmarkId::new(format!("{version:?}"), format!("QoS {}", qos.get()));
            group.bench_function(name, |b| {
                b.iter(|| {
                    world.incoming.extend_from_slice(&bytes);
                    world.receive(publisher);
                    exchange(&mut world, version, [publisher, subscriber])
                });
            });
        }
    }
    group.finish();
}

/// Lets both clients answer until nothing is left to be said.
fn exchange(
    world: &mut World,
    version: Version,
    [publisher, subscriber]: [ConnectionId; 2],
) -> usize {
    let mut messages = 0;
    loop {
        let (mut of_publisher, mut of_subscriber) = (Vec::new(), Vec::new());
        world.run(|connection, bytes| {
            let answers =
                if connection == publisher { &mut of_publisher } else { &mut of_subscriber };
            messages += answer(version, bytes, answers);
        });
        if of_publisher.is_empty() && of_subscriber.is_empty() {
            return messages;
        }
        for (connection, answers) in [(publisher, of_publisher), (subscriber, of_subscriber)] {
            world.incoming.extend_from_slice(&answers);
            world.receive(connection);
        }
    }
}

/// Appends what a client answers, and counts the messages.
fn answer(version: Version, mut bytes: &[u8], answers: &mut Vec<u8>) -> usize {
    let mut decoder = Decoder::from_server(version);
    let mut messages = 0;
    while let Some((packet, len)) = decoder.decode(bytes).unwrap() {
        let answer: Option<Packet<'_>> = match packet {
            Packet::Publish(publish) => {
                messages += 1;
                match (publish.qos, publish.packet_id) {
                    (QoS::AtLeastOnce, Some(id)) => Some(PubAck::new(id).into()),
                    (QoS::ExactlyOnce, Some(id)) => Some(PubRec::new(id).into()),
                    _ => None,
                }
            }
            Packet::PubRec(pub_rec) => Some(PubRel::new(pub_rec.packet_id).into()),
            Packet::PubRel(pub_rel) => Some(PubComp::new(pub_rel.packet_id).into()),
            _ => None,
        };
        if let Some(answer) = answer {
            answer.encode(version, answers).unwrap();
        }
        bytes = &bytes[len..];
    }
    messages
}

/// One message at QoS 0 to a thousand subscribers, pulled for each; beside it the same bytes copied
/// into a thousand buffers.
fn fan_out(c: &mut Criterion) {
    const SUBSCRIBERS: u16 = 1_000;
    let mut group = c.benchmark_group("fan-out to 1,000");
    group.throughput(Throughput::Elements(SUBSCRIBERS.into()));
    for (version, aliases) in [(Version::V3_1_1, 0), (Version::V5, 0), (Version::V5, 10)] {
        let mut world = World::new();
        let publisher = world.connect(version, "publisher", 0);
        for subscriber in 0..SUBSCRIBERS {
            let connection = world.connect(version, &format!("subscriber {subscriber}"), aliases);
            world.subscribe(connection, version, TOPIC, QoS::AtMostOnce);
        }
        let bytes = publishes(version, QoS::AtMostOnce, 1);
        let name = BenchmarkId::new(format!("{version:?}"), format!("{aliases} aliases"));
        group.bench_function(name, |b| {
            b.iter(|| {
                world.incoming.extend_from_slice(&bytes);
                let _ = world.broker.receive(NOW, publisher, &mut world.incoming);
                let mut sent = 0;
                world.run(|_, bytes| sent += black_box(bytes).len());
                sent
            });
        });
    }
    let bytes = publishes(Version::V3_1_1, QoS::AtMostOnce, 1);
    let mut buffers: Vec<Vec<u8>> = vec![Vec::with_capacity(1024); SUBSCRIBERS.into()];
    group.bench_function("copies", |b| {
        b.iter(|| {
            for buffer in &mut buffers {
                buffer.clear();
                buffer.extend_from_slice(black_box(&bytes));
            }
            black_box(&buffers).len()
        });
    });
    group.finish();
}

criterion_group!(benches, one_to_one, fan_out);
criterion_main!(benches);
