//! The end of a run: everybody takes what there is, and leaves; nothing may be left over.

use sansio_mqtt::broker::{Broker, CallError};
use sansio_mqtt::{Connect, Instant, Packet, Properties, Property, Version};

use super::input::Input;
use super::world::{CLIENTS, SECOND, World};

impl World<'_> {
    pub(crate) fn finale(&mut self) {
        self.setup.fragment = 0;
        if self.setup.tame {
            self.take_all();
        }
        self.leave();
    }

    /// All clients that keep to the rules come, and take and acknowledge what there is.
    fn take_all(&mut self) {
        (0..CLIENTS).for_each(|slot| self.come_back(slot));
        for round in 0.. {
            assert!(round < 2_000, "no end of messages");
            self.pass(1_000);
            let mut idle = true;
            for slot in 0..CLIENTS {
                let Some(id) = self.actors[slot].connection else { continue };
                let any = self.pull(id, 1 << 20);
                self.consume(id, usize::MAX);
                while !self.actors[slot].owed.is_empty() {
                    self.actors[slot].acknowledge(&mut Input(&[]));
                }
                self.flush(slot);
                idle &= !any && self.actors[slot].is_idle();
            }
            self.check();
            if idle {
                break;
            }
        }
        if let Some(model) = &self.model {
            assert_eq!(model.missing(), [] as [String; 0], "not sent");
        }
        for connection in self.connections.iter().filter(|connection| connection.is_up()) {
            let wire = connection.wire.as_ref().expect("a wire");
            let left = (&wire.due[..], wire.pings, wire.to_release.len());
            assert!(matches!(left, ([], 0, 0)), "{left:?} was not sent");
        }
        let is_up = |slot: &usize| self.actors[*slot].connection.is_some();
        for slot in (0..CLIENTS).filter(is_up) {
            assert_eq!(self.actors[slot].waits_for(), "", "not answered");
        }
        let counters = self.broker.counters();
        let all_up = counters.connected == counters.sessions;
        assert!(!all_up || counters.stored_messages == 0, "{counters:?}");
    }

    /// A client connects without limits, to the session that it has if it has one.
    fn come_back(&mut self, slot: usize) {
        let version = if slot < 2 { self.actors[slot].version } else { Version::V5 };
        let client_id = self.actors[slot].client_id.clone();
        if client_id.is_empty() {
            return;
        }
        let properties = [Property::SessionExpiryInterval(1_000)];
        let properties = match version {
            Version::V5 => Properties::List(&properties),
            _ => Properties::NONE,
        };
        let client_id = client_id.as_str();
        let clean_start = false;
        let connect = Connect { version, clean_start, properties, client_id, ..Connect::default() };
        let mut bytes = Vec::new();
        Packet::from(connect).encode(version, &mut bytes).expect("a CONNECT");
        if let Some(id) = self.open(Some(slot)) {
            self.deliver(id, &bytes);
            self.flush(slot);
        }
    }

    /// All connections and sessions end, and all that was kept for them.
    fn leave(&mut self) {
        let open: Vec<_> = self.connections.iter().map(|connection| connection.id).collect();
        open.into_iter().for_each(|id| self.lose(id));
        assert_eq!(self.connections.len(), 0, "a connection whose end was not told");
        let sessions: Vec<String> =
            self.broker.sessions().map(|session| session.client.client_id.to_string()).collect();
        for client_id in sessions {
            self.pass(1_000);
            if let Some(model) = self.model.as_mut() {
                let session = model.sessions.iter().find(|found| found.client_id == client_id);
                let serial = session.map(|session| session.serial);
                serial.into_iter().for_each(|serial| model.end_session(serial));
            }
            let now = self.instant();
            let result = self.broker.end_session(now, &client_id);
            assert!(matches!(result, Ok(()) | Err(CallError::UnknownSession)), "{result:?}");
            self.poll();
            self.check();
        }
        for _ in 0..50 {
            let Some(deadline) = self.deadline else { break };
            self.now = self.now.max(deadline.as_micros());
            self.wake();
        }
        assert_eq!(self.deadline, None, "nothing is left that could be due");
        let counters = self.broker.counters();
        let left = [
            counters.connections,
            counters.sessions,
            counters.connected,
            counters.subscriptions,
            counters.stored_messages,
            counters.stored_bytes,
        ];
        assert_eq!(left, [0; 6], "{counters:?}");
        assert!(self.wires.is_empty(), "sessions whose end was not told");
        self.note(SECOND);
    }

    /// All that can be seen of the broker.
    pub(crate) fn snapshot(&self) -> String {
        let sessions: Vec<_> = self.broker.sessions().collect();
        format!("{:?} {sessions:?}", self.broker.counters())
    }

    /// Makes a call, which changes nothing if it is refused.
    pub(crate) fn checked<T: std::fmt::Debug>(
        &mut self,
        call: impl FnOnce(&mut Broker, Instant) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let now = self.instant();
        let before = self.snapshot();
        let result = call(&mut self.broker, now);
        if let Err(error) = &result {
            assert_eq!(self.snapshot(), before, "{error:?} left a trace");
        }
        self.note(&result);
        self.poll();
        result
    }
}
