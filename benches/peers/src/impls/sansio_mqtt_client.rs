//! The client machine of sansio-mqtt: driven as a wrapper drives it, with the broker in place of
//! the transport. Time is read once for each turn of the loop; what is counted are the events.

use std::time::Instant;

use bytes::{Buf, BytesMut};
use sansio_mqtt::client::{
    Client, ConnectionId, Event, Options, Output, Published, Received, Transmitted,
};
use sansio_mqtt::{Outgoing, Publish, QoS, Version};

use crate::corpus::Proto;
use crate::flow::{self, BATCH, Broker};
use crate::registry::{Outcome, Registry};

/// How many bytes are pulled at a time.
const LIMIT: usize = 64 * 1024;

pub fn register(r: &mut Registry) {
    for proto in Proto::ALL {
        for qos in 0..3 {
            let start = move || Wrapper::start(proto);
            let level = QoS::new(qos).expect("0, 1 or 2");
            r.flow("sansio-mqtt (client)", proto, qos, start, move |wrapper, messages| {
                wrapper.send(level, messages)
            });
        }
    }
}

struct Wrapper {
    client: Client,
    connection: ConnectionId,
    started: Instant,
    outgoing: Outgoing,
    incoming: BytesMut,
    broker: Broker,
    /// Messages whose completion an event told.
    completed: u64,
}

impl Wrapper {
    /// Connects, and takes in a CONNACK.
    fn start(proto: Proto) -> Outcome<Self> {
        let version = if proto.is_v5() { Version::V5 } else { Version::V3_1_1 };
        let options = Options::new(version, "client");
        let mut client = Client::new(options).map_err(debug)?;
        let (started, now) = (Instant::now(), sansio_mqtt::Instant::from_micros(0));
        let connection = client.transport_opened(now).map_err(debug)?;
        let (mut outgoing, mut incoming) = (Outgoing::new(), BytesMut::new());
        while let Output::Transmit(connection) = client.poll_output() {
            while client.transmit(now, connection, LIMIT, &mut outgoing) == Transmitted::More {}
        }
        outgoing.clear();
        incoming.extend_from_slice(flow::connack(proto));
        if client.receive(now, connection, &mut incoming) != Received::Drained {
            return Err("CONNACK was not taken".into());
        }
        let Output::Event(Event::Connected(_)) = client.poll_output() else {
            return Err("not connected".into());
        };
        let broker = Broker::default();
        Ok(Wrapper { client, connection, started, outgoing, incoming, broker, completed: 0 })
    }

    #[inline]
    fn now(&self) -> sansio_mqtt::Instant {
        sansio_mqtt::Instant::from_micros(self.started.elapsed().as_micros() as u64)
    }

    fn send(&mut self, qos: QoS, messages: u64) -> Outcome<u64> {
        (self.completed, self.broker.delivered) = (0, 0);
        for _ in 0..messages / BATCH {
            let now = self.now();
            for _ in 0..BATCH {
                let (topic, payload) = flow::message();
                let publish = Publish { qos, topic, payload, ..Publish::default() };
                self.client.publish(now, &publish).map_err(debug)?;
            }
            self.run(now)?;
        }
        Ok(self.completed.min(self.broker.delivered))
    }

    /// Does what the client says until there is nothing to be done.
    fn run(&mut self, now: sansio_mqtt::Instant) -> Outcome {
        loop {
            match self.client.poll_output() {
                Output::Event(Event::Published { result, .. }) => match result {
                    Ok(Published::Sent | Published::Acknowledged { .. }) => self.completed += 1,
                    Err(failure) => return Err(debug(failure)),
                },
                Output::Transmit(connection) => loop {
                    let left = self.client.transmit(now, connection, LIMIT, &mut self.outgoing);
                    while self.outgoing.has_remaining() {
                        let chunk = self.outgoing.chunk();
                        let written = chunk.len();
                        self.broker.receive(chunk)?;
                        self.outgoing.advance(written);
                        self.incoming.extend_from_slice(&self.broker.answers);
                    }
                    if left == Transmitted::All {
                        break;
                    }
                },
                Output::Timeout(_) if self.incoming.is_empty() => return Ok(()),
                // What a wrapper waits for is there.
                Output::Timeout(_) => {
                    let now = self.now();
                    self.client.handle_timeout(now);
                    let connection = self.connection;
                    let _ = self.client.receive(now, connection, &mut self.incoming);
                }
                other => return Err(debug(other)),
            }
        }
    }
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
