//! CONNACK, and what comes with it. MQTT 5.0 §3.2.

use alloc::vec::Vec;

use crate::broker::ack::Answer;
use crate::broker::connection::Pause;
use crate::broker::error::DisconnectCause;
use crate::broker::event::{Acceptance, ConnectRequest};
use crate::broker::machine::Broker;
use crate::broker::options::Options;
use crate::decoder::MAXIMUM_PACKET_SIZE;
use crate::packet::{ConnAck, Connect, Packet};
use crate::packet_type::PacketType;
use crate::properties::Properties;
use crate::property::Property;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::version::Version;

impl Broker {
    /// Sends CONNACK, and then what the session has for the client. v5 [MQTT-3.1.4-5] 4.4,
    /// v3.1.1 [MQTT-3.1.4-4] [MQTT-4.4.0-1]
    pub(super) fn welcome(
        &mut self,
        number: u32,
        request: &ConnectRequest,
        session_present: bool,
        acceptance: &Acceptance<'_>,
    ) {
        let Some(frame) = self.connack_frame(number, request, session_present, acceptance) else {
            // Nothing can be said to such a client. v5 [MQTT-3.1.2-24]
            let cause = DisconnectCause::AnswerTooLarge(PacketType::ConnAck);
            return self.close(number, cause, None);
        };
        if let Some(connection) = self.connection_mut(number) {
            connection.link.control_frame(frame);
        }
        self.take_up(number, &request.connect());
        self.resume(number, Pause::Answer);
        self.ready.announce(number);
        self.schedule(number);
    }

    /// The CONNACK, as far as the client accepts it.
    fn connack_frame(
        &mut self,
        number: u32,
        request: &ConnectRequest,
        session_present: bool,
        acceptance: &Acceptance<'_>,
    ) -> Option<Vec<u8>> {
        let (_, session) = self.both_mut(number)?;
        let granted = session.expiry_interval;
        let link = &self.connection(number)?.link;
        let version = link.version;
        let session_present = session_present && version != Version::V3_1;
        let reason_code = ReasonCode::SUCCESS;
        let all;
        let mut list = Vec::new();
        if version.is_v5() {
            all = self.connack_properties(number, request, granted, acceptance);
            let properties = Properties::List(&all);
            list = link
                .fit(&properties, |properties| {
                    let conn_ack = ConnAck { session_present, reason_code, properties };
                    Packet::ConnAck(conn_ack).encoded_len(version)
                })
                .ok()?;
        }
        let properties = Properties::List(&list);
        let packet = Packet::ConnAck(ConnAck { session_present, reason_code, properties });
        let mut frame = Vec::new();
        packet.encode(version, &mut frame).ok()?;
        link.accepts(frame.len()).then_some(frame)
    }

    /// Sends again what is in flight, and what else waits.
    fn take_up(&mut self, number: u32, connect: &Connect<'_>) {
        let receive_maximum = connect.properties.receive_maximum().unwrap_or(u16::MAX);
        let window = receive_maximum.min(self.options.maximum_in_flight);
        let after = self.log.last();
        let Some((connection, session)) = self.both_mut(number) else { return };
        for packet_id in session.queue.connected(window) {
            let answer = Answer::Publish {
                packet_type: PacketType::PubRel,
                packet_id,
                reason_code: ReasonCode::SUCCESS,
                makes_room: false,
            };
            connection.acks.push(after, answer);
        }
    }

    /// What the CONNACK of 5.0 says: what is other than a client takes for granted. v5 3.2.2.3
    fn connack_properties<'a>(
        &'a self,
        number: u32,
        request: &'a ConnectRequest,
        granted: u32,
        acceptance: &Acceptance<'a>,
    ) -> Vec<Property<'a>> {
        let (options, mut list) = (&self.options, Vec::new());
        let connect = &request.connect();
        let Some(connection) = self.connection(number) else { return list };
        let mut say = |wanted: bool, property: Property<'a>| {
            if wanted {
                list.push(property);
            }
        };
        let requested = requested_expiry(connect);
        say(granted != requested, Property::SessionExpiryInterval(granted));
        let receive_maximum = options.receive_maximum;
        say(receive_maximum != u16::MAX, Property::ReceiveMaximum(receive_maximum));
        let maximum_qos = connection.maximum_qos;
        say(maximum_qos != QoS::ExactlyOnce, Property::MaximumQoS(maximum_qos));
        say(!options.retain_available, Property::RetainAvailable(false));
        let size = options.maximum_packet_size;
        say(size < MAXIMUM_PACKET_SIZE, Property::MaximumPacketSize(size));
        if let Some(assigned) = &request.assigned {
            say(true, Property::AssignedClientIdentifier(assigned));
        }
        let aliases = options.topic_alias_maximum;
        say(aliases > 0, Property::TopicAliasMaximum(aliases));
        let no = |available: bool| !available;
        say(
            no(options.wildcard_subscription_available),
            Property::WildcardSubscriptionAvailable(false),
        );
        say(
            no(options.subscription_identifiers_available),
            Property::SubscriptionIdentifierAvailable(false),
        );
        say(
            no(options.shared_subscription_available),
            Property::SharedSubscriptionAvailable(false),
        );
        let seconds = keep_alive(connect, options);
        say(seconds != connect.keep_alive, Property::ServerKeepAlive(seconds));
        if let Some(information) = &options.response_information {
            let asked = connect.properties.request_response_information() == Some(true);
            say(asked, Property::ResponseInformation(information));
        }
        if let Some(authentication) = &connection.authentication {
            // v5 [MQTT-4.12.0-5]
            say(true, Property::AuthenticationMethod(&authentication.method));
        }
        list.extend(connection.wanted(&acceptance.properties));
        list
    }
}

/// The Session Expiry Interval that a client asks for; that of 3.x is none, or has no end.
/// v5 3.1.2.11.2, v3.1.1 3.1.2.4
pub(super) fn requested_expiry(connect: &Connect<'_>) -> u32 {
    match connect.version.is_v5() {
        true => connect.properties.session_expiry_interval().unwrap_or(0),
        false if connect.clean_start => 0,
        false => u32::MAX,
    }
}

/// The Keep Alive that holds, in seconds; in 3.x a client cannot be told of another.
/// v5 [MQTT-3.2.2-21]
pub(super) fn keep_alive(connect: &Connect<'_>, options: &Options) -> u16 {
    let (wanted, maximum) = (connect.keep_alive, options.maximum_keep_alive);
    let is_longer = wanted == 0 || wanted > maximum;
    if connect.version.is_v5() && maximum > 0 && is_longer { maximum } else { wanted }
}
