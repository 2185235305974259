//! The broker, and the way to it: whoever calls it has done what it asks for before the next call.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;

use sansio_mqtt::broker::{Broker, CallError, ConnectRequest, ConnectionId, Event, Output};
use sansio_mqtt::{Instant, ReasonCode};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task;

use super::door::{self, Decision, Door};
use super::log::Log;
use super::peer::Peer;

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
    peers: HashMap<ConnectionId, Rc<Peer>>,
    /// Those for whom the broker has bytes.
    ready: VecDeque<ConnectionId>,
}

impl Deref for Hub {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Hub {
    pub(super) fn new(broker: Broker, door: Door, log: Log) -> Self {
        let state = State { broker, peers: HashMap::new(), ready: VecDeque::new() };
        let (is_earlier, deadline) = (Notify::new(), Cell::new(None));
        Self(Rc::new(Inner { state: RefCell::new(state), door, log, is_earlier, deadline }))
    }

    /// Calls the broker.
    pub(super) fn call<T>(&self, call: impl FnOnce(&mut Broker, Instant) -> T) -> T {
        self.with(|state, now| call(&mut state.broker, now))
    }

    pub(super) fn open(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<(ConnectionId, Rc<Peer>), CallError> {
        self.with(|state, now| {
            let id = state.broker.transport_opened(now)?;
            let peer = Rc::new(Peer::new(address, stream));
            state.peers.insert(id, Rc::clone(&peer));
            Ok((id, peer))
        })
    }

    /// The socket takes bytes again.
    pub(super) fn write(&self, id: ConnectionId) {
        self.with(|state, now| {
            if let Some(peer) = state.peers.get(&id) {
                peer.write(&mut state.broker, now, id);
            }
        });
    }

    /// The transport is gone.
    pub(super) fn closed(&self, id: ConnectionId, error: Option<io::Error>) {
        self.with(|state, now| {
            if let Some(peer) = state.peers.get(&id) {
                peer.error.set(error);
            }
            state.broker.transport_closed(now, id);
        });
        self.state.borrow_mut().peers.remove(&id);
    }

    fn with<T>(&self, call: impl FnOnce(&mut State, Instant) -> T) -> T {
        let state = &mut *self.state.borrow_mut();
        let now = self.log.clock.now();
        let result = call(state, now);
        self.settle(state, now);
        result
    }

    /// Does what the broker asks for, until it asks for nothing more. What is there to be written
    /// goes out here, so that nobody's queue fills up while its socket takes what is in it.
    fn settle(&self, state: &mut State, now: Instant) {
        loop {
            match state.broker.poll_output() {
                // Of a broker that keeps its sessions: this one is in memory.
                Output::Store(_) => {}
                Output::Event(event) => self.on_event(state, event),
                Output::Transmit(id) => state.ready.push_back(id),
                Output::Resume(id) => {
                    let Some(peer) = state.peers.get(&id) else { continue };
                    peer.resume.set(true);
                    peer.changed.notify_one();
                }
                Output::Close(id) => {
                    let Some(peer) = state.peers.remove(&id) else { continue };
                    peer.is_closed.set(true);
                    peer.changed.notify_one();
                }
                Output::Timeout(deadline) => match state.ready.pop_front() {
                    Some(id) => state.on_ready(id, now),
                    None => return self.set_deadline(deadline),
                },
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
                let Some(peer) = state.peers.get(&connection) else { return };
                let Some(session) = state.broker.session(&client_id) else { return };
                let (address, version) = (peer.address, session.version);
                let more = if session_present { ", session resumed" } else { "" };
                self.log.say(format_args!("{address}: {client_id:?} connected, {version}{more}"));
            }
            Event::Disconnected { connection, client_id, cause } => {
                let Some(peer) = state.peers.get(&connection) else { return };
                let who = client_id.map(|id| format!("{id:?}: ")).unwrap_or_default();
                let why = peer.error.take().map(|error| format!(": {error}")).unwrap_or_default();
                self.log.say(format_args!("{}: {who}{cause}{why}", peer.address));
            }
            Event::SessionEnded { client_id } => {
                self.log.detail(format_args!("the session of {client_id:?} ended"));
            }
            _ => {}
        }
    }

    fn on_connect(&self, state: &mut State, id: ConnectionId, request: &ConnectRequest) {
        let connect = request.connect();
        if let Some(peer) = state.peers.get(&id) {
            self.log.detail(format_args!("{}: {connect}", peer.address));
        }
        match self.door.decide(&connect) {
            Decision::Accept => self.answer(state, id, None),
            Decision::Refuse(reason_code) => self.answer(state, id, Some(reason_code)),
            Decision::Check(check) => {
                let hub = self.clone();
                task::spawn_local(async move {
                    let is_known = || hub.state.borrow().peers.contains_key(&id);
                    let refusal = match check.passes(is_known).await {
                        true => None,
                        false => Some(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
                    };
                    hub.with(|state, _| hub.answer(state, id, refusal));
                });
            }
        }
    }

    fn answer(&self, state: &mut State, id: ConnectionId, refusal: Option<ReasonCode>) {
        match door::answer(&mut state.broker, self.log.clock.now(), id, refusal) {
            // It did not wait so long.
            Ok(()) | Err(CallError::UnknownConnection | CallError::NotAwaited) => {}
            Err(error) => self.log.warn(format_args!("an answer to a CONNECT: {error}")),
        }
    }
}

impl State {
    fn on_ready(&mut self, id: ConnectionId, now: Instant) {
        let Some(peer) = self.peers.get(&id) else { return };
        peer.has_output.set(true);
        // If its socket takes no more, its task goes on with it.
        if !peer.is_blocked.get() {
            peer.write(&mut self.broker, now, id);
        }
    }
}
