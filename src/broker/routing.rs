//! Whom a message goes to, and into which queues. MQTT 5.0 §3.3.4, §4.7, §4.8.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::broker::authorizer::Client;
use crate::broker::delivery::{Delivery, Target};
use crate::broker::grant::Grant;
use crate::broker::machine::Broker;
use crate::broker::members::Members;
use crate::broker::messages::{MessageKey, Origin};
use crate::broker::options::{Options, Overflow};
use crate::broker::session::Session;
use crate::broker::shared::{GroupKey, SharedGroup};
use crate::broker::subscriptions::Subscriptions;
use crate::broker::tree::Scratch;
use crate::packet::Publish;
use crate::qos::QoS;
use crate::session::entry::Key;
use crate::time::Instant;

/// Where a message comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// The application.
    Application,
    /// The client of a session.
    Session(u32),
    /// A client whose session may have ended: its Will.
    Will(Option<u32>, &'a Arc<Client>),
}

impl Source<'_> {
    /// The session that No Local is about.
    const fn session(self) -> Option<u32> {
        match self {
            Self::Application => None,
            Self::Session(session) => Some(session),
            Self::Will(session, _) => session,
        }
    }
}

impl Broker {
    /// Puts a message into the queue of everybody who wants it, and says how many these are.
    #[inline]
    pub(super) fn route(&mut self, publish: &Publish<'_>, source: Source<'_>) -> usize {
        let Self { subscriptions, shared, scratch, targets, groups, .. } = self;
        let of_session = source.session();
        let found = collect(subscriptions, publish.topic, of_session, scratch, targets);
        groups.clear();
        if !shared.is_empty() {
            shared.matches(publish.topic, scratch, |group| groups.push(group.key()));
        }
        if matches!(found, Found::None) && groups.is_empty() {
            return 0;
        }
        let Self { sessions, messages, ready, .. } = self;
        let publisher = match source {
            Source::Application => None,
            Source::Session(number) => {
                let session = sessions.get(number).and_then(Option::as_ref);
                session.map(|session| &session.client)
            }
            Source::Will(_, client) => Some(client),
        };
        let origin = Origin { expires: expires(self.now, publish), publisher, shared: None };
        let Some(message) = messages.insert(publish, origin) else { return 0 };
        let (qos, retain) = (publish.qos, publish.retain);
        let mut sent: u32 = 0;
        if let Found::One(members) = found {
            let marks = Grant::marks(qos, retain);
            members.for_each(|session, grant| {
                if is_own(session, grant, of_session) {
                    return;
                }
                if grant & marks == 0 && ready.offer(session, message) {
                    sent = sent.saturating_add(1);
                } else {
                    targets.push(Target { session, order: 0, grant });
                }
            });
            messages.acquire_all(message, sent);
        }
        let queued = match found {
            Found::Several => self.deliver_once_to_each(message, qos, retain),
            Found::One(_) | Found::None => self.deliver_to_each(message, qos, retain),
        };
        let mut sessions = (sent as usize).saturating_add(queued);
        sessions = sessions.saturating_add(self.deliver_to_groups(message));
        self.messages.release(message);
        self.work = self.work.saturating_add(self.targets.len()).saturating_add(sessions);
        sessions
    }

    /// Puts a message into the queues of the targets, which are all different, and says how many
    /// these are.
    #[inline]
    fn deliver_to_each(&mut self, message: MessageKey, qos: QoS, retain: bool) -> usize {
        if self.targets.is_empty() {
            return 0;
        }
        let targets = core::mem::take(&mut self.targets);
        for target in &targets {
            let grant = Grant::unpack(target.grant);
            self.deliver(target.session, Delivery::of(message, qos, retain, grant));
        }
        self.targets = targets;
        self.targets.len()
    }

    /// Puts a message into the queues of the targets, which may be there several times, once into
    /// each, and says how many these are.
    fn deliver_once_to_each(&mut self, message: MessageKey, qos: QoS, retain: bool) -> usize {
        let (mut sessions, marks): (usize, _) = (0, Grant::marks(qos, retain));
        let mut targets = core::mem::take(&mut self.targets);
        targets.sort_unstable_by_key(|target| (target.session, target.order));
        for all in targets.chunk_by(|one, next| one.session == next.session) {
            sessions = sessions.saturating_add(1);
            let Some(first) = all.first() else { continue };
            let granted = all.iter().fold(0, |granted, target| granted | target.grant);
            if granted & marks == 0 && self.ready.offer(first.session, message) {
                self.messages.acquire(message);
            } else {
                let grants = all.iter().map(|target| Grant::unpack(target.grant));
                self.deliver(first.session, Delivery::merge(message, qos, retain, grants));
            }
        }
        self.targets = targets;
        sessions
    }

    /// One member of each group that was found gets a message; says how many these are. They are
    /// chosen now, since some may have had it by another subscription, and have room no more.
    /// v5 [U5-4.8.2-1]
    #[inline]
    fn deliver_to_groups(&mut self, message: MessageKey) -> usize {
        if self.groups.is_empty() {
            return 0;
        }
        let groups = core::mem::take(&mut self.groups);
        let chosen = groups.iter().filter(|group| self.pass_to_group(**group, message)).count();
        self.groups = groups;
        chosen
    }

    /// A member of a group gets a message; `false` if there is none that can.
    pub(super) fn pass_to_group(&mut self, key: GroupKey, message: MessageKey) -> bool {
        let Self { shared, sessions, options, messages, .. } = self;
        let Some(stored) = messages.get(message) else { return false };
        let (qos, retain, size) = (stored.qos, stored.retain, stored.size());
        let found = shared.group_mut(key).and_then(|mut group| {
            choose(&mut group, qos, (size, options), |number| {
                sessions.get(number).and_then(Option::as_ref)
            })
        });
        self.pass(key, message, (qos, retain), found)
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
        self.pass(key, message, (qos, retain), found)
    }

    fn pass(
        &mut self,
        key: GroupKey,
        message: MessageKey,
        (qos, retain): (QoS, bool),
        to: Option<(u32, Grant)>,
    ) -> bool {
        let Some((session, grant)) = to else { return false };
        let delivery = Delivery::of(message, qos, retain, grant);
        self.deliver(session, Delivery { group: Some(key), ..delivery });
        true
    }

    /// Connected members of its groups get what a session that has no connection any more was
    /// never sent, as far as they have room.
    pub(super) fn pass_to_others(&mut self, number: u32) {
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        if !session.queue.has_of_groups() {
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
        if !session.queue.has_of_groups() {
            return;
        }
        // All that is held is looked at.
        self.work = self.work.saturating_add(session.queue.len());
        let mut full = Vec::new();
        for entry in session.queue.unsent() {
            self.pass_entry(number, entry, Some(keys), &mut full);
        }
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        session.queue.sweep();
        session.queue.leave_groups(keys);
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
        let Self { sessions, ready, messages, options, .. } = self;
        let Some(Some(session)) = sessions.get_mut(number) else { return };
        let Some(stored) = messages.get(delivery.message) else { return };
        let (size, expires) = (delivery.size(stored), stored.expires);
        match session.connection {
            Some(connection) => {
                if let Some(before) = ready.take_direct(connection) {
                    let size = messages.get(before).map_or(0, |stored| stored.size());
                    session.queue.push_at_most_once(Delivery::plain(before), size);
                }
            }
            None if delivery.qos == QoS::AtMostOnce => return,
            None => {}
        }
        if !session.has_room(size, options) && !delivery.is_replay {
            return self.deliver_if_possible(number, delivery, size, expires);
        }
        self.queue(number, delivery, size, expires);
    }

    /// Puts a delivery into a queue that is full, if room can be made.
    #[cold]
    fn deliver_if_possible(
        &mut self,
        number: u32,
        delivery: Delivery,
        size: usize,
        expires: Option<Instant>,
    ) {
        if self.make_room(number, delivery.qos, size) {
            self.queue(number, delivery, size, expires);
        } else if let Some(connection) = self.session_mut(number).and_then(|one| one.connection) {
            // What has left may have let others into the window.
            self.announce_session(connection);
        }
    }

    /// Puts a delivery of so many bytes into the queue of a session, and has the connection told.
    #[inline]
    fn queue(&mut self, number: u32, delivery: Delivery, size: usize, expires: Option<Instant>) {
        let Self { sessions, ready, messages, options, .. } = self;
        let Some(Some(session)) = sessions.get_mut(number) else { return };
        messages.acquire(delivery.message);
        let mut is_ready = true;
        if delivery.qos == QoS::AtMostOnce {
            session.queue.push_at_most_once(delivery, size);
        } else {
            session.queue.push(delivery, size, expires);
            is_ready = session.queue.next_ready().is_some();
        }
        if let Some(connection) = session.connection {
            if is_ready {
                ready.announce(connection);
            }
            if session.ends_turn(options) {
                self.work = self.work.max(options.work_budget);
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
        while qos != QoS::AtMostOnce
            && is_full(session)
            && let Some(key) =
                session.queue.acknowledged().and_then(|held| held.oldest_expired(now))
        {
            if let Some(message) = session.queue.remove(key).and_then(|gone| gone.message) {
                messages.release(message.message);
                counters.expired = counters.expired.saturating_add(1);
            }
        }
        if is_full(session) && qos != QoS::AtMostOnce {
            let expired = session.queue.acknowledged().map(|held| held.expired(now));
            let expired = expired.unwrap_or_default();
            let any = !expired.is_empty();
            for key in expired {
                if let Some(message) = session.queue.remove(key).and_then(|gone| gone.message) {
                    messages.release(message.message);
                    counters.expired = counters.expired.saturating_add(1);
                }
            }
            if any {
                session.queue.sweep();
            }
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

/// The subscriptions of a topic.
enum Found<'a> {
    None,
    /// Those of one filter.
    One(&'a Members),
    /// Those of several, as targets, in the order in which they were found.
    Several,
}

/// Finds the subscriptions of a topic.
#[inline]
fn collect<'a>(
    subscriptions: &'a Subscriptions,
    topic: &str,
    publisher: Option<u32>,
    scratch: &mut Scratch,
    targets: &mut Vec<Target>,
) -> Found<'a> {
    let mut found = Found::None;
    targets.clear();
    let mut add = |members: &Members| {
        members.for_each(|session, grant| {
            if !is_own(session, grant, publisher) {
                let order = u32::try_from(targets.len()).unwrap_or(u32::MAX);
                targets.push(Target { session, order, grant });
            }
        });
    };
    subscriptions.match_filters(topic, scratch, |_, members| {
        found = match found {
            Found::None => Found::One(members),
            Found::One(first) => {
                add(first);
                add(members);
                Found::Several
            }
            Found::Several => {
                add(members);
                Found::Several
            }
        };
    });
    found
}

/// Whether a subscription leaves out what its own session publishes. v5 [MQTT-3.8.3-3]
#[inline]
fn is_own(session: u32, grant: u32, publisher: Option<u32>) -> bool {
    Grant::has_no_local(grant) && publisher == Some(session)
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
