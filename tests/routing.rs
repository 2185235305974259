//! Routing against models that are slow and obvious: whatever is inserted and removed, in
//! whichever order, the same subscribers, members and messages are found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use proptest::prelude::*;
use sansio_mqtt::broker::{
    FilterKey, Grant, GroupKey, Retained, RetainedLimits, Scratch, SharedSubscriptions,
    Subscriptions,
};
use sansio_mqtt::topic::{check_filter, level_count, wildcard_count};
use sansio_mqtt::{Instant, Message, QoS, TopicFilter, TopicName, Version};

/// Few levels, so that paths meet; empty ones and those that look special among them.
fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just("a"),
        3 => Just("b"),
        1 => Just(""),
        1 => Just("$x"),
        1 => Just("\u{e9}"),
        1 => Just("a-level-that-is-longer-than-others"),
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    (prop::collection::vec(level, 0..6), any::<bool>()).prop_filter_map(
        "no filter",
        |(mut levels, rest)| {
            levels.extend(rest.then_some("#"));
            let filter = levels.join("/");
            check_filter(&filter, Version::V3_1_1).is_ok().then_some(filter)
        },
    )
}

fn grant() -> impl Strategy<Value = Grant> {
    (0u8..3, any::<bool>(), any::<bool>(), prop::option::of(1u32..=268_435_455)).prop_map(
        |(qos, no_local, retain_as_published, subscription_identifier)| Grant {
            qos: QoS::new(qos).unwrap(),
            no_local,
            retain_as_published,
            subscription_identifier,
        },
    )
}

fn is_match(filter: &str, topic: &str) -> bool {
    TopicFilter::new(filter).unwrap().matches(TopicName::new(topic).unwrap())
}

#[derive(Debug, Clone)]
enum Step {
    Insert(String, u32, Grant),
    /// The subscription with this number, around.
    Remove(usize),
    Match(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (filter(), 0u32..6, grant()).prop_map(|(f, s, g)| Step::Insert(f, s, g)),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => topic().prop_map(Step::Match),
    ];
    prop::collection::vec(step, 1..80)
}

/// The key of a group, its members, and who had a turn last.
type Group = (GroupKey, BTreeSet<u32>, Option<u32>);

/// What a retained message counts: its own bytes, and the levels of its topic.
fn retained_size(message: &Message) -> usize {
    message.size() + message.topic().len() + 64 * level_count(message.topic())
}

proptest! {
    #[test]
    fn subscriptions_are_found_as_by_a_list_of_them(steps in steps(), seed: u64) {
        // v5 [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT-3.8.4-3]
        // v3.1.1 [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT-3.8.4-3]
        let mut subscriptions = Subscriptions::new(seed);
        let mut model: BTreeMap<(String, u32), (FilterKey, Grant)> = BTreeMap::new();
        let mut scratch = Scratch::new();
        for step in steps {
            match step {
                Step::Insert(filter, subscriber, grant) => {
                    let inserted = subscriptions.insert(&filter, subscriber, grant).unwrap();
                    let before = model.insert((filter, subscriber), (inserted.key, grant));
                    prop_assert_eq!(inserted.replaced, before.map(|(_, grant)| grant));
                }
                Step::Remove(number) if !model.is_empty() => {
                    let found = model.iter().nth(number % model.len()).unwrap();
                    let ((filter, subscriber), (key, grant)) = (found.0.clone(), *found.1);
                    prop_assert_eq!(subscriptions.key(&filter), Some(key));
                    prop_assert_eq!(subscriptions.remove(key, subscriber), Some(grant));
                    model.remove(&(filter, subscriber));
                }
                Step::Remove(_) => {}
                Step::Match(topic) => {
                    let mut found = Vec::new();
                    subscriptions.matches(&topic, &mut scratch, |key, subscriber, grant| {
                        found.push((subscriptions.filter(key).unwrap(), subscriber, (key, grant)));
                    });
                    found.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|((filter, _), _)| is_match(filter, &topic))
                        .map(|((filter, subscriber), found)| (filter.clone(), *subscriber, *found))
                        .collect();
                    prop_assert_eq!(found, expected, "{}", topic);
                }
            }
            let filters: BTreeSet<&String> = model.keys().map(|(filter, _)| filter).collect();
            prop_assert_eq!(subscriptions.len(), model.len());
            prop_assert_eq!(subscriptions.filters(), filters.len());
        }
        for ((filter, subscriber), (key, grant)) in &model {
            prop_assert_eq!(subscriptions.filter(*key), Some(filter.clone()));
            prop_assert_eq!(subscriptions.get(*key, *subscriber), Some(*grant));
        }
    }

    #[test]
    fn groups_take_turns_as_in_a_circle(
        steps in prop::collection::vec(
            (0u8..4, 0usize..3, filter(), 0u32..5, topic(), any::<u8>()), 1..120),
        seed: u64,
    ) {
        // v5 [U5-4.8.2-1]
        let mut shared = SharedSubscriptions::new(seed);
        let mut model: BTreeMap<(&str, String), Group> = BTreeMap::new();
        let mut scratch = Scratch::new();
        for (kind, name, filter, member, topic, able) in steps {
            let name = ["g", "h", "a/+"][name];
            match kind {
                0 => {
                    let inserted = shared.insert(name, &filter, member, Grant::default()).unwrap();
                    let group = model.entry((name, filter));
                    let (key, members, _) =
                        group.or_insert((inserted.key, BTreeSet::new(), None));
                    prop_assert_eq!(*key, inserted.key);
                    prop_assert_eq!(members.insert(member), inserted.replaced.is_none());
                }
                1 if !model.is_empty() => {
                    let number = usize::from(able) % model.len();
                    let (group, (key, members, _)) = model.iter_mut().nth(number).unwrap();
                    let (group, key) = (group.clone(), *key);
                    prop_assert_eq!(shared.group(key), Some((group.0, group.1.clone())));
                    prop_assert_eq!(shared.remove(key, member).is_some(), members.remove(&member));
                    if members.is_empty() {
                        model.remove(&group);
                    }
                }
                _ => {
                    let can_take = |member: u32| able & (1 << member) != 0;
                    let mut found = BTreeMap::new();
                    shared.matches(&topic, &mut scratch, |mut group| {
                        let next = group.next(|member, _| can_take(member));
                        found.insert(group.key(), next.map(|(member, _)| member));
                    });
                    let mut expected = BTreeMap::new();
                    for ((_, filter), (key, members, last)) in &mut model {
                        if is_match(filter, &topic) {
                            let after = members.iter().filter(|m| Some(**m) > *last);
                            let next = after.chain(members.iter()).find(|m| can_take(**m)).copied();
                            expected.insert(*key, next);
                            *last = next.or(*last);
                        }
                    }
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(shared.groups(), model.len());
            prop_assert_eq!(shared.len(), model.values().map(|group| group.1.len()).sum::<usize>());
        }
    }

    #[test]
    fn retained_messages_are_found_as_in_a_list_of_them(
        steps in prop::collection::vec((0u8..4, topic(), filter(), 0u64..40, 0usize..8), 1..80),
        seed: u64,
    ) {
        // v5 [MQTT-3.3.1-5] [MQTT-4.7.2-1], v3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-4.7.2-1]
        let mut limits = RetainedLimits::default();
        (limits.maximum_count, limits.maximum_bytes) = (12, 1_500);
        let mut retained = Retained::new(seed, limits);
        let mut model: BTreeMap<String, (Message, Option<Instant>)> = BTreeMap::new();
        let mut scratch = Scratch::new();
        for (now, (kind, topic, filter, life, len)) in (0u64..).zip(steps) {
            let now = Instant::from_micros(now);
            match kind {
                0 | 1 => {
                    let payload = vec![b'x'; len];
                    let message = Message::new(TopicName::new(&topic).unwrap(), payload);
                    let expires =
                        (life < 30).then(|| Instant::from_micros(now.as_micros() + life));
                    let result = retained.insert(now, message.clone(), expires);
                    let size = |model: &BTreeMap<String, (Message, _)>| {
                        model.values().map(|(message, _)| retained_size(message)).sum::<usize>()
                    };
                    let mut with = model.clone();
                    with.insert(topic.clone(), (message, expires));
                    // What has expired may be there or not until there is no room.
                    with.retain(|found, (_, expires)| *found == topic || expires.is_none_or(|e| e > now));
                    if result.is_ok() {
                        model.insert(topic.clone(), with.remove(&topic).unwrap());
                    } else {
                        prop_assert!(with.len() > 12 || size(&with) > 1_500, "{:?}", result);
                    }
                    prop_assert!(retained.len() <= 12 && retained.bytes() <= 1_500);
                }
                2 => {
                    let before = model.remove(&topic);
                    let found = retained.remove(&topic);
                    if let Some(found) = &found {
                        prop_assert_eq!(Some(found), before.as_ref().map(|(message, _)| message));
                    }
                    let alive = before.is_some_and(|(_, expires)| expires.is_none_or(|e| e > now));
                    prop_assert!(found.is_some() || !alive);
                }
                _ => {
                    let mut found = BTreeMap::new();
                    let result = retained.matches(now, &filter, &mut scratch, |message, expires| {
                        let topic = message.topic().to_owned();
                        assert!(found.insert(topic, (message.clone(), expires)).is_none());
                        ControlFlow::Continue(())
                    });
                    prop_assert!(result.is_continue());
                    let mut expected = model.clone();
                    expected.retain(|topic, (_, expires)| {
                        is_match(&filter, topic) && expires.is_none_or(|expires| expires > now)
                    });
                    prop_assert_eq!(found, expected, "{}", filter);
                }
            }
        }
        let bytes: usize = retained.iter().map(|(message, _)| retained_size(message)).sum();
        prop_assert_eq!((retained.iter().count(), bytes), (retained.len(), retained.bytes()));
    }

    #[test]
    fn levels_and_wildcards_are_counted(filter in filter()) {
        let levels: Vec<&str> = filter.split('/').collect();
        let wildcards = levels.iter().filter(|level| matches!(**level, "+" | "#")).count();
        prop_assert_eq!((level_count(&filter), wildcard_count(&filter)), (levels.len(), wildcards));
    }
}
