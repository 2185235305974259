//! Topic Names and Topic Filters against the slowest and plainest reading of the standard, over
//! few characters, so that filters and topics often meet.

#![allow(clippy::unwrap_used, reason = "what fails a test may panic")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sansio_mqtt::topic::{check_filter, check_name};
use sansio_mqtt::{TopicFilter, TopicName, Version};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A string of a few pieces.
fn text(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(pieces), 0..9).prop_map(|pieces| pieces.concat())
}

const ANY: &[&str] = &["a", "b", "+", "#", "/", "/", "$", "ü", "\0"];
const NAME: &[&str] = &["a", "b", "/", "/", "$", "ü"];
/// Levels of filters that are mostly good.
const LEVELS: &[&str] = &["a", "b", "+", "+", "", "$", "ü", "ab", "a+", "#"];
const NAME_LEVELS: &[&str] = &["a", "b", "", "$", "ü", "ab", "$a"];

/// Filters of levels, some of them with a share before them.
fn filter() -> impl Strategy<Value = String> {
    let share = select(&["", "", "", "$share/", "$share/a/", "$share//", "$share/+/", "/"][..]);
    let end = select(&["", "", "/#", "/"][..]);
    (share, vec(select(LEVELS), 0..5), end)
        .prop_map(|(share, levels, end)| [share, &levels.join("/"), end].concat())
}

fn name() -> impl Strategy<Value = String> {
    vec(select(NAME_LEVELS), 1..6).prop_map(|levels| levels.join("/"))
}

/// v5 [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2],
/// v3.1.1 [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !['\0', '+', '#'].contains(&c))
}

/// v5 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2],
/// v3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3]
fn is_filter(text: &str, version: Version) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    if text.contains('\0') {
        return false;
    }
    if version == Version::V5 && levels.len() > 1 && levels[0] == "$share" {
        return is_filter_of(&levels[2..]) && is_name(levels[1]);
    }
    is_filter_of(&levels)
}

fn is_filter_of(levels: &[&str]) -> bool {
    let long_enough = !levels.join("/").is_empty();
    let good = |(index, level): (usize, &&str)| match *level {
        "#" => index == levels.len() - 1,
        "+" => true,
        level => !level.contains(['+', '#']),
    };
    long_enough && levels.iter().enumerate().all(good)
}

/// v5 4.7.1 and [MQTT-4.7.2-1], v3.1.1 4.7.1 and [MQTT-4.7.2-1]
fn matches(filter: &str, topic: &str) -> bool {
    let mut filter: Vec<&str> = filter.split('/').collect();
    if filter.len() > 2 && filter[0] == "$share" {
        filter.drain(..2);
    }
    let topic_levels: Vec<&str> = topic.split('/').collect();
    let wildcard_first = filter[0] == "+" || filter[0] == "#";
    !(topic.starts_with('$') && wildcard_first) && levels_match(&filter, &topic_levels)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        ([wanted, filter @ ..], [level, topic @ ..]) => {
            (*wanted == "+" || wanted == level) && levels_match(filter, topic)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn names_are_what_the_standard_calls_names(text in text(ANY)) {
        prop_assert_eq!(check_name(&text).is_ok(), is_name(&text));
        prop_assert_eq!(TopicName::new(&text).is_ok(), is_name(&text));
        prop_assert_eq!(TopicName::from_static(&text).is_some(), is_name(&text));
    }

    #[test]
    fn filters_are_what_the_standard_calls_filters(text in prop_oneof![text(ANY), filter()]) {
        for version in Version::ALL {
            let expected = is_filter(&text, version);
            prop_assert_eq!(check_filter(&text, version).is_ok(), expected, "{:?} {}", text, version);
        }
        prop_assert_eq!(TopicFilter::new(&text).is_ok(), is_filter(&text, Version::V5));
    }

    #[test]
    fn filters_match_what_the_standard_says(
        filter in prop_oneof![1 => text(ANY), 4 => filter()],
        topic in prop_oneof![text(NAME), name()],
    ) {
        let (Ok(filter), Ok(topic)) = (TopicFilter::new(&filter), TopicName::new(&topic)) else {
            return Ok(());
        };
        let expected = matches(filter.as_str(), topic.as_str());
        prop_assert_eq!(filter.matches(topic), expected, "{} and {}", filter, topic);
    }

    /// A topic whose levels are partly replaced by wildcards is matched by what came out.
    #[test]
    fn a_topic_matches_filters_made_of_it(
        topic in name(),
        replaced in vec(any::<bool>(), 6),
        kept in 0..8usize,
    ) {
        let Ok(name) = TopicName::new(&topic) else { return Ok(()) };
        let levels = name.levels().zip(&replaced);
        let levels = levels.map(|(level, replaced)| if *replaced { "+" } else { level });
        let mut levels: Vec<&str> = levels.collect();
        if kept < levels.len() {
            levels.truncate(kept);
            levels.push("#");
        }
        let filter = levels.join("/");
        // `a` of an empty topic level alone is no filter, and `$` is not matched by wildcards.
        let Ok(filter) = TopicFilter::new(&filter) else { return Ok(()) };
        let hidden = topic.starts_with('$') && matches!(levels[0], "+" | "#");
        prop_assert_eq!(filter.matches(name), !hidden, "{} and {}", filter, topic);
        let shared = format!("$share/group/{filter}");
        let shared = TopicFilter::new(&shared).unwrap();
        prop_assert_eq!(shared.matches(name), !hidden, "{} and {}", shared, topic);
        prop_assert_eq!((shared.share_name(), shared.filter()), (Some("group"), filter.as_str()));
    }
}
