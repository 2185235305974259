//! The broker, and the way to it: whoever calls it has done what it asks for before the next call.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;

use sansio_mqtt::broker::{
    Acceptance, Broker, CallError, ConnectRequest, ConnectionId, Event, Output,
};
use sansio_mqtt::{ConnAck, Instant, ReasonCode};
use tokio::sync::Notify;
use tokio::task;

use super::door::{Decision, Door};
use super::log::Log;

/// Shared by the tasks of the one thread.
#[derive(Clone)]
pub(super) struct Hub(Rc<Inner>);

pub(super) struct Inner {
    /// Borrowed for one call, and never while anything waits.
    state: RefCell<State>,
    door: Door,
    pub(super) log: Log,
    /// Something is due earlier than it was.
    pub(super) is_earlier: Notify,
    /// When [`Broker::handle_timeout`] is to be called.
    pub(super) deadline: Cell<Option<Instant>>,
}

struct State {
    broker: Broker,
    connections: HashMap<ConnectionId, Peer>,
}

struct Peer {
    address: SocketAddr,
    /// What became of the transport.
    error: Option<io::Error>,
    signals: Rc<Signals>,
}

/// What the broker wants of a connection's task.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// There are bytes to be pulled.
    pub(super) has_output: Cell<bool>,
    /// Received bytes are taken again.
    pub(super) resume: Cell<bool>,
    /// There is no more to be pulled, and the connection is not known any more.
    pub(super) close: Cell<bool>,
    pub(super) changed: Notify,
}

impl Deref for Hub {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Hub {
    pub(super) fn new(broker: Broker, door: Door, log: Log) -> Self {
        let state = RefCell::new(State { broker, connections: HashMap::new() });
        let (is_earlier, deadline) = (Notify::new(), Cell::new(None));
        Self(Rc::new(Inner { state, door, log, is_earlier, deadline }))
    }

    /// Calls the broker.
    pub(super) fn call<T>(&self, call: impl FnOnce(&mut Broker, Instant) -> T) -> T {
        let state = &mut *self.state.borrow_mut();
        let result = call(&mut state.broker, self.log.clock.now());
        self.settle(state);
        result
    }

    pub(super) fn open(
        &self,
        address: SocketAddr,
    ) -> Result<(ConnectionId, Rc<Signals>), CallError> {
        let state = &mut *self.state.borrow_mut();
        let id = state.broker.transport_opened(self.log.clock.now())?;
        let signals = Rc::<Signals>::default();
        let peer = Peer { address, error: None, signals: Rc::clone(&signals) };
        state.connections.insert(id, peer);
        self.settle(state);
        Ok((id, signals))
    }

    /// The transport is gone.
    pub(super) fn closed(&self, id: ConnectionId, error: Option<io::Error>) {
        let state = &mut *self.state.borrow_mut();
        if let Some(peer) = state.connections.get_mut(&id) {
            peer.error = error;
        }
        state.broker.transport_closed(self.log.clock.now(), id);
        self.settle(state);
        state.connections.remove(&id);
    }

    /// Does what the broker asks for, until it asks for nothing more.
    fn settle(&self, state: &mut State) {
        loop {
            match state.broker.poll_output() {
                // Of a broker that keeps its sessions: this one is in memory.
                Output::Store(_) => {}
                Output::Event(event) => self.on_event(state, event),
                Output::Transmit(id) => state.signal(id, |signals| &signals.has_output),
                Output::Resume(id) => state.signal(id, |signals| &signals.resume),
                Output::Close(id) => {
                    state.signal(id, |signals| &signals.close);
                    state.connections.remove(&id);
                }
                Output::Timeout(deadline) => return self.set_deadline(deadline),
            }
        }
    }

    fn set_deadline(&self, deadline: Option<Instant>) {
        let before = self.deadline.replace(deadline);
        if deadline.is_some_and(|at| before.is_none_or(|before| at < before)) {
            self.is_earlier.notify_one();
        }
    }

    fn on_event(&self, state: &mut State, event: Event) {
        match event {
            Event::Connect { connection, request } => self.on_connect(state, connection, &request),
            Event::Connected { connection, client_id, session_present } => {
                let Some(peer) = state.connections.get(&connection) else { return };
                let Some(session) = state.broker.session(&client_id) else { return };
                let (address, version) = (peer.address, session.version);
                let more = if session_present { ", session resumed" } else { "" };
                self.log.say(format_args!("{address}: {client_id:?} connected, {version}{more}"));
            }
            Event::Disconnected { connection, client_id, cause } => {
                let Some(peer) = state.connections.get(&connection) else { return };
                let who = client_id.map(|id| format!("{id:?}: ")).unwrap_or_default();
                let why = peer.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                self.log.say(format_args!("{}: {who}{cause}{why}", peer.address));
            }
            Event::SessionEnded { client_id } => {
                self.log.detail(format_args!("the session of {client_id:?} ended"));
            }
            _ => {}
        }
    }

    fn on_connect(&self, state: &mut State, id: ConnectionId, request: &ConnectRequest) {
        if let Some(peer) = state.connections.get(&id) {
            self.log.detail(format_args!("{}: {}", peer.address, request.connect()));
        }
        match self.door.decide(&request.connect()) {
            Decision::Accept => self.answer(&mut state.broker, id, None),
            Decision::Refuse(reason_code) => self.answer(&mut state.broker, id, Some(reason_code)),
            Decision::Check(check) => {
                let hub = self.clone();
                task::spawn_local(async move {
                    let is_known = || hub.state.borrow().connections.contains_key(&id);
                    let refusal = match check.passes(is_known).await {
                        true => None,
                        false => Some(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
                    };
                    hub.call(|broker, _| hub.answer(broker, id, refusal));
                });
            }
        }
    }

    fn answer(&self, broker: &mut Broker, id: ConnectionId, refusal: Option<ReasonCode>) {
        let now = self.log.clock.now();
        let result = match refusal {
            None => broker.accept(now, id, &Acceptance::default()),
            Some(reason_code) => {
                broker.refuse(now, id, &ConnAck { reason_code, ..ConnAck::default() })
            }
        };
        match result {
            // It did not wait so long.
            Ok(()) | Err(CallError::UnknownConnection | CallError::NotAwaited) => {}
            Err(error) => self.log.warn(format_args!("an answer to a CONNECT: {error}")),
        }
    }
}

impl State {
    fn signal(&self, id: ConnectionId, which: impl FnOnce(&Signals) -> &Cell<bool>) {
        if let Some(Peer { signals, .. }) = self.connections.get(&id) {
            which(signals).set(true);
            signals.changed.notify_one();
        }
    }
}
