//! Topic Names and Topic Filters against a slow model: strings cut into levels, a grammar that
//! is read off the standard level by level, and matching by a table.

use sansio_mqtt::topic::{FilterError, NameError, check_filter, check_name};
use sansio_mqtt::{TopicFilter, TopicName, Version};

/// The input is a byte that may stretch the strings, and those, with a line break between them:
/// a Topic Filter and a Topic Name.
pub fn run(input: &[u8]) {
    let Some((stretch, text)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let (filter, name) = text.split_once('\n').unwrap_or((&text, &text));
    let filter = stretched(filter, *stretch);
    let name = stretched(name, *stretch);

    for string in [&filter, &name] {
        check_name_grammar(string);
        Version::ALL.into_iter().for_each(|version| check_filter_grammar(string, version));
    }
    let Ok(filter) = TopicFilter::new(&filter) else { return };
    check_parts(filter);
    for name in [name, matching_name(filter.filter())] {
        if let Ok(name) = TopicName::new(&name) {
            check_matching(filter, name);
        }
    }
}

/// Repeats the string until it has 65,533 to 65,538 bytes, or a character less: lengths that no
/// fuzzer finds by itself. Few bytes do that, since long strings are slow.
fn stretched(text: &str, stretch: u8) -> String {
    let Some(more) = stretch.checked_sub(0xfa).filter(|_| !text.is_empty()) else {
        return text.to_owned();
    };
    let target = 65_533 + usize::from(more);
    let mut long = text.repeat(target / text.len());
    let rest = text.char_indices().map(|(at, _)| at).take_while(|at| *at + long.len() <= target);
    let rest = rest.last().unwrap_or(0);
    long.push_str(&text[..rest]);
    long
}

fn check_name_grammar(name: &str) {
    let has = |looked_for: &[char]| name.chars().any(|found| looked_for.contains(&found));
    let found = check_name(name);
    let holds = match found {
        Ok(()) => (1..=65_535).contains(&name.len()) && !has(&['\0', '+', '#']),
        Err(NameError::Empty) => name.is_empty(),
        Err(NameError::TooLong) => name.len() > 65_535,
        Err(NameError::NullCharacter) => has(&['\0']),
        Err(NameError::Wildcard) => has(&['+', '#']),
    };
    assert!(holds, "{name:?}: {found:?}");
    assert_eq!(TopicName::new(name).map(TopicName::as_str), found.map(|()| name));
    assert_eq!(TopicName::from_static(name).is_some(), found.is_ok());
    // Every name is a filter, but for those that 5.0 takes for Shared Subscriptions.
    if found.is_ok() {
        assert!(check_filter(name, Version::V3_1_1).is_ok());
        assert!(check_filter(name, Version::V5).is_ok() || name.starts_with("$share/"));
    }
}

fn check_filter_grammar(filter: &str, version: Version) {
    let share = filter.strip_prefix("$share/").filter(|_| version == Version::V5);
    // The ShareName, and the filter behind it if there is one. v5 4.8.2
    let (share_name, rest) = match share.map(|share| share.split_once('/')) {
        None => (None, Some(filter)),
        Some(None) => (share, None),
        Some(Some((name, rest))) => (Some(name), Some(rest).filter(|rest| !rest.is_empty())),
    };
    let levels: Vec<&str> = rest.unwrap_or_default().split('/').collect();
    let last = levels.len() - 1;
    let hash = levels
        .iter()
        .enumerate()
        .any(|(at, level)| level.contains('#') && (*level != "#" || at != last));
    let plus = levels.iter().any(|level| level.contains('+') && *level != "+");
    let bad_name = share_name.is_some_and(|name| name.is_empty() || name.contains(['+', '#']));
    let has_null = filter.contains('\0');
    let too_long = filter.len() > 65_535;

    let found = check_filter(filter, version);
    let holds = match found {
        Ok(()) => {
            let well_formed = !hash && !plus && !bad_name && rest.is_some();
            well_formed && !has_null && !too_long && !filter.is_empty()
        }
        Err(FilterError::Empty) => filter.is_empty(),
        Err(FilterError::TooLong) => too_long,
        Err(FilterError::NullCharacter) => has_null,
        Err(FilterError::MultiLevelWildcard) => hash,
        Err(FilterError::SingleLevelWildcard) => plus,
        Err(FilterError::ShareName) => bad_name,
        Err(FilterError::SharedFilter) => share.is_some() && rest.is_none(),
    };
    assert!(holds, "{filter:?} in {version}: {found:?}");
    if version.is_v5() {
        assert_eq!(TopicFilter::new(filter).map(TopicFilter::as_str), found.map(|()| filter));
    }
}

fn check_parts(filter: TopicFilter<'_>) {
    let whole = filter.as_str();
    let again = match filter.share_name() {
        Some(name) => format!("$share/{name}/{}", filter.filter()),
        None => filter.filter().to_owned(),
    };
    assert_eq!(again, whole);
    assert_eq!(filter.share_name().is_some(), whole.starts_with("$share/"));
    let levels: Vec<&str> = filter.levels().collect();
    assert_eq!(levels.join("/"), filter.filter());
    let wildcard = levels.contains(&"+") || levels.contains(&"#");
    assert_eq!(filter.has_wildcard(), wildcard);
    assert!(filter.levels().rev().eq(levels.into_iter().rev()));
}

/// A name that the filter should match, but for the rule about `$`.
fn matching_name(filter: &str) -> String {
    let levels = filter.split('/').enumerate().map(|(at, level)| match level {
        "+" if at % 2 == 0 => "",
        "+" => "x",
        "#" => "y/z",
        level => level,
    });
    levels.collect::<Vec<_>>().join("/")
}

fn check_matching(filter: TopicFilter<'_>, name: TopicName<'_>) {
    let wanted: Vec<&str> = filter.filter().split('/').collect();
    let levels: Vec<&str> = name.as_str().split('/').collect();
    assert!(name.levels().eq(levels.iter().copied()));
    // A wildcard at the beginning does not match a topic that begins with `$`. [MQTT-4.7.2-1]
    let hidden = name.as_str().starts_with('$') && matches!(wanted[0], "+" | "#");
    let expected = !hidden && table_matches(&wanted, &levels);
    assert_eq!(filter.matches(name), expected, "{filter:?} and {name:?}");
    if let Ok(same) = TopicFilter::try_from(name) {
        assert_eq!(same.as_str(), name.as_str());
        assert_eq!(same.matches(name), same.share_name().is_none());
    }
}

/// `row[m]` tells whether the levels of the filter so far match the first `m` of the name's.
fn table_matches(wanted: &[&str], levels: &[&str]) -> bool {
    // Long strings of many levels would take a table of a billion cells.
    if wanted.len() * levels.len() > 1 << 14 {
        return linear_matches(wanted, levels);
    }
    let mut row = vec![false; levels.len() + 1];
    row[0] = true;
    for wanted in wanted {
        let mut next = vec![false; levels.len() + 1];
        for m in 0..=levels.len() {
            next[m] = match *wanted {
                // Any number of levels, the parent included. 4.7.1.2
                "#" => row[m] || m > 0 && next[m - 1],
                "+" => m > 0 && row[m - 1],
                text => m > 0 && row[m - 1] && levels[m - 1] == text,
            };
        }
        row = next;
    }
    row[levels.len()]
}

fn linear_matches(wanted: &[&str], levels: &[&str]) -> bool {
    let (multi_level, wanted) = match wanted.split_last() {
        Some((&"#", before)) => (true, before),
        _ => (false, wanted),
    };
    let enough = levels.len() == wanted.len() || multi_level && levels.len() > wanted.len();
    enough && wanted.iter().zip(levels).all(|(wanted, level)| *wanted == "+" || wanted == level)
}
