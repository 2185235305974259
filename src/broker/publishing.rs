//! Messages that come in: from clients, as Wills, from the application. MQTT 5.0 §3.3.

use alloc::sync::Arc;

use crate::broker::ack::Answer;
use crate::broker::authorizer::{Client, Decision};
use crate::broker::error::{CallError, Violation};
use crate::broker::event::Routed;
use crate::broker::machine::Broker;
use crate::broker::options::Options;
use crate::broker::routing::{self, Source};
use crate::message::Message;
use crate::packet::{Packet, Publish};
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::alias::AliasError;
use crate::time::Instant;
use crate::topic;
use crate::version::Version;

impl Broker {
    /// Publishes a message of the application, to whoever subscribes to it. It needs no rights,
    /// and a Packet Identifier has no meaning here.
    ///
    /// ```
    /// use sansio_mqtt::broker::{AllowAll, Broker, Options};
    /// use sansio_mqtt::{Instant, Publish};
    ///
    /// let mut broker = Broker::new(Options::new(0x5eed), Box::new(AllowAll));
    /// let now = Instant::from_micros(0);
    /// let (topic, payload) = ("$SYS/broker/version", b"1.0");
    /// let version = Publish { topic, payload, retain: true, ..Default::default() };
    /// let routed = broker.publish(now, &version)?;
    /// assert_eq!((routed.sessions, routed.retained), (0, true));
    /// # Ok::<(), sansio_mqtt::broker::CallError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Invalid`] for what is no message of 5.0; [`CallError::PropertyNotForCaller`]
    /// for a Topic Alias or a Subscription Identifier; [`CallError::RetainNotSupported`].
    pub fn publish(&mut self, now: Instant, publish: &Publish<'_>) -> Result<Routed, CallError> {
        let packet_id = (publish.qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let publish = Publish { packet_id, dup: false, ..*publish };
        for id in [PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier] {
            if publish.properties.contains(id) {
                return Err(CallError::PropertyNotForCaller(id));
            }
        }
        Packet::Publish(publish).check(Version::V5)?;
        if publish.retain && !self.options.retain_available {
            return Err(CallError::RetainNotSupported);
        }
        self.advance(now);
        let retained = self.retain_if_possible(&publish, None);
        let sessions = self.route(&publish, Source::Application);
        self.settle();
        Ok(Routed { sessions, retained })
    }

    /// Publishes a Will that is due.
    pub(super) fn publish_will(&mut self, message: &Message, client: &Arc<Client>) {
        let publish = message.to_publish();
        self.retain_if_possible(&publish, Some(client));
        // v5 [MQTT-3.8.3-3]
        let session = self.find_session(&client.client_id);
        self.route(&publish, Source::Will(session, client));
    }

    /// A PUBLISH of a client.
    #[inline]
    pub(super) fn on_publish(
        &mut self,
        number: u32,
        publish: &Publish<'_>,
    ) -> Result<(), Violation> {
        self.counters.publishes_received = self.counters.publishes_received.saturating_add(1);
        let Self { connections, options, .. } = self;
        let Some(Some(connection)) = connections.get_mut(number) else { return Ok(()) };
        let Some(session) = connection.session else { return Ok(()) };
        if publish.qos > connection.maximum_qos {
            return Err(Violation::QoSNotSupported(publish.qos));
        }
        if publish.retain && !options.retain_available {
            return Err(Violation::RetainNotSupported);
        }
        if publish.properties.is_empty() {
            return self.on_message(number, session, publish);
        }
        let Some(alias) = publish.properties.topic_alias() else {
            return self.on_message(number, session, publish);
        };
        // One that is too long is refused, and not kept; what it takes the place of is gone.
        let is_kept = fits(publish.topic, options);
        if !is_kept && connection.link.incoming_aliases.allows(alias) {
            connection.link.incoming_aliases.forget(alias);
            return self.on_message(number, session, publish);
        }
        // The topic is a part of the connection. It is set whatever becomes of the message.
        let mut aliases = core::mem::take(&mut connection.link.incoming_aliases);
        let result = match aliases.resolve(alias, publish.topic) {
            Ok(topic) => self.on_message(number, session, &Publish { topic, ..*publish }),
            Err(AliasError::AboveMaximum) => Err(Violation::TopicAliasAboveMaximum(alias)),
            Err(AliasError::Unknown) => Err(Violation::UnknownTopicAlias(alias)),
        };
        if let Some(connection) = self.connection_mut(number) {
            connection.link.incoming_aliases = aliases;
        }
        result
    }

    /// A PUBLISH with its topic.
    #[inline]
    fn on_message(
        &mut self,
        number: u32,
        session_number: u32,
        publish: &Publish<'_>,
    ) -> Result<(), Violation> {
        if publish.qos != QoS::AtMostOnce
            && let Some(reason_code) = self.check_exchange(number, publish)?
        {
            self.answer_publish(number, publish, reason_code);
            return Ok(());
        }
        let Self { sessions, authorizer, options, .. } = self;
        let Some(Some(session)) = sessions.get(session_number) else { return Ok(()) };
        let refusal = if !fits(publish.topic, options) {
            Some(ReasonCode::TOPIC_NAME_INVALID)
        } else if is_of_server(publish.topic, options)
            || authorizer.publish(&session.client, publish) != Decision::Allow
        {
            Some(ReasonCode::NOT_AUTHORIZED)
        } else {
            None
        };
        if let Some(reason_code) = refusal {
            self.counters.refused = self.counters.refused.saturating_add(1);
            self.answer_publish(number, publish, reason_code);
            return Ok(());
        }
        if publish.retain {
            let (client, is_v5) = (session.client.clone(), session.version.is_v5());
            let can_refuse = is_v5 && publish.qos != QoS::AtMostOnce;
            if !can_refuse {
                self.retain_if_possible(publish, Some(&client));
            } else if let Err(reason_code) = self.retain(publish, Some(&client)) {
                // Nothing is done by halves.
                self.answer_publish(number, publish, reason_code);
                return Ok(());
            }
        }
        let reason_code = match self.route(publish, Source::Session(session_number)) {
            0 => ReasonCode::NO_MATCHING_SUBSCRIBERS,
            _ => ReasonCode::SUCCESS,
        };
        self.answer_publish(number, publish, reason_code);
        Ok(())
    }

    /// What a PUBLISH at QoS 1 or 2 is answered without being looked at, if it is one that was
    /// there before, or has an identifier that is in use.
    fn check_exchange(
        &mut self,
        number: u32,
        publish: &Publish<'_>,
    ) -> Result<Option<ReasonCode>, Violation> {
        let receive_maximum = usize::from(self.options.receive_maximum);
        let Some((connection, session)) = self.both_mut(number) else { return Ok(None) };
        let Some(packet_id) = publish.packet_id else { return Ok(None) };
        let is_v5 = connection.link.version.is_v5();
        let is_known = session.unreleased.contains(packet_id);
        let is_repeated = is_known && publish.qos == QoS::ExactlyOnce;
        let counts = is_repeated && connection.quota.counts(packet_id);
        if is_v5 && !counts && connection.quota.used() >= receive_maximum {
            // v5 [MQTT-3.3.4-9]
            return Err(Violation::ReceiveMaximumExceeded);
        }
        if is_repeated {
            // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2]
            self.counters.duplicates = self.counters.duplicates.saturating_add(1);
            return Ok(Some(ReasonCode::SUCCESS));
        }
        // v5 [MQTT-2.2.1-4]
        Ok((is_v5 && is_known).then_some(ReasonCode::PACKET_IDENTIFIER_IN_USE))
    }

    /// Keeps the message of a topic, or at least none that it would replace, which is not the last
    /// one any more. v5 [MQTT-3.3.1-5]
    fn retain_if_possible(
        &mut self,
        publish: &Publish<'_>,
        publisher: Option<&Arc<Client>>,
    ) -> bool {
        let retained = self.retain(publish, publisher).is_ok();
        if !retained {
            self.retained.remove(publish.topic);
        }
        retained
    }

    /// Keeps the message of a topic, or removes it, if the publisher wants that.
    /// v5 [MQTT-3.3.1-5] [MQTT-3.3.1-6], v3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-10]
    fn retain(
        &mut self,
        publish: &Publish<'_>,
        publisher: Option<&Arc<Client>>,
    ) -> Result<(), ReasonCode> {
        if !publish.retain {
            return Ok(());
        }
        if publish.payload.is_empty() {
            self.retained.remove(publish.topic);
            return Ok(());
        }
        let message = Message::copy_of(publish, publish.properties_len());
        let expires = routing::expires(self.now, publish);
        let result = self.retained.insert_from(self.now, message, expires, publisher.cloned());
        result.map(drop).map_err(|_| {
            self.counters.not_retained = self.counters.not_retained.saturating_add(1);
            ReasonCode::QUOTA_EXCEEDED
        })
    }

    /// PUBACK or PUBREC, in 3.x without what it cannot say.
    #[inline]
    fn answer_publish(&mut self, number: u32, publish: &Publish<'_>, reason_code: ReasonCode) {
        if let Some(packet_id) = publish.packet_id {
            self.acknowledge(number, publish.qos, packet_id, reason_code);
        }
    }

    fn acknowledge(&mut self, number: u32, qos: QoS, packet_id: PacketId, reason_code: ReasonCode) {
        let after = self.log.last();
        let Some((connection, session)) = self.both_mut(number) else { return };
        let is_v5 = connection.link.version.is_v5();
        let reason_code = if is_v5 { reason_code } else { ReasonCode::SUCCESS };
        let (packet_type, goes_on) = match qos {
            QoS::ExactlyOnce => (PacketType::PubRec, !reason_code.is_error()),
            QoS::AtMostOnce | QoS::AtLeastOnce => (PacketType::PubAck, false),
        };
        if goes_on {
            session.unreleased.insert(packet_id);
            if is_v5 {
                connection.quota.begin(packet_id);
            }
        }
        // In 3.x the client need only take the answer to go on.
        let makes_room = !goes_on || !is_v5;
        if makes_room {
            connection.quota.wait();
        }
        let answer = Answer::Publish { packet_type, packet_id, reason_code, makes_room };
        connection.acks.push(after, answer);
        self.ready.announce(number);
    }
}

/// Whether a topic is not for clients to publish to. v5 4.7.2, v3.1.1 4.7.2
pub(super) fn is_of_server(topic: &str, options: &Options) -> bool {
    topic.starts_with('$') && !options.clients_may_publish_to_dollar_topics
}

/// Whether a topic, or a filter, is as long as it may be at most.
#[inline]
pub(super) fn fits(text: &str, options: &Options) -> bool {
    // Short text cannot have so many levels that they have to be counted.
    text.len() <= options.maximum_topic_length
        && (text.len() < options.maximum_topic_levels
            || topic::level_count(text) <= options.maximum_topic_levels)
}
