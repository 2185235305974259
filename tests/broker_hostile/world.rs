//! A broker, transports in memory and a clock that a scenario moves.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use sansio_mqtt::broker::{
    Acceptance, AllowAll, Authorizer, Broker, ConnectionId, DisconnectCause, Event, Options,
    Output, Received, Transmitted, Violation,
};
use sansio_mqtt::{
    Connect, Decoder, Instant, Outgoing, OwnedPacket, Packet, QoS, ReasonCode, Subscribe,
    Subscription, Version,
};

pub(crate) use crate::packets::{FOR_EVER, QOS, id, lasting, of, publish};

/// One connection, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(usize);

struct Transport {
    connection: ConnectionId,
    version: Version,
    /// What the broker has not taken.
    incoming: BytesMut,
    /// Whether the client takes bytes.
    reads: bool,
    /// Whether what it takes is looked at.
    looks: bool,
    raw: BytesMut,
    cause: Option<DisconnectCause>,
    closed: bool,
    lost: bool,
}

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    /// When the broker wants to be woken.
    pub(crate) deadline: Option<Instant>,
    /// How much is pulled at once, in bytes.
    pub(crate) limit: usize,
    /// Whether each CONNECT is accepted at once.
    pub(crate) accepts: bool,
    /// How often input that was paused has gone on.
    pub(crate) resumed: usize,
    /// Events beside connections.
    pub(crate) events: Vec<Event>,
    transports: Vec<Transport>,
    outgoing: Outgoing,
}

const START: u64 = 1_000_000_000;

/// Runs a scenario in every version.
pub(crate) fn in_all_versions(run: impl Fn(&mut World, Version)) {
    for version in Version::ALL {
        println!("{version}");
        run(&mut World::default(), version);
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new(options())
    }
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        Self::with(options, AllowAll)
    }

    pub(crate) fn with(options: Options, authorizer: impl Authorizer + Send + 'static) -> Self {
        Self {
            broker: Broker::new(options, Box::new(authorizer)),
            now: Instant::from_micros(START),
            deadline: None,
            limit: 1 << 16,
            accepts: true,
            resumed: 0,
            events: Vec::new(),
            transports: Vec::new(),
            outgoing: Outgoing::new(),
        }
    }

    fn at(&mut self, peer: Peer) -> &mut Transport {
        &mut self.transports[peer.0]
    }

    pub(crate) fn id(&self, peer: Peer) -> ConnectionId {
        self.transports[peer.0].connection
    }

    /// Opens a transport for a client of this version.
    pub(crate) fn open(&mut self, version: Version) -> Peer {
        let connection = self.broker.transport_opened(self.now).unwrap();
        self.transports.push(Transport {
            connection,
            version,
            incoming: BytesMut::new(),
            reads: true,
            looks: true,
            raw: BytesMut::new(),
            cause: None,
            closed: false,
            lost: false,
        });
        self.poll();
        Peer(self.transports.len() - 1)
    }

    /// Opens a transport and sends CONNECT.
    pub(crate) fn connect(&mut self, connect: &Connect<'_>) -> Peer {
        let peer = self.open(connect.version);
        self.send(peer, *connect);
        peer
    }

    /// Connects; the CONNACK is not left to be looked at.
    pub(crate) fn join(&mut self, connect: &Connect<'_>) -> Peer {
        let peer = self.connect(connect);
        let sent = self.sent(peer);
        assert!(sent[0].starts_with("CONNACK 0x00"), "{sent:?}");
        peer
    }

    /// Connects to a session that may be there; what comes behind the CONNACK is left to be looked
    /// at.
    pub(crate) fn join_again(&mut self, connect: &Connect<'_>) -> Peer {
        let peer = self.connect(connect);
        let raw = &mut self.at(peer).raw;
        assert_eq!((raw[0], raw[3]), (0x20, 0));
        raw.advance(2 + usize::from(raw[1]));
        peer
    }

    /// A client of this version that is connected, for a session that ends with its connection.
    pub(crate) fn up(&mut self, version: Version, client_id: &str) -> Peer {
        self.join(&of(version, client_id))
    }

    pub(crate) fn send<'a>(&mut self, peer: Peer, packet: impl Into<Packet<'a>>) {
        let bytes = encode(self.at(peer).version, packet);
        self.send_bytes(peer, &bytes);
    }

    pub(crate) fn send_bytes(&mut self, peer: Peer, bytes: &[u8]) {
        self.at(peer).incoming.extend_from_slice(bytes);
        let _ = self.receive(peer);
        self.poll();
    }

    fn receive(&mut self, peer: Peer) -> Received {
        let now = self.now;
        let transport = &mut self.transports[peer.0];
        self.broker.receive(now, transport.connection, &mut transport.incoming)
    }

    /// The client sends these bytes, of which those that the broker does not take are thrown
    /// away; whether it does.
    pub(crate) fn flood(&mut self, peer: Peer, bytes: &[u8]) -> Received {
        self.at(peer).incoming = BytesMut::from(bytes);
        let received = self.receive(peer);
        self.at(peer).incoming = BytesMut::new();
        self.poll();
        received
    }

    /// Whole bytes that wait for the broker to take more.
    pub(crate) fn not_taken(&mut self, peer: Peer) -> usize {
        self.at(peer).incoming.len()
    }

    /// Does what the broker says, until it has nothing more to say.
    pub(crate) fn poll(&mut self) {
        let mut again = 0;
        loop {
            match self.broker.poll_output() {
                Output::Event(event) => self.on_event(event),
                Output::Store(_) => panic!("a broker in memory has no records"),
                Output::Transmit(connection) => {
                    let peer = self.find(connection);
                    self.pull(peer);
                }
                Output::Resume(connection) => {
                    self.resumed += 1;
                    let peer = self.find(connection);
                    let _ = self.receive(peer);
                }
                Output::Close(connection) => {
                    let peer = self.find(connection);
                    self.at(peer).closed = true;
                }
                // What is due goes on at once, when others have had their turn.
                Output::Timeout(Some(deadline)) if deadline <= self.now => {
                    again += 1;
                    assert!(again < 100_000, "woken for nothing");
                    self.broker.handle_timeout(self.now);
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn find(&self, connection: ConnectionId) -> Peer {
        // The latest are asked for most.
        Peer(self.transports.iter().rposition(|one| one.connection == connection).unwrap())
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connect { connection, .. } if self.accepts => {
                self.broker.accept(self.now, connection, &Acceptance::default()).unwrap();
            }
            Event::Disconnected { connection, cause, .. } => {
                let peer = self.find(connection);
                self.at(peer).cause = Some(cause);
            }
            Event::Connected { .. } | Event::SessionEnded { .. } => {}
            event => self.events.push(event),
        }
    }

    fn pull(&mut self, peer: Peer) {
        let Transport { connection, reads, raw, looks, .. } = &mut self.transports[peer.0];
        if !*reads {
            return;
        }
        loop {
            let left = self.broker.transmit(self.now, *connection, self.limit, &mut self.outgoing);
            while self.outgoing.has_remaining() {
                let chunk = self.outgoing.chunk();
                let len = chunk.len();
                if *looks {
                    raw.extend_from_slice(chunk);
                }
                self.outgoing.advance(len);
            }
            if left == Transmitted::All {
                return;
            }
        }
    }

    /// The client reads nothing from now on.
    pub(crate) fn block(&mut self, peer: Peer) {
        self.at(peer).reads = false;
    }

    /// The client reads again.
    pub(crate) fn unblock(&mut self, peer: Peer) {
        self.at(peer).reads = true;
        self.pull(peer);
        self.poll();
    }

    /// What the client reads is thrown away.
    pub(crate) fn ignore(&mut self, peer: Peer) {
        self.at(peer).looks = false;
    }

    /// The transport breaks.
    pub(crate) fn lose(&mut self, peer: Peer) {
        self.broker.transport_closed(self.now, self.id(peer));
        self.at(peer).lost = true;
        self.poll();
    }

    /// Forgets transports that are closed, of which there may have been many, and whose they
    /// were.
    pub(crate) fn forget_closed(&mut self) {
        self.transports.retain(|one| !one.closed && !one.lost);
        self.transports.shrink_to_fit();
        self.events = Vec::new();
        self.outgoing = Outgoing::new();
    }

    /// Time goes by, and the broker is woken when it wants to be.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.deadline.filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.poll();
        }
        self.now = end;
    }

    pub(crate) fn wait_secs(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    /// The packets that were sent to the client since the last time.
    pub(crate) fn packets(&mut self, peer: Peer) -> Vec<OwnedPacket> {
        let transport = self.at(peer);
        let mut decoder = Decoder::from_server(transport.version);
        let mut packets = Vec::new();
        while let Some(packet) = OwnedPacket::decode(&mut decoder, &mut transport.raw).unwrap() {
            packets.push(packet);
        }
        assert!(transport.raw.is_empty(), "whole packets only");
        packets
    }

    /// What was sent to the client since the last time, a line each.
    pub(crate) fn sent(&mut self, peer: Peer) -> Vec<String> {
        self.packets(peer).iter().map(OwnedPacket::to_string).collect()
    }

    /// The bytes that were sent to the client since the last time.
    pub(crate) fn raw(&mut self, peer: Peer) -> Vec<u8> {
        std::mem::take(&mut self.at(peer).raw).to_vec()
    }

    pub(crate) fn is_closed(&mut self, peer: Peer) -> bool {
        self.at(peer).closed
    }

    /// Why the connection ended.
    pub(crate) fn cause(&mut self, peer: Peer) -> Option<DisconnectCause> {
        self.at(peer).cause
    }

    /// The client was told what it did, if its version has words for that, and nothing else since
    /// the last look; then the connection was closed.
    pub(crate) fn blamed(&mut self, peer: Peer, reason_code: ReasonCode) {
        let expected: &[u8] = match self.at(peer).version.is_v5() {
            true => &[0xe0, 0x01, reason_code.get()],
            false => &[],
        };
        assert_eq!(self.raw(peer), expected, "{:?}", self.cause(peer));
        assert!(self.is_closed(peer));
        let Some(DisconnectCause::Violation(violation)) = self.cause(peer) else {
            panic!("{:?}", self.cause(peer))
        };
        assert_eq!(violation.reason_code(), reason_code);
    }

    /// The rule that the client broke.
    pub(crate) fn violation(&mut self, peer: Peer) -> Violation {
        match self.cause(peer) {
            Some(DisconnectCause::Violation(violation)) => violation,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn subscribe(&mut self, peer: Peer, topic_filter: &str, qos: QoS) {
        let subscriptions = [Subscription::new(topic_filter, qos)];
        self.send(peer, Subscribe::new(id(60_000), &subscriptions));
        let expected = format!("SUBACK #60000 [QoS {qos}]");
        assert_eq!(self.sent(peer).first(), Some(&expected));
    }

    /// The client is served as if it were alone: its ping is answered, and its message at QoS 1
    /// comes back to it, in no time.
    pub(crate) fn serves(&mut self, peer: Peer) {
        let before = self.now;
        assert_eq!(self.sent(peer), [""; 0]);
        self.send(peer, Packet::PingReq);
        assert_eq!(self.sent(peer), ["PINGRESP"]);
        self.subscribe(peer, "innocent", QoS::AtMostOnce);
        self.send(peer, publish("innocent", QoS::AtLeastOnce, 60_001, "x"));
        assert_eq!(self.sent(peer), ["PUBACK #60001", "PUBLISH \"innocent\" QoS 0 \"x\""]);
        assert_eq!(self.now, before);
    }
}

/// The default options.
pub(crate) fn options() -> Options {
    Options::new(0x5eed)
}

pub(crate) fn options_with(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = options();
    change(&mut options);
    options
}

pub(crate) fn encode<'a>(version: Version, packet: impl Into<Packet<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.into().encode(version, &mut bytes).unwrap();
    bytes
}
