//! What the broker says, and what the models have to say to it.

use sansio_mqtt::broker::{
    Acceptance, ConnectRequest, ConnectionId, DisconnectCause, Event, Output,
};

use super::connection::Connection;
use super::wire::Wire;
use super::world::{ASSIGNED, World};

/// How many outputs there are at most before the machine has nothing more to say.
const OUTPUTS: usize = 5_000;

impl World<'_> {
    /// Asks for outputs until there are none, and does what they say.
    pub(crate) fn poll(&mut self) {
        for _ in 0..OUTPUTS {
            let output = self.broker.poll_output();
            if let Output::Event(Event::Connect { request, .. }) = &output
                && request.connect().client_id.is_empty()
            {
                assert!(request.client_id().starts_with(ASSIGNED));
                self.assigned.push(request.client_id().to_owned());
            }
            self.note(&output);
            match output {
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
                Output::Store(store) => panic!("{store:?} of a broker in memory"),
                Output::Transmit(id) => {
                    let connection = self.find(id).expect("a connection");
                    assert!(!connection.announced, "announced before");
                    connection.announced = true;
                }
                Output::Resume(id) => {
                    let connection = self.find(id).expect("a connection");
                    assert!(connection.paused, "{id:?} was not paused");
                    connection.paused = false;
                    self.receive(id);
                }
                Output::Close(id) => self.closed(id),
                Output::Event(event) => self.hear(event),
            }
        }
        panic!("no end of outputs");
    }

    /// The transport is shut down, which the broker need not be told.
    fn closed(&mut self, id: ConnectionId) {
        let connection = self.find(id).expect("a connection");
        assert!(connection.cause.is_some(), "closed before it has ended");
        self.connections.retain(|connection| connection.id != id);
        self.dead.push(id);
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Connect { connection, request } => self.asked(connection, request),
            Event::Connected { connection, client_id, session_present } => {
                self.connected(connection, client_id.into(), session_present);
            }
            Event::Authenticate { connection, .. } => {
                assert!(self.model.is_none(), "nobody said AUTH");
                self.find(connection).into_iter().for_each(|found| found.waits = true);
            }
            Event::Disconnected { connection, client_id, cause } => {
                self.disconnected(connection, client_id.map(String::from), cause);
            }
            Event::SessionEnded { client_id } => {
                let client_id = String::from(client_id);
                assert!(self.wires.remove(&client_id).is_some(), "{client_id} had no session");
                if let Some(model) = self.model.as_mut() {
                    let at = model.ended.iter().position(|ended| *ended == client_id);
                    model.ended.remove(at.expect("a session that has ended"));
                }
            }
            event => panic!("{event:?}"),
        }
    }

    fn asked(&mut self, id: ConnectionId, request: ConnectRequest) {
        let options = self.setup.options.clone();
        let Some(connection) = self.connections.iter_mut().find(|found| found.id == id) else {
            panic!("no connection")
        };
        assert!(connection.request.is_none() && connection.cause.is_none(), "{id:?} asks again");
        connection.wire = Some(Wire::new(&request.connect(), &options));
        connection.request = Some(request.clone());
        connection.waits = true;
        if self.model.is_some() {
            self.accept(id, &request);
        }
    }

    /// Of a client that keeps to the rules.
    fn accept(&mut self, id: ConnectionId, request: &ConnectRequest) {
        let now = self.instant();
        let (connect, client_id) = (request.connect(), request.client_id());
        let model = self.model.as_mut().expect("a model");
        self.present = Some(model.accept(&connect, client_id, id));
        assert_eq!(self.broker.accept(now, id, &Acceptance::default()), Ok(()));
    }

    fn connected(&mut self, id: ConnectionId, client_id: String, present: bool) {
        let Some(connection) = self.connections.iter_mut().find(|found| found.id == id) else {
            panic!("no connection")
        };
        connection.waits = false;
        assert!(connection.client_id.is_none() && connection.cause.is_none());
        let request = connection.request.as_ref().expect("a CONNECT");
        assert_eq!(request.client_id(), client_id);
        assert!(!present || !request.connect().clean_start);
        assert_eq!(present, self.wires.contains_key(&client_id), "{client_id}: Session Present");
        let session = self.wires.entry(client_id.clone()).or_default();
        connection.wire.iter_mut().for_each(|wire| wire.accepted(session));
        connection.client_id = Some(client_id.clone());
        connection.is_present = present;
        let version = request.connect().version;
        if let Some(slot) = connection.slot {
            assert_eq!(self.present.take(), Some(present), "{client_id}: Session Present");
            let receive_maximum = self.setup.options.receive_maximum;
            self.actors[slot].connected(id, version, client_id, present, receive_maximum);
        }
    }

    fn disconnected(
        &mut self,
        id: ConnectionId,
        client_id: Option<String>,
        cause: DisconnectCause,
    ) {
        let Some(connection) = self.connections.iter_mut().find(|found| found.id == id) else {
            panic!("no connection")
        };
        assert!(connection.cause.is_none(), "{cause:?} after {:?}", connection.cause);
        assert_eq!(connection.client_id, client_id);
        connection.cause = Some(cause);
        connection.waits = false;
        let Connection { gone, slot, .. } = *connection;
        if let Some(slot) = slot {
            self.actors[slot].disconnected(id);
        }
        if gone {
            self.connections.retain(|connection| connection.id != id);
        }
        self.note(cause);
        if self.model.is_some() {
            return self.ended(id, cause);
        }
        let session = client_id.and_then(|client_id| self.wires.get_mut(&client_id));
        if let (Some(session), DisconnectCause::Violation(_) | DisconnectCause::QueueFull) =
            (session, cause)
        {
            // How many of several packets were taken in is not known.
            session.blurred = true;
        }
    }

    /// A connection of a client that keeps to the rules has ended.
    fn ended(&mut self, id: ConnectionId, cause: DisconnectCause) {
        let (now, lossy) = (self.time, self.setup.lossy);
        let Some(model) = self.model.as_mut() else { return };
        match cause {
            DisconnectCause::KeepAliveTimeout => {
                let up = model.session(id).and_then(|session| session.up.as_ref());
                let up = up.expect("a connection");
                let due = up.keep_alive.map(|time| up.last_received + time);
                assert!(due.is_some_and(|due| due <= now), "{now}: {up:?} is not silent yet");
                model.end(id, true);
            }
            DisconnectCause::QueueFull => {
                assert!(lossy, "a queue is full");
                model.end(id, true);
            }
            DisconnectCause::ByClient(_)
            | DisconnectCause::ByApplication(_)
            | DisconnectCause::TakenOver
            | DisconnectCause::SessionEnded
            | DisconnectCause::ShutDown
            | DisconnectCause::TransportClosed => {
                assert!(model.session(id).is_none(), "{cause:?} of a client that is there");
            }
            cause => panic!("{cause:?} of a client that keeps to the rules"),
        }
    }
}
