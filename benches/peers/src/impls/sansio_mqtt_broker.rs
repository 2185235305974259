//! The broker machine of sansio-mqtt between two client machines, in memory: a message takes two
//! hops, from the one client to the broker and from there to the other, which each is a machine
//! that speaks and one that listens. Beside it a machine's pair, which is one hop without routing,
//! counts half.

use std::time::Instant;

use bytes::{Buf, BytesMut};
use sansio_mqtt::broker::{self, Acceptance, AllowAll, Broker};
use sansio_mqtt::client::{self, Client, ConnectionId, Transmitted};
use sansio_mqtt::{Outgoing, Properties, Publish, QoS, Subscription, Version};

use crate::corpus::Proto;
use crate::flow::{self, BATCH};
use crate::registry::{Outcome, Registry};

/// How many bytes are pulled at a time.
const LIMIT: usize = 64 * 1024;

pub fn register(r: &mut Registry) {
    for proto in Proto::ALL {
        for qos in 0..3 {
            let level = QoS::new(qos).expect("0, 1 or 2");
            let start = move || World::start(proto, level);
            r.flow("sansio-mqtt (two hops)", proto, qos, start, move |world, messages| {
                world.send(level, messages)
            });
        }
    }
}

struct World {
    broker: Broker,
    ends: [End; 2],
    started: Instant,
    outgoing: Outgoing,
    /// Messages that the subscriber was given.
    delivered: u64,
    /// Messages whose completion the publisher was told.
    completed: u64,
}

/// A client, and its transport.
struct End {
    client: Client,
    connection: ConnectionId,
    at_broker: ConnectionId,
    outgoing: Outgoing,
    to_client: BytesMut,
    to_broker: BytesMut,
}

impl World {
    fn start(proto: Proto, qos: QoS) -> Outcome<Self> {
        let version = if proto.is_v5() { Version::V5 } else { Version::V3_1_1 };
        let mut options = broker::Options::new(0x5eed);
        options.topic_alias_maximum = 0;
        let mut broker = Broker::new(options, Box::new(AllowAll));
        let now = sansio_mqtt::Instant::from_micros(0);
        let mut end = |name| {
            let mut options = client::Options::new(version, name);
            // As with the others: an alias is one more copy at its receiver.
            options.topic_alias_maximum = 0;
            let mut client = Client::new(options).map_err(debug)?;
            let connection = client.transport_opened(now).map_err(debug)?;
            let at_broker = broker.transport_opened(now).map_err(debug)?;
            let (to_client, to_broker) = (BytesMut::new(), BytesMut::new());
            Ok::<_, String>(End {
                client,
                connection,
                at_broker,
                outgoing: Outgoing::new(),
                to_client,
                to_broker,
            })
        };
        let ends = [end("publisher")?, end("subscriber")?];
        let (started, outgoing) = (Instant::now(), Outgoing::new());
        let mut world = World { broker, ends, started, outgoing, delivered: 0, completed: 0 };
        let (topic, _) = flow::message();
        let subscriptions = [Subscription::new(topic, qos)];
        let subscriber = &mut world.ends[1].client;
        subscriber.subscribe(now, &subscriptions[..], Properties::NONE).map_err(debug)?;
        world.run()?;
        Ok(world)
    }

    fn now(&self) -> sansio_mqtt::Instant {
        sansio_mqtt::Instant::from_micros(self.started.elapsed().as_micros() as u64)
    }

    fn send(&mut self, qos: QoS, messages: u64) -> Outcome<u64> {
        (self.delivered, self.completed) = (0, 0);
        for _ in 0..messages / BATCH {
            let now = self.now();
            for _ in 0..BATCH {
                let (topic, payload) = flow::message();
                let publish = Publish { qos, topic, payload, ..Publish::default() };
                self.ends[0].client.publish(now, &publish).map_err(debug)?;
            }
            self.run()?;
        }
        Ok(self.delivered.min(self.completed))
    }

    /// Lets all three do what there is to be done, until there is nothing.
    fn run(&mut self) -> Outcome {
        loop {
            let now = self.now();
            let mut is_idle = true;
            for index in 0..self.ends.len() {
                is_idle &= self.run_client(index, now)?;
            }
            is_idle &= self.run_broker(now)?;
            if is_idle {
                return Ok(());
            }
        }
    }

    /// One client takes what came, and sends what it has; says whether it had nothing to do.
    fn run_client(&mut self, index: usize, now: sansio_mqtt::Instant) -> Outcome<bool> {
        use client::{Event, Output};
        let end = &mut self.ends[index];
        if !end.to_client.is_empty() {
            let _ = end.client.receive(now, end.connection, &mut end.to_client);
        }
        let mut is_idle = true;
        loop {
            match end.client.poll_output() {
                Output::Event(Event::Message(_)) => self.delivered += 1,
                Output::Event(Event::Published { result, .. }) => {
                    result.map_err(debug)?;
                    self.completed += 1;
                }
                Output::Event(_) => {}
                Output::Transmit(connection) => loop {
                    is_idle = false;
                    let out = &mut end.outgoing;
                    let left = end.client.transmit(now, connection, LIMIT, out);
                    while out.has_remaining() {
                        let chunk = out.chunk();
                        let written = chunk.len();
                        end.to_broker.extend_from_slice(chunk);
                        out.advance(written);
                    }
                    if left == Transmitted::All {
                        break;
                    }
                },
                Output::Resume(connection) => {
                    let _ = end.client.receive(now, connection, &mut end.to_client);
                }
                Output::Timeout(_) => return Ok(is_idle),
                other => return Err(debug(other)),
            }
        }
    }

    fn run_broker(&mut self, now: sansio_mqtt::Instant) -> Outcome<bool> {
        use broker::{Event, Output};
        let mut is_idle = true;
        for end in &mut self.ends {
            if !end.to_broker.is_empty() {
                let _ = self.broker.receive(now, end.at_broker, &mut end.to_broker);
            }
        }
        loop {
            match self.broker.poll_output() {
                Output::Event(Event::Connect { connection, .. }) => {
                    self.broker.accept(now, connection, &Acceptance::default()).map_err(debug)?;
                }
                Output::Event(_) => {}
                Output::Transmit(connection) => loop {
                    is_idle = false;
                    let out = &mut self.outgoing;
                    let left = self.broker.transmit(now, connection, LIMIT, out);
                    let end = self.ends.iter_mut().find(|end| end.at_broker == connection);
                    let to_client = &mut end.ok_or("no such connection")?.to_client;
                    while out.has_remaining() {
                        let chunk = out.chunk();
                        let written = chunk.len();
                        to_client.extend_from_slice(chunk);
                        out.advance(written);
                    }
                    if left == Transmitted::All {
                        break;
                    }
                },
                Output::Resume(connection) => {
                    is_idle = false;
                    let end = self.ends.iter_mut().find(|end| end.at_broker == connection);
                    let end = end.ok_or("no such connection")?;
                    let _ = self.broker.receive(now, connection, &mut end.to_broker);
                }
                Output::Timeout(_) => return Ok(is_idle),
                other => return Err(debug(other)),
            }
        }
    }
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
