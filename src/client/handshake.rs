//! Connecting and authenticating: CONNECT, CONNACK and AUTH.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::error::{CallError, DisconnectCause, Failure, Violation};
use crate::client::event::{Connected, Event, ServerOptions};
use crate::client::machine::{self, Ack, AuthenticationTurn, Client, Connection, Phase};
use crate::client::operations::Operation;
use crate::client::options::{CleanStart, Options, SessionLost, TopicAliases};
use crate::client::records::{self, Key, SessionRecord};
use crate::decoder::{Decoder, MAXIMUM_PACKET_SIZE};
use crate::link::{ConnectionId, Link};
use crate::owned_packet::OwnedPacket;
use crate::packet::{Auth, ConnAck, Packet};
use crate::packet_type::PacketType;
use crate::properties::Properties;
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::alias::{IncomingAliases, OutgoingAliases};
use crate::session::entry::Stage;
use crate::session::keep_alive::KeepAlive;
use crate::session::peer_time::PeerTime;
use crate::session::store::Sequence;
use crate::time::Instant;
use crate::version::Version;

/// Bytes of an acknowledgement with its Reason Code, without which nothing can be received.
const SMALLEST_MAXIMUM: u32 = 5;

impl Client {
    /// A transport to the server is open: CONNECT is ready to be sent on it.
    ///
    /// Begin with an empty buffer of received bytes: those of an earlier connection are none of
    /// this one.
    ///
    /// # Errors
    ///
    /// [`CallError::AlreadyConnected`] as long as another one has not been closed.
    pub fn transport_opened(&mut self, now: Instant) -> Result<ConnectionId, CallError> {
        self.advance(now);
        if self.connection.is_some() || self.closed.is_some() {
            return Err(CallError::AlreadyConnected);
        }
        self.expire_session();
        let version = self.options.version;
        let client_id = self.client_id();
        let clean_start = match self.options.clean_start {
            CleanStart::Always => true,
            CleanStart::First if version.is_v5() => !self.session.exists,
            // A session that begins clean ends with its connection: the next one lasts.
            CleanStart::First => !self.session.exists && !self.session.had_connection,
            // v5 3.2.2.1.1
            CleanStart::Never => self.session.is_unknown,
        };
        // v3.1.1 [MQTT-3.1.3-7]
        let clean_start = clean_start || client_id.is_empty() && version == Version::V3_1_1;
        let decoder = Decoder::from_server(version)
            .with_maximum_packet_size(self.options.maximum_packet_size);
        let mut link =
            Link::new(ConnectionId(self.connections.saturating_add(1)), version, decoder);
        self.options.with_connect(&client_id, clean_start, |connect| {
            link.control(&Packet::Connect(*connect))
        })?;
        link.deadline = Some(self.now + self.options.connect_timeout);
        link.incoming_aliases = IncomingAliases::new(self.options.topic_alias_maximum);
        self.connections = link.id.0;
        let id = link.id;
        let authentication = match &self.options.authentication {
            Some(_) => AuthenticationTurn::Server,
            None => AuthenticationTurn::Nobody,
        };
        self.connection = Some(Connection {
            link,
            phase: Phase::AwaitConnAck,
            keep_alive: KeepAlive::off(),
            authentication,
            peer_time: PeerTime::default(),
            paused: None,
            unread: 0,
            authentication_deadline: None,
            clean_start,
            server: ServerOptions::unknown(&self.options, clean_start),
            draining: None,
        });
        Ok(id)
    }

    /// The client's own identifier, or the one that the server gave it.
    fn client_id(&self) -> String {
        match &self.session.assigned_client_id {
            Some(assigned) if self.options.client_id.is_empty() => assigned.clone(),
            _ => self.options.client_id.clone(),
        }
    }

    pub(super) fn on_conn_ack(
        &mut self,
        conn_ack: &ConnAck<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        if connection.is_up() {
            return Err(Violation::UnexpectedPacket(PacketType::ConnAck));
        }
        let Some(packet) = machine::owned(frame, self.options.version) else { return Ok(()) };
        let reason_code = conn_ack.reason_code;
        if reason_code.is_error() {
            self.close(DisconnectCause::Refused { reason_code, packet }, None);
            return Ok(());
        }
        // From here on a violation is answered with a DISCONNECT.
        connection.phase = Phase::Up;
        connection.link.deadline = None;
        connection.authentication = AuthenticationTurn::Nobody;
        let clean_start = connection.clean_start;
        connection.server = ServerOptions::new(conn_ack, &self.options, clean_start);
        self.set_up_link();
        self.check_method(&conn_ack.properties)?;
        let maximum = self.outgoing_maximum();
        if maximum < SMALLEST_MAXIMUM {
            return Err(Violation::UnusableMaximumPacketSize(maximum));
        }
        let version = self.options.version;
        if conn_ack.session_present && clean_start {
            return Err(Violation::SessionPresentAfterCleanStart);
        }
        let adopts = self.options.adopt_session || !version.is_v5();
        if conn_ack.session_present && !self.session.exists && !adopts {
            self.session.is_unknown = true;
            return Err(Violation::UnknownSession);
        }
        // 3.1 does not tell: whoever does not ask for a new session has the old one.
        let resumed = match version {
            Version::V3_1 => !clean_start && self.session.exists,
            Version::V3_1_1 | Version::V5 => conn_ack.session_present,
        };
        self.begin(conn_ack, *packet, resumed);
        Ok(())
    }

    /// The server's Maximum Packet Size.
    fn outgoing_maximum(&self) -> u32 {
        self.connection.as_ref().map_or(u32::MAX, |found| found.server.maximum_packet_size)
    }

    /// Sets the connection up for what the server accepts.
    fn set_up_link(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let server = &connection.server;
        let aliases = match self.options.topic_aliases {
            TopicAliases::None => 0,
            TopicAliases::Automatic(most) => most.min(server.topic_alias_maximum),
        };
        connection.link.outgoing_aliases = OutgoingAliases::new(aliases);
        connection.link.maximum_packet_size = server.maximum_packet_size;
        let timeout = self.options.response_timeout;
        connection.keep_alive.begin(server.keep_alive, timeout, self.now);
        let window = server.receive_maximum.min(self.options.maximum_in_flight.max(1));
        self.outbound.set_window(window);
        self.inbound.set_receive_maximum(self.options.receive_maximum);
    }

    /// The server accepted the connection: the session goes on, or a new one begins.
    fn begin(&mut self, conn_ack: &ConnAck<'_>, packet: OwnedPacket, resumed: bool) {
        if let Some(assigned) = conn_ack.properties.assigned_client_identifier()
            && self.options.client_id.is_empty()
        {
            self.session.assigned_client_id = Some(assigned.into());
        }
        let lost = self.session.exists && !resumed;
        if lost {
            self.end_session();
        }
        let Some(connection) = &self.connection else { return };
        let server = connection.server.clone();
        self.session.exists = true;
        self.session.is_unknown = false;
        self.session.had_connection = true;
        self.session.expires = None;
        self.session.expiry_interval = server.session_expiry_interval;
        let after = self.record_session();
        let connected = Connected { session_present: conn_ack.session_present, packet, server };
        // What comes after it waits behind it: the server has a session that this one must not
        // forget.
        self.emit_after(after, Event::Connected(Box::new(connected)));
        if !resumed {
            self.subscribe_again();
        }
        let dup = self.options.version == Version::V3_1;
        for packet_id in self.outbound.resume() {
            self.acks.push_back(Ack { dup, ..Ack::new(PacketType::PubRel, packet_id, after) });
        }
        self.send_acknowledgements();
        self.open_window();
    }

    /// Subscribes to what the server does not know, before anything else is sent.
    fn subscribe_again(&mut self) {
        if self.options.resubscribe
            && let Some(connection) = &self.connection
        {
            self.operations.resubscribe(self.options.version, &connection.server);
        }
        if !self.requests.is_empty()
            && !self.requests.subscribed
            && let Some(topic) = &self.options.response_topic
            && let Ok(operation) = Operation::for_responses(0, topic, self.options.version)
        {
            self.operations.push_response(operation);
            self.requests.subscribed = true;
        }
    }

    /// The session is gone, on one side at least.
    pub(super) fn end_session(&mut self) {
        self.session.exists = false;
        self.session.expires = None;
        self.session.number = self.session.number.wrapping_add(1);
        self.requests.subscribed = false;
        // Before what is said of the old one is deleted: exchanges without their session are
        // orphans, and a session without its exchanges would not be.
        self.record_session();
        for packet_id in self.inbound.session_lost() {
            if self.log.is_durable() {
                self.log.delete(Key::Released(packet_id).encode());
            }
        }
        for key in self.outbound.in_flight() {
            // What was never pulled is not lost, whatever is to become of what is.
            let waits = self.options.session_lost == SessionLost::Republish;
            let waits = self
                .outbound
                .get_mut(key)
                .is_some_and(|entry| !entry.sent || waits && entry.stage != Stage::AwaitPubComp);
            if waits {
                self.outbound.requeue(key);
                if self.log.is_durable() {
                    self.log.delete(Key::Flight(key.handle()).encode());
                }
            } else {
                self.abandon(key, Failure::SessionLost);
            }
        }
        self.outbound.sort_queue();
    }

    /// Ends a session whose time is over.
    pub(super) fn expire_session(&mut self) {
        if self.connection.is_none()
            && self.session.expires.is_some_and(|expires| expires <= self.now)
        {
            self.end_session();
        }
    }

    /// Stores what is known of the session.
    pub(super) fn record_session(&mut self) -> Sequence {
        if !self.log.is_durable() {
            return Sequence::default();
        }
        let record = SessionRecord {
            version: self.options.version,
            client_id: &self.options.client_id,
            epoch: u32::try_from(self.last_number >> records::EPOCH_BITS).unwrap_or(u32::MAX),
            number: self.session.number,
            exists: self.session.exists,
            expiry_interval: self.session.expiry_interval,
            expires: self.session.expires.map(|expires| self.calendar.to_unix(expires)),
            assigned_client_id: self.session.assigned_client_id.as_deref().unwrap_or_default(),
        };
        self.log.put(Key::Session.encode(), record.encode())
    }

    /// Answers the server's AUTH with one of the client's.
    ///
    /// # Errors
    ///
    /// [`CallError::NotAuthenticating`] if it is not the client's turn;
    /// [`CallError::NoAuthenticationMethod`]; [`CallError::Invalid`] if the properties do not go
    /// there; [`CallError::PacketTooLarge`].
    pub fn authenticate(
        &mut self,
        now: Instant,
        data: Option<&[u8]>,
        properties: Properties<'_>,
    ) -> Result<(), CallError> {
        self.advance(now);
        match self.connection.as_ref().map(|connection| connection.authentication) {
            Some(AuthenticationTurn::Client) => {}
            _ if self.options.authentication.is_none() => {
                return Err(CallError::NoAuthenticationMethod);
            }
            Some(_) => return Err(CallError::NotAuthenticating),
            None => return Err(CallError::NotConnected),
        }
        self.send_auth(ReasonCode::CONTINUE_AUTHENTICATION, data, &properties)
    }

    /// Begins a re-authentication. v5 4.12.1
    ///
    /// # Errors
    ///
    /// [`CallError::NotConnected`]; [`CallError::NoAuthenticationMethod`];
    /// [`CallError::NotAuthenticating`] if there is an exchange already; as
    /// [`authenticate`](Self::authenticate).
    pub fn reauthenticate(
        &mut self,
        now: Instant,
        data: Option<&[u8]>,
        properties: Properties<'_>,
    ) -> Result<(), CallError> {
        self.advance(now);
        let has_method = self.options.authentication.is_some();
        let connection = self.up().ok_or(CallError::NotConnected)?;
        if !has_method {
            return Err(CallError::NoAuthenticationMethod);
        }
        if connection.draining.is_some() {
            return Err(CallError::Disconnecting);
        }
        if connection.authentication != AuthenticationTurn::Nobody {
            return Err(CallError::NotAuthenticating);
        }
        self.send_auth(ReasonCode::RE_AUTHENTICATE, data, &properties)
    }

    /// v5 [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-4.12.1-1]
    fn send_auth(
        &mut self,
        reason_code: ReasonCode,
        data: Option<&[u8]>,
        properties: &Properties<'_>,
    ) -> Result<(), CallError> {
        for id in [PropertyId::AuthenticationMethod, PropertyId::AuthenticationData] {
            if properties.contains(id) {
                return Err(CallError::PropertyNotForCaller(id));
            }
        }
        let Some(authentication) = &self.options.authentication else {
            return Err(CallError::NoAuthenticationMethod);
        };
        let Some(connection) = self.connection.as_mut() else {
            return Err(CallError::NotConnected);
        };
        let own = [
            Some(Property::AuthenticationMethod(&authentication.method)),
            data.map(Property::AuthenticationData),
        ];
        let all: Vec<Property<'_>> = own.into_iter().flatten().chain(properties.iter()).collect();
        let auth = Auth { reason_code, properties: Properties::List(&all) };
        let len = |properties: Properties<'_>| connection.link.auth_len(&auth, properties);
        let kept = connection.link.fit(&auth.properties, len)?;
        let auth = Auth { reason_code, properties: Properties::List(&kept) };
        let size = Packet::Auth(auth).encoded_len(self.options.version)?;
        if !connection.link.accepts(size) {
            let maximum = connection.link.maximum_packet_size;
            return Err(CallError::PacketTooLarge { size, maximum });
        }
        connection.link.control(&Packet::Auth(auth))?;
        connection.authentication = AuthenticationTurn::Server;
        if connection.is_up() {
            let server_now = connection.peer_time.of(self.now);
            connection.authentication_deadline = Some(server_now + self.options.response_timeout);
        } else {
            connection.link.deadline = Some(self.now + self.options.connect_timeout);
        }
        Ok(())
    }

    pub(super) fn on_auth(&mut self, auth: &Auth<'_>, frame: &[u8]) -> Result<(), Violation> {
        let unexpected = Violation::UnexpectedAuth(auth.reason_code);
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        if connection.authentication != AuthenticationTurn::Server {
            return Err(unexpected);
        }
        let is_up = connection.is_up();
        if auth.reason_code == ReasonCode::SUCCESS && !is_up {
            return Err(unexpected);
        }
        // Without properties it says that all is well, and nothing else.
        if auth.reason_code != ReasonCode::SUCCESS || !auth.properties.is_empty() {
            self.check_method(&auth.properties)?;
        }
        let Some(packet) = machine::owned(frame, self.options.version) else { return Ok(()) };
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        connection.authentication_deadline = None;
        if auth.reason_code == ReasonCode::SUCCESS {
            connection.authentication = AuthenticationTurn::Nobody;
            self.emit(Event::Authenticated(packet));
        } else {
            connection.authentication = AuthenticationTurn::Client;
            if !is_up {
                connection.link.deadline = Some(self.now + self.options.connect_timeout);
            }
            self.emit(Event::Authenticate(packet));
        }
        Ok(())
    }

    /// v5 [MQTT-4.12.0-5] [U5-3.15-1]
    fn check_method(&self, properties: &Properties<'_>) -> Result<(), Violation> {
        let own = self.options.authentication.as_ref().map(|own| own.method.as_str());
        if properties.authentication_method() != own {
            return Err(Violation::AuthenticationMethod);
        }
        Ok(())
    }

    /// Changes the options, for the next connection: credentials, the Will and so on.
    ///
    /// # Errors
    ///
    /// [`CallError::OtherSession`] for another Client Identifier or version, which make another
    /// client; [`CallError::Invalid`] if they make no CONNECT;
    /// [`CallError::AlreadyConnected`] while there is a connection.
    pub fn set_options(&mut self, options: Options) -> Result<(), CallError> {
        if self.connection.is_some() {
            return Err(CallError::AlreadyConnected);
        }
        if options.client_id != self.options.client_id || options.version != self.options.version {
            return Err(CallError::OtherSession);
        }
        options.check()?;
        self.requests.subscribed &= options.response_topic == self.options.response_topic;
        self.options = options;
        Ok(())
    }
}

impl ServerOptions {
    /// What is assumed until the server has said something.
    pub(crate) fn unknown(options: &Options, clean_start: bool) -> Self {
        Self::new(&ConnAck::default(), options, clean_start)
    }

    /// What a CONNACK says, or does not say.
    pub(crate) fn new(conn_ack: &ConnAck<'_>, options: &Options, clean_start: bool) -> Self {
        let properties = &conn_ack.properties;
        let expiry = properties.session_expiry_interval();
        Self {
            session_expiry_interval: expiry.unwrap_or_else(|| options.session_expiry(clean_start)),
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            maximum_qos: properties.maximum_qos().unwrap_or(QoS::ExactlyOnce),
            retain_available: properties.retain_available().unwrap_or(true),
            maximum_packet_size: properties
                .maximum_packet_size()
                .unwrap_or(u32::MAX)
                .min(MAXIMUM_PACKET_SIZE),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            wildcard_subscription_available: properties
                .wildcard_subscription_available()
                .unwrap_or(true),
            subscription_identifiers_available: properties
                .subscription_identifier_available()
                .unwrap_or(true),
            shared_subscription_available: properties
                .shared_subscription_available()
                .unwrap_or(true),
            keep_alive: properties.server_keep_alive().unwrap_or(options.keep_alive),
        }
    }
}
