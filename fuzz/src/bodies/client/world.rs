//! A client with its wrapper: transports, a store, a clock, and the models that watch.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use sansio_mqtt::client::{
    Acknowledgement, CallError, ConnectionId, DeliveryId, Event, Output, Store,
};
use sansio_mqtt::{Client, Instant, ReasonCode};

use super::input::Input;
use super::ledger::Ledger;
use super::options::Setup;
use super::peer::Peer;
use super::server;
use super::store::restored;
use super::transport::Transport;

/// How many outputs there are at most before the machine has nothing more to say.
pub(crate) const OUTPUTS: usize = 5_000;
/// Behind these steps an input is not read on.
const STEPS: usize = 500;
pub(crate) const SECOND: u64 = 1_000_000;

pub(crate) struct World<'a> {
    pub(crate) input: Input<'a>,
    pub(crate) setup: Setup,
    pub(crate) client: Client,
    pub(crate) ledger: Ledger,
    pub(crate) peer: Peer,
    pub(crate) transport: Option<Transport>,
    /// How many messages were published, and sent by the server.
    pub(crate) published: u32,
    pub(crate) served: u32,
    pub(crate) now: u64,
    /// The latest moment that the client was told.
    pub(crate) time: u64,
    pub(crate) deadline: Option<Instant>,
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) uncommitted: VecDeque<Store>,
    /// Whether this process has stored anything.
    pub(crate) has_stored: bool,
    pub(crate) stale: Vec<ConnectionId>,
    /// The message that is acknowledged when the next output is asked for.
    pub(crate) handed_over: Option<DeliveryId>,
    pub(crate) transcript: DefaultHasher,
}

impl<'a> World<'a> {
    /// Plays an input through; a digest of all that came out.
    pub(crate) fn run(input: &'a [u8]) -> u64 {
        let mut input = Input(input);
        let setup = Setup::new(&mut input);
        let now = SECOND * 1_000;
        let client = match setup.durable {
            true => restored(&setup, now, &BTreeMap::new()),
            false => Client::new(setup.options.clone()).ok(),
        };
        let Some(client) = client else { return 0 };
        let mut world = Self {
            input,
            client,
            ledger: Ledger::default(),
            peer: Peer::new(setup.options.version),
            setup,
            transport: None,
            published: 0,
            served: 0,
            now,
            time: now,
            deadline: None,
            store: BTreeMap::new(),
            uncommitted: VecDeque::new(),
            has_stored: false,
            stale: Vec::new(),
            handed_over: None,
            transcript: DefaultHasher::new(),
        };
        world.wake();
        for _ in 0..STEPS {
            if world.input.is_empty() {
                break;
            }
            world.step();
        }
        world.finale();
        world.transcript.finish()
    }

    fn step(&mut self) {
        match self.input.below(16) {
            0..=3 => self.call(),
            4..=8 => {
                let Self { input, peer, ledger, served, .. } = self;
                let bytes = server::packet(input, peer, ledger, served);
                self.deliver(&bytes);
            }
            9 => self.open(),
            10 => self.pass_time(),
            11 => {
                let limit = self.input.pick(&[1, 0, 10, 100, 1 << 20]);
                self.pull(limit);
                let len = self.input.below(50);
                self.consume(if len == 49 { usize::MAX } else { len });
            }
            12 => {
                let most = self.input.pick(&[OUTPUTS, 1, 2, 5]);
                self.poll(most);
            }
            13 => {
                let most = self.input.pick(&[usize::MAX, 1, 2]);
                self.commit(most, true);
            }
            14 => self.close_stale(),
            _ if self.input.rarely(4) => self.crash(),
            _ => self.lose(),
        }
        if self.setup.eager {
            self.settle();
        }
    }

    /// Does all that there is to be done now.
    pub(crate) fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 50, "no end of outputs, commits and bytes");
            let done = self.poll(OUTPUTS) == 0;
            self.commit(usize::MAX, true);
            let sent = self.pull(1 << 20);
            self.consume(usize::MAX);
            if done && !sent && self.uncommitted.is_empty() {
                break;
            }
        }
    }

    pub(crate) fn instant(&mut self) -> Instant {
        self.time = self.time.max(self.now);
        Instant::from_micros(self.now)
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.client.options().acknowledgement == Acknowledgement::Manual
    }

    pub(crate) fn note(&mut self, something: impl std::fmt::Debug) {
        format!("{something:?}").hash(&mut self.transcript);
    }

    /// All that is known of the client, a few times in a run: it may be long.
    pub(crate) fn snapshot(&mut self) -> Option<String> {
        self.setup.snapshots = self.setup.snapshots.checked_sub(1)?;
        Some(format!("{:?}", self.client))
    }

    /// Makes a call, which changes nothing if it is refused.
    pub(crate) fn checked<T: std::fmt::Debug>(
        &mut self,
        call: impl FnOnce(&mut Client, Instant) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let now = self.instant();
        let unknown = self.client.acknowledge(now, DeliveryId::from_stored(u64::MAX));
        assert_eq!(unknown, Err(CallError::UnknownDelivery));
        let held = self.client.held();
        let before = self.snapshot();
        let result = call(&mut self.client, now);
        // For want of room the queue is searched for what has expired.
        if let Err(error) = &result
            && *error != CallError::QueueFull
        {
            assert_eq!(self.client.held(), held);
            if let Some(before) = before {
                assert_eq!(format!("{:?}", self.client), before, "{error:?} left a trace");
            }
        }
        self.note(&result);
        self.sync();
        result
    }

    /// Tells the model that the client has ended the connection.
    pub(crate) fn sync(&mut self) {
        if self.peer.is_up() && self.client.server().is_none() {
            self.peer.ended(self.time);
            self.transport.iter_mut().for_each(|transport| transport.is_dead = true);
        }
    }

    /// Asks for so many outputs at most; how many there were.
    pub(crate) fn poll(&mut self, most: usize) -> usize {
        for count in 0..most {
            if let Some(id) = self.handed_over.take() {
                self.ledger.unacknowledged.retain(|known| *known != id);
                let is_up = self.peer.is_up();
                self.peer.receipts.decide(id, ReasonCode::SUCCESS, is_up);
            }
            let output = self.client.poll_output();
            self.note(&output);
            self.sync();
            if let Output::Timeout(deadline) = output {
                self.deadline = deadline;
                return count;
            }
            self.take(output);
        }
        assert!(most < OUTPUTS, "no end of outputs");
        most
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Store(store) => {
                assert!(self.setup.durable);
                self.uncommitted.push_back(store);
            }
            Output::Event(event) => {
                self.ledger.told(&event);
                if let Event::Message(delivery) | Event::Response { result: Ok(delivery), .. } =
                    &event
                {
                    self.peer.receipts.told(delivery);
                    self.handed_over = delivery.delivery_id.filter(|_| !self.is_manual());
                }
            }
            Output::Transmit(id) => {
                let transport = self.transport.as_mut().expect("a transport");
                assert!(id == transport.id && !transport.announced, "announced before");
                transport.announced = true;
            }
            Output::Resume(id) => {
                assert_eq!(self.transport.as_ref().map(|transport| transport.id), Some(id));
                self.receive();
            }
            Output::Close(id) => {
                let transport = self.transport.take().expect("a transport");
                assert_eq!(transport.id, id);
                assert!(!self.peer.is_up());
                self.stale.push(id);
                self.peer.connection = None;
            }
            Output::Timeout(_) => {}
        }
    }

    fn pass_time(&mut self) {
        let choice = self.input.below(8);
        let wait = [0, 1, SECOND, 20 * SECOND, 200 * SECOND, 1 << 50];
        match (choice, self.deadline) {
            (6, _) => self.now = self.now.saturating_sub(5 * SECOND),
            (7, Some(deadline)) => self.now = self.now.max(deadline.as_micros()),
            _ => self.now = self.now.saturating_add(wait[choice % wait.len()]).min(1 << 60),
        }
        self.wake();
    }

    /// The client is woken, and has nothing more to do at this moment then.
    pub(crate) fn wake(&mut self) {
        for _ in 0..8 {
            let now = self.instant();
            self.client.handle_timeout(now);
            self.sync();
            self.poll(OUTPUTS);
            if self.deadline.is_none_or(|deadline| deadline.as_micros() > self.time) {
                return;
            }
        }
        panic!("{:?} is not after {}", self.deadline, self.time);
    }
}
