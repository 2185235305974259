//! Enhanced authentication. MQTT 5.0 §4.12.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::broker::ack::Answer;
use crate::broker::connection::{Connection, Pause, Phase, Turn};
use crate::broker::error::{CallError, Violation};
use crate::broker::event::Event;
use crate::broker::machine::Broker;
use crate::link::ConnectionId;
use crate::owned_packet::OwnedPacket;
use crate::packet::{Auth, Packet};
use crate::packet_type::Sender;
use crate::properties::Properties;
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::reason::ReasonCode;
use crate::time::Instant;
use crate::version::Version;

impl Broker {
    /// Goes on with an authentication exchange: 0x18 asks the client for more, 0x00 ends a
    /// re-authentication with success. The Authentication Method is added. What ends the first
    /// authentication is [`accept`](Self::accept) or [`refuse`](Self::refuse), and what ends a
    /// re-authentication without success is [`disconnect`](Self::disconnect).
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownConnection`]; [`CallError::NoAuthenticationMethod`];
    /// [`CallError::NotAwaited`] if it is not the application's turn;
    /// [`CallError::ReasonCodeNotAllowed`]; [`CallError::PropertyNotForCaller`] for an
    /// Authentication Method; [`CallError::Invalid`] for what does not go there;
    /// [`CallError::PacketTooLarge`].
    pub fn authenticate(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        auth: &Auth<'_>,
    ) -> Result<(), CallError> {
        let number = self.find(connection).ok_or(CallError::UnknownConnection)?;
        let found = self.connection(number).ok_or(CallError::UnknownConnection)?;
        let authentication =
            found.authentication.as_ref().ok_or(CallError::NoAuthenticationMethod)?;
        let is_first = matches!(found.phase, Phase::AwaitAnswer(_));
        let is_turn = is_first || found.is_up() && authentication.turn == Turn::Application;
        if !is_turn || found.link.is_closing() {
            return Err(CallError::NotAwaited);
        }
        let goes_on = auth.reason_code == ReasonCode::CONTINUE_AUTHENTICATION;
        if !goes_on && (is_first || auth.reason_code != ReasonCode::SUCCESS) {
            return Err(CallError::ReasonCodeNotAllowed(auth.reason_code));
        }
        let frame = auth_frame(found, &authentication.method, auth)?;
        self.advance(now);
        self.push_auth(number, is_first, frame);
        let Some(found) = self.connection_mut(number) else { return Ok(()) };
        if let Some(authentication) = found.authentication.as_mut().filter(|_| !is_first) {
            authentication.turn = if goes_on { Turn::Client } else { Turn::Nobody };
            return Ok(());
        }
        found.phase = match core::mem::replace(&mut found.phase, Phase::AwaitConnect) {
            Phase::AwaitAnswer(request) => Phase::AwaitAuth(request),
            phase => phase,
        };
        self.resume(number, Pause::Answer);
        Ok(())
    }

    /// Before the CONNACK there is nothing that an AUTH could wait for.
    fn push_auth(&mut self, number: u32, is_first: bool, frame: Box<[u8]>) {
        if is_first {
            if let Some(found) = self.connection_mut(number) {
                found.link.control_frame(frame.into());
            }
            self.ready.announce(number);
        } else {
            self.push_answer(number, Answer::Frame(frame));
        }
    }

    /// An AUTH of a client.
    pub(super) fn on_auth(
        &mut self,
        number: u32,
        auth: &Auth<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let Some(connection) = self.connection_mut(number) else { return Ok(()) };
        let method = connection.authentication.as_ref().map(|one| &*one.method);
        // v5 [MQTT-4.12.0-5] [MQTT-4.12.0-7] [MQTT-4.12.1-1]
        if method.is_none() || auth.properties.authentication_method() != method {
            return Err(Violation::AuthenticationMethod);
        }
        let goes_on = auth.reason_code == ReasonCode::CONTINUE_AUTHENTICATION;
        let begins = auth.reason_code == ReasonCode::RE_AUTHENTICATE;
        match core::mem::replace(&mut connection.phase, Phase::AwaitConnect) {
            // v5 [MQTT-4.12.0-3]
            Phase::AwaitAuth(request) if goes_on => {
                connection.phase = Phase::AwaitAnswer(request);
                self.pause(number, Pause::Answer);
            }
            phase => {
                connection.phase = phase;
                let expected = connection.authentication.as_mut().filter(|one| match one.turn {
                    Turn::Nobody => begins,
                    Turn::Client => goes_on,
                    Turn::Application => false,
                });
                match expected {
                    Some(one) if matches!(connection.phase, Phase::Up) => {
                        one.turn = Turn::Application;
                    }
                    _ => return Err(Violation::UnexpectedAuth(auth.reason_code)),
                }
            }
        }
        let packet =
            OwnedPacket::from_frame(Bytes::copy_from_slice(frame), Version::V5, Sender::Client)?;
        if let Some(connection) = self.connection(number) {
            let connection = connection.link.id;
            self.events.push_back(Event::Authenticate { connection, packet });
        }
        Ok(())
    }
}

/// The AUTH for a client, as far as it accepts it.
fn auth_frame(
    connection: &Connection,
    method: &str,
    auth: &Auth<'_>,
) -> Result<Box<[u8]>, CallError> {
    if auth.properties.contains(PropertyId::AuthenticationMethod) {
        return Err(CallError::PropertyNotForCaller(PropertyId::AuthenticationMethod));
    }
    let mut list: Vec<Property<'_>> = Vec::new();
    list.push(Property::AuthenticationMethod(method));
    list.extend(connection.wanted(&auth.properties));
    let whole = Auth { properties: Properties::List(&list), ..*auth };
    Packet::Auth(whole).check(Version::V5)?;
    let link = &connection.link;
    let kept = link.fit(&whole.properties, |properties| link.auth_len(auth, properties))?;
    let packet = Packet::Auth(Auth { properties: Properties::List(&kept), ..*auth });
    let mut frame = Vec::new();
    packet.encode(Version::V5, &mut frame)?;
    if !link.accepts(frame.len()) {
        let (size, maximum) = (frame.len(), link.maximum_packet_size);
        return Err(CallError::PacketTooLarge { size, maximum });
    }
    Ok(frame.into())
}
