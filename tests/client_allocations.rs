//! What the client machine asks the allocator for once its buffers have grown: nothing for a
//! message at QoS 0, and one allocation at QoS 1 and 2, which is the message.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

use bytes::{Buf, BytesMut};
use sansio_mqtt::client::{Client, ConnectionId, Event, Options, Output, Received, Transmitted};
use sansio_mqtt::{
    ConnAck, Decoder, Instant, Outgoing, Packet, PacketId, Property, Publish, QoS, Version,
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

/// A client, and a server that answers what it is asked to, which allocates nothing by itself.
struct World {
    client: Client,
    connection: ConnectionId,
    version: Version,
    incoming: BytesMut,
    outgoing: Outgoing,
    events: usize,
}

impl World {
    fn new(version: Version, topic_alias_maximum: u16) -> Self {
        let mut client = Client::new(Options::new(version, "client")).unwrap();
        let connection = client.transport_opened(NOW).unwrap();
        let (incoming, outgoing) = (BytesMut::with_capacity(1 << 16), Outgoing::new());
        let mut world = Self { client, connection, version, incoming, outgoing, events: 0 };
        world.run();
        let properties = [Property::TopicAliasMaximum(topic_alias_maximum)];
        let mut conn_ack = ConnAck::default();
        if version.is_v5() {
            conn_ack.properties = (&properties).into();
        }
        Packet::from(conn_ack).encode(version, &mut world.incoming).unwrap();
        world.run();
        world
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        for _ in 0..BATCH {
            self.client.publish(NOW, publish).unwrap();
        }
        self.run();
    }

    /// Does what the client says until there is nothing to be done.
    fn run(&mut self) {
        loop {
            match self.client.poll_output() {
                Output::Transmit(connection) => {
                    let out = &mut self.outgoing;
                    let left = self.client.transmit(NOW, connection, usize::MAX, out);
                    assert_eq!(left, Transmitted::All);
                    while self.outgoing.has_remaining() {
                        let len = self.outgoing.chunk().len();
                        let decoder = Decoder::from_client().with_version(self.version);
                        answer(decoder, self.version, self.outgoing.chunk(), &mut self.incoming);
                        self.outgoing.advance(len);
                    }
                }
                Output::Event(event) => {
                    assert!(!matches!(event, Event::Disconnected(_)));
                    self.events += 1;
                }
                Output::Timeout(_) if self.incoming.is_empty() => return,
                Output::Timeout(_) => {
                    let received = self.client.receive(NOW, self.connection, &mut self.incoming);
                    assert_eq!(received, Received::Drained);
                }
                output => panic!("{output:?}"),
            }
        }
    }

    /// What `action` allocates on average, after it was done often enough for buffers to grow.
    fn allocations_of_each(&mut self, mut action: impl FnMut(&mut Self)) -> f64 {
        const TIMES: u16 = 100;
        (0..TIMES).for_each(|_| action(self));
        self.events = 0;
        let found = counting::allocations(|| (0..TIMES).for_each(|_| action(self)));
        assert_eq!(self.events, usize::from(TIMES * BATCH));
        found as f64 / f64::from(TIMES * BATCH)
    }
}

#[test]
fn publishing_allocates_the_message_at_qos_1_and_2_and_nothing_at_qos_0() {
    let properties = [Property::MessageExpiryInterval(60), Property::UserProperty("a", "b")];
    for version in VERSIONS {
        for aliases in [0, 10] {
            for (level, allowed) in LEVELS.into_iter().zip([0.0, 1.0, 1.0]) {
                let mut world = World::new(version, aliases);
                let mut publish = Publish {
                    qos: level,
                    topic: "plant/4711/dev/0815/temp",
                    payload: &[7; 64],
                    ..Publish::default()
                };
                if version.is_v5() && aliases > 0 {
                    publish.properties = (&properties).into();
                }
                let found = world.allocations_of_each(|world| world.publish(&publish));
                assert_eq!(found, allowed, "{version} {level} {aliases}");
            }
        }
    }
}

#[test]
fn receiving_allocates_nothing_but_what_holds_the_identifiers() {
    for version in VERSIONS {
        for (level, allowed) in LEVELS.into_iter().zip(RECEIVED) {
            let mut stream = Vec::new();
            for id in 1..=BATCH {
                let packet_id = PacketId::new(id).filter(|_| level > QoS::AtMostOnce);
                let (topic, payload) = ("plant/4711/dev/0815/temp", &[7; 64][..]);
                let publish =
                    Publish { qos: level, topic, packet_id, payload, ..Publish::default() };
                Packet::from(publish).encode(version, &mut stream).unwrap();
            }
            let mut world = World::new(version, 0);
            let found = world.allocations_of_each(|world| {
                world.incoming.extend_from_slice(&stream);
                world.run();
            });
            assert_eq!(found, allowed, "{version} {level}");
        }
    }
}

/// At each QoS: the set of identifiers in use is made of nodes, four for sixteen of them.
const RECEIVED: [f64; 3] = [0.0, 0.25, 0.25];
