//! How connections end, and sessions.

use alloc::boxed::Box;
use core::time::Duration;

use crate::broker::ack::Acks;
use crate::broker::connection::{Connection, Phase, Will};
use crate::broker::delivery::Delivery;
use crate::broker::error::{DisconnectCause, Violation};
use crate::broker::event::Event;
use crate::broker::machine::Broker;
use crate::broker::session::DelayedWill;
use crate::broker::timers::Timer;
use crate::link::ConnectionId;
use crate::packet::{ConnAck, Disconnect, Packet};
use crate::properties::Properties;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::entry::Stage;

impl Broker {
    /// The client broke a rule.
    #[cold]
    pub(super) fn violation(&mut self, number: u32, violation: Violation) {
        match self.connection(number).map(|found| &found.phase) {
            // v5 4.13.1: a CONNACK says it as long as there was none.
            Some(Phase::AwaitAnswer(_) | Phase::AwaitAuth(_)) => {
                let conn_ack = ConnAck::refuse(violation.reason_code());
                self.refuse_with(number, violation.into(), &conn_ack);
            }
            _ => self.end(number, violation.into()),
        }
    }

    /// Sends a CONNACK that is not success, as far as the version has it, and nothing after it.
    /// v5 [MQTT-3.2.2-7], v3.1.1 [MQTT-3.2.2-5]
    pub(super) fn refuse_with(
        &mut self,
        number: u32,
        cause: DisconnectCause,
        conn_ack: &ConnAck<'_>,
    ) {
        let Some(connection) = self.connection(number) else { return };
        let link = &connection.link;
        let wanted = connection.wanted(&conn_ack.properties);
        let properties = Properties::List(&wanted);
        let kept = link.fit(&properties, |properties| {
            let packet = Packet::ConnAck(ConnAck { properties, ..*conn_ack });
            packet.for_version(link.version)?.encoded_len(link.version)
        });
        let kept = kept.unwrap_or_default();
        let packet = Packet::ConnAck(ConnAck { properties: Properties::List(&kept), ..*conn_ack });
        let (version, deadline) = (link.version, self.now + self.options.close_timeout);
        let packet = packet.for_version(version);
        if !self.detach(number, cause) {
            return;
        }
        let Some(connection) = self.connection_mut(number) else { return };
        connection.link.close(None, deadline);
        // What 3.x cannot say is not said: the connection is closed all the same.
        if let Ok(packet) = packet
            && packet.encoded_len(version).is_ok_and(|len| connection.link.accepts(len))
        {
            let _ = connection.link.control(&packet);
        }
        self.close_when_pulled(number);
    }

    /// Ends a connection, and tells a client of 5.0 why.
    #[cold]
    pub(super) fn end(&mut self, number: u32, cause: DisconnectCause) {
        let reason_code = cause.told();
        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
        self.end_with(number, cause, &disconnect);
    }

    pub(super) fn end_with(
        &mut self,
        number: u32,
        cause: DisconnectCause,
        disconnect: &Disconnect<'_>,
    ) {
        let Some(connection) = self.connection(number) else { return };
        // In 3.x a server has no DISCONNECT, and before CONNACK there is none.
        let is_told = connection.link.version.is_v5() && connection.is_up();
        let packet = Packet::Disconnect(*disconnect);
        self.close(number, cause, Some(&packet).filter(|_| is_told));
    }

    /// Ends a connection, with a last packet if it takes one.
    pub(super) fn close(&mut self, number: u32, cause: DisconnectCause, last: Option<&Packet<'_>>) {
        let deadline = self.now + self.options.close_timeout;
        if !self.detach(number, cause) {
            return;
        }
        let Some(connection) = self.connection_mut(number) else { return };
        if matches!(cause, DisconnectCause::ByClient(_)) {
            // What it asked for before is answered.
            connection.link.close_after(deadline);
        } else {
            // Nothing comes behind the broker's own DISCONNECT: v5 [MQTT-3.14.4-1]
            connection.link.close(last, deadline);
            connection.acks = Acks::default();
        }
        self.close_when_pulled(number);
    }

    /// A connection has only its last bytes to send.
    pub(super) fn close_when_pulled(&mut self, number: u32) {
        let Some(connection) = self.connection(number) else { return };
        if connection.link.has_control() || !connection.acks.is_empty() {
            self.ready.announce(number);
            self.schedule(number);
        } else {
            self.finish(number);
        }
    }

    /// There is nothing more to be done but to shut the transport down.
    pub(super) fn finish(&mut self, number: u32) {
        if let Some(connection) = self.forget(number) {
            self.closed.push_back(connection.link.id);
        }
    }

    /// Takes a connection out.
    pub(super) fn forget(&mut self, number: u32) -> Option<Connection> {
        self.connection(number)?;
        let mut connection = self.connections.remove(number)?;
        self.timers.cancel(Timer::Connection(number), &mut connection.timer);
        self.ready.close(number);
        Some(connection)
    }

    /// The transport of a connection is gone.
    pub(super) fn lost(&mut self, id: ConnectionId) {
        match self.find(id) {
            Some(number) => {
                self.detach(number, DisconnectCause::TransportClosed);
                self.forget(number);
            }
            // It is closed already: the wrapper need not be told.
            None => self.closed.retain(|closed| *closed != id),
        }
    }

    /// A connection has ended: its session goes on without it, or ends. `false` if it had ended
    /// before.
    pub(super) fn detach(&mut self, number: u32, cause: DisconnectCause) -> bool {
        let Some(connection) = self.connection_mut(number) else { return false };
        if connection.link.is_closing() {
            return false;
        }
        let id = connection.link.id;
        let (will, session) = (connection.will.take(), connection.session.take());
        let client_id = session.and_then(|number| {
            let session = self.sessions.get(number)?.as_ref()?;
            Some(session.client.client_id.clone())
        });
        self.events.push_back(Event::Disconnected { connection: id, client_id, cause });
        if let Some(message) = self.ready.disconnect(number, session) {
            self.messages.release(message);
        }
        if let Some(session) = session {
            let is_published = cause.publishes_will();
            if let Some(will) = will.as_ref().filter(|_| !is_published) {
                self.forget_will(&will.message);
            }
            self.leave(session, will.filter(|_| is_published));
        }
        true
    }

    /// The connection of a session is gone.
    fn leave(&mut self, number: u32, will: Option<Box<Will>>) {
        let now = self.now;
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        self.counters.connected = self.counters.connected.saturating_sub(1);
        session.connection = None;
        for key in &session.groups {
            self.shared.set_active(*key, number, false);
        }
        let items = session.queue.disconnected();
        // What goes out at QoS 1 and 2 is a part of the session. v5 4.1
        session.replays.retain(|_, replay| {
            let stays = replay.grant.qos != QoS::AtMostOnce;
            if !stays {
                self.retained.leave(&mut replay.cursor);
            }
            stays
        });
        let after = |seconds: u32| now + Duration::from_secs(seconds.into());
        let expiry = session.expiry_interval;
        session.expires = (expiry != u32::MAX).then(|| after(expiry));
        if let Some(will) = will {
            let Will { delay_interval, message } = *will;
            let delay = delay_interval.min(expiry);
            if delay == 0 {
                let client = session.client.clone();
                self.will_is_due(message, client);
            } else {
                // v5 [MQTT-3.1.2-8] [MQTT-3.1.3-9]
                session.will = Some(Box::new(DelayedWill { at: after(delay), message }));
            }
        }
        for item in items {
            self.messages.release(item.delivery.message);
        }
        if expiry == 0 {
            self.end_session_numbered(number);
        } else {
            self.schedule_session(number);
            self.pass_to_others(number);
        }
    }

    /// Ends a session that has no connection. v5 4.1, v3.1.1 3.1.2.4
    pub(super) fn end_session_numbered(&mut self, number: u32) {
        let Some(Some(_)) = self.sessions.get(number) else { return };
        let Some(mut session) = self.sessions.remove(number) else { return };
        self.timers.cancel(Timer::Session(number), &mut session.timer);
        let hash = self.seed.of(session.client.client_id.as_bytes());
        if let Ok(entry) = self.by_client.find_entry(hash, |found| *found == number) {
            entry.remove();
        }
        for replay in session.replays.values_mut() {
            self.retained.leave(&mut replay.cursor);
        }
        for key in &session.subscriptions {
            self.subscriptions.remove(*key, number);
        }
        for key in &session.groups {
            self.shared.remove(*key, number);
        }
        if let Some(will) = session.will.take() {
            // At the end of the session, if its delay is not over. v5 [MQTT-3.1.2-8]
            self.will_is_due(will.message, session.client.clone());
        }
        for entry in session.queue.into_entries() {
            // v5 4.8.2: another member gets what was not acknowledged, but not what this one may
            // have at QoS 2. [MQTT-4.8.2-5]
            let may_pass = !entry.sent || entry.stage == Stage::AwaitPubAck;
            let Some(Delivery { group, message, .. }) = entry.message else { continue };
            if let Some(group) = group.filter(|_| may_pass) {
                self.pass_to_group(group, message);
            }
            self.messages.release(message);
        }
        let client_id = session.client.client_id.clone();
        self.events.push_back(Event::SessionEnded { client_id });
    }
}

impl DisconnectCause {
    /// Whether the Will of the connection is published. v5 [MQTT-3.1.2-8] [MQTT-3.14.4-3],
    /// v3.1.1 [MQTT-3.1.2-8] [MQTT-3.14.4-3]
    const fn publishes_will(self) -> bool {
        match self {
            Self::ByClient(reason_code) => reason_code.get() != 0,
            // It may be left until there is a server again: v5 3.1.2.5
            Self::ShutDown => false,
            _ => true,
        }
    }

    /// What a client of 5.0 is told.
    const fn told(self) -> ReasonCode {
        match self {
            Self::ByClient(reason_code)
            | Self::ByApplication(reason_code)
            | Self::Refused(reason_code) => reason_code,
            Self::Violation(violation) => violation.reason_code(),
            Self::TakenOver => ReasonCode::SESSION_TAKEN_OVER,
            Self::KeepAliveTimeout => ReasonCode::KEEP_ALIVE_TIMEOUT,
            Self::AnswerTooLarge(_) => ReasonCode::PACKET_TOO_LARGE,
            Self::QueueFull => ReasonCode::QUOTA_EXCEEDED,
            Self::SessionEnded => ReasonCode::ADMINISTRATIVE_ACTION,
            Self::ShutDown => ReasonCode::SERVER_SHUTTING_DOWN,
            Self::ConnectTimeout | Self::TransportClosed => ReasonCode::UNSPECIFIED_ERROR,
        }
    }
}
