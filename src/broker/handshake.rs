//! From CONNECT to CONNACK. MQTT 5.0 §3.1, §3.2, §4.12.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;

use bytes::Bytes;

use crate::broker::authorizer::{Client, Decision};
use crate::broker::connack;
use crate::broker::connection::{Authentication, Connection, Pause, Phase, Turn, Will};
use crate::broker::error::{CallError, DisconnectCause, Violation};
use crate::broker::event::{Acceptance, ConnectRequest, Event};
use crate::broker::machine::Broker;
use crate::broker::publishing;
use crate::broker::session::Session;
use crate::broker::timers::Timer;
use crate::decoder::MAXIMUM_PACKET_SIZE;
use crate::error::DecodeError;
use crate::link::ConnectionId;
use crate::message::Message;
use crate::owned_packet::OwnedPacket;
use crate::packet::{self, ConnAck, Connect, Packet, Publish};
use crate::packet_type::{PacketType, Places, Sender};
use crate::property_id::PropertyId;
use crate::reason::ReasonCode;
use crate::session::alias::{IncomingAliases, OutgoingAliases};
use crate::time::Instant;
use crate::version::Version;

impl Broker {
    /// Bytes that are no packet.
    #[cold]
    pub(super) fn on_malformed(&mut self, number: u32, error: DecodeError) {
        let violation = Violation::Malformed(error);
        let Some(connection) = self.connection_mut(number) else { return };
        if !matches!(connection.phase, Phase::AwaitConnect) {
            return self.violation(number, violation);
        }
        // A level that is not known is answered in the form that its sender may know; what is wrong
        // with a CONNECT of 3.x goes without an answer, but for its Client Identifier.
        // v5 [MQTT-3.1.2-2] [MQTT-3.1.4-2], v3.1.1 [MQTT-3.1.2-2] [MQTT-3.1.4-1] [MQTT-3.1.3-8]
        let version = match (error.cause.refusal_version(), error.version) {
            (Some(version), _) => Some(version),
            (None, Some(version)) => {
                let is_told = version.is_v5()
                    || error.reason_code() == ReasonCode::CLIENT_IDENTIFIER_NOT_VALID;
                is_told.then_some(version)
            }
            (None, None) => None,
        };
        match version {
            Some(version) if error.packet_type == Some(PacketType::Connect) => {
                connection.link.version = version;
                let conn_ack = ConnAck::refuse(violation.reason_code());
                self.refuse_with(number, violation.into(), &conn_ack);
            }
            _ => self.close(number, violation.into(), None),
        }
    }

    /// The CONNECT of a connection.
    pub(super) fn on_connect(
        &mut self,
        number: u32,
        connect: &Connect<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let assigned = connect.client_id.is_empty().then(|| self.assign());
        let Some(connection) = self.connection_mut(number) else { return Ok(()) };
        if !matches!(connection.phase, Phase::AwaitConnect) {
            // v5 [MQTT-3.1.0-2], v3.1.1 [MQTT-3.1.0-2]
            return Err(Violation::UnexpectedPacket(PacketType::Connect));
        }
        let properties = &connect.properties;
        connection.link.version = connect.version;
        let accepts = properties.maximum_packet_size().unwrap_or(MAXIMUM_PACKET_SIZE);
        connection.link.maximum_packet_size = accepts.min(MAXIMUM_PACKET_SIZE);
        connection.wants_problem_information =
            properties.request_problem_information().unwrap_or(true);
        connection.authentication = properties
            .authentication_method()
            .map(|method| Box::new(Authentication { method: method.into(), turn: Turn::Nobody }));
        if let Some(reason_code) = self.check_names(connect).or_else(|| self.check_will(connect)) {
            let cause = DisconnectCause::Refused(reason_code);
            self.refuse_with(number, cause, &ConnAck::refuse(reason_code));
            return Ok(());
        }
        let frame = Bytes::copy_from_slice(frame);
        let packet = OwnedPacket::from_frame(frame, connect.version, Sender::Client)?;
        let request = ConnectRequest { packet, assigned };
        if let Some(connection) = self.connection_mut(number) {
            let id = connection.link.id;
            connection.phase = Phase::AwaitAnswer(Box::new(request.clone()));
            self.events.push_back(Event::Connect { connection: id, request });
            self.pause(number, Pause::Answer);
        }
        Ok(())
    }

    /// A Client Identifier that nobody has. v5 [MQTT-3.1.3-6]
    fn assign(&mut self) -> Box<str> {
        loop {
            self.assigned = self.assigned.saturating_add(1);
            let [high, low] = self.names.get(self.assigned);
            let client_id = format!("auto-{high:016x}{low:016x}");
            if self.find_session(&client_id).is_none() {
                return client_id.into();
            }
        }
    }

    /// Why a client cannot have its names. What identifies it lives as long as what it publishes.
    fn check_names(&self, connect: &Connect<'_>) -> Option<ReasonCode> {
        // v5 [MQTT-3.1.3-5], v3.1.1 [MQTT-3.1.3-5]
        const ALWAYS: usize = 23;
        let maximum = self.options.maximum_name_length.max(ALWAYS);
        if connect.client_id.len() > maximum {
            // v5 [MQTT-3.1.3-8], v3.1.1 [MQTT-3.1.3-9]
            Some(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID)
        } else if connect.user_name.is_some_and(|name| name.len() > maximum) {
            Some(ReasonCode::BAD_USER_NAME_OR_PASSWORD)
        } else {
            None
        }
    }

    /// Why a Will cannot be had.
    fn check_will(&self, connect: &Connect<'_>) -> Option<ReasonCode> {
        let will = connect.will.as_ref()?;
        let delay = will.properties.will_delay_interval().unwrap_or_default();
        if will.qos > self.options.maximum_qos {
            // v5 [MQTT-3.2.2-12]
            Some(ReasonCode::QOS_NOT_SUPPORTED)
        } else if will.retain && !self.options.retain_available {
            // v5 [MQTT-3.2.2-13]
            Some(ReasonCode::RETAIN_NOT_SUPPORTED)
        } else if !publishing::fits(will.topic, &self.options) {
            Some(ReasonCode::TOPIC_NAME_INVALID)
        } else if publishing::is_of_server(will.topic, &self.options) {
            Some(ReasonCode::NOT_AUTHORIZED)
        } else if delay > self.options.maximum_will_delay_interval {
            Some(ReasonCode::QUOTA_EXCEEDED)
        } else {
            None
        }
    }

    /// Refuses a client that waits for an answer, with a CONNACK of 0x80 or above. 3.x gets the
    /// nearest return code that it has. It may have a Server Reference, and a Reason String and
    /// User Properties, which are left out if the client did not ask for them, or they do not fit.
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownConnection`] and [`CallError::NotAwaited`] as [`accept`](Self::accept);
    /// [`CallError::ReasonCodeNotAllowed`]; [`CallError::PropertyNotForCaller`];
    /// [`CallError::Invalid`] if the properties do not go there.
    pub fn refuse(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        conn_ack: &ConnAck<'_>,
    ) -> Result<(), CallError> {
        let number = self.awaiting_answer(connection)?;
        let reason_code = conn_ack.reason_code;
        if !reason_code.is_error()
            || !reason_code.is_allowed_in(PacketType::ConnAck, Sender::Server)
        {
            return Err(CallError::ReasonCodeNotAllowed(reason_code));
        }
        for property in conn_ack.properties.iter() {
            match property.id() {
                PropertyId::ReasonString
                | PropertyId::UserProperty
                | PropertyId::ServerReference => {}
                id => return Err(CallError::PropertyNotForCaller(id)),
            }
        }
        Packet::ConnAck(*conn_ack).check(Version::V5)?;
        self.advance(now);
        self.refuse_with(number, DisconnectCause::Refused(reason_code), conn_ack);
        self.settle();
        Ok(())
    }

    pub(super) fn awaiting_answer(&self, connection: ConnectionId) -> Result<u32, CallError> {
        let number = self.find(connection).ok_or(CallError::UnknownConnection)?;
        match self.connection(number) {
            Some(Connection { phase: Phase::AwaitAnswer(_), link, .. }) if !link.is_closing() => {
                Ok(number)
            }
            _ => Err(CallError::NotAwaited),
        }
    }

    /// Accepts a client that waits for an answer: [`Event::Connected`] follows, or
    /// [`Event::Disconnected`] if the broker cannot have one more session, or the client may not
    /// have its Will.
    ///
    /// A connection that the client has already is closed, in 5.0 with 0x8E.
    /// v5 [MQTT-3.1.4-3], v3.1.1 [MQTT-3.1.4-2]
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownConnection`] if the connection has ended since, as it may at any time;
    /// [`CallError::NotAwaited`] if it has its answer; [`CallError::PropertyNotForCaller`] or
    /// [`CallError::Invalid`] for properties that do not go there;
    /// [`CallError::NoAuthenticationMethod`] for Authentication Data that nobody asked for.
    pub fn accept(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        acceptance: &Acceptance<'_>,
    ) -> Result<(), CallError> {
        let number = self.awaiting_answer(connection)?;
        self.check_acceptance(number, acceptance)?;
        self.advance(now);
        let phase = self
            .connection_mut(number)
            .map(|found| core::mem::replace(&mut found.phase, Phase::AwaitConnect));
        let Some(Phase::AwaitAnswer(request)) = phase else { return Ok(()) };
        match self.admit(number, &request, acceptance) {
            Ok(session_present) => {
                let client_id = request.client_id().into();
                self.events.push_back(Event::Connected { connection, client_id, session_present });
                self.welcome(number, &request, session_present, acceptance);
            }
            Err(reason_code) => {
                let cause = DisconnectCause::Refused(reason_code);
                self.refuse_with(number, cause, &ConnAck::refuse(reason_code));
            }
        }
        self.settle();
        Ok(())
    }

    fn check_acceptance(&self, number: u32, acceptance: &Acceptance<'_>) -> Result<(), CallError> {
        let properties = &acceptance.properties;
        properties.check(Version::V5, Places::CONNACK)?;
        for property in properties.iter() {
            match property.id() {
                PropertyId::ReasonString | PropertyId::UserProperty => {}
                PropertyId::AuthenticationData => {
                    let found = self.connection(number);
                    if found.is_none_or(|found| found.authentication.is_none()) {
                        return Err(CallError::NoAuthenticationMethod);
                    }
                }
                id => return Err(CallError::PropertyNotForCaller(id)),
            }
        }
        Ok(())
    }

    /// Gives a client its session; says whether that was there before.
    fn admit(
        &mut self,
        number: u32,
        request: &ConnectRequest,
        acceptance: &Acceptance<'_>,
    ) -> Result<bool, ReasonCode> {
        let connect = request.connect();
        let identity = acceptance.identity.or(connect.user_name).map(Box::from);
        let client = Arc::new(Client { client_id: request.client_id().into(), identity });
        // What was due before comes before, whether it has come to its turn or not.
        if let Some(session) = self.find_session(&client.client_id) {
            self.expire(session);
        }
        let existing = self.find_session(&client.client_id);
        if existing.is_none() && self.sessions.len() >= self.options.maximum_sessions {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        if let Some(will) = &connect.will {
            if will.qos > acceptance.maximum_qos {
                return Err(ReasonCode::QOS_NOT_SUPPORTED);
            }
            if self.authorizer.will(&client, will) != Decision::Allow {
                return Err(ReasonCode::NOT_AUTHORIZED);
            }
        }
        let will = connect.will.as_ref().map(will_of);
        let size = will.as_ref().map_or(0, |will| will.message.size());
        let own = existing.map_or(0, |session| self.will_size(session));
        let others = self.will_bytes.saturating_sub(own);
        if size > 0 && others.saturating_add(size) > self.options.maximum_will_bytes {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        let before = existing.and_then(|session| self.session_mut(session)?.connection);
        if let Some(before) = before {
            self.end(before, DisconnectCause::TakenOver);
        }
        if connect.clean_start
            && let Some(session) = self.find_session(&client.client_id)
        {
            // v5 [MQTT-3.1.2-4], v3.1.1 [MQTT-3.1.2-6]
            self.end_session_numbered(session);
        }
        let (session, session_present) = match self.find_session(&client.client_id) {
            Some(session) => (session, true),
            None => (self.begin_session(&client, connect.version)?, false),
        };
        self.attach(number, session, client, &connect, acceptance);
        if let Some(connection) = self.connection_mut(number) {
            connection.will = will;
            self.will_bytes = self.will_bytes.saturating_add(size);
        }
        Ok(session_present)
    }

    /// Bytes of the Will that a session, or its connection, holds.
    fn will_size(&self, number: u32) -> usize {
        let Some(Some(session)) = self.sessions.get(number) else { return 0 };
        let connection = session.connection.and_then(|number| self.connection(number));
        let will = connection.and_then(|connection| connection.will.as_ref());
        let delayed = session.will.as_ref().map_or(0, |will| will.message.size());
        will.map_or(delayed, |will| will.message.size().saturating_add(delayed))
    }

    /// Joins a connection and its session.
    fn attach(
        &mut self,
        number: u32,
        session_number: u32,
        client: Arc<Client>,
        connect: &Connect<'_>,
        acceptance: &Acceptance<'_>,
    ) {
        let now = self.now;
        let Self { connections, sessions, options, timers, counters, shared, ready, .. } = self;
        let Some(Some(connection)) = connections.get_mut(number) else { return };
        let Some(Some(session)) = sessions.get_mut(session_number) else { return };
        let properties = &connect.properties;
        connection.session = Some(session_number);
        connection.phase = Phase::Up;
        connection.link.deadline = None;
        connection.link.decoder.set_maximum_packet_size(options.maximum_packet_size);
        connection.last_received = now;
        connection.requested_expiry = connack::requested_expiry(connect);
        connection.maximum_qos = options.maximum_qos.min(acceptance.maximum_qos);
        connection.keep_alive = connack::keep_alive(connect, options);
        if connect.version.is_v5() {
            let offered = properties.topic_alias_maximum().unwrap_or(0);
            connection.link.outgoing_aliases =
                OutgoingAliases::new(offered.min(options.outgoing_topic_aliases));
            connection.link.incoming_aliases = IncomingAliases::new(options.topic_alias_maximum);
        }
        let link = &connection.link;
        ready.connect(number, session_number, client.clone(), link.maximum_packet_size);
        session.client = client;
        session.version = connect.version;
        session.connection = Some(number);
        for key in &session.groups {
            shared.set_active(*key, session_number, true);
        }
        counters.connected = counters.connected.saturating_add(1);
        session.expiry_maximum =
            options.maximum_session_expiry_interval.min(acceptance.maximum_session_expiry_interval);
        session.expiry_interval = connack::requested_expiry(connect).min(session.expiry_maximum);
        session.expires = None;
        // v5 [MQTT-3.1.3-9]
        let cancelled = session.will.take();
        timers.cancel(Timer::Session(session_number), &mut session.timer);
        if let Some(will) = cancelled {
            self.forget_will(&will.message);
        }
    }

    /// A new session. v5 4.1
    fn begin_session(&mut self, client: &Arc<Client>, version: Version) -> Result<u32, ReasonCode> {
        let session = Session::new(client.clone(), version);
        let number = self.sessions.insert(Some(session)).ok_or(ReasonCode::QUOTA_EXCEEDED)?;
        let Self { sessions, by_client, seed, .. } = self;
        let hash_of = |number: &u32| {
            let session = sessions.get(*number).and_then(Option::as_ref);
            session.map_or(0, |session| seed.of(session.client.client_id.as_bytes()))
        };
        by_client.insert_unique(seed.of(client.client_id.as_bytes()), number, hash_of);
        Ok(number)
    }
}

/// The Will of a CONNECT.
fn will_of(will: &packet::Will<'_>) -> Box<Will> {
    let publish = Publish {
        topic: will.topic,
        payload: will.payload,
        qos: will.qos,
        retain: will.retain,
        properties: will.properties,
        ..Publish::default()
    };
    let message = Message::copy_of(&publish, publish.properties_len());
    let delay_interval = will.properties.will_delay_interval().unwrap_or_default();
    Box::new(Will { delay_interval, message })
}
