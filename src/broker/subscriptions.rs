//! Who gets the messages of a topic.

use alloc::string::String;

use crate::broker::filters::{FilterKey, Filters};
use crate::broker::grant::{Grant, InsertError};
use crate::broker::members::Members;
use crate::broker::tree::Scratch;

/// The subscriptions of all sessions, but for shared ones: by their Topic Filters, §4.7, which
/// are kept once however many subscribe to them.
///
/// Filters without wildcards are found by a hash. The others are in a tree of levels: a match
/// takes time linear in the nodes that are on a way along the topic, `+` and all. Who can make
/// filters can make many such nodes, so that a broker limits levels, wildcards
/// ([`level_count`](crate::topic::level_count), [`wildcard_count`](crate::topic::wildcard_count))
/// and subscriptions before it inserts them; nothing breaks without, nothing recurses, and no
/// order depends on the seed.
///
/// Filters and topics are taken as they are: check them first. A filter that begins with
/// `$share/` is one like any other here, as 3.x wants it; those of 5.0 are for
/// [`SharedSubscriptions`](super::SharedSubscriptions).
///
/// ```
/// use sansio_mqtt::QoS;
/// use sansio_mqtt::broker::{Grant, Scratch, Subscriptions};
///
/// let mut subscriptions = Subscriptions::new(0x5eed);
/// let session = 7;
/// let grant = Grant { qos: QoS::AtLeastOnce, ..Grant::default() };
/// let inserted = subscriptions.insert("plant/+/temperature", session, grant)?;
/// assert_eq!(inserted.replaced, None);
///
/// let mut found = Vec::new();
/// subscriptions.matches("plant/7/temperature", &mut Scratch::new(), |_, subscriber, grant| {
///     found.push((subscriber, grant.qos));
/// });
/// assert_eq!(found, [(session, QoS::AtLeastOnce)]);
///
/// assert_eq!(subscriptions.filter(inserted.key).as_deref(), Some("plant/+/temperature"));
/// assert_eq!(subscriptions.remove(inserted.key, session), Some(grant));
/// assert!(subscriptions.is_empty());
/// # Ok::<(), sansio_mqtt::broker::InsertError>(())
/// ```
#[derive(Debug)]
pub struct Subscriptions {
    filters: Filters,
    len: usize,
}

/// A subscription that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "the key is what the subscription is removed by"]
pub struct Inserted<K> {
    /// Stands for the filter from now on.
    pub key: K,
    /// What the subscriber had been granted for the same filter. v5 [MQTT-3.8.4-3],
    /// v3.1.1 [MQTT-3.8.4-3]
    pub replaced: Option<Grant>,
}

impl Subscriptions {
    /// Without subscriptions. The seed should be random, and known to no client: hashes that
    /// collide could be chosen otherwise.
    pub const fn new(seed: u64) -> Self {
        Self { filters: Filters::new(seed), len: 0 }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many filters they have.
    pub const fn filters(&self) -> usize {
        self.filters.len()
    }

    /// Subscribes, in place of what the subscriber had for the same filter: text is compared as it
    /// is. v5 [MQTT-3.8.4-3], v3.1.1 [MQTT-3.8.4-3]
    ///
    /// Subscribers are numbers of the caller's choice, such as those of sessions.
    ///
    /// # Errors
    ///
    /// Says what cannot be kept; nothing is changed then.
    pub fn insert(
        &mut self,
        filter: &str,
        subscriber: u32,
        grant: Grant,
    ) -> Result<Inserted<FilterKey>, InsertError> {
        let packed = grant.pack()?;
        let key = self.filters.make(filter).ok_or(InsertError::Full)?;
        let replaced = self.filters.insert(key, subscriber, packed).map(Grant::unpack);
        if replaced.is_none() {
            self.len = self.len.saturating_add(1);
        }
        Ok(Inserted { key, replaced })
    }

    /// Removes a subscription, and says what it was granted; `None` if there is none.
    pub fn remove(&mut self, key: FilterKey, subscriber: u32) -> Option<Grant> {
        let packed = self.filters.remove(key, subscriber)?;
        self.len = self.len.saturating_sub(1);
        Some(Grant::unpack(packed))
    }

    /// The key of a filter, if anybody subscribes to it.
    pub fn key(&self, filter: &str) -> Option<FilterKey> {
        self.filters.find(filter)
    }

    /// The text of a filter, put together again; `None` if nobody subscribes to it.
    pub fn filter(&self, key: FilterKey) -> Option<String> {
        self.filters.text(key)
    }

    /// What a subscriber was granted.
    pub fn get(&self, key: FilterKey, subscriber: u32) -> Option<Grant> {
        self.filters.members(key)?.get(subscriber).map(Grant::unpack)
    }

    /// How many subscribe to a filter: 1 when the first has come, 0 when the last has gone.
    pub fn subscribers(&self, key: FilterKey) -> usize {
        self.filters.members(key).map_or(0, |members| members.len())
    }

    /// Calls `found` for every subscription that a topic matches.
    ///
    /// One subscriber can have several; each comes for itself, those of a filter in the order of
    /// their subscribers. The same calls before give the same order. Nothing is allocated but
    /// what `scratch` grows by.
    #[inline]
    pub fn matches(
        &self,
        topic: &str,
        scratch: &mut Scratch,
        mut found: impl FnMut(FilterKey, u32, Grant),
    ) {
        self.match_filters(topic, scratch, |key, members| {
            members.for_each(|subscriber, packed| found(key, subscriber, Grant::unpack(packed)));
        });
    }

    /// Calls `found` for every filter that a topic matches, with who subscribes to it.
    #[inline]
    pub(super) fn match_filters<'a>(
        &'a self,
        topic: &str,
        scratch: &mut Scratch,
        found: impl FnMut(FilterKey, &'a Members),
    ) {
        self.filters.matches(topic, scratch, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qos::QoS;
    use alloc::vec::Vec;

    fn matched(subscriptions: &Subscriptions, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        subscriptions
            .matches(topic, &mut Scratch::new(), |_, subscriber, _| found.push(subscriber));
        found.sort_unstable();
        found
    }

    fn subscribed(filters: &[&str]) -> Subscriptions {
        let mut subscriptions = Subscriptions::new(9);
        for (subscriber, filter) in (0..).zip(filters) {
            let inserted = subscriptions.insert(filter, subscriber, Grant::default()).unwrap();
            assert_eq!(inserted.replaced, None);
        }
        subscriptions
    }

    #[test]
    fn topics_are_compared_as_they_are() {
        // v5 [MQTT-4.7.3-4], v3.1.1 [MQTT-4.7.3-4]: composed and decomposed, upper and lower case.
        let subscriptions = subscribed(&["caf\u{e9}", "cafe\u{301}", "Caf\u{e9}", "caf\u{e9}/"]);
        assert_eq!(matched(&subscriptions, "caf\u{e9}"), [0]);
        assert_eq!(matched(&subscriptions, "cafe\u{301}"), [1]);
        assert_eq!(matched(&subscriptions, "caf\u{e9}/"), [3]);
        assert_eq!(matched(&subscriptions, "CAF\u{e9}"), []);
    }

    #[test]
    fn wildcards_leave_out_what_begins_with_a_dollar_sign() {
        // v5 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.2-1]
        let subscriptions = subscribed(&["#", "+/x", "$SYS/#", "$SYS/x", "$SYS/+", "$share/g/x"]);
        assert_eq!(matched(&subscriptions, "$SYS/x"), [2, 3, 4]);
        assert_eq!(matched(&subscriptions, "$other/x"), []);
        assert_eq!(matched(&subscriptions, "$share/g/x"), [5]);
        assert_eq!(matched(&subscriptions, "s/x"), [0, 1]);
    }

    #[test]
    fn an_identical_filter_replaces_the_subscription() {
        // v5 [MQTT-3.8.4-3], v3.1.1 [MQTT-3.8.4-3]
        let grants = [QoS::AtMostOnce, QoS::ExactlyOnce].map(|qos| Grant {
            qos,
            subscription_identifier: Some(5),
            ..Grant::default()
        });
        for filter in ["a/b", "a/+", "a/#"] {
            let mut subscriptions = Subscriptions::new(9);
            let first = subscriptions.insert(filter, 1, grants[0]).unwrap();
            let _ = subscriptions.insert(filter, 2, grants[0]).unwrap();
            let second = subscriptions.insert(filter, 1, grants[1]).unwrap();
            assert_eq!(second, Inserted { key: first.key, replaced: Some(grants[0]) });
            assert_eq!((subscriptions.len(), subscriptions.filters()), (2, 1));
            assert_eq!(subscriptions.subscribers(first.key), 2);
            let mut found = Vec::new();
            let mut scratch = Scratch::new();
            subscriptions.matches("a/b", &mut scratch, |key, subscriber, grant| {
                found.push((key, subscriber, grant));
            });
            assert_eq!(found, [(first.key, 1, grants[1]), (first.key, 2, grants[0])]);
            assert_eq!(subscriptions.get(first.key, 1), Some(grants[1]));
            assert_eq!(subscriptions.get(first.key, 3), None);
        }
    }

    #[test]
    fn what_is_refused_leaves_nothing() {
        let mut subscriptions = Subscriptions::new(9);
        let grant = Grant { subscription_identifier: Some(0), ..Grant::default() };
        let refused = subscriptions.insert("a/+", 1, grant);
        assert_eq!(refused, Err(InsertError::SubscriptionIdentifier));
        assert_eq!((subscriptions.filters(), subscriptions.key("a/+")), (0, None));
    }

    #[test]
    fn what_is_not_there_is_not_removed() {
        let mut subscriptions = subscribed(&["a", "a/+"]);
        let keys = ["a", "a/+"].map(|filter| subscriptions.key(filter).unwrap());
        assert_eq!(subscriptions.remove(keys[0], 1), None);
        assert_eq!(subscriptions.remove(keys[0], 0), Some(Grant::default()));
        assert_eq!(subscriptions.remove(keys[0], 0), None);
        assert_eq!((subscriptions.len(), subscriptions.subscribers(keys[0])), (1, 0));
        assert_eq!(subscriptions.remove(keys[1], 1), Some(Grant::default()));
        assert!(subscriptions.is_empty());
    }

    #[test]
    fn no_order_depends_on_the_seed() {
        let order = |seed| {
            let mut subscriptions = Subscriptions::new(seed);
            for (subscriber, filter) in ["+/+", "a/#", "#", "a/b", "+/b", "a/+"].iter().enumerate()
            {
                for subscriber in [subscriber as u32, 100, 50] {
                    let _ = subscriptions.insert(filter, subscriber, Grant::default()).unwrap();
                }
            }
            let mut found = Vec::new();
            let mut scratch = Scratch::new();
            subscriptions.matches("a/b", &mut scratch, |key, subscriber, _| {
                found.push((key, subscriber));
            });
            found
        };
        assert_eq!(order(1), order(2));
        assert_eq!(order(1).len(), 18);
    }
}
