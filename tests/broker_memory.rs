//! What a broker holds for those who are idle: bytes for each session and for each filter, tables
//! that have just grown and all other capacity included, the buffers of the wrapper excluded.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

use bytes::{Buf, BytesMut};
use sansio_mqtt::broker::{
    Acceptance, AllowAll, Broker, ConnectionId, Event, Options, Output, Received, Transmitted,
};
use sansio_mqtt::{
    Connect, Instant, Outgoing, Packet, PacketId, Properties, Property, PubAck, Publish, QoS,
    Subscribe, Subscription, Version,
};

#[path = "support/counting.rs"]
mod counting;
#[allow(dead_code, reason = "topics are for those who match")]
#[path = "support/filters.rs"]
mod filters;

use counting::held;

const NOW: Instant = Instant::from_micros(1_000_000);

/// A broker, and clients that read everything.
struct World {
    broker: Broker,
    incoming: BytesMut,
    outgoing: Outgoing,
    sent: usize,
}

impl World {
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(7);
        change(&mut options);
        let broker = Broker::new(options, Box::new(AllowAll));
        let mut world =
            Self { broker, incoming: BytesMut::new(), outgoing: Outgoing::new(), sent: 0 };
        // Room for all that is to come.
        world.incoming.reserve(1 << 16);
        world
    }

    fn send<'a>(
        &mut self,
        version: Version,
        connection: ConnectionId,
        packet: impl Into<Packet<'a>>,
    ) {
        self.incoming.clear();
        packet.into().encode(version, &mut self.incoming).unwrap();
        let received = self.broker.receive(NOW, connection, &mut self.incoming);
        self.poll();
        assert!(received == Received::Drained || self.incoming.is_empty());
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
                    self.sent += out.remaining();
                    out.advance(out.remaining());
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn connect(&mut self, connect: &Connect<'_>) -> ConnectionId {
        let connection = self.broker.transport_opened(NOW).unwrap();
        self.send(connect.version, connection, *connect);
        connection
    }
}

/// Bytes of each of so many sessions that are connected and subscribe to one filter of their own,
/// when they have just come, and when each has had messages.
fn bytes_per_session(version: Version, count: usize) -> [usize; 2] {
    let mut world = World::new(|options| {
        options.maximum_connections = count + 1;
        options.maximum_sessions = count + 1;
    });
    let publisher = world.connect(&Connect { version, client_id: "p", ..Connect::default() });
    let before = held();
    let properties = [Property::TopicAliasMaximum(10)];
    let properties = Properties::List(if version.is_v5() { &properties } else { &[] });
    let mut connections = Vec::with_capacity(count);
    let own = connections.capacity() * size_of::<ConnectionId>();
    for number in 0..count {
        let client_id = format!("device-{number:07}");
        let connect = Connect {
            version,
            client_id: &client_id,
            keep_alive: 60,
            properties,
            ..Connect::default()
        };
        let connection = world.connect(&connect);
        let filter = format!("{client_id}/down");
        let subscriptions = [Subscription::new(&filter, QoS::AtLeastOnce)];
        world.send(version, connection, Subscribe::new(PacketId::MIN, &subscriptions));
        connections.push(connection);
    }
    let each = |held: isize| (held - before - own as isize) as usize / count;
    let fresh = each(held());
    for number in (0..count).step_by((count / 1_000).max(1)) {
        let topic = format!("device-{number:07}/down");
        for id in 1..=3 {
            let publish = Publish {
                topic: &topic,
                qos: QoS::AtLeastOnce,
                packet_id: Some(PacketId::MIN),
                payload: b"21.5",
                ..Publish::default()
            };
            world.send(version, publisher, publish);
            let id = PacketId::new(id).unwrap();
            world.send(version, connections[number], PubAck::new(id));
        }
    }
    assert_eq!(world.broker.counters().connected, count + 1);
    assert_eq!(world.broker.counters().subscriptions, count);
    assert_eq!(world.broker.counters().stored_messages, 0);
    // Only a thousand have had some.
    let used = each(held()) - fresh;
    [fresh, fresh + used * count / count.min(1_000)]
}

#[test]
fn an_idle_connected_session_with_one_subscription_takes_a_kibibyte_at_most() {
    let (mut most, mut most_used) = (0, 0);
    for version in [Version::V3_1_1, Version::V5] {
        // It is the same in 3.1.1, and takes a while.
        let many = if version.is_v5() { 100_000 } else { 10_000 };
        for count in [1_000, many] {
            let [fresh, used] = bytes_per_session(version, count);
            println!("{version}, {count} sessions: {fresh} bytes each, {used} after messages");
            most = most.max(fresh);
            most_used = most_used.max(used);
        }
    }
    assert!(most <= 1_024, "{most}");
    // Buffers that have grown for a few messages, and aliases, are there for the next.
    assert!(most_used <= 2_560, "{most_used} after messages");
}

#[test]
fn a_session_without_a_connection_takes_less() {
    const COUNT: usize = 10_000;
    let mut most = 0;
    for version in [Version::V3_1_1, Version::V5] {
        let mut world = World::new(|options| options.maximum_sessions = COUNT);
        let before = held();
        let properties = [Property::SessionExpiryInterval(3_600)];
        let properties = Properties::List(if version.is_v5() { &properties } else { &[] });
        for number in 0..COUNT {
            let client_id = format!("device-{number:07}");
            let connect = Connect { version, client_id: &client_id, ..Connect::default() };
            let connection = world.connect(&Connect { clean_start: false, properties, ..connect });
            let subscriptions = [Subscription::new(&client_id, QoS::AtLeastOnce)];
            world.send(version, connection, Subscribe::new(PacketId::MIN, &subscriptions));
            world.broker.transport_closed(NOW, connection);
            world.poll();
        }
        let bytes = (held() - before) as usize / COUNT;
        println!("{version}: {bytes} bytes each without a connection");
        assert_eq!(world.broker.counters().sessions, COUNT);
        most = most.max(bytes);
    }
    assert!(most <= 768, "{most}");
}

/// Bytes that each of many sessions holds more when so many messages have waited for it at once,
/// and are gone.
fn bytes_after_burst(version: Version, qos: QoS, messages: u16) -> usize {
    const SESSIONS: usize = 40;
    let mut world = World::new(|options| options.maximum_in_flight = 1_000);
    let client = |client_id| Connect { version, client_id, ..Connect::default() };
    let publisher = world.connect(&client("p"));
    let names: Vec<_> = (0..SESSIONS).map(|number| format!("c{number}")).collect();
    let subscriptions = [Subscription::new("t", qos)];
    let connections: Vec<_> = names
        .iter()
        .map(|name| {
            let connection = world.connect(&client(name));
            world.send(version, connection, Subscribe::new(PacketId::MIN, &subscriptions));
            connection
        })
        .collect();
    let before = held();
    for _ in 0..messages {
        let publish = Publish { topic: "t", qos: QoS::AtLeastOnce, ..Publish::default() };
        let publish = Publish { packet_id: Some(PacketId::MIN), payload: b"x", ..publish };
        Packet::from(publish).encode(version, &mut world.incoming).unwrap();
        // The publisher reads, and the others do not yet.
        let _ = world.broker.receive(NOW, publisher, &mut world.incoming);
        let out = &mut world.outgoing;
        let _ = world.broker.transmit(NOW, publisher, usize::MAX, out);
        out.advance(out.remaining());
    }
    world.poll();
    for connection in connections {
        for id in (1..=messages).filter(|_| qos == QoS::AtLeastOnce) {
            world.send(version, connection, PubAck::new(PacketId::new(id).unwrap()));
        }
    }
    assert_eq!(world.broker.counters().stored_messages, 0);
    assert_eq!(world.broker.counters().publishes_sent, SESSIONS as u64 * u64::from(messages));
    (held() - before).max(0) as usize / SESSIONS
}

#[test]
fn a_session_that_had_a_burst_is_about_as_small_as_others_when_it_is_over() {
    let mut most = 0;
    for version in [Version::V3_1_1, Version::V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let [few, many] = [3, 900].map(|count| bytes_after_burst(version, qos, count));
            println!("{version} QoS {qos}: {few} bytes more after 3 messages, {many} after 900");
            most = most.max(many);
        }
    }
    assert!(most <= 10 * 1_024, "{most}");
}

#[test]
fn a_filter_takes_150_bytes_at_most_with_the_index_of_its_session() {
    // 1,000 for each session; few filters are the same as another.
    const SESSIONS: u32 = 200;
    const EACH: u32 = 1_000;
    let mut world = World::new(|_| {});
    let version = Version::V5;
    let connections: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let client_id = format!("c{number}");
            world.connect(&Connect { client_id: &client_id, ..Connect::default() })
        })
        .collect();
    let before = held();
    let mut worst = 0;
    for (session, connection) in connections.iter().enumerate() {
        for block in 0..10 {
            let first = session as u32 * EACH + block * (EACH / 10);
            let filters: Vec<_> = (first..first + EACH / 10).map(filters::filter).collect();
            let subscriptions: Vec<_> =
                filters.iter().map(|one| Subscription::new(one, QoS::AtMostOnce)).collect();
            world.send(version, *connection, Subscribe::new(PacketId::MIN, &subscriptions));
        }
        if session as u32 >= SESSIONS / 4 {
            worst = worst.max((held() - before) as usize / world.broker.counters().subscriptions);
        }
    }
    let count = world.broker.counters().subscriptions;
    let bytes = (held() - before) as usize / count;
    println!("{bytes} bytes a subscription of {count}, {worst} at worst");
    assert!(count > 190_000, "{count}");
    assert!(bytes <= 150, "{bytes}");
    assert!(worst <= 165, "{worst}");
}
