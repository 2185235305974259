//! What an application asks of a broker, and tells it.

use crate::broker::error::{CallError, DisconnectCause};
use crate::broker::event::{Counters, SessionInfo};
use crate::broker::machine::Broker;
use crate::broker::options::Options;
use crate::broker::session::Session;
use crate::link::ConnectionId;
use crate::packet::{Disconnect, Packet};
use crate::packet_type::{PacketType, Sender};
use crate::properties::Properties;
use crate::property_id::PropertyId;
use crate::session::store::Sequence;
use crate::time::Instant;
use crate::version::Version;

impl Broker {
    /// Ends a connection, in 5.0 with a DISCONNECT, before the CONNACK without. Its Will is
    /// published.
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownConnection`]; [`CallError::ReasonCodeNotAllowed`],
    /// [`CallError::PropertyNotForCaller`] or [`CallError::Invalid`] for a DISCONNECT that a
    /// server does not send.
    pub fn disconnect(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        disconnect: &Disconnect<'_>,
    ) -> Result<(), CallError> {
        let number = self.find(connection).ok_or(CallError::UnknownConnection)?;
        check(disconnect)?;
        self.advance(now);
        let cause = DisconnectCause::ByApplication(disconnect.reason_code);
        self.end_as(number, cause, disconnect);
        self.settle();
        Ok(())
    }

    /// Ends a session, and its connection, in 5.0 with 0x98.
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownSession`].
    pub fn end_session(&mut self, now: Instant, client_id: &str) -> Result<(), CallError> {
        let number = self.find_session(client_id).ok_or(CallError::UnknownSession)?;
        self.advance(now);
        if let Some(connection) = self.session_mut(number).and_then(|found| found.connection) {
            self.end(connection, DisconnectCause::SessionEnded);
        }
        if let Some(number) = self.find_session(client_id) {
            self.end_session_numbered(number);
        }
        self.settle();
        Ok(())
    }

    /// Ends all connections, in 5.0 with a DISCONNECT such as 0x8B, and takes no others. Wills are
    /// not published. When all have been [closed](crate::broker::Output::Close), there is nothing
    /// left to be done.
    ///
    /// # Errors
    ///
    /// [`CallError::ShuttingDown`] if it does already; else as [`disconnect`](Self::disconnect).
    pub fn shut_down(
        &mut self,
        now: Instant,
        disconnect: &Disconnect<'_>,
    ) -> Result<(), CallError> {
        if self.is_shutting_down {
            return Err(CallError::ShuttingDown);
        }
        check(disconnect)?;
        self.advance(now);
        self.is_shutting_down = true;
        for number in 0..self.connections.end() {
            self.end_as(number, DisconnectCause::ShutDown, disconnect);
        }
        self.settle();
        Ok(())
    }

    /// Ends a connection with a DISCONNECT, of which User Properties and Reason String are left
    /// out if the client did not ask for them, or if they do not fit. v5 [MQTT-3.14.2-3]
    /// [MQTT-3.14.2-4]
    fn end_as(&mut self, number: u32, cause: DisconnectCause, disconnect: &Disconnect<'_>) {
        let Some(connection) = self.connection(number) else { return };
        let wanted = connection.wanted(&disconnect.properties);
        let properties = Properties::List(&wanted);
        let kept = connection
            .link
            .fit(&properties, |properties| connection.link.disconnect_len(disconnect, properties));
        let kept = kept.unwrap_or_default();
        let properties = Properties::List(&kept);
        self.end_with(number, cause, &Disconnect { properties, ..*disconnect });
    }

    /// All sessions, in an order that is the same after the same calls.
    pub fn sessions(&self) -> impl Iterator<Item = SessionInfo<'_>> {
        self.sessions.iter().filter_map(|(_, session)| Some(self.info(session.as_ref()?)))
    }

    /// The session of a client.
    pub fn session(&self, client_id: &str) -> Option<SessionInfo<'_>> {
        let session = self.sessions.get(self.find_session(client_id)?)?;
        session.as_ref().map(|session| self.info(session))
    }

    fn info<'a>(&self, session: &'a Session) -> SessionInfo<'a> {
        let connection = session.connection.and_then(|number| self.connection(number));
        // What comes alone is in no queue.
        let direct = session.connection.and_then(|number| self.ready.waiting(number));
        let direct = direct.and_then(|message| self.messages.get(message));
        SessionInfo {
            client: &session.client,
            version: session.version,
            connection: connection.map(|connection| connection.link.id),
            session_expiry_interval: session.expiry_interval,
            expires: session.expires,
            subscriptions: session.subscription_count(),
            queued_messages: session.queue.len().saturating_add(direct.iter().count()),
            queued_bytes: direct
                .map_or(0, |stored| stored.size())
                .saturating_add(session.queue.bytes()),
            dropped: session.dropped,
        }
    }

    /// What there is now, and what was counted.
    pub fn counters(&self) -> Counters {
        Counters {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            subscriptions: self.subscriptions.len().saturating_add(self.shared.len()),
            retained_messages: self.retained.len(),
            retained_bytes: self.retained.bytes(),
            will_bytes: self.will_bytes,
            stored_messages: self.messages.len(),
            stored_bytes: self.messages.bytes(),
            ..self.counters
        }
    }

    /// What the broker was told.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The wrapper has stored everything up to this record.
    pub fn committed(&mut self, sequence: Sequence) {
        self.log.commit(sequence);
    }
}

/// Whether a server can say this.
fn check(disconnect: &Disconnect<'_>) -> Result<(), CallError> {
    let reason_code = disconnect.reason_code;
    if !reason_code.is_allowed_in(PacketType::Disconnect, Sender::Server) {
        return Err(CallError::ReasonCodeNotAllowed(reason_code));
    }
    if disconnect.properties.contains(PropertyId::SessionExpiryInterval) {
        // v5 [MQTT-3.14.2-2]
        return Err(CallError::PropertyNotForCaller(PropertyId::SessionExpiryInterval));
    }
    Packet::Disconnect(*disconnect).check(Version::V5)?;
    Ok(())
}
