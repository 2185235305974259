//! What routing allocates: nothing to match, little for a filter, and nothing that stays when all
//! is removed.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

use std::ops::ControlFlow;

use sansio_mqtt::broker::{
    FilterKey, Grant, Retained, RetainedLimits, Scratch, SharedSubscriptions, Subscriptions,
};
use sansio_mqtt::{Instant, Message, TopicName};

#[path = "support/counting.rs"]
mod counting;
#[path = "support/filters.rs"]
mod filters;

use counting::held;

/// What a session keeps of a subscription.
const SESSION_INDEX: usize = 8;

#[test]
fn a_filter_takes_150_bytes_at_most() {
    const FILTERS: u32 = 200_000;
    let before = held();
    let mut subscriptions = Subscriptions::new(1);
    let mut worst: (usize, u32) = (0, 0);
    for number in 0..FILTERS {
        let _ = subscriptions.insert(&filters::filter(number), number, Grant::default()).unwrap();
        // Tables have just grown somewhere on the way.
        if number >= FILTERS / 4 {
            let bytes = (held() - before) as usize / subscriptions.filters() + SESSION_INDEX;
            worst = worst.max((bytes, number));
        }
    }
    let bytes = (held() - before) as usize / subscriptions.filters() + SESSION_INDEX;
    println!("{bytes} bytes a filter of {}, {worst:?} at worst", subscriptions.filters());
    assert!(bytes <= 150, "{bytes}");
    assert!(worst.0 <= 165, "{worst:?}");
}

#[test]
fn nothing_stays_of_subscriptions_that_are_removed() {
    let before = held();
    let mut subscriptions = Subscriptions::new(1);
    let mut shared = SharedSubscriptions::new(1);
    let mut keys: Vec<(FilterKey, u32)> = Vec::new();
    for round in 0..3 {
        for number in 0..20_000 {
            let filter = filters::filter(number);
            // Three for some filters.
            for subscriber in
                [number, number / 7, 1_000_000].into_iter().take(1 + number as usize % 3)
            {
                let inserted = subscriptions.insert(&filter, subscriber, Grant::default()).unwrap();
                if inserted.replaced.is_none() {
                    keys.push((inserted.key, subscriber));
                }
            }
        }
        let mut groups = Vec::new();
        for number in 0..5_000 {
            let (name, filter) = (format!("group {}", number % 50), filters::filter(number / 4));
            groups.push((
                shared.insert(&name, &filter, number, Grant::default()).unwrap().key,
                number,
            ));
        }
        if round % 2 == 0 {
            keys.reverse();
            groups.reverse();
        }
        for (key, subscriber) in keys.drain(..) {
            subscriptions.remove(key, subscriber).unwrap();
        }
        for (key, member) in groups {
            shared.remove(key, member).unwrap();
        }
        assert!(subscriptions.is_empty() && shared.is_empty());
        assert_eq!((subscriptions.filters(), shared.groups()), (0, 0));
    }
    drop(keys);
    assert_eq!(held() - before, 0);
}

#[test]
fn nothing_stays_of_messages_that_are_removed() {
    let before = held();
    let now = Instant::from_micros(0);
    let mut retained = Retained::new(1, RetainedLimits::default());
    for number in 0..5_000 {
        let topic = filters::topic(number);
        let message = Message::new(TopicName::new(&topic).unwrap(), vec![0; 20]);
        retained.insert(now, message, (number % 2 == 0).then_some(now)).unwrap();
    }
    retained.remove_expired(now);
    for number in 0..5_000 {
        retained.remove(&filters::topic(number));
    }
    assert!(retained.is_empty());
    assert_eq!(held() - before, 0);
}

#[test]
fn matching_allocates_nothing() {
    let now = Instant::from_micros(0);
    let mut subscriptions = Subscriptions::new(1);
    let mut shared = SharedSubscriptions::new(1);
    let mut retained = Retained::new(1, RetainedLimits::default());
    for number in 0..10_000 {
        let filter = filters::filter(number);
        let _ = subscriptions.insert(&filter, number, Grant::default()).unwrap();
        let _ = subscriptions.insert(&filter, number / 2, Grant::default()).unwrap();
        let _ = shared.insert("group", &filter, number, Grant::default()).unwrap();
        let _ = shared.insert("group", &filter, number + 1, Grant::default()).unwrap();
        let topic = filters::topic(number);
        let message = Message::new(TopicName::new(&topic).unwrap(), vec![0; 20]);
        retained.insert(now, message, None).unwrap();
    }
    let topics: Vec<String> = (0..2_000).map(filters::topic).collect();
    let filters: Vec<String> = (0..2_000).map(filters::filter).collect();
    let mut scratch = Scratch::new();
    let mut found = [0; 3];
    let mut look = || {
        for topic in &topics {
            subscriptions.matches(topic, &mut scratch, |_, _, _| found[0] += 1);
            shared.matches(topic, &mut scratch, |mut group| {
                found[1] += group.next(|member, _| member % 3 == 0).map_or(0, |_| 1);
            });
        }
        for filter in &filters {
            let _ = retained.matches(now, filter, &mut scratch, |_, _| {
                found[2] += 1;
                ControlFlow::Continue(())
            });
        }
    };
    look();
    assert_eq!(counting::allocations(look), 0);
    println!("{found:?} found");
    assert!(found.iter().all(|found| *found > 100), "{found:?}");
}
