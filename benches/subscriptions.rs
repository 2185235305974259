//! What routing costs beside a million filters: matching, subscribing, unsubscribing, and the
//! worst that filters can do to a match. Prints what a filter takes of memory.
//!
//! Filters and topics are those of `tests/support/filters.rs`, always the same in the same order.
//! `cargo bench --bench subscriptions -- match` measures those with "match" in their name;
//! `FILTERS=10000` in the environment makes it so many filters.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot run may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sansio_mqtt::broker::{Grant, Retained, RetainedLimits, Scratch, Subscriptions};
use sansio_mqtt::{Instant, Message, TopicName};

#[path = "../tests/support/filters.rs"]
mod filters;

/// Counts the bytes that are held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator; counting changes nothing but a number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Topics in a row: more than the caches of a processor hold the ways of. A fiftieth of them they
/// may hold.
const TOPICS: u32 = 100_000;
/// What a session keeps of a subscription.
const SESSION_INDEX: usize = 8;

fn wanted() -> usize {
    std::env::var("FILTERS").ok().and_then(|filters| filters.parse().ok()).unwrap_or(1_000_000)
}

/// A million filters, and the number of the next.
fn million() -> (Subscriptions, u32) {
    let mut subscriptions = Subscriptions::new(0x5eed);
    let mut number = 0;
    while subscriptions.filters() < wanted() {
        let _ = subscriptions.insert(&filters::filter(number), number, Grant::default()).unwrap();
        number += 1;
    }
    (subscriptions, number)
}

fn million_filters(c: &mut Criterion) {
    let before = HELD.load(Ordering::Relaxed);
    let (mut subscriptions, next) = million();
    let held = HELD.load(Ordering::Relaxed) - before;
    let per_filter = |bytes: usize| bytes as f64 / subscriptions.filters() as f64;
    println!(
        "{} filters, {} subscriptions: {:.1} bytes a filter, {:.1} with the index of the sessions",
        subscriptions.filters(),
        subscriptions.len(),
        per_filter(held),
        per_filter(held + SESSION_INDEX * subscriptions.len()),
    );

    let topics: Vec<String> = (0..TOPICS).map(filters::topic).collect();
    let mut scratch = Scratch::new();
    let mut found = 0;
    for topic in &topics {
        subscriptions.matches(topic, &mut scratch, |_, _, _| found += 1);
    }
    println!("{:.2} subscriptions match a topic", f64::from(found) / f64::from(TOPICS));

    let mut group = c.benchmark_group(format!("{} filters", wanted()));
    group.throughput(Throughput::Elements(1));
    for count in [TOPICS, TOPICS / 50] {
        let mut topics = topics.iter().take(count as usize).cycle();
        group.bench_function(format!("match, {count} topics"), |b| {
            b.iter(|| {
                let topic = topics.next().unwrap();
                subscriptions.matches(topic, &mut scratch, |key, subscriber, grant| {
                    black_box((key, subscriber, grant));
                });
            });
        });
    }
    let mut numbers =
        (next..).map(filters::filter).take(100_000).collect::<Vec<_>>().into_iter().cycle();
    group.bench_function("insert and remove", |b| {
        b.iter(|| {
            let filter = numbers.next().unwrap();
            let inserted = subscriptions.insert(&filter, u32::MAX, Grant::default()).unwrap();
            subscriptions.remove(inserted.key, u32::MAX)
        });
    });
}

/// The worst that filters can do: every combination of `+` on the way, and no match at the end;
/// and one filter of as many levels as there can be.
fn worst_case(c: &mut Criterion) {
    const LEVELS: u32 = 16;
    let mut subscriptions = Subscriptions::new(0x5eed);
    for combination in 0u32..1 << LEVELS {
        let levels: Vec<&str> = (0..LEVELS)
            .map(|level| if (combination >> level) & 1 == 0 { "a" } else { "+" })
            .collect();
        let filter = format!("{}/+/x", levels.join("/"));
        let _ = subscriptions.insert(&filter, combination, Grant::default()).unwrap();
    }
    let topic = format!("{}y", "a/".repeat(LEVELS as usize + 1));
    let mut scratch = Scratch::new();
    let mut group = c.benchmark_group("worst case");
    // The nodes: combinations of each length, and one more level.
    group.throughput(Throughput::Elements((1 << (LEVELS + 1)) - 1 + (1 << LEVELS)));
    group.bench_function("match nothing on every way", |b| {
        b.iter(|| {
            let mut found = 0;
            subscriptions.matches(&topic, &mut scratch, |_, _, _| found += 1);
            assert_eq!(found, 0);
        });
    });

    let mut subscriptions = Subscriptions::new(0x5eed);
    let long = "/".repeat(65_534);
    let _ = subscriptions.insert(&format!("+{long}"), 1, Grant::default()).unwrap();
    let _ = subscriptions.insert(&format!("{long}#"), 1, Grant::default()).unwrap();
    group.throughput(Throughput::Elements(65_535));
    group.bench_function("match 65,535 levels", |b| {
        b.iter(|| {
            let mut found = 0;
            subscriptions.matches(&long, &mut scratch, |_, _, _| found += 1);
            found
        });
    });
    group.bench_function("insert and remove 65,535 levels", |b| {
        let filter = format!("x{long}+");
        b.iter(|| {
            let inserted = subscriptions.insert(&filter, 2, Grant::default()).unwrap();
            subscriptions.remove(inserted.key, 2)
        });
    });
}

fn retained(c: &mut Criterion) {
    let now = Instant::from_micros(0);
    let mut retained = Retained::new(0x5eed, RetainedLimits::default());
    let mut number = 0;
    while retained.len() < wanted().min(100_000) {
        let topic = filters::topic(number);
        let message = Message::new(TopicName::new(&topic).unwrap(), vec![0x5a; 64]);
        retained.insert(now, message, None).unwrap();
        number += 1;
    }
    let mut scratch = Scratch::new();
    let mut group = c.benchmark_group(format!("{} retained", retained.len()));
    for filter in ["#", "site/1/paint/+/m7/+", "fleet/+/status", "+/+/+/+/+/temperature/value"] {
        group.bench_function(filter, |b| {
            b.iter(|| {
                let mut found = 0;
                let _ = retained.matches(now, filter, &mut scratch, |_, _| {
                    found += 1;
                    ControlFlow::Continue(())
                });
                found
            });
        });
    }
}

criterion_group! {
    name = subscriptions;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1_000))
        .sample_size(20)
        .without_plots();
    targets = million_filters, worst_case, retained
}
criterion_main!(subscriptions);
