//! What a message costs the client machine, with all that both sides say: published and received,
//! acknowledged with few and with many in flight, sent again, and stored.
//!
//! `cargo bench --bench client -- publish` measures those with "publish" in their name. How that
//! compares with other clients: `benches/peers`, workloads `s0` to `s2`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot run may panic")]
#![allow(clippy::disallowed_methods, reason = "a part of what is done is timed")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::iter;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sansio_mqtt::client::{
    CleanStart, Client, ConnectionId, Event, Options, Output, Received, Transmitted,
};
use sansio_mqtt::{
    ConnAck, Decoder, Instant, Outgoing, Packet, PacketId, PubAck, PubComp, PubRec, PubRel,
    Publish, QoS, UnixTime, Version,
};

const TOPIC: &str = "plant/4711/dev/0815/temp";
const PAYLOAD: &[u8] = &[0x5a; 64];
const BATCH: u16 = 16;
const NOW: Instant = Instant::from_micros(0);
const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A client, and a server that answers what it is asked to.
struct World {
    client: Client,
    connection: ConnectionId,
    version: Version,
    incoming: BytesMut,
    outgoing: Outgoing,
    events: usize,
}

impl World {
    fn new(version: Version, set: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(version, "client");
        options.maximum_in_flight = u16::MAX;
        set(&mut options);
        Self::connect(Client::new(options).unwrap(), version)
    }

    fn durable(version: Version) -> Self {
        let records = iter::empty::<(&[u8], &[u8])>();
        let options = Options::new(version, "client");
        let client = Client::restore(options, NOW, UnixTime::from_secs(0), records).unwrap();
        Self::connect(client, version)
    }

    fn connect(mut client: Client, version: Version) -> Self {
        let connection = client.transport_opened(NOW).unwrap();
        let (incoming, outgoing) = (BytesMut::new(), Outgoing::new());
        let mut world = Self { client, connection, version, incoming, outgoing, events: 0 };
        world.accepted(false);
        world
    }

    fn accepted(&mut self, session_present: bool) {
        self.run(|_, _| {});
        let conn_ack = ConnAck { session_present, ..ConnAck::default() };
        Packet::from(conn_ack).encode(self.version, &mut self.incoming).unwrap();
        self.receive();
        self.run(|_, _| {});
    }

    fn publish(&mut self, qos: QoS) {
        let publish = Publish { qos, topic: TOPIC, payload: PAYLOAD, ..Publish::default() };
        self.client.publish(NOW, &publish).unwrap();
    }

    /// Does what the client says until there is nothing to be done. The server appends its
    /// answers to what it gets.
    fn run(&mut self, server: impl Fn(&[u8], &mut BytesMut)) {
        loop {
            match self.client.poll_output() {
                Output::Transmit(connection) => loop {
                    let left = self.client.transmit(NOW, connection, 65_536, &mut self.outgoing);
                    while self.outgoing.has_remaining() {
                        let chunk = self.outgoing.chunk();
                        server(chunk, &mut self.incoming);
                        let len = chunk.len();
                        self.outgoing.advance(len);
                    }
                    if left == Transmitted::All {
                        break;
                    }
                },
                Output::Event(Event::Published { result, .. }) => {
                    result.unwrap();
                    self.events += 1;
                }
                Output::Event(_) => self.events += 1,
                Output::Store(store) => self.client.committed(store.sequence),
                Output::Resume(_) | Output::Close(_) => {}
                Output::Timeout(_) if self.incoming.is_empty() => return,
                Output::Timeout(_) => self.receive(),
            }
        }
    }

    fn receive(&mut self) {
        let received = self.client.receive(NOW, self.connection, &mut self.incoming);
        assert_eq!(received, Received::Drained);
    }

    /// Takes in acknowledgements for these identifiers.
    fn acknowledge(&mut self, ids: &[PacketId]) {
        for id in ids {
            let [high, low] = id.get().to_be_bytes();
            self.incoming.extend_from_slice(&[0x40, 2, high, low]);
        }
        self.receive();
        self.run(|_, _| {});
    }
}

/// Answers PUBLISH and PUBREL at once.
fn answer(version: Version) -> impl Fn(&[u8], &mut BytesMut) {
    move |mut bytes, answers| {
        let mut decoder = Decoder::from_client().with_version(version);
        while let Some((packet, len)) = decoder.decode(bytes).unwrap() {
            let answer: Option<Packet<'_>> = match packet {
                Packet::Publish(Publish { qos, packet_id: Some(id), .. }) => Some(match qos {
                    QoS::ExactlyOnce => PubRec::new(id).into(),
                    _ => PubAck::new(id).into(),
                }),
                Packet::PubRec(PubRec { packet_id, .. }) => Some(PubRel::new(packet_id).into()),
                Packet::PubRel(PubRel { packet_id, .. }) => Some(PubComp::new(packet_id).into()),
                _ => None,
            };
            if let Some(answer) = answer {
                answer.encode(version, answers).unwrap();
            }
            bytes = &bytes[len..];
        }
    }
}

fn publish(c: &mut Criterion) {
    for version in VERSIONS {
        let mut group = c.benchmark_group(format!("publish {BATCH}, {version}"));
        group.throughput(Throughput::Elements(BATCH.into()));
        for qos in LEVELS {
            let mut world = World::new(version, |_| {});
            let server = answer(version);
            group.bench_function(format!("QoS {qos}"), |b| {
                b.iter(|| {
                    (0..BATCH).for_each(|_| world.publish(qos));
                    world.run(&server);
                });
            });
        }
        let (mut world, server) = (World::durable(version), answer(version));
        group.bench_function("QoS 1, durable", |b| {
            b.iter(|| {
                (0..BATCH).for_each(|_| world.publish(QoS::AtLeastOnce));
                world.run(&server);
            });
        });
    }
}

/// Received, handed over, acknowledged; at QoS 2 until PUBCOMP.
fn receive(c: &mut Criterion) {
    for version in VERSIONS {
        let mut group = c.benchmark_group(format!("receive {BATCH}, {version}"));
        group.throughput(Throughput::Elements(BATCH.into()));
        for qos in LEVELS {
            let mut stream = Vec::new();
            for id in 1..=BATCH {
                let packet_id = PacketId::new(id).filter(|_| qos > QoS::AtMostOnce);
                let (topic, payload) = (TOPIC, PAYLOAD);
                let publish = Publish { qos, topic, packet_id, payload, ..Publish::default() };
                Packet::from(publish).encode(version, &mut stream).unwrap();
            }
            let server = answer(version);
            for durable in [false, true] {
                if durable && qos == QoS::AtMostOnce {
                    continue;
                }
                let mut world = match durable {
                    true => World::durable(version),
                    false => World::new(version, |_| {}),
                };
                let name = if durable { ", durable" } else { "" };
                group.bench_function(format!("QoS {qos}{name}"), |b| {
                    b.iter(|| {
                        world.incoming.extend_from_slice(&stream);
                        world.run(&server);
                    });
                });
            }
        }
    }
}

/// Ten acknowledgements in one read, of the oldest or the newest messages in flight, and as many
/// messages published in their place. Only the acknowledgements are timed.
fn acknowledge(c: &mut Criterion) {
    const TEN: usize = 10;
    let mut group = c.benchmark_group("acknowledge 10");
    group.throughput(Throughput::Elements(TEN as u64));
    for in_flight in [10, 60_000] {
        for which in ["oldest", "newest", "any"] {
            let mut world = World::new(Version::V5, |_| {});
            let mut seed = 7u32;
            let sent = |world: &mut World, count: usize, ids: &mut VecDeque<PacketId>| {
                (0..count).for_each(|_| world.publish(QoS::AtLeastOnce));
                let found = RefCell::new(ids);
                world.run(|bytes, _| found.borrow_mut().extend(identifiers(bytes)));
            };
            let mut ids = VecDeque::new();
            sent(&mut world, in_flight, &mut ids);
            group.bench_function(format!("the {which} of {in_flight}"), |b| {
                b.iter_custom(|iterations| {
                    let mut elapsed = Duration::ZERO;
                    for _ in 0..iterations {
                        let mut done = Vec::with_capacity(TEN);
                        match which {
                            "oldest" => done.extend(ids.drain(..TEN)),
                            "newest" => done.extend(ids.drain(ids.len() - TEN..)),
                            _ => {
                                for _ in 0..TEN {
                                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                                    let index = (seed >> 8) as usize % ids.len();
                                    done.extend(ids.swap_remove_back(index));
                                }
                            }
                        }
                        let start = std::time::Instant::now();
                        world.acknowledge(&done);
                        elapsed += start.elapsed();
                        sent(&mut world, TEN, &mut ids);
                    }
                    elapsed
                });
            });
        }
    }
}

/// The Packet Identifiers of the PUBLISH packets in some bytes of a client.
fn identifiers(mut bytes: &[u8]) -> Vec<PacketId> {
    let mut decoder = Decoder::from_client().with_version(Version::V5);
    let mut found = Vec::new();
    while let Some((packet, len)) = decoder.decode(bytes).unwrap() {
        if let Packet::Publish(publish) = packet {
            found.extend(publish.packet_id);
        }
        bytes = &bytes[len..];
    }
    found
}

/// A session is resumed: all that is in flight is sent again.
fn resume(c: &mut Criterion) {
    const IN_FLIGHT: u16 = 10_000;
    let mut group = c.benchmark_group("resume");
    group.throughput(Throughput::Elements(IN_FLIGHT.into()));
    let mut world = World::new(Version::V5, |options| {
        options.clean_start = CleanStart::First;
        options.session_expiry_interval = 3_600;
    });
    (0..IN_FLIGHT).for_each(|_| world.publish(QoS::AtLeastOnce));
    world.run(|_, _| {});
    group.bench_function(format!("{IN_FLIGHT} in flight"), |b| {
        b.iter(|| {
            world.client.transport_closed(NOW, world.connection);
            world.connection = world.client.transport_opened(NOW).unwrap();
            world.accepted(true);
        });
    });
}

criterion_group! {
    name = client;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20)
        .without_plots();
    targets = publish, receive, acknowledge, resume
}
criterion_main!(client);
