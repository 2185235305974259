//! A broker, transports in memory, a clock that a scenario moves, and clients that say what the
//! scenario tells them to.

use std::time::Duration;

use bytes::Buf;
use sansio_mqtt::broker::{
    Acceptance, Broker, CallError, ConnectRequest, ConnectionId, DisconnectCause, Event, Options,
    Output, Received, Transmitted,
};
use sansio_mqtt::{
    ConnAck, Connect, Disconnect, FixedHeader, Instant, Outgoing, OwnedPacket, Packet, PacketId,
    Properties, Property, PubComp, PubRel, Publish, QoS, ReasonCode, Subscribe, Subscription,
    Unsubscribe, Version,
};

use crate::rights::Rights;
use crate::transport::Transport;
use crate::words::{conn_ack_of, describe, id, message, options};

/// How a scenario is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Of what the clients say, in bytes.
    pub(crate) fragment: usize,
    /// How much is pulled at once, in bytes.
    pub(crate) limit: usize,
}

/// Runs a scenario in every way, with a broker that has the default options.
pub(crate) fn scenario(run: impl Fn(&mut World)) {
    scenario_with(&options(), run);
}

/// Runs a scenario in every way, with a broker that has these options.
pub(crate) fn scenario_with(options: &Options, run: impl Fn(&mut World)) {
    for (fragment, limit) in [(usize::MAX, usize::MAX), (1, usize::MAX), (3, 2), (usize::MAX, 1)] {
        let way = Way { fragment, limit };
        println!("{way:?}");
        let mut world = World::new(way, options.clone());
        run(&mut world);
        world.end();
    }
}

/// What becomes of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is accepted at once.
    Accept,
    /// It is refused at once.
    Refuse(ReasonCode),
    /// The scenario answers later.
    Later,
}

/// A client of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Peer(usize);

/// Where a scenario takes place.
pub(crate) struct World {
    pub(crate) way: Way,
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    /// What becomes of each CONNECT.
    pub(crate) answer: Answer,
    pub(crate) rights: Rights,
    /// Whether clients that connect from now on acknowledge what they are sent.
    pub(crate) acknowledges: bool,
    /// How often the broker took no more for the time being.
    pub(crate) pauses: usize,
    /// How many bytes were read from transports.
    pub(crate) written: usize,
    transports: Vec<Transport>,
    outgoing: Outgoing,
    events: Vec<Event>,
    /// When the broker wants to be woken.
    pub(crate) deadline: Option<Instant>,
}

const START: u64 = 1_000_000_000;

impl World {
    pub(crate) fn new(way: Way, options: Options) -> Self {
        let rights = Rights::default();
        let mut world = Self {
            way,
            broker: Broker::new(options, Box::new(rights.clone())),
            now: Instant::from_micros(START),
            answer: Answer::Accept,
            rights,
            acknowledges: true,
            pauses: 0,
            written: 0,
            transports: Vec::new(),
            outgoing: Outgoing::new(),
            events: Vec::new(),
            deadline: None,
        };
        world.poll();
        world
    }

    /// All transports break, and all sessions end: nothing is left of them.
    pub(crate) fn end(&mut self) {
        for index in 0..self.transports.len() {
            if self.transports[index].is_up() {
                self.lose(Peer(index));
            }
        }
        let names = |broker: &Broker| {
            broker.sessions().map(|info| info.client.client_id.to_string()).collect::<Vec<_>>()
        };
        for name in names(&self.broker) {
            self.call(|broker, now| broker.end_session(now, &name)).unwrap();
        }
        let left = self.broker.counters();
        assert_eq!((left.connections, left.sessions, left.connected), (0, 0, 0));
        assert_eq!((left.subscriptions, left.stored_messages, left.stored_bytes), (0, 0, 0));
    }

    // Connections

    /// Opens a transport for a client of this version.
    pub(crate) fn open(&mut self, version: Version) -> Peer {
        let connection = self.broker.transport_opened(self.now).unwrap();
        let transport = Transport::new(connection, version, self.acknowledges);
        self.transports.push(transport);
        self.poll();
        Peer(self.transports.len() - 1)
    }

    /// Opens a transport and sends a CONNECT; what the broker says is in [`sent`](Self::sent).
    pub(crate) fn connect(&mut self, connect: &Connect<'_>) -> Peer {
        let peer = self.open(connect.version);
        self.send(peer, *connect);
        peer
    }

    /// Opens a transport and connects; what the broker sends behind its CONNACK is left to be
    /// looked at.
    pub(crate) fn join(&mut self, connect: &Connect<'_>) -> Peer {
        self.join_with(connect).0
    }

    /// The same, and the CONNACK.
    pub(crate) fn join_with(&mut self, connect: &Connect<'_>) -> (Peer, OwnedPacket) {
        let peer = self.connect(connect);
        let first = self.take_connack(peer);
        let conn_ack = conn_ack_of(&first);
        assert_eq!(conn_ack.reason_code, ReasonCode::SUCCESS, "{first}");
        (peer, first)
    }

    /// Connects, and says whether there was a session.
    pub(crate) fn resume(&mut self, connect: &Connect<'_>) -> (Peer, bool) {
        let (peer, packet) = self.join_with(connect);
        (peer, conn_ack_of(&packet).session_present)
    }

    /// The CONNACK, which is the first packet of those sent since the last look.
    pub(crate) fn take_connack(&mut self, peer: Peer) -> OwnedPacket {
        let sent = &mut self.at(peer).sent;
        assert!(!sent.is_empty(), "no CONNACK");
        let first = sent.remove(0);
        let _ = conn_ack_of(&first);
        first
    }

    pub(crate) fn at(&mut self, peer: Peer) -> &mut Transport {
        &mut self.transports[peer.0]
    }

    pub(crate) fn id(&self, peer: Peer) -> ConnectionId {
        self.transports[peer.0].connection
    }

    /// Whose connection this is.
    pub(crate) fn peer(&self, connection: ConnectionId) -> Peer {
        self.find(connection)
    }

    pub(crate) fn version(&self, peer: Peer) -> Version {
        self.transports[peer.0].version
    }

    /// Whether neither end has closed the transport.
    pub(crate) fn is_up(&self, peer: Peer) -> bool {
        self.transports[peer.0].is_up()
    }

    /// Whether the transport takes no bytes.
    pub(crate) fn is_blocked(&self, peer: Peer) -> bool {
        !self.transports[peer.0].writable
    }

    /// Whether the broker has closed the transport.
    pub(crate) fn closed(&self, peer: Peer) -> bool {
        self.transports[peer.0].closed.is_some()
    }

    /// The client sends DISCONNECT, upon which the broker closes the transport.
    pub(crate) fn leave(&mut self, peer: Peer) {
        self.send(peer, Disconnect::default());
        assert!(self.closed(peer), "DISCONNECT ends a connection");
    }

    /// The transport breaks.
    pub(crate) fn lose(&mut self, peer: Peer) {
        let (connection, now) = (self.id(peer), self.now);
        let transport = self.at(peer);
        assert!(transport.is_up(), "it is gone already");
        transport.lost = true;
        transport.unread.clear();
        self.broker.transport_closed(now, connection);
        self.poll();
    }

    /// The transport takes no bytes any more, as of a client that does not read.
    pub(crate) fn block(&mut self, peer: Peer) {
        self.at(peer).writable = false;
    }

    /// The transport takes bytes again.
    pub(crate) fn unblock(&mut self, peer: Peer) {
        self.at(peer).writable = true;
        self.pull(peer);
        self.poll();
    }

    /// The client acknowledges nothing by itself from now on, and none that connects later does.
    pub(crate) fn by_hand(&mut self, peer: Peer) {
        self.at(peer).acknowledges = false;
        self.acknowledges = false;
    }

    /// The clients that connect from now on acknowledge by themselves.
    pub(crate) fn by_itself(&mut self) {
        self.acknowledges = true;
    }

    // What clients say

    /// The client sends a packet.
    pub(crate) fn send<'a>(&mut self, peer: Peer, packet: impl Into<Packet<'a>>) {
        let packet = packet.into();
        let transport = self.at(peer);
        transport.says(&packet);
        let mut bytes = Vec::new();
        packet.encode(transport.version, &mut bytes).unwrap();
        self.send_bytes(peer, &bytes);
    }

    /// The client sends bytes.
    pub(crate) fn send_bytes(&mut self, peer: Peer, bytes: &[u8]) {
        self.at(peer).unread.extend_from_slice(bytes);
        self.poll();
    }

    /// A Packet Identifier that the client does not use.
    pub(crate) fn next_id(&mut self, peer: Peer) -> PacketId {
        let next = &mut self.at(peer).next_id;
        let id = id(*next);
        *next += 1;
        id
    }

    /// The client publishes, and takes part in the exchange to its end. The code of the PUBACK or
    /// PUBREC; 0x00 at QoS 0.
    pub(crate) fn publish(
        &mut self,
        peer: Peer,
        topic: &str,
        qos: QoS,
        payload: &str,
    ) -> ReasonCode {
        let publish = Publish { topic, qos, payload: payload.as_bytes(), ..Publish::default() };
        self.publish_with(peer, &publish)
    }

    /// The client publishes a message to be retained.
    pub(crate) fn retain(
        &mut self,
        peer: Peer,
        topic: &str,
        qos: QoS,
        payload: &str,
    ) -> ReasonCode {
        let payload = payload.as_bytes();
        let publish = Publish { topic, qos, payload, retain: true, ..Publish::default() };
        self.publish_with(peer, &publish)
    }

    /// The client publishes this, with a Packet Identifier of the world's choice.
    pub(crate) fn publish_with(&mut self, peer: Peer, publish: &Publish<'_>) -> ReasonCode {
        if publish.qos == QoS::AtMostOnce {
            self.send(peer, *publish);
            return ReasonCode::SUCCESS;
        }
        let id = self.next_id(peer);
        self.send(peer, Publish { packet_id: Some(id), ..*publish });
        let answer = self.take(peer, |packet| match packet {
            Packet::PubAck(ack) if publish.qos == QoS::AtLeastOnce => ack.packet_id == id,
            Packet::PubRec(ack) if publish.qos == QoS::ExactlyOnce => ack.packet_id == id,
            _ => false,
        });
        match answer.packet() {
            Packet::PubAck(ack) => ack.reason_code,
            Packet::PubRec(ack) if ack.reason_code.is_error() => ack.reason_code,
            Packet::PubRec(ack) => {
                self.send(peer, PubRel::new(id));
                let done = self.take(peer, |packet| matches!(packet, Packet::PubComp(_)));
                assert_eq!(done.packet(), PubComp::new(id).into());
                ack.reason_code
            }
            other => panic!("{other}"),
        }
    }

    /// The client subscribes to one filter, which is granted.
    pub(crate) fn subscribe(&mut self, peer: Peer, topic_filter: &str, qos: QoS) {
        let codes = self.subscribe_to(peer, &[Subscription::new(topic_filter, qos)]);
        assert_eq!(codes, [ReasonCode::new(qos as u8)], "{topic_filter}");
    }

    /// The client subscribes; the codes of the SUBACK.
    pub(crate) fn subscribe_to(
        &mut self,
        peer: Peer,
        subscriptions: &[Subscription<'_>],
    ) -> Vec<ReasonCode> {
        self.subscribe_with(peer, subscriptions, &[])
    }

    /// The client subscribes with a Subscription Identifier.
    pub(crate) fn subscribe_as(&mut self, peer: Peer, topic_filter: &str, qos: QoS, value: u32) {
        let subscription = [Subscription::new(topic_filter, qos)];
        let properties = [Property::SubscriptionIdentifier(value)];
        let codes = self.subscribe_with(peer, &subscription, &properties);
        assert_eq!(codes, [ReasonCode::new(qos as u8)], "{topic_filter}");
    }

    pub(crate) fn subscribe_with(
        &mut self,
        peer: Peer,
        subscriptions: &[Subscription<'_>],
        properties: &[Property<'_>],
    ) -> Vec<ReasonCode> {
        let id = self.next_id(peer);
        let properties = Properties::List(properties);
        self.send(peer, Subscribe { properties, ..Subscribe::new(id, subscriptions) });
        let answer = self.take(peer, |packet| matches!(packet, Packet::SubAck(_)));
        let Packet::SubAck(ack) = answer.packet() else { panic!("{answer}") };
        assert_eq!(ack.packet_id, id);
        ack.reason_codes.iter().collect()
    }

    /// The client unsubscribes; the codes of the UNSUBACK.
    pub(crate) fn unsubscribe(&mut self, peer: Peer, topic_filters: &[&str]) -> Vec<ReasonCode> {
        let id = self.next_id(peer);
        self.send(peer, Unsubscribe::new(id, topic_filters));
        let answer = self.take(peer, |packet| matches!(packet, Packet::UnsubAck(_)));
        let Packet::UnsubAck(ack) = answer.packet() else { panic!("{answer}") };
        assert_eq!(ack.packet_id, id);
        ack.reason_codes.iter().collect()
    }

    // What the broker says to them

    /// The first packet that is so, of those sent to the client since the last look; the others
    /// are left.
    pub(crate) fn take(&mut self, peer: Peer, wanted: impl Fn(Packet<'_>) -> bool) -> OwnedPacket {
        let sent = &mut self.at(peer).sent;
        let Some(index) = sent.iter().position(|packet| wanted(packet.packet())) else {
            panic!("the packet is not among what was sent: {sent:?}");
        };
        sent.remove(index)
    }

    /// What was sent to the client since the last look, a line each.
    pub(crate) fn sent(&mut self, peer: Peer) -> Vec<String> {
        self.at(peer).sent.drain(..).map(|packet| packet.to_string()).collect()
    }

    /// The packets that were sent to the client since the last look.
    pub(crate) fn packets(&mut self, peer: Peer) -> Vec<OwnedPacket> {
        std::mem::take(&mut self.at(peer).sent)
    }

    /// The bytes that were sent to the client since the last look at bytes.
    pub(crate) fn raw(&mut self, peer: Peer) -> Vec<u8> {
        std::mem::take(&mut self.at(peer).raw)
    }

    /// The messages that were sent to the client since the last look, and nothing else was but
    /// what goes with them: `topic payload`, and `QoS 1`, `dup`, `retain` and properties if they
    /// are so.
    pub(crate) fn heard(&mut self, peer: Peer) -> Vec<String> {
        let packets = self.packets(peer);
        let mut heard = Vec::new();
        for packet in &packets {
            match packet.packet() {
                Packet::Publish(publish) => heard.push(message(&publish)),
                Packet::PubRel(_) => {}
                other => panic!("{other} among {packets:?}"),
            }
        }
        heard
    }

    /// Nothing was sent to the client since the last look, and it is connected.
    pub(crate) fn silent(&mut self, peer: Peer) {
        assert_eq!(self.sent(peer), [""; 0]);
        assert!(!self.closed(peer), "its connection was closed");
    }

    /// The connection was ended with this code; in 3.x it was closed without a word.
    pub(crate) fn ended(&mut self, peer: Peer, code: ReasonCode) {
        let sent = self.packets(peer);
        assert!(self.closed(peer), "the connection is still there, sent was {sent:?}");
        if !self.at(peer).version.is_v5() {
            assert!(sent.is_empty(), "{sent:?} where there are no words for it");
            return;
        }
        let [last] = &sent[..] else { panic!("{sent:?} where a DISCONNECT {code} is due") };
        let Packet::Disconnect(disconnect) = last.packet() else { panic!("{last}") };
        assert_eq!(disconnect.reason_code, code);
    }

    /// The connection was refused with this code, and closed; in 3.x with the return code for it.
    pub(crate) fn refused(&mut self, peer: Peer, code: ReasonCode) {
        let sent = self.packets(peer);
        assert!(self.closed(peer), "the connection is still there, sent was {sent:?}");
        let [only] = &sent[..] else { panic!("{sent:?} where a CONNACK {code} is due") };
        let conn_ack = conn_ack_of(only);
        assert_eq!((conn_ack.reason_code, conn_ack.session_present), (code, false));
    }

    // What the application says and is told

    /// Calls the broker, and does what it says.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&mut Broker, Instant) -> T) -> T {
        let result = call(&mut self.broker, self.now);
        self.poll();
        result
    }

    /// Accepts a connection.
    pub(crate) fn accept(&mut self, peer: Peer, acceptance: &Acceptance<'_>) {
        let connection = self.id(peer);
        self.call(|broker, now| broker.accept(now, connection, acceptance)).unwrap();
    }

    /// Refuses a connection.
    pub(crate) fn refuse(&mut self, peer: Peer, conn_ack: &ConnAck<'_>) -> Result<(), CallError> {
        let connection = self.id(peer);
        self.call(|broker, now| broker.refuse(now, connection, conn_ack))
    }

    /// The events since the last look.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The events since the last look, a line each.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| describe(&event)).collect()
    }

    /// The CONNECT that the application was told of last.
    pub(crate) fn request(&mut self) -> ConnectRequest {
        let found = self.events.iter().rev().find_map(|event| match event {
            Event::Connect { request, .. } => Some(request.clone()),
            _ => None,
        });
        found.expect("no CONNECT")
    }

    /// Why a connection ended, of which the application was told just once.
    pub(crate) fn cause(&mut self, peer: Peer) -> DisconnectCause {
        let id = self.id(peer);
        let causes: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Disconnected { connection, cause, .. } if *connection == id => Some(*cause),
                _ => None,
            })
            .collect();
        let [cause] = causes[..] else { panic!("{causes:?} in {:?}", self.events) };
        cause
    }

    /// Forgets what was sent and told.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
        for transport in &mut self.transports {
            transport.sent.clear();
            transport.raw.clear();
        }
    }

    // What the wrapper does

    /// Does what the broker says, and reads what clients have written, until there is nothing
    /// more of either.
    pub(crate) fn poll(&mut self) {
        for _ in 0..10_000_000 {
            match self.broker.poll_output() {
                Output::Event(event) => self.on_event(event),
                Output::Store(store) => panic!("{store:?} of a broker in memory"),
                Output::Transmit(connection) => {
                    let peer = self.find(connection);
                    let before = std::mem::replace(&mut self.at(peer).announced, true);
                    assert!(!before, "told twice of the same bytes");
                    self.pull(peer);
                }
                Output::Resume(connection) => {
                    let peer = self.find(connection);
                    self.at(peer).paused = false;
                    self.receive(peer);
                }
                Output::Close(connection) => {
                    let peer = self.find(connection);
                    let now = self.now;
                    self.at(peer).closed = Some(now);
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    if !self.read() {
                        return;
                    }
                }
            }
        }
        panic!("there is no end of outputs");
    }

    /// The transport of this connection, which is up.
    fn find(&self, connection: ConnectionId) -> Peer {
        let is = |transport: &Transport| transport.connection == connection;
        let index = self.transports.iter().position(is).expect("a connection that never was");
        assert!(self.transports[index].is_up(), "an output for a connection that is gone");
        Peer(index)
    }

    fn on_event(&mut self, event: Event) {
        self.events.push(event);
        let Some(Event::Connect { connection, .. }) = self.events.last() else { return };
        match self.answer {
            Answer::Accept => {
                self.broker.accept(self.now, *connection, &Acceptance::default()).unwrap();
            }
            Answer::Refuse(reason_code) => {
                let conn_ack = ConnAck { reason_code, ..ConnAck::default() };
                self.broker.refuse(self.now, *connection, &conn_ack).unwrap();
            }
            Answer::Later => {}
        }
    }

    /// Reads a fragment from a transport; `false` if there is nothing to be read.
    fn read(&mut self) -> bool {
        let readable = |at: &Transport| at.is_up() && !at.paused && !at.unread.is_empty();
        let Some(index) = self.transports.iter().position(readable) else { return false };
        let transport = &mut self.transports[index];
        let len = self.way.fragment.min(transport.unread.len());
        let fragment = transport.unread.split_to(len);
        transport.incoming.extend_from_slice(&fragment);
        self.written += len;
        self.receive(Peer(index));
        true
    }

    fn receive(&mut self, peer: Peer) {
        let transport = &mut self.transports[peer.0];
        let connection = transport.connection;
        let received = self.broker.receive(self.now, connection, &mut transport.incoming);
        transport.paused = received == Received::Paused;
        self.pauses += usize::from(received == Received::Paused);
    }

    /// The transport takes all bytes there are.
    fn pull(&mut self, peer: Peer) {
        let transport = &mut self.transports[peer.0];
        while transport.writable {
            let (connection, limit) = (transport.connection, self.way.limit);
            let before = transport.raw.len();
            let transmitted = self.broker.transmit(self.now, connection, limit, &mut self.outgoing);
            while self.outgoing.has_remaining() {
                let chunk = self.outgoing.chunk();
                transport.take(chunk);
                let len = chunk.len();
                self.outgoing.advance(len);
            }
            let last = last_frame(&transport.raw[before..]);
            let others = transport.raw.len() - before - last;
            assert!(others < limit, "more than was asked for");
            if transmitted == Transmitted::All {
                transport.announced = false;
                break;
            }
        }
        transport.look();
    }

    /// Time goes by, and the broker is woken when it wants to be: again at once only if it has done
    /// something, or can do very little in one go.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut woken = 0;
        while let Some(deadline) = self.deadline.filter(|deadline| *deadline <= end) {
            assert!(deadline >= self.now || self.now == end, "a deadline in the past");
            woken = if deadline > self.now { 0 } else { woken + 1 };
            self.now = self.now.max(deadline);
            let (now, before) = (self.now, (self.broker.counters(), self.events.len()));
            self.broker.handle_timeout(now);
            self.poll();
            let is_done = self.deadline.is_none_or(|next| next > now);
            let after = (self.broker.counters(), self.events.len());
            let does_little = self.broker.options().work_budget < 100 && woken < 100;
            assert!(is_done || before != after || does_little, "woken for nothing");
        }
        self.now = end;
    }

    pub(crate) fn wait_secs(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    pub(crate) fn wait_millis(&mut self, millis: u64) {
        self.wait(Duration::from_millis(millis));
    }
}

/// The length of the last of these packets.
fn last_frame(mut frames: &[u8]) -> usize {
    let mut last = 0;
    while let Some(header) = FixedHeader::decode(frames).unwrap() {
        last = header.frame_len();
        frames = &frames[last..];
    }
    last
}
