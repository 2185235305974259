//! SUBSCRIBE and UNSUBSCRIBE. MQTT 5.0 §3.8 to §3.11.

use alloc::vec::Vec;

use crate::broker::ack::Answer;
use crate::broker::authorizer::Decision;
use crate::broker::error::{DisconnectCause, Violation};
use crate::broker::filters::FilterKey;
use crate::broker::grant::Grant;
use crate::broker::machine::Broker;
use crate::broker::publishing;
use crate::broker::retained::Cursor;
use crate::broker::session::{self, Replay};
use crate::broker::shared::GroupKey;
use crate::packet::{
    Packet, ReasonCodes, RetainHandling, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe,
};
use crate::properties::Properties;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::topic::{self, TopicFilter};
use crate::version::Version;

impl Broker {
    pub(super) fn on_subscribe(
        &mut self,
        number: u32,
        subscribe: &Subscribe<'_>,
    ) -> Result<(), Violation> {
        let Some((connection, session)) = self.both_mut(number) else { return Ok(()) };
        let version = connection.link.version;
        let maximum_qos = connection.maximum_qos;
        let client = session.client.clone();
        let Some(session_number) = connection.session else { return Ok(()) };
        self.check_subscribe(subscribe, version)?;
        let identifier = subscribe.properties.subscription_identifiers().next();
        let mut reason_codes = Vec::new();
        let most = self.options.maximum_subscriptions_per_session;
        for (index, subscription) in subscribe.subscriptions.iter().enumerate() {
            let reason_code = if index >= most {
                // Whatever it is, it is one more than there may be: one packet is not to take long.
                ReasonCode::QUOTA_EXCEEDED
            } else if !self.has_room_for(&subscription, version) {
                ReasonCode::TOPIC_FILTER_INVALID
            } else if self.authorizer.subscribe(&client, &subscription) != Decision::Allow {
                ReasonCode::NOT_AUTHORIZED
            } else {
                let qos = subscription.qos.min(maximum_qos);
                let Subscription { no_local, retain_as_published, .. } = subscription;
                let subscription_identifier = identifier;
                let grant = Grant { qos, no_local, retain_as_published, subscription_identifier };
                self.add_subscription(session_number, &subscription, grant, version)
            };
            reason_codes.push(for_version(reason_code, version));
        }
        let packet = Packet::SubAck(SubAck {
            packet_id: subscribe.packet_id,
            reason_codes: ReasonCodes::List(&reason_codes),
            properties: Properties::NONE,
        });
        self.work = self.work.saturating_add(reason_codes.len());
        self.push_packet(number, &packet);
        // As many as can go at once come before what is published from now on.
        self.take_replays(session_number);
        self.announce_session(number);
        Ok(())
    }

    /// What a client may not ask for, since it was told that there is none. v5 3.2.2.3.11 to 13
    fn check_subscribe(
        &self,
        subscribe: &Subscribe<'_>,
        version: Version,
    ) -> Result<(), Violation> {
        let options = &self.options;
        if !options.subscription_identifiers_available
            && subscribe.properties.subscription_identifiers().next().is_some()
        {
            return Err(Violation::SubscriptionIdentifiersNotSupported);
        }
        if options.wildcard_subscription_available && options.shared_subscription_available
            || !version.is_v5()
        {
            return Ok(());
        }
        for subscription in subscribe.subscriptions.iter() {
            let (share_name, filter) = split(subscription.topic_filter, version);
            if share_name.is_some() && !options.shared_subscription_available {
                return Err(Violation::SharedSubscriptionsNotSupported);
            }
            if topic::wildcard_count(filter) > 0 && !options.wildcard_subscription_available {
                return Err(Violation::WildcardSubscriptionsNotSupported);
            }
        }
        Ok(())
    }

    /// Whether a filter is no larger than it may be.
    fn has_room_for(&self, subscription: &Subscription<'_>, version: Version) -> bool {
        let (_, filter) = split(subscription.topic_filter, version);
        let wildcards = topic::wildcard_count(filter);
        publishing::fits(subscription.topic_filter, &self.options)
            && wildcards <= self.options.maximum_wildcards
            && (wildcards == 0 || self.options.wildcard_subscription_available)
    }

    /// Subscribes, in place of what the session had for the same filter. v5 [MQTT-3.8.4-3],
    /// v3.1.1 [MQTT-3.8.4-3]
    fn add_subscription(
        &mut self,
        number: u32,
        subscription: &Subscription<'_>,
        grant: Grant,
        version: Version,
    ) -> ReasonCode {
        let (share_name, filter) = split(subscription.topic_filter, version);
        if !self.may_subscribe(number, share_name, filter) {
            return ReasonCode::QUOTA_EXCEEDED;
        }
        let Self { sessions, subscriptions, shared, .. } = self;
        let Some(Some(session)) = sessions.get_mut(number) else {
            return ReasonCode::UNSPECIFIED_ERROR;
        };
        let mut key = None;
        let is_new = match share_name {
            None => match subscriptions.insert(filter, number, grant) {
                Ok(inserted) => {
                    session::insert_sorted(&mut session.subscriptions, inserted.key);
                    key = Some(inserted.key);
                    inserted.replaced.is_none()
                }
                Err(_) => return ReasonCode::QUOTA_EXCEEDED,
            },
            Some(share_name) => match shared.insert(share_name, filter, number, grant) {
                Ok(inserted) => {
                    session::insert_sorted(&mut session.groups, inserted.key);
                    shared.set_active(inserted.key, number, session.connection.is_some());
                    inserted.replaced.is_none()
                }
                Err(_) => return ReasonCode::QUOTA_EXCEEDED,
            },
        };
        // v5 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] 4.8.2, v3.1.1 [MQTT-3.3.1-6]
        let replays = match subscription.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendAtSubscribeIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        if let Some(key) = key {
            self.replay(number, key, filter, grant, replays);
        }
        ReasonCode::from(grant.qos.get())
    }

    /// Whether a session may have one more subscription, if it is one more.
    fn may_subscribe(&mut self, number: u32, share_name: Option<&str>, filter: &str) -> bool {
        let total = self.subscriptions.len().saturating_add(self.shared.len());
        let Some(Some(session)) = self.sessions.get_mut(number) else { return false };
        if total < self.options.maximum_subscriptions
            && session.subscription_count() < self.options.maximum_subscriptions_per_session
        {
            return true;
        }
        let had = match share_name {
            None => {
                let key = self.subscriptions.key(filter);
                key.and_then(|key| self.subscriptions.get(key, number))
            }
            Some(share_name) => {
                let key = self.shared.key(share_name, filter);
                key.and_then(|key| self.shared.get(key, number))
            }
        };
        had.is_some()
    }

    /// The retained messages of a filter are sent, if they are to be; those that are still due for
    /// it go by what is granted now.
    fn replay(&mut self, number: u32, key: FilterKey, filter: &str, grant: Grant, begins: bool) {
        if begins {
            self.cancel_replay(number, key);
        }
        let last = self.retained.last_number();
        let begins = begins && !self.retained.is_empty();
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        if begins {
            let (filter, cursor) = (filter.into(), Cursor::default());
            session.replays.insert(key, Replay { filter, grant, cursor, last });
        } else if let Some(pending) = session.replays.get_mut(&key) {
            // v5 [MQTT-3.8.4-3]
            pending.grant = grant;
        }
    }

    fn cancel_replay(&mut self, number: u32, key: FilterKey) {
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        if let Some(mut replay) = session.replays.remove(&key) {
            self.retained.leave(&mut replay.cursor);
        }
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        number: u32,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Result<(), Violation> {
        let Some((connection, _)) = self.both_mut(number) else { return Ok(()) };
        let version = connection.link.version;
        let Some(session) = connection.session else { return Ok(()) };
        let (mut reason_codes, mut left) = (Vec::new(), Vec::new());
        for filter in unsubscribe.topic_filters.iter() {
            let had = self.remove_subscription(session, filter, version, &mut left);
            reason_codes.push(match had {
                true => ReasonCode::SUCCESS,
                false => ReasonCode::NO_SUBSCRIPTION_EXISTED,
            });
        }
        if !left.is_empty() {
            left.sort_unstable();
            self.leave_groups(session, &left);
        }
        self.work = self.work.saturating_add(reason_codes.len());
        let packet_id = unsubscribe.packet_id;
        let packet = match version.is_v5() {
            true => UnsubAck::new(packet_id, &reason_codes),
            false => UnsubAck::new(packet_id, &[]),
        };
        self.push_packet(number, &packet.into());
        Ok(())
    }

    /// Ends a subscription, if there is one, and says which group was left.
    /// v5 [MQTT-3.10.4-1] [MQTT-3.10.4-2], v3.1.1 [MQTT-3.10.4-1] [MQTT-3.10.4-2]
    fn remove_subscription(
        &mut self,
        number: u32,
        filter: &str,
        version: Version,
        left: &mut Vec<GroupKey>,
    ) -> bool {
        let (share_name, filter) = split(filter, version);
        if let Some(share_name) = share_name {
            let Some(key) = self.shared.key(share_name, filter) else { return false };
            if self.shared.remove(key, number).is_none() {
                return false;
            }
            if let Some(session) = self.session_mut(number) {
                session::remove_sorted(&mut session.groups, &key);
            }
            left.push(key);
            return true;
        }
        let Some(key) = self.subscriptions.key(filter) else { return false };
        if self.subscriptions.remove(key, number).is_none() {
            return false;
        }
        if let Some(session) = self.session_mut(number) {
            session::remove_sorted(&mut session.subscriptions, &key);
        }
        self.cancel_replay(number, key);
        true
    }

    /// An answer that may be too large for its client, with whom nothing can be done then.
    fn push_packet(&mut self, number: u32, packet: &Packet<'_>) {
        let Some(connection) = self.connection(number) else { return };
        let version = connection.link.version;
        let mut frame = Vec::new();
        let encoded = packet.encode(version, &mut frame).is_ok();
        if encoded && connection.link.accepts(frame.len()) {
            self.push_answer(number, Answer::Frame(frame.into()));
        } else {
            self.end(number, DisconnectCause::AnswerTooLarge(packet.packet_type()));
        }
    }
}

/// The ShareName and the filter of what is subscribed to. v5 4.8.2
fn split(topic_filter: &str, version: Version) -> (Option<&str>, &str) {
    // It was checked when it was decoded.
    match TopicFilter::new(topic_filter) {
        Ok(filter) if version.is_v5() => (filter.share_name(), filter.filter()),
        _ => (None, topic_filter),
    }
}

/// What a version can say in a SUBACK. v3.1.1 3.9.3
fn for_version(reason_code: ReasonCode, version: Version) -> ReasonCode {
    match version {
        _ if !reason_code.is_error() => reason_code,
        Version::V5 => reason_code,
        Version::V3_1_1 => ReasonCode::UNSPECIFIED_ERROR,
        // There is no way to refuse: nothing is ever sent for it.
        Version::V3_1 => ReasonCode::from(QoS::AtMostOnce.get()),
    }
}
