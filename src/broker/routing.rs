//! Whom a message goes to, and into which queues. MQTT 5.0 §3.3.4, §4.7, §4.8.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::broker::authorizer::Client;
use crate::broker::delivery::{Delivery, Target};
use crate::broker::filters::FilterKey;
use crate::broker::grant::Grant;
use crate::broker::machine::Broker;
use crate::broker::messages::{MessageKey, Origin};
use crate::broker::options::{Options, Overflow};
use crate::broker::session::Session;
use crate::broker::shared::{GroupKey, SharedGroup};
use crate::packet::Publish;
use crate::qos::QoS;
use crate::session::entry::Key;
use crate::time::Instant;

/// Where a message comes from.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The session that No Local is about.
    pub(super) session: Option<u32>,
    pub(super) client: Option<Arc<Client>>,
}

impl Broker {
    /// Puts a message into the queue of everybody who wants it, and says how many these are.
    #[inline]
    pub(super) fn route(&mut self, publish: &Publish<'_>, source: Source) -> usize {
        let mut targets = core::mem::take(&mut self.targets);
        let overlaps = self.collect(publish.topic, source.session, &mut targets);
        let subscribers = targets.len();
        self.collect_members(publish, &mut targets);
        if targets.is_empty() {
            self.targets = targets;
            return 0;
        }
        let origin =
            Origin { expires: expires(self.now, publish), publisher: source.client, shared: None };
        let Some(message) = self.messages.insert(publish, origin) else { return 0 };
        let mut sessions: usize = 0;
        let (subscribers, members) = targets.split_at_mut_checked(subscribers).unwrap_or_default();
        if overlaps {
            subscribers.sort_unstable_by_key(|target| (target.session, target.order));
        }
        let mut left = &*subscribers;
        while let Some((first, behind)) = left.split_first() {
            let same = match overlaps {
                true => behind.partition_point(|other| other.session == first.session),
                false => 0,
            };
            let others = behind.get(..same).unwrap_or_default();
            let (qos, retain) = (publish.qos, publish.retain);
            let delivery = Delivery::merge(message, qos, retain, first, others);
            sessions = sessions.saturating_add(1);
            if !self.offer(first.session, &delivery) {
                self.deliver(first.session, delivery);
            }
            left = behind.get(same..).unwrap_or_default();
        }
        for member in &*members {
            let delivery = Delivery::merge(message, publish.qos, publish.retain, member, &[]);
            sessions = sessions.saturating_add(1);
            self.deliver(member.session, delivery);
        }
        self.messages.release(message);
        self.work = self.work.saturating_add(targets.len()).saturating_add(sessions);
        targets.clear();
        self.targets = targets;
        sessions
    }

    /// Finds the subscriptions of a topic; says whether a session may have several of them.
    #[inline]
    fn collect(&mut self, topic: &str, publisher: Option<u32>, targets: &mut Vec<Target>) -> bool {
        let (mut last, mut filters) = (None, 0_u32);
        self.subscriptions.matches(topic, &mut self.scratch, |key: FilterKey, session, grant| {
            if last != Some(key) {
                last = Some(key);
                filters = filters.saturating_add(1);
            }
            // v5 [MQTT-3.8.3-3]
            if !(grant.no_local && publisher == Some(session)) {
                targets.push(Target { session, order: filters, grant, group: None });
            }
        });
        filters > 1
    }

    /// Chooses the member of each group that gets it. v5 [U5-4.8.2-1]
    fn collect_members(&mut self, publish: &Publish<'_>, targets: &mut Vec<Target>) {
        let Self { shared, sessions, options, scratch, .. } = self;
        if shared.is_empty() {
            return;
        }
        let properties = publish.properties_len();
        let size =
            publish.topic.len().saturating_add(properties).saturating_add(publish.payload.len());
        shared.matches(publish.topic, scratch, |mut group| {
            let key = group.key();
            let found = choose(&mut group, publish.qos, (size, options), |number| {
                sessions.get(number).and_then(Option::as_ref)
            });
            targets.extend(found.map(|(session, grant)| Target {
                session,
                order: 0,
                grant,
                group: Some(key),
            }));
        });
    }

    /// Another member of a group gets a message whose session has ended, if there is one.
    pub(super) fn pass_to_group(&mut self, key: GroupKey, message: MessageKey) {
        let Self { shared, sessions, options, messages, .. } = self;
        let Some(stored) = messages.get(message) else { return };
        let (qos, retain, size) = (stored.qos, stored.retain, stored.size());
        let found = shared.group_mut(key).and_then(|mut group| {
            choose(&mut group, qos, (size, options), |number| {
                sessions.get(number).and_then(Option::as_ref)
            })
        });
        self.pass(key, message, (qos, retain), found);
    }

    /// A member of a group that is connected, has room, and is granted more than QoS 0 gets a
    /// message of another one; `false` if there is none.
    fn pass_to_other(&mut self, from: u32, key: GroupKey, message: MessageKey) -> bool {
        let Self { shared, sessions, options, messages, .. } = self;
        let Some(stored) = messages.get(message) else { return false };
        let (qos, retain, size) = (stored.qos, stored.retain, stored.size());
        let found = shared.group_mut(key).and_then(|mut group| {
            group.next_active(|number, grant| {
                let session = sessions.get(number).and_then(Option::as_ref);
                let can_take = session.is_some_and(|one| one.has_room(size, options));
                number != from && can_take && grant.qos != QoS::AtMostOnce
            })
        });
        self.pass(key, message, (qos, retain), found);
        found.is_some()
    }

    fn pass(
        &mut self,
        key: GroupKey,
        message: MessageKey,
        (qos, retain): (QoS, bool),
        to: Option<(u32, Grant)>,
    ) {
        let Some((session, grant)) = to else { return };
        let member = Target { session, order: 0, grant, group: Some(key) };
        self.deliver(session, Delivery::merge(message, qos, retain, &member, &[]));
    }

    /// Connected members of its groups get what a session that has no connection any more was
    /// never sent, as far as they have room.
    pub(super) fn pass_to_others(&mut self, number: u32) {
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        if session.groups.is_empty() {
            return;
        }
        let mut full = Vec::new();
        for entry in session.queue.unsent() {
            self.pass_entry(number, entry, None, &mut full);
        }
        if let Some(session) = self.session_mut(number) {
            session.queue.sweep();
        }
    }

    /// A session is not a member of these groups, in their order, any more: others get what it was
    /// never sent, as far as they have room, and it keeps the rest.
    pub(super) fn leave_groups(&mut self, number: u32, keys: &[GroupKey]) {
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        let mut full = Vec::new();
        for entry in session.queue.unsent() {
            self.pass_entry(number, entry, Some(keys), &mut full);
        }
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        session.queue.sweep();
        let held = session.queue.acknowledged().into_iter();
        for entry in held.flat_map(|held| held.entries_mut()) {
            if let Some(delivery) = &mut entry.message {
                delivery.group = delivery.group.filter(|group| keys.binary_search(group).is_err());
            }
        }
    }

    /// Another member gets a message that a session was never sent, if it came by a group, or by one
    /// of these. A group in which nobody had room is asked no more.
    fn pass_entry(
        &mut self,
        number: u32,
        entry: Key,
        of: Option<&[GroupKey]>,
        full: &mut Vec<GroupKey>,
    ) {
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        let found = session.queue.acknowledged().and_then(|held| held.get_mut(entry));
        let delivery = found.and_then(|entry| entry.message.as_ref());
        let Some(Delivery { group: Some(group), message, .. }) = delivery else { return };
        let (group, message) = (*group, *message);
        let is_other = of.is_some_and(|of| of.binary_search(&group).is_err());
        if is_other || full.contains(&group) {
            return;
        }
        if !self.pass_to_other(number, group, message) {
            full.push(group);
        } else if let Some(Some(session)) = self.sessions.get_mut(number)
            && session.queue.remove(entry).is_some()
        {
            self.messages.release(message);
        }
    }

    /// Has a message sent as it is to a session for which nothing else waits; `false` if that is not
    /// so.
    #[inline]
    fn offer(&mut self, number: u32, delivery: &Delivery) -> bool {
        let Some(Some(session)) = self.sessions.get(number) else { return false };
        let Some(connection) = session.connection.filter(|_| delivery.is_plain()) else {
            return false;
        };
        let is_taken = self.ready.offer(connection, delivery.message);
        if is_taken {
            self.messages.acquire(delivery.message);
        }
        is_taken
    }

    /// A message that came alone does so no more: it waits with the others.
    pub(super) fn queue_direct(&mut self, number: u32) {
        let Self { sessions, ready, messages, .. } = self;
        let Some(Some(session)) = sessions.get_mut(number) else { return };
        if let Some(before) = session.connection.and_then(|one| ready.take_direct(one)) {
            let size = messages.get(before).map_or(0, |stored| stored.size());
            session.queue.push_at_most_once(Delivery::plain(before), size);
        }
    }

    /// Puts a delivery into the queue of a session, if there is room, and has the connection told.
    #[inline]
    pub(super) fn deliver(&mut self, number: u32, delivery: Delivery) {
        let Some(stored) = self.messages.get(delivery.message) else { return };
        let (size, expires) = (delivery.size(stored), stored.expires);
        self.queue_direct(number);
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        if session.connection.is_none() && delivery.qos == QoS::AtMostOnce {
            return;
        }
        let is_full = !session.has_room(size, &self.options);
        if is_full && !delivery.is_replay && !self.make_room(number, delivery.qos, size) {
            // What has left may have let others into the window.
            if let Some(connection) = self.session_mut(number).and_then(|found| found.connection) {
                self.announce_session(connection);
            }
            return;
        }
        self.messages.acquire(delivery.message);
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        if delivery.qos == QoS::AtMostOnce {
            session.queue.push_at_most_once(delivery, size);
        } else {
            session.queue.push(delivery, size, expires);
            if session.queue.next_ready().is_none() {
                if session.ends_turn(&self.options) {
                    self.work = self.work.max(self.options.work_budget);
                }
                return;
            }
        }
        if let Some(connection) = session.connection {
            self.ready.announce(connection);
            if session.ends_turn(&self.options) {
                self.work = self.work.max(self.options.work_budget);
            }
        }
    }

    /// Makes room in a full queue for a message of so many bytes, or drops that; says whether
    /// there is some.
    #[cold]
    fn make_room(&mut self, number: u32, qos: QoS, size: usize) -> bool {
        let now = self.now;
        let Self { sessions, messages, options, counters, overflowed, .. } = self;
        let Some(Some(session)) = sessions.get_mut(number) else { return false };
        let is_full = |session: &Session| !session.has_room(size, options);
        let drops_oldest = options.overflow == Overflow::DropOldest;
        // Nothing is dropped for one that there is no room for beside what stays.
        let may_drop = session.queue.stays(qos, drops_oldest).fits(size, options);
        while may_drop
            && (qos != QoS::AtMostOnce || drops_oldest)
            && is_full(session)
            && let Some(delivery) = session.queue.pop_at_most_once()
        {
            let size = messages.get(delivery.message).map_or(0, |stored| delivery.size(stored));
            session.queue.popped(size);
            messages.release(delivery.message);
            session.dropped = session.dropped.saturating_add(1);
            counters.dropped_at_most_once = counters.dropped_at_most_once.saturating_add(1);
        }
        if is_full(session) && qos != QoS::AtMostOnce {
            let expired = session.queue.acknowledged().map(|held| held.expired(now));
            for key in expired.unwrap_or_default() {
                if let Some(message) = session.queue.remove(key).and_then(|gone| gone.message) {
                    messages.release(message.message);
                    counters.expired = counters.expired.saturating_add(1);
                }
            }
            session.queue.sweep();
        }
        while may_drop
            && drops_oldest
            && qos != QoS::AtMostOnce
            && is_full(session)
            && let Some(key) = session.queue.acknowledged().and_then(|held| held.oldest_unsent())
        {
            if let Some(message) = session.queue.remove(key).and_then(|gone| gone.message) {
                messages.release(message.message);
            }
            session.dropped = session.dropped.saturating_add(1);
            counters.dropped = counters.dropped.saturating_add(1);
        }
        if !is_full(session) {
            return true;
        }
        session.dropped = session.dropped.saturating_add(1);
        if qos == QoS::AtMostOnce {
            counters.dropped_at_most_once = counters.dropped_at_most_once.saturating_add(1);
        } else {
            counters.dropped = counters.dropped.saturating_add(1);
            if options.overflow == Overflow::Disconnect && session.connection.is_some() {
                overflowed.push_back(number);
            }
        }
        false
    }
}

/// The member of a group that gets a message: one that is connected and has room, or else any that
/// can keep it.
fn choose<'a>(
    group: &mut SharedGroup<'_>,
    qos: QoS,
    (size, options): (usize, &Options),
    session: impl Fn(u32) -> Option<&'a Session>,
) -> Option<(u32, Grant)> {
    // So many are asked at most that are not connected: groups may have many.
    const ASKED: usize = 64;
    let has_room = |session: &Session| session.has_room(size, options);
    let keeps = |grant: Grant| qos.min(grant.qos) != QoS::AtMostOnce;
    let mut asked: usize = 0;
    let connected = group.next_active(|number, _| session(number).is_some_and(has_room));
    connected
        .or_else(|| {
            group.next(|number, grant| {
                asked = asked.saturating_add(1);
                asked <= ASKED && keeps(grant) && session(number).is_some_and(has_room)
            })
        })
        .or_else(|| group.next_active(|_, _| true))
        .or_else(|| group.next(|_, grant| keeps(grant)))
}

/// When the Message Expiry Interval of a message is over. v5 3.3.2.3.3
pub(super) fn expires(now: Instant, publish: &Publish<'_>) -> Option<Instant> {
    if publish.properties.is_empty() {
        return None;
    }
    let seconds = publish.properties.message_expiry_interval()?;
    Some(now + Duration::from_secs(seconds.into()))
}
