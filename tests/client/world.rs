//! A client, a transport in memory, a clock that a scenario moves, and a server that says what the
//! scenario tells it to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use sansio_mqtt::client::{
    Client, ConnectionId, Delivery, DeliveryId, Event, Failure, Handle, Options, Output, Published,
    Transmitted,
};
use sansio_mqtt::{
    ConnAck, Connect, Decoder, Instant, Outgoing, OwnedPacket, Packet, Properties, Property,
    Publish, QoS, ReasonCode, SubAck, UnixTime, Version,
};

pub(crate) use crate::packets::{id, pub_ack, pub_comp, pub_rec, pub_rel, publish};

/// How a scenario is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Of what the server says, in bytes.
    pub(crate) fragment: usize,
    /// How much is pulled at once, in bytes.
    pub(crate) limit: usize,
    /// Whether the client stores its session.
    pub(crate) durable: bool,
}

/// Runs a scenario in every way.
pub(crate) fn scenario(run: impl Fn(&mut World)) {
    for durable in [false, true] {
        for (fragment, limit) in
            [(usize::MAX, usize::MAX), (1, usize::MAX), (3, 1), (usize::MAX, 1)]
        {
            let way = Way { fragment, limit, durable };
            println!("{way:?}");
            run(&mut World::new(way));
        }
    }
}

/// Where a scenario takes place.
pub(crate) struct World {
    pub(crate) way: Way,
    pub(crate) client: Option<Client>,
    pub(crate) now: Instant,
    pub(crate) connection: Option<ConnectionId>,
    /// What was stored and committed.
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether records are committed as soon as they are handed out.
    pub(crate) commits: bool,
    /// Records that were handed out and not committed.
    pub(crate) uncommitted: Vec<sansio_mqtt::client::Store>,
    /// Whether the transport takes bytes.
    pub(crate) writable: bool,
    incoming: BytesMut,
    outgoing: Outgoing,
    to_server: BytesMut,
    decoder: Decoder,
    sent: Vec<OwnedPacket>,
    events: Vec<Event>,
    /// When the client wants to be woken.
    pub(crate) deadline: Option<Instant>,
    /// Whether the client has closed the transport.
    pub(crate) closed: bool,
}

const START: u64 = 1_000_000_000;

impl World {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            client: None,
            now: Instant::from_micros(START),
            connection: None,
            store: BTreeMap::new(),
            commits: true,
            uncommitted: Vec::new(),
            writable: true,
            incoming: BytesMut::new(),
            outgoing: Outgoing::new(),
            to_server: BytesMut::new(),
            decoder: Decoder::from_client(),
            sent: Vec::new(),
            events: Vec::new(),
            deadline: None,
            closed: false,
        }
    }

    /// Makes the client, of what is in the store if it is durable.
    pub(crate) fn start(&mut self, options: Options) -> &mut Self {
        let client = if self.way.durable {
            let since = self.now.as_micros() - START;
            let unix_now = UnixTime::from_secs(1_700_000_000 + since / 1_000_000);
            Client::restore(options, self.now, unix_now, &self.store).unwrap()
        } else {
            Client::new(options).unwrap()
        };
        self.client = Some(client);
        self.poll();
        self
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        self.client.as_mut().unwrap()
    }

    /// Opens a transport; the CONNECT is in [`sent`](Self::sent).
    pub(crate) fn open(&mut self) -> &mut Self {
        let now = self.now;
        self.connection = Some(self.client().transport_opened(now).unwrap());
        self.incoming.clear();
        self.outgoing.clear();
        self.to_server.clear();
        self.decoder = Decoder::from_client();
        self.closed = false;
        self.poll();
        self
    }

    /// Opens a transport and lets the server accept it.
    pub(crate) fn connect(
        &mut self,
        session_present: bool,
        properties: &[Property<'_>],
    ) -> &mut Self {
        self.open();
        let properties = Properties::List(properties);
        let reason_code = ReasonCode::SUCCESS;
        self.server(ConnAck { session_present, reason_code, properties })
    }

    /// A client with these options and a connection, of which nothing is left to look at.
    pub(crate) fn up(&mut self, options: Options, properties: &[Property<'_>]) -> &mut Self {
        self.start(options).connect(false, properties);
        self.forget()
    }

    /// Forgets what was sent and told.
    pub(crate) fn forget(&mut self) -> &mut Self {
        self.sent.clear();
        self.events.clear();
        self
    }

    /// The server sends a packet.
    pub(crate) fn server<'a>(&mut self, packet: impl Into<Packet<'a>>) -> &mut Self {
        let version = self.client().options().version;
        let mut bytes = Vec::new();
        packet.into().encode(version, &mut bytes).unwrap();
        self.server_bytes(&bytes)
    }

    /// The server sends bytes.
    pub(crate) fn server_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for fragment in bytes.chunks(self.way.fragment.min(bytes.len().max(1))) {
            self.incoming.extend_from_slice(fragment);
            self.receive();
            self.poll();
        }
        self
    }

    fn receive(&mut self) {
        let (now, Some(connection)) = (self.now, self.connection) else { return };
        let Some(client) = self.client.as_mut() else { return };
        let _ = client.receive(now, connection, &mut self.incoming);
    }

    /// Does what the client says, until it has nothing more to say.
    pub(crate) fn poll(&mut self) -> &mut Self {
        loop {
            let Some(client) = self.client.as_mut() else { return self };
            match client.poll_output() {
                Output::Event(event) => self.events.push(event),
                Output::Store(store) => {
                    assert!(self.way.durable, "nothing is stored without durability");
                    self.uncommitted.push(store);
                    if self.commits {
                        self.commit();
                    }
                }
                Output::Transmit(_) => self.pull(),
                Output::Resume(_) => self.receive(),
                Output::Close(connection) => {
                    assert_eq!(self.connection.take(), Some(connection));
                    self.closed = true;
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return self;
                }
            }
        }
    }

    /// Commits what was handed out.
    pub(crate) fn commit(&mut self) -> &mut Self {
        for store in std::mem::take(&mut self.uncommitted) {
            let sequence = store.sequence;
            apply(&mut self.store, store);
            self.client().committed(sequence);
        }
        self
    }

    /// The transport takes all bytes there are.
    pub(crate) fn pull(&mut self) {
        let (now, limit) = (self.now, self.way.limit);
        let Some(connection) = self.connection else { return };
        while self.writable {
            let Some(client) = self.client.as_mut() else { return };
            let transmitted = client.transmit(now, connection, limit, &mut self.outgoing);
            while self.outgoing.has_remaining() {
                let len = self.outgoing.chunk().len();
                self.to_server.extend_from_slice(self.outgoing.chunk());
                self.outgoing.advance(len);
            }
            if transmitted == Transmitted::All {
                break;
            }
        }
        while let Some(packet) =
            OwnedPacket::decode(&mut self.decoder, &mut self.to_server).unwrap()
        {
            self.sent.push(packet);
        }
        assert!(self.to_server.is_empty(), "whole packets only");
    }

    /// The transport takes bytes again.
    pub(crate) fn unblock(&mut self) -> &mut Self {
        self.writable = true;
        self.pull();
        self.poll()
    }

    /// The transport breaks.
    pub(crate) fn lose(&mut self) -> &mut Self {
        let now = self.now;
        if let Some(connection) = self.connection.take() {
            self.client().transport_closed(now, connection);
        }
        self.poll()
    }

    /// Time goes by, and the client is woken when it wants to be.
    pub(crate) fn wait(&mut self, duration: Duration) -> &mut Self {
        let end = self.now + duration;
        while let Some(deadline) = self.deadline.filter(|deadline| *deadline <= end) {
            assert!(deadline >= self.now || self.now == end, "a deadline in the past");
            self.now = self.now.max(deadline);
            let now = self.now;
            self.client().handle_timeout(now);
            self.poll();
            assert!(self.deadline.is_none_or(|next| next > now), "woken for nothing");
        }
        self.now = end;
        self
    }

    pub(crate) fn wait_secs(&mut self, seconds: u64) -> &mut Self {
        self.wait(Duration::from_secs(seconds))
    }

    pub(crate) fn publish(&mut self, topic: &str, qos: QoS, payload: &str) -> Handle {
        let publish = Publish { topic, qos, payload: payload.as_bytes(), ..Publish::default() };
        self.publish_with(&publish)
    }

    pub(crate) fn publish_with(&mut self, publish: &Publish<'_>) -> Handle {
        let now = self.now;
        let handle = self.client().publish(now, publish).unwrap();
        self.poll();
        handle
    }

    pub(crate) fn acknowledge(&mut self, delivery_id: DeliveryId) -> &mut Self {
        let now = self.now;
        self.client().acknowledge(now, delivery_id).unwrap();
        self.poll()
    }

    /// What was sent since the last time, a line each.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|packet| packet.to_string()).collect()
    }

    /// The packets that were sent since the last time.
    pub(crate) fn sent_packets(&mut self) -> Vec<OwnedPacket> {
        std::mem::take(&mut self.sent)
    }

    /// What the application was told since the last time, a line each.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| describe(&event)).collect()
    }

    /// The events since the last time.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The messages that the application was given since the last time.
    pub(crate) fn deliveries(&mut self) -> Vec<Delivery> {
        let is_message = |event| match event {
            Event::Message(delivery) => Some(delivery),
            _ => None,
        };
        self.events.drain(..).filter_map(is_message).collect()
    }

    /// The process dies, and another one takes over what was committed.
    pub(crate) fn crash(&mut self, options: Options) -> &mut Self {
        assert!(self.way.durable);
        self.uncommitted.clear();
        self.connection = None;
        self.forget();
        self.start(options)
    }
}

/// Puts or deletes one key.
pub(crate) fn apply(store: &mut BTreeMap<Vec<u8>, Vec<u8>>, record: sansio_mqtt::client::Store) {
    match record.value {
        Some(value) => store.insert(record.key.to_vec(), value.to_vec()),
        None => store.remove(&record.key[..]),
    };
}

/// An event in a line.
pub(crate) fn describe(event: &Event) -> String {
    let mut line = String::new();
    let _ = match event {
        Event::Connected(connected) if connected.session_present => write!(line, "connected again"),
        Event::Connected(_) => write!(line, "connected"),
        Event::Disconnected(cause) => write!(line, "disconnected: {cause}"),
        Event::Message(delivery) => write!(line, "message {}", message(delivery)),
        Event::Published { handle, result } => {
            write!(line, "published {}: {}", handle.get(), published(result))
        }
        Event::Subscribed { handle, result } => {
            write!(line, "subscribed {}: {}", handle.get(), answer(result))
        }
        Event::Unsubscribed { handle, result } => {
            write!(line, "unsubscribed {}: {}", handle.get(), answer(result))
        }
        Event::Resubscribed { topic_filters, result } => {
            write!(line, "resubscribed {topic_filters:?}: {}", answer(result))
        }
        Event::Response { handle, result: Ok(delivery) } => {
            write!(line, "response {}: {}", handle.get(), message(delivery))
        }
        Event::Response { handle, result: Err(failure) } => {
            write!(line, "response {}: {failure}", handle.get())
        }
        Event::Authenticate(packet) => write!(line, "authenticate: {packet}"),
        Event::Authenticated(packet) => write!(line, "authenticated: {packet}"),
        other => write!(line, "{other:?}"),
    };
    line
}

fn message(delivery: &Delivery) -> String {
    let publish = delivery.message.to_publish();
    let payload = String::from_utf8_lossy(publish.payload).into_owned();
    let mut line = format!("{} QoS {} {payload:?}", publish.topic, publish.qos);
    for (set, word) in [(publish.retain, "retain"), (delivery.dup, "dup")] {
        if set {
            let _ = write!(line, " {word}");
        }
    }
    if delivery.redelivered {
        line.push_str(" redelivered");
    }
    line
}

fn published(result: &Result<Published, Failure>) -> String {
    match result {
        Ok(Published::Sent) => "sent".into(),
        Ok(Published::Acknowledged { reason_code, .. }) => format!("acknowledged {reason_code}"),
        Err(failure) => failure.to_string(),
    }
}

fn answer(result: &Result<sansio_mqtt::client::Answer, Failure>) -> String {
    match result {
        Ok(answer) => {
            let codes = answer.reason_codes.iter().map(|code| format!("{:#04x}", code.get()));
            codes.collect::<Vec<_>>().join(" ")
        }
        Err(failure) => failure.to_string(),
    }
}

pub(crate) fn sub_ack(value: u16, codes: &[ReasonCode]) -> SubAck<'_> {
    SubAck::new(id(value), codes)
}

/// Options for a client called `c`, of 5.0.
pub(crate) fn v5() -> Options {
    Options::new(Version::V5, "c")
}

/// Options for a client called `c`.
pub(crate) fn of(version: Version) -> Options {
    Options::new(version, "c")
}

/// The CONNECT among what was sent.
pub(crate) fn connect_of(packet: &OwnedPacket) -> Connect<'_> {
    match packet.packet() {
        Packet::Connect(connect) => connect,
        other => panic!("{other} is no CONNECT"),
    }
}
