//! The clients, the broker, and what is between them.

use sansio_mqtt::broker::{
    self, Acceptance, AllowAll, Broker, DisconnectCause, Event, Options, Received, Transmitted,
};
use sansio_mqtt::client::{self, Output};
use sansio_mqtt::{Instant, Properties, Publish, QoS, Subscription, Version};

use crate::ledger::{Ledger, Published};
use crate::node::Node;
use crate::pipe::Pipe;
use crate::random::Random;

const CLIENTS: usize = 4;
const TOPICS: usize = 3;
const MESSAGES: u32 = 40;
const SECOND: u64 = 1_000_000;

/// What a world is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Whether transports break.
    pub(crate) breaks: bool,
    pub(crate) acknowledges_late: bool,
    /// Whether the clients of 5.0 share a subscription.
    pub(crate) shares: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { breaks: true, acknowledges_late: false, shares: false }
    }
}

/// A transport, and whose it is.
struct Transport {
    node: usize,
    /// Whether each end still has it.
    client: Option<client::ConnectionId>,
    broker: Option<broker::ConnectionId>,
    to_broker: Pipe,
    to_client: Pipe,
    /// When each end finds that it is broken.
    broken: Option<(u64, u64)>,
}

pub(crate) struct World {
    random: Random,
    style: Style,
    now: u64,
    broker: Broker,
    deadline: Option<u64>,
    nodes: Vec<Node>,
    transports: Vec<Transport>,
    ledger: Ledger,
    published: u32,
    /// Whether things go wrong now.
    breaks: bool,
}

impl World {
    pub(crate) fn run(seed: u64, versions: &[Version], style: Style) {
        let mut random = Random::new(seed + 1);
        let mut options = Options::new(seed);
        options.receive_maximum = random.pick(&[1, 2, 20, 1_000]);
        options.maximum_in_flight = random.pick(&[1, 3, 100]);
        options.work_budget = random.pick(&[1, 5, 1_000]);
        let node = |number: usize, random: &mut Random| {
            let version = versions[number % versions.len()];
            Node::new(number, version, style.acknowledges_late, random)
        };
        let nodes = (0..CLIENTS).map(|number| node(number, &mut random)).collect();
        let mut world = Self {
            random,
            style,
            now: SECOND,
            broker: Broker::new(options, Box::new(AllowAll)),
            deadline: None,
            nodes,
            transports: Vec::new(),
            ledger: Ledger::default(),
            published: 0,
            breaks: false,
        };
        world.subscribe();
        world.until("subscribed", |world| world.nodes.iter().all(|node| node.subscribed));
        world.breaks = style.breaks;
        world.until("published", |world| {
            world.call();
            world.published == MESSAGES
        });
        (0..300).for_each(|_| world.step());
        world.breaks = false;
        world.until("idle", Self::is_idle);
        world.ledger.check(!style.breaks);
        if !style.shares {
            world.ledger.check_order();
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&mut Self) -> bool) {
        for _ in 0..30_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        let counters = self.broker.counters();
        let held: Vec<_> = self.nodes.iter().map(|node| node.client.held()).collect();
        let sessions: Vec<_> = self.broker.sessions().collect();
        panic!("not {what}: {held:?} {counters:?} {sessions:?}");
    }

    fn is_idle(&mut self) -> bool {
        let is_empty = |transport: &Transport| {
            transport.broken.is_none()
                && transport.to_broker.is_empty()
                && transport.to_client.is_empty()
        };
        self.nodes.iter().all(Node::is_idle)
            && self.broker.counters().stored_messages == 0
            && self.transports.iter().all(is_empty)
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn subscribe(&mut self) {
        let now = self.instant();
        for node in &mut self.nodes {
            let random = &mut self.random;
            let all = ["t/#", "t/+", "t/0", "t/1", "+/2"];
            for filter in all {
                if random.once_in(2) {
                    let qos = random.pick(&[
                        QoS::ExactlyOnce,
                        QoS::ExactlyOnce,
                        QoS::AtLeastOnce,
                        QoS::AtMostOnce,
                    ]);
                    node.filters.push((filter.to_owned(), qos));
                }
            }
            if node.filters.is_empty() {
                node.filters.push(("t/0".to_owned(), QoS::ExactlyOnce));
            }
            if self.style.shares {
                node.filters.clear();
                let filter = if node.version.is_v5() { "$share/g/t/#" } else { "t/0" };
                node.filters.push((filter.to_owned(), QoS::ExactlyOnce));
            }
            let wanted: Vec<_> =
                node.filters.iter().map(|(filter, qos)| Subscription::new(filter, *qos)).collect();
            node.client.subscribe(now, &wanted, Properties::NONE).unwrap();
        }
    }

    /// Somebody publishes, sometimes.
    fn call(&mut self) {
        if !self.random.once_in(4) {
            return;
        }
        let publisher = self.random.below(CLIENTS);
        let topic = self.random.below(TOPICS);
        let qos = self.random.pick(&[QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::AtMostOnce]);
        self.published += 1;
        let number = self.published;
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(4 + self.random.pick(&[0, 30, 1_500]), 0);
        let name = format!("t/{topic}");
        let publish = Publish { topic: &name, payload: &payload, qos, ..Publish::default() };
        let now = self.instant();
        let node = &mut self.nodes[publisher];
        let handle = node.client.publish(now, &publish).unwrap();
        if qos > QoS::AtMostOnce {
            node.numbers.insert(handle, number);
        }
        self.ledger.publish(number, Published { publisher, topic, qos });
        let mut members = Vec::new();
        for (receiver, node) in self.nodes.iter().enumerate() {
            let matching = |(filter, _): &&(String, QoS)| {
                filter == "t/#"
                    || filter == "t/+"
                    || *filter == name
                    || filter == "+/2" && topic == 2
            };
            let granted = node.filters.iter().filter(matching).map(|(_, qos)| *qos).max();
            if let Some(granted) = granted {
                self.ledger.want(number, vec![receiver], granted);
            }
            if node.filters.iter().any(|(filter, _)| filter.starts_with("$share/")) {
                members.push(receiver);
            }
        }
        if !members.is_empty() {
            self.ledger.want(number, members, QoS::ExactlyOnce);
        }
        self.poll_client(publisher);
    }

    /// A little time passes, and a little happens.
    fn step(&mut self) {
        self.now += self.random.pick(&[0, 100, 1_000, 20_000]) as u64;
        self.timeouts();
        for node in 0..CLIENTS {
            self.connect(node);
            self.acknowledge(node);
        }
        for at in 0..self.transports.len() {
            self.write(at);
            self.read(at);
            self.break_down(at);
        }
        self.transports.retain(|one| one.client.is_some() || one.broker.is_some());
    }

    fn timeouts(&mut self) {
        let now = self.instant();
        if self.deadline.is_some_and(|deadline| deadline <= self.now) {
            self.broker.handle_timeout(now);
            self.poll_broker();
            assert!(self.deadline.is_none_or(|deadline| deadline > self.now), "due again at once");
        }
        for at in 0..CLIENTS {
            if self.nodes[at].deadline.is_some_and(|deadline| deadline <= self.now) {
                self.nodes[at].client.handle_timeout(now);
                self.poll_client(at);
            }
        }
    }

    fn connect(&mut self, at: usize) {
        let now = self.instant();
        let node = &mut self.nodes[at];
        if node.connection.is_some() || node.reconnects_at > self.now {
            return;
        }
        let id = node.client.transport_opened(now).unwrap();
        node.connection = Some(id);
        let broker = self.broker.transport_opened(now).unwrap();
        let breaks_after = |random: &mut Random| {
            self.breaks
                .then(|| random.pick(&[20, 100, 1_000, 6_000]))
                .map(|most| random.below(most))
        };
        let room = self.random.pick(&[10, 300, 5_000]);
        self.transports.push(Transport {
            node: at,
            client: Some(id),
            broker: Some(broker),
            to_broker: Pipe::new(room, breaks_after(&mut self.random)),
            to_client: Pipe::new(room, breaks_after(&mut self.random)),
            broken: None,
        });
        self.poll_client(at);
        self.poll_broker();
    }

    fn acknowledge(&mut self, at: usize) {
        let now = self.instant();
        if !self.random.once_in(3) {
            return;
        }
        let node = &mut self.nodes[at];
        if let Some(id) = node.to_acknowledge.pop_front() {
            node.client.acknowledge(now, id).unwrap();
            self.poll_client(at);
        }
    }

    fn write(&mut self, at: usize) {
        let now = self.instant();
        let Self { random, broker, nodes, transports, .. } = self;
        let transport = &mut transports[at];
        let node = transport.node;
        if let Some(id) = transport.client {
            let pipe = &mut transport.to_broker;
            if pipe.ready && pipe.room() > 0 {
                let room = pipe.room();
                let left = nodes[node].client.transmit(now, id, room, &mut pipe.outgoing);
                pipe.ready = left == Transmitted::More;
            }
        }
        if let Some(id) = transport.broker {
            let pipe = &mut transport.to_client;
            if pipe.ready && pipe.room() > 0 {
                let room = pipe.room();
                let left = broker.transmit(now, id, room, &mut pipe.outgoing);
                pipe.ready = left == Transmitted::More;
            }
        }
        transport.to_broker.write(self.now, random);
        transport.to_client.write(self.now, random);
        self.poll_client(node);
        self.poll_broker();
    }

    fn read(&mut self, at: usize) {
        let now = self.instant();
        let most = self.random.pick(&[0, 5, 100, 10_000]);
        let Self { broker, nodes, transports, .. } = self;
        let transport = &mut transports[at];
        let node = transport.node;
        if let (Some(id), false) = (transport.client, transport.to_client.paused) {
            let pipe = &mut transport.to_client;
            if pipe.read(self.now, most) {
                let received = nodes[node].client.receive(now, id, &mut pipe.incoming);
                pipe.paused = received == Received::Paused;
            }
        }
        if let (Some(id), false) = (transport.broker, transport.to_broker.paused) {
            let pipe = &mut transport.to_broker;
            if pipe.read(self.now, most) {
                let received = broker.receive(now, id, &mut pipe.incoming);
                pipe.paused = received == Received::Paused;
            }
        }
        self.poll_client(node);
        self.poll_broker();
    }

    /// What is broken, or shut down by the other end, is found to be.
    fn break_down(&mut self, at: usize) {
        let (now, micros) = (self.instant(), self.now);
        let transport = &mut self.transports[at];
        let breaks = transport.to_broker.broken || transport.to_client.broken;
        if breaks && transport.broken.is_none() {
            let mut late = || micros + self.random.pick(&[0, 10_000, SECOND as usize]) as u64;
            transport.broken = Some((late(), late()));
        }
        let is_broken = |at: u64| at <= micros;
        let (client, broker) = match transport.broken {
            Some((client, broker)) => (is_broken(client), is_broken(broker)),
            None => (transport.to_client.is_over(micros), transport.to_broker.is_over(micros)),
        };
        let node = transport.node;
        if let Some(id) = transport.client.take_if(|_| client) {
            transport.to_broker.ends = true;
            self.nodes[node].client.transport_closed(now, id);
            self.nodes[node].connection = None;
            self.nodes[node].reconnects_at = micros + 1 + self.random.below(200_000) as u64;
        }
        if let Some(id) = self.transports[at].broker.take_if(|_| broker) {
            self.transports[at].to_client.ends = true;
            self.broker.transport_closed(now, id);
        }
        self.poll_client(node);
        self.poll_broker();
    }

    fn poll_client(&mut self, at: usize) {
        let now = self.instant();
        loop {
            let node = &mut self.nodes[at];
            let output = node.client.poll_output();
            let find = |id| move |one: &&mut Transport| one.node == at && one.client == Some(id);
            match output {
                Output::Store(_) => panic!("nothing is durable"),
                Output::Event(event) => node.hear(at, event, &mut self.ledger),
                Output::Transmit(id) => {
                    let transport = self.transports.iter_mut().find(find(id)).unwrap();
                    transport.to_broker.ready = true;
                }
                Output::Resume(id) => {
                    let transport = self.transports.iter_mut().find(find(id)).unwrap();
                    let pipe = &mut transport.to_client;
                    let received = node.client.receive(now, id, &mut pipe.incoming);
                    pipe.paused = received == Received::Paused;
                }
                Output::Close(id) => {
                    let transport = self.transports.iter_mut().find(find(id)).unwrap();
                    (transport.client, transport.to_broker.ends) = (None, true);
                    node.connection = None;
                    node.reconnects_at = self.now + self.random.below(200_000) as u64;
                }
                Output::Timeout(deadline) => {
                    node.deadline = deadline.map(Instant::as_micros);
                    return;
                }
            }
        }
    }

    fn poll_broker(&mut self) {
        let now = self.instant();
        loop {
            let output = self.broker.poll_output();
            let find = |id| move |one: &&mut Transport| one.broker == Some(id);
            match output {
                broker::Output::Store(_) => panic!("nothing is durable"),
                broker::Output::Event(event) => self.hear(event),
                broker::Output::Transmit(id) => {
                    let transport = self.transports.iter_mut().find(find(id)).unwrap();
                    transport.to_client.ready = true;
                }
                broker::Output::Resume(id) => {
                    let transport = self.transports.iter_mut().find(find(id)).unwrap();
                    let pipe = &mut transport.to_broker;
                    let received = self.broker.receive(now, id, &mut pipe.incoming);
                    pipe.paused = received == Received::Paused;
                }
                broker::Output::Close(id) => {
                    let transport = self.transports.iter_mut().find(find(id)).unwrap();
                    (transport.broker, transport.to_client.ends) = (None, true);
                }
                broker::Output::Timeout(deadline) => {
                    self.deadline = deadline.map(Instant::as_micros);
                    return;
                }
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Connect { connection, .. } => {
                let now = self.instant();
                self.broker.accept(now, connection, &Acceptance::default()).unwrap();
            }
            Event::Disconnected { cause, .. } => {
                let is_innocent = matches!(
                    cause,
                    DisconnectCause::TransportClosed
                        | DisconnectCause::TakenOver
                        | DisconnectCause::KeepAliveTimeout
                        | DisconnectCause::ConnectTimeout
                        | DisconnectCause::ByClient(_)
                );
                assert!(is_innocent, "{cause:?}");
            }
            Event::SessionEnded { client_id } if self.breaks => panic!("{client_id} has ended"),
            _ => {}
        }
    }
}
