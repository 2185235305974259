//! Who of a group gets a message: Shared Subscriptions, MQTT 5.0 §4.8.2.

use alloc::boxed::Box;
use alloc::string::String;

use hashbrown::HashTable;

use crate::broker::filters::{FilterKey, Filters};
use crate::broker::grant::{Grant, InsertError};
use crate::broker::hash::Seed;
use crate::broker::members::Members;
use crate::broker::slab::Slab;
use crate::broker::subscriptions::Inserted;
use crate::broker::tree::Scratch;

/// Stands for the sessions that share a subscription: those with the same ShareName and the same
/// filter.
///
/// It is good for as long as there is a member; then it may come to stand for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(u32);

/// The Shared Subscriptions of all sessions, §4.8.2: each message that a group's filter matches
/// goes to one member, in turns.
///
/// They are apart from [`Subscriptions`](super::Subscriptions) with the same filters: neither
/// replaces nor ends the other.
///
/// ```
/// use sansio_mqtt::broker::{Grant, Scratch, SharedSubscriptions};
///
/// let mut shared = SharedSubscriptions::new(0x5eed);
/// for member in [3, 5, 8] {
///     let _ = shared.insert("workers", "job/+", member, Grant::default())?;
/// }
/// let mut scratch = Scratch::new();
/// let mut taken = Vec::new();
/// for _ in 0..4 {
///     shared.matches("job/1", &mut scratch, |mut group| {
///         // Session 5 is not connected.
///         taken.extend(group.next(|member, _| member != 5).map(|(member, _)| member));
///     });
/// }
/// assert_eq!(taken, [3, 8, 3, 8]);
/// # Ok::<(), sansio_mqtt::broker::InsertError>(())
/// ```
#[derive(Debug)]
pub struct SharedSubscriptions {
    /// Their members are groups.
    filters: Filters,
    groups: Slab<Group>,
    /// The groups, by the hashes of their names within their filters.
    index: HashTable<u32>,
    len: usize,
}

#[derive(Debug, Default)]
struct Group {
    name: Box<str>,
    filter: Option<FilterKey>,
    /// With their grants.
    members: Members,
    /// Those of them that are active.
    active: Members,
    /// Who had a turn last, or would have it if it had not left: the next is the one behind.
    last: Option<u32>,
}

impl Group {
    fn hash(&self, seed: &Seed) -> u64 {
        self.filter.map_or(0, |filter| group_hash(seed, &self.name, filter))
    }
}

fn group_hash(seed: &Seed, name: &str, filter: FilterKey) -> u64 {
    seed.within(filter.get(), seed.of(name.as_bytes()))
}

/// A group that a message is for, while it is decided who of it gets the message.
#[derive(Debug)]
pub struct SharedGroup<'a> {
    key: GroupKey,
    group: &'a mut Group,
}

impl SharedGroup<'_> {
    /// Stands for the group.
    pub const fn key(&self) -> GroupKey {
        self.key
    }

    /// How many members it has, one or more.
    pub fn members(&self) -> usize {
        self.group.members.len()
    }

    /// As [`next`](Self::next), of the [active](SharedSubscriptions::set_active) members only.
    pub fn next_active(
        &mut self,
        mut can_take: impl FnMut(u32, Grant) -> bool,
    ) -> Option<(u32, Grant)> {
        let Group { active, last, .. } = &mut *self.group;
        let wanted = |member, packed| can_take(member, Grant::unpack(packed));
        let (member, packed) = active.find_after(*last, wanted)?;
        *last = Some(member);
        Some((member, Grant::unpack(packed)))
    }

    /// The member whose turn it is, of those for which `can_take` holds; all are asked at most
    /// once, in the order of their turns. v5 [U5-4.8.2-1]
    ///
    /// `None` takes nobody's turn. The grant's QoS holds for the member alone.
    /// v5 [MQTT-4.8.2-3]
    pub fn next(&mut self, mut can_take: impl FnMut(u32, Grant) -> bool) -> Option<(u32, Grant)> {
        let Group { members, last, .. } = &mut *self.group;
        let wanted = |member, packed| can_take(member, Grant::unpack(packed));
        let (member, packed) = members.find_after(*last, wanted)?;
        *last = Some(member);
        Some((member, Grant::unpack(packed)))
    }
}

impl SharedSubscriptions {
    /// Without subscriptions. For the seed, see [`Subscriptions::new`](super::Subscriptions::new).
    pub const fn new(seed: u64) -> Self {
        let filters = Filters::new(seed);
        Self { filters, groups: Slab::new(), index: HashTable::new(), len: 0 }
    }

    /// How many there are: members of all groups.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many groups there are.
    pub const fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Makes a session a member of a group, in place of what it was granted there before.
    ///
    /// `filter` is what follows the ShareName. A new member has its turn in the order of the
    /// members' numbers, so that leaving and coming back gains none.
    ///
    /// # Errors
    ///
    /// Says what cannot be kept; nothing is changed then.
    pub fn insert(
        &mut self,
        share_name: &str,
        filter: &str,
        member: u32,
        grant: Grant,
    ) -> Result<Inserted<GroupKey>, InsertError> {
        let packed = grant.pack()?;
        if self.groups.is_full() {
            return Err(InsertError::Full);
        }
        let filter = self.filters.make(filter).ok_or(InsertError::Full)?;
        let id = match self.find(share_name, filter) {
            Some(id) => id,
            None => self.add_group(share_name, filter).ok_or(InsertError::Full)?,
        };
        let group = self.groups.get_mut(id).ok_or(InsertError::Full)?;
        let replaced = group.members.insert(member, packed).map(Grant::unpack);
        group.active.remove(member);
        if replaced.is_none() {
            self.len = self.len.saturating_add(1);
        }
        Ok(Inserted { key: GroupKey(id), replaced })
    }

    fn find(&self, share_name: &str, filter: FilterKey) -> Option<u32> {
        let is = |id: &u32| {
            let group = self.groups.get(*id);
            group.is_some_and(|group| group.filter == Some(filter) && *group.name == *share_name)
        };
        self.index.find(group_hash(self.filters.seed(), share_name, filter), is).copied()
    }

    fn add_group(&mut self, share_name: &str, filter: FilterKey) -> Option<u32> {
        let group = Group { name: share_name.into(), filter: Some(filter), ..Group::default() };
        let seed = self.filters.seed();
        let hash = group.hash(seed);
        let id = self.groups.insert(group)?;
        let groups = &self.groups;
        self.index
            .insert_unique(hash, id, |id| groups.get(*id).map_or(0, |group| group.hash(seed)));
        self.filters.insert(filter, id, 0);
        Some(id)
    }

    /// Says whether a member is active, so that active ones are found without asking the others:
    /// one whose client is connected, say. A new member is not, and neither is one that was granted
    /// something else.
    pub fn set_active(&mut self, key: GroupKey, member: u32, is_active: bool) {
        let Some(group) = self.groups.get_mut(key.0) else { return };
        match group.members.get(member) {
            Some(packed) if is_active => {
                group.active.insert(member, packed);
            }
            _ => {
                group.active.remove(member);
            }
        }
    }

    /// Ends a membership, and says what it was granted; `None` if there is none. The others'
    /// turns stay as they are.
    pub fn remove(&mut self, key: GroupKey, member: u32) -> Option<Grant> {
        let group = self.groups.get_mut(key.0)?;
        let packed = group.members.remove(member)?;
        group.active.remove(member);
        self.len = self.len.saturating_sub(1);
        if group.members.len() == 0 {
            self.remove_group(key);
        }
        Some(Grant::unpack(packed))
    }

    fn remove_group(&mut self, key: GroupKey) {
        let group = self.groups.remove(key.0);
        let hash = group.hash(self.filters.seed());
        if let Ok(entry) = self.index.find_entry(hash, |found| *found == key.0) {
            entry.remove();
        }
        if self.index.is_empty() {
            self.index = HashTable::new();
        }
        if let Some(filter) = group.filter {
            self.filters.remove(filter, key.0);
        }
    }

    /// The key of a group, if it has a member.
    pub fn key(&self, share_name: &str, filter: &str) -> Option<GroupKey> {
        self.find(share_name, self.filters.find(filter)?).map(GroupKey)
    }

    /// The ShareName of a group, and its filter put together again; `None` if it has no member.
    pub fn group(&self, key: GroupKey) -> Option<(&str, String)> {
        let group = self.groups.get(key.0)?;
        Some((&group.name, self.filters.text(group.filter?)?))
    }

    /// What a member was granted.
    pub fn get(&self, key: GroupKey, member: u32) -> Option<Grant> {
        self.groups.get(key.0)?.members.get(member).map(Grant::unpack)
    }

    /// A group, to find the next member for a message that another one has left behind; `None` if
    /// it has none.
    pub fn group_mut(&mut self, key: GroupKey) -> Option<SharedGroup<'_>> {
        let group = self.groups.get_mut(key.0).filter(|group| group.filter.is_some())?;
        Some(SharedGroup { key, group })
    }

    /// How many members a group has.
    pub fn members(&self, key: GroupKey) -> usize {
        self.groups.get(key.0).map_or(0, |group| group.members.len())
    }

    /// Calls `found` for every group whose filter a topic matches, so that it finds
    /// [the next member](SharedGroup::next) for the message.
    ///
    /// The same calls before give the same order. Nothing is allocated but what `scratch` grows
    /// by.
    pub fn matches(
        &mut self,
        topic: &str,
        scratch: &mut Scratch,
        mut found: impl FnMut(SharedGroup<'_>),
    ) {
        let Self { filters, groups, .. } = self;
        filters.matches(topic, scratch, |_, members| {
            members.for_each(|id, _| {
                if let Some(group) = groups.get_mut(id) {
                    found(SharedGroup { key: GroupKey(id), group });
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::subscriptions::Subscriptions;
    use crate::qos::QoS;
    use alloc::vec::Vec;

    fn shared(members: &[(&str, &str, u32)]) -> SharedSubscriptions {
        let mut shared = SharedSubscriptions::new(4);
        for (name, filter, member) in members {
            let inserted = shared.insert(name, filter, *member, Grant::default()).unwrap();
            assert_eq!(inserted.replaced, None);
        }
        shared
    }

    /// Who gets a message, of those that can.
    fn next(shared: &mut SharedSubscriptions, topic: &str, can: &[u32]) -> Vec<Option<u32>> {
        let mut found = Vec::new();
        shared.matches(topic, &mut Scratch::new(), |mut group| {
            let next = group.next(|member, _| can.contains(&member));
            found.push(next.map(|(member, _)| member));
        });
        found
    }

    const ALL: &[u32] = &[1, 2, 3, 4, 5];

    #[test]
    fn each_group_gives_a_message_to_one_member_in_turns() {
        // v5 [U5-4.8.2-1]
        let mut shared = shared(&[("g", "t", 2), ("g", "t", 1), ("g", "t", 3), ("h", "t", 4)]);
        let rounds: Vec<_> = (0..4).map(|_| next(&mut shared, "t", ALL)).collect();
        let expected = [1, 2, 3, 1].map(|member| [Some(member), Some(4)]);
        assert_eq!(rounds, expected);
        assert_eq!((shared.len(), shared.groups()), (4, 2));
    }

    #[test]
    fn members_without_room_are_passed_over_and_nobody_loses_a_turn() {
        let mut shared = shared(&[("g", "+", 1), ("g", "+", 2), ("g", "+", 3)]);
        assert_eq!(next(&mut shared, "t", &[2]), [Some(2)]);
        assert_eq!(next(&mut shared, "t", &[]), [None]);
        assert_eq!(next(&mut shared, "t", ALL), [Some(3)]);
        assert_eq!(next(&mut shared, "t", ALL), [Some(1)]);
    }

    #[test]
    fn a_member_that_leaves_neither_skews_nor_loses_a_turn() {
        for leaver in 1..=4 {
            for before in 0..4 {
                let members = [1, 2, 3, 4].map(|member| ("g", "t", member));
                let mut shared = shared(&members);
                let key = shared.key("g", "t").unwrap();
                let mut order = Vec::new();
                for _ in 0..before {
                    order.extend(next(&mut shared, "t", ALL).into_iter().flatten());
                }
                shared.remove(key, leaver).unwrap();
                for _ in before..4 {
                    order.extend(next(&mut shared, "t", ALL).into_iter().flatten());
                }
                // The circle, without who left from then on.
                let expected: Vec<u32> = (1..=before)
                    .chain((before + 1..=8).map(|turn| (turn - 1) % 4 + 1).filter(|m| *m != leaver))
                    .take(4)
                    .collect();
                assert_eq!(order, expected, "{leaver} leaves after {before}");
            }
        }
    }

    #[test]
    fn coming_back_gains_no_turn() {
        let mut shared = shared(&[("g", "t", 1), ("g", "t", 2), ("g", "t", 3)]);
        let key = shared.key("g", "t").unwrap();
        let mut order = Vec::new();
        for _ in 0..6 {
            order.extend(next(&mut shared, "t", ALL).into_iter().flatten());
            shared.remove(key, 2).unwrap();
            let _ = shared.insert("g", "t", 2, Grant::default()).unwrap();
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn shared_and_unshared_subscriptions_to_a_filter_do_not_mix() {
        // CVE-2024-8376: subscribing to and unsubscribing from `$share/g/t` and `t` in any order.
        let mut shared = shared(&[("g", "t", 1), ("h", "t", 1)]);
        let mut subscriptions = Subscriptions::new(4);
        let plain = subscriptions.insert("t", 1, Grant::default()).unwrap();
        assert_eq!(plain.replaced, None);
        let (g, h) = (shared.key("g", "t").unwrap(), shared.key("h", "t").unwrap());
        assert_ne!(g, h);
        assert_eq!(shared.group(g), Some(("g", "t".into())));
        assert_eq!(shared.remove(g, 1), Some(Grant::default()));
        assert_eq!(
            (shared.remove(g, 1), shared.key("g", "t"), shared.group(g)),
            (None, None, None)
        );
        assert_eq!(next(&mut shared, "t", ALL), [Some(1)]);
        assert_eq!(subscriptions.remove(plain.key, 1), Some(Grant::default()));
        assert_eq!(shared.remove(h, 1), Some(Grant::default()));
        assert!(shared.is_empty() && shared.groups() == 0);
        assert_eq!(next(&mut shared, "t", ALL), []);
    }

    #[test]
    fn each_member_has_a_grant_of_its_own() {
        // v5 [MQTT-4.8.2-3]
        let grants =
            [QoS::AtMostOnce, QoS::ExactlyOnce].map(|qos| Grant { qos, ..Grant::default() });
        let mut shared = SharedSubscriptions::new(4);
        let mut key = None;
        for (member, grant) in (1..).zip(grants) {
            key = Some(shared.insert("g", "t", member, grant).unwrap().key);
        }
        let key = key.unwrap();
        let mut found = Vec::new();
        for _ in 0..2 {
            shared.matches("t", &mut Scratch::new(), |mut group| {
                assert_eq!((group.key(), group.members()), (key, 2));
                found.extend(group.next(|_, _| true));
            });
        }
        assert_eq!(found, [(1, grants[0]), (2, grants[1])]);
        let again = shared.insert("g", "t", 1, grants[1]).unwrap();
        assert_eq!(again, Inserted { key, replaced: Some(grants[0]) });
        assert_eq!((shared.get(key, 1), shared.members(key)), (Some(grants[1]), 2));
    }

    #[test]
    fn many_groups_of_one_filter_are_found_by_name() {
        let mut shared = SharedSubscriptions::new(4);
        let names: Vec<String> = (0..1_000).map(|number| alloc::format!("g{number}")).collect();
        for name in &names {
            let _ = shared.insert(name, "t/#", 7, Grant::default()).unwrap();
        }
        let mut groups = 0;
        shared.matches("t", &mut Scratch::new(), |_| groups += 1);
        assert_eq!(groups, 1_000);
        for name in &names {
            let key = shared.key(name, "t/#").unwrap();
            assert_eq!(shared.remove(key, 7), Some(Grant::default()));
        }
        assert_eq!((shared.index.capacity(), shared.filters.len()), (0, 0));
    }

    #[test]
    fn active_members_are_found_without_the_others() {
        let mut shared = SharedSubscriptions::new(5);
        let mut key = None;
        for member in 1..=9 {
            key = Some(shared.insert("g", "t", member, Grant::default()).unwrap().key);
        }
        let key = key.unwrap();
        for member in [2, 7, 11] {
            shared.set_active(key, member, true);
        }
        let mut taken = Vec::new();
        let mut asked = 0;
        for _ in 0..3 {
            let mut group = shared.group_mut(key).unwrap();
            taken.extend(group.next_active(|_, _| {
                asked += 1;
                true
            }));
        }
        let taken: Vec<u32> = taken.into_iter().map(|(member, _)| member).collect();
        assert_eq!((taken, asked), (alloc::vec![2, 7, 2], 3));
        // Who leaves, or is granted something else, is not active; others have their turns.
        shared.remove(key, 7);
        let _ = shared.insert("g", "t", 2, Grant { qos: QoS::AtLeastOnce, ..Grant::default() });
        assert_eq!(shared.group_mut(key).unwrap().next_active(|_, _| true), None);
        let next = shared.group_mut(key).unwrap().next(|_, _| true);
        assert_eq!(next.map(|(member, _)| member), Some(3));
    }
}
