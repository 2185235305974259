//! A broker with its wrapper: transports, clients, a clock, and the models that watch.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use sansio_mqtt::Instant;
use sansio_mqtt::broker::{Broker, ConnectionId, Options};

use super::actor::Actor;
use super::connection::Connection;
use super::input::Input;
use super::model::Model;
use super::rules::Rules;
use super::setup::Setup;
use super::wire;

/// Behind these steps an input is not read on.
const STEPS: usize = 400;
pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const CLIENTS: usize = 5;

/// How the Client Identifiers begin that the broker assigns.
pub(crate) const ASSIGNED: &str = "auto-";

pub(crate) struct World<'a> {
    pub(crate) input: Input<'a>,
    pub(crate) setup: Setup,
    pub(crate) broker: Broker,
    pub(crate) connections: Vec<Connection>,
    /// Connections that are no more.
    pub(crate) dead: Vec<ConnectionId>,
    /// One of another broker.
    pub(crate) foreign: ConnectionId,
    /// What was sent of each session.
    pub(crate) wires: BTreeMap<String, wire::Session>,
    /// Of clients that keep to the rules.
    pub(crate) model: Option<Model>,
    pub(crate) actors: Vec<Actor>,
    /// Whether the client that is just accepted has a session.
    pub(crate) present: Option<bool>,
    pub(crate) is_shut_down: bool,
    /// How many messages were published.
    pub(crate) published: u32,
    pub(crate) now: u64,
    /// The latest moment that the broker was told.
    pub(crate) time: u64,
    pub(crate) deadline: Option<Instant>,
    /// Client Identifiers that the broker assigned, which depend on its seed.
    pub(crate) assigned: Vec<String>,
    transcript: DefaultHasher,
}

impl<'a> World<'a> {
    /// Plays an input through; a digest of all that came out.
    pub(crate) fn run(input: &'a [u8], seed: u64) -> u64 {
        let mut input = Input(input);
        let setup = Setup::new(&mut input, seed);
        let now = SECOND * 1_000;
        let mut world = Self {
            input,
            broker: Broker::new(setup.options.clone(), Box::new(Rules)),
            connections: Vec::new(),
            dead: Vec::new(),
            foreign: foreign(),
            wires: BTreeMap::new(),
            model: setup.tame.then(|| Model::new(setup.options.clone(), setup.lossy)),
            actors: (0..CLIENTS).map(Actor::new).collect(),
            setup,
            present: None,
            is_shut_down: false,
            published: 0,
            now,
            time: now,
            deadline: None,
            assigned: Vec::new(),
            transcript: DefaultHasher::new(),
        };
        world.wake();
        for _ in 0..STEPS {
            if world.input.is_empty() {
                break;
            }
            match world.setup.tame {
                true => world.tame_step(),
                false => world.wild_step(),
            }
            world.check();
        }
        world.finale();
        world.transcript.finish()
    }

    pub(crate) fn instant(&mut self) -> Instant {
        self.time = self.time.max(self.now);
        Instant::from_micros(self.now)
    }

    pub(crate) fn note(&mut self, something: impl Debug) {
        let mut text = format!("{something:?}");
        // Most is said without a name.
        if text.contains(ASSIGNED) {
            for (number, assigned) in self.assigned.iter().enumerate() {
                text = text.replace(assigned, &format!("assigned {number}"));
            }
        }
        text.hash(&mut self.transcript);
    }

    /// Time passes, and the broker is woken whenever it wants to be.
    pub(crate) fn pass(&mut self, micros: u64) {
        let target = self.now.saturating_add(micros);
        for _ in 0..1_000 {
            self.check_deadline();
            match self.deadline.map(Instant::as_micros) {
                Some(deadline) if deadline <= target => {
                    self.now = self.now.max(deadline);
                    self.wake();
                }
                _ => {
                    self.now = target;
                    return self.wake();
                }
            }
        }
        panic!("no end of deadlines");
    }

    /// The broker must not sleep for longer than until something is due.
    fn check_deadline(&self) {
        let Some(due) = self.model.as_ref().and_then(Model::due) else { return };
        let deadline = self.deadline.map(Instant::as_micros);
        assert!(deadline.is_some_and(|at| at <= due), "{deadline:?} is behind {due}");
    }

    /// The broker is woken, and has nothing more to do at this moment then.
    pub(crate) fn wake(&mut self) {
        // With a small budget one call does not do all that is due.
        for _ in 0..1_000 {
            let now = self.instant();
            if let Some(model) = self.model.as_mut() {
                model.advance(now.as_micros());
            }
            self.broker.handle_timeout(now);
            self.poll();
            if self.deadline.is_none_or(|deadline| deadline.as_micros() > self.time) {
                if let Some(due) = self.model.as_ref().and_then(Model::due) {
                    assert!(due > self.time, "{due} was missed at {}", self.time);
                }
                return;
            }
        }
        panic!("{:?} is not after {}", self.deadline, self.time);
    }
}

/// A connection that this broker does not have, and does not come to have.
fn foreign() -> ConnectionId {
    static FOREIGN: OnceLock<ConnectionId> = OnceLock::new();
    *FOREIGN.get_or_init(|| {
        let mut other = Broker::new(Options::new(1), Box::new(Rules));
        let ids = (0..5_000).map(|_| other.transport_opened(Instant::from_micros(0)));
        ids.last().and_then(Result::ok).expect("a connection")
    })
}
