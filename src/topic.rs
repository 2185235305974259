//! Topic Names and Topic Filters, MQTT 5.0 §4.7, and Shared Subscriptions, §4.8.2.
//!
//! Whatever is checked here can be as long as 65,535 bytes and have as many levels: nothing
//! recurses, and everything takes time linear in the length.

use core::fmt;

use thiserror::Error;

use crate::scan;
use crate::version::Version;

/// The prefix of a Shared Subscription's Topic Filter.
pub(crate) const SHARE_PREFIX: &str = "$share/";

/// Why a string is no Topic Name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum NameError {
    /// It has no character. v5 [MQTT-4.7.3-1], v3.1.1 [MQTT-4.7.3-1]
    #[error("is empty")]
    Empty,
    /// It has more than 65,535 bytes. v5 [MQTT-4.7.3-3], v3.1.1 [MQTT-4.7.3-3]
    #[error("is longer than 65,535 bytes")]
    TooLong,
    /// It holds U+0000. v5 [MQTT-4.7.3-2], v3.1.1 [MQTT-4.7.3-2]
    #[error("holds the null character U+0000")]
    NullCharacter,
    /// It holds `+` or `#`. v5 [MQTT-4.7.0-1], v3.1.1 [MQTT-4.7.1-1]
    #[error("holds a wildcard")]
    Wildcard,
}

/// Why a string is no Topic Filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum FilterError {
    /// It has no character. v5 [MQTT-4.7.3-1], v3.1.1 [MQTT-4.7.3-1]
    #[error("is empty")]
    Empty,
    /// It has more than 65,535 bytes. v5 [MQTT-4.7.3-3], v3.1.1 [MQTT-4.7.3-3]
    #[error("is longer than 65,535 bytes")]
    TooLong,
    /// It holds U+0000. v5 [MQTT-4.7.3-2], v3.1.1 [MQTT-4.7.3-2]
    #[error("holds the null character U+0000")]
    NullCharacter,
    /// A `#` does not stand alone in the last level. v5 [MQTT-4.7.1-1], v3.1.1 [MQTT-4.7.1-2]
    #[error("has a # that is not the whole last level")]
    MultiLevelWildcard,
    /// A `+` does not stand alone in its level. v5 [MQTT-4.7.1-2], v3.1.1 [MQTT-4.7.1-3]
    #[error("has a + that is not a whole level")]
    SingleLevelWildcard,
    /// The ShareName is empty or holds a wildcard. v5 [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    #[error("has a share name that is empty or holds a wildcard")]
    ShareName,
    /// No Topic Filter follows the ShareName. v5 [MQTT-4.8.2-2]
    #[error("has no filter behind its share name")]
    SharedFilter,
}

/// Checks that a string is a Topic Name, in any version.
///
/// # Errors
///
/// Says which rule of §4.7 it breaks.
///
/// ```
/// use sansio_mqtt::topic::{NameError, check_name};
///
/// assert_eq!(check_name("plant/7/temperature"), Ok(()));
/// assert_eq!(check_name("plant/+/temperature"), Err(NameError::Wildcard));
/// ```
#[inline]
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() || name.len() > 0xffff || scan::has_null_or_wildcard(name.as_bytes()) {
        return Err(name_error(name));
    }
    Ok(())
}

/// What is wrong with a string that is no Topic Name.
#[cold]
pub(crate) fn name_error(name: &str) -> NameError {
    if name.is_empty() {
        NameError::Empty
    } else if name.len() > 0xffff {
        NameError::TooLong
    } else if scan::has_null(name.as_bytes()) {
        NameError::NullCharacter
    } else {
        NameError::Wildcard
    }
}

/// Checks that a string is a Topic Filter in `version`: 5.0 has Shared Subscriptions, before it
/// `$share` is a level like any other.
///
/// # Errors
///
/// Says which rule of §4.7 or §4.8.2 it breaks.
///
/// ```
/// use sansio_mqtt::Version;
/// use sansio_mqtt::topic::{FilterError, check_filter};
///
/// assert_eq!(check_filter("plant/+/#", Version::V5), Ok(()));
/// assert_eq!(check_filter("plant#", Version::V5), Err(FilterError::MultiLevelWildcard));
/// assert_eq!(check_filter("$share/group", Version::V5), Err(FilterError::SharedFilter));
/// assert_eq!(check_filter("$share/group", Version::V3_1_1), Ok(()));
/// ```
#[inline(always)]
pub fn check_filter(filter: &str, version: Version) -> Result<(), FilterError> {
    let bytes = filter.as_bytes();
    let may_be_shared = version.is_v5() && bytes.first() == Some(&b'$');
    if bytes.is_empty()
        || bytes.len() > 0xffff
        || may_be_shared
        || scan::has_null_or_misplaced_wildcard(bytes)
    {
        return check_filter_closely(bytes, version);
    }
    Ok(())
}

#[cold]
fn check_filter_closely(filter: &[u8], version: Version) -> Result<(), FilterError> {
    if filter.len() > 0xffff {
        return Err(FilterError::TooLong);
    }
    if scan::has_null(filter) {
        return Err(FilterError::NullCharacter);
    }
    check_filter_grammar(filter, version)
}

/// How many levels a Topic Name or Topic Filter has, 1 to 65,536; empty ones count.
///
/// ```
/// use sansio_mqtt::topic::level_count;
///
/// assert_eq!(level_count("plant/+/#"), 3);
/// assert_eq!(level_count("/"), 2);
/// ```
pub fn level_count(text: &str) -> usize {
    count(text, |byte| byte == b'/').saturating_add(1)
}

/// How many levels of a Topic Filter are wildcards.
///
/// Wildcards are what makes a filter costly: a message has to be looked for both with each and
/// without.
///
/// ```
/// use sansio_mqtt::topic::wildcard_count;
///
/// assert_eq!(wildcard_count("plant/+/#"), 2);
/// assert_eq!(wildcard_count("plant/7"), 0);
/// ```
pub fn wildcard_count(filter: &str) -> usize {
    count(filter, |byte| matches!(byte, b'+' | b'#'))
}

fn count(text: &str, wanted: impl Fn(u8) -> bool) -> usize {
    text.bytes().filter(|byte| wanted(*byte)).count()
}

/// The part of [`check_filter`] that is not about length or U+0000.
#[inline]
pub(crate) fn check_filter_grammar(filter: &[u8], version: Version) -> Result<(), FilterError> {
    if filter.is_empty() {
        return Err(FilterError::Empty);
    }
    if version.is_v5()
        && let Some(shared) = filter.strip_prefix(SHARE_PREFIX.as_bytes())
    {
        return check_shared(shared);
    }
    check_wildcards(filter)
}

/// What follows `$share/`: a name, `/` and a filter.
fn check_shared(shared: &[u8]) -> Result<(), FilterError> {
    let slash = shared.iter().position(|byte| *byte == b'/');
    let name = slash.and_then(|slash| shared.get(..slash)).unwrap_or(shared);
    if name.is_empty() || scan::has_wildcard(name) {
        return Err(FilterError::ShareName);
    }
    match shared.get(name.len()..) {
        Some([b'/', filter @ ..]) if !filter.is_empty() => check_wildcards(filter),
        _ => Err(FilterError::SharedFilter),
    }
}

#[inline(always)]
fn check_wildcards(filter: &[u8]) -> Result<(), FilterError> {
    if scan::has_misplaced_wildcard(filter) {
        return Err(wildcard_error(filter));
    }
    Ok(())
}

/// The first thing that is wrong with the wildcards of a filter that has some wrong.
#[cold]
fn wildcard_error(filter: &[u8]) -> FilterError {
    let wrong = filter
        .split(|byte| *byte == b'/')
        .find(|level| level.len() > 1 && level.iter().any(|byte| matches!(byte, b'+' | b'#')));
    match wrong.and_then(|level| level.iter().find(|byte| matches!(byte, b'+' | b'#'))) {
        Some(b'+') => FilterError::SingleLevelWildcard,
        _ => FilterError::MultiLevelWildcard,
    }
}

/// A string that was found to be a Topic Name: 1 to 65,535 bytes, no U+0000, no wildcard.
///
/// ```
/// use sansio_mqtt::TopicName;
///
/// const TOPIC: TopicName<'_> = match TopicName::from_static("plant/7/temperature") {
///     Some(name) => name,
///     None => panic!("no topic name"),
/// };
/// assert_eq!(TOPIC.levels().count(), 3);
/// # assert!(TopicName::new("").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks a string, as [`check_name`] does.
    ///
    /// # Errors
    ///
    /// Says which rule of §4.7 it breaks.
    pub fn new(name: &'a str) -> Result<Self, NameError> {
        check_name(name).map(|()| Self(name))
    }

    /// Checks a string when the program is compiled; `None` if it is no Topic Name.
    pub const fn from_static(name: &'a str) -> Option<Self> {
        let mut rest = name.as_bytes();
        if rest.is_empty() || rest.len() > 0xffff {
            return None;
        }
        while let [byte, after @ ..] = rest {
            if matches!(*byte, 0 | b'+' | b'#') {
                return None;
            }
            rest = after;
        }
        Some(Self(name))
    }

    /// The string.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The levels between its separators, at least one; levels may be empty. v5 4.7.1.1
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        self.0.split('/')
    }
}

impl AsRef<str> for TopicName<'_> {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl<'a> TryFrom<&'a str> for TopicName<'a> {
    type Error = NameError;

    fn try_from(name: &'a str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

/// A string that was found to be a Topic Filter of 5.0, which knows Shared Subscriptions.
///
/// 3.x takes the same string for the same filter, unless it begins with `$share/`, which is a
/// level like any other there: [`check_filter`] takes a version.
///
/// ```
/// use sansio_mqtt::{TopicFilter, TopicName};
///
/// let filter = TopicFilter::new("plant/+/#")?;
/// assert!(filter.matches(TopicName::new("plant/7/temperature")?));
/// assert!(filter.matches(TopicName::new("plant/7")?));
/// assert!(!filter.matches(TopicName::new("plant")?));
///
/// let shared = TopicFilter::new("$share/workers/plant/#")?;
/// assert_eq!(shared.share_name(), Some("workers"));
/// assert_eq!(shared.filter(), "plant/#");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Checks a string, as [`check_filter`] does for 5.0.
    ///
    /// # Errors
    ///
    /// Says which rule of §4.7 or §4.8.2 it breaks.
    pub fn new(filter: &'a str) -> Result<Self, FilterError> {
        check_filter(filter, Version::V5).map(|()| Self(filter))
    }

    /// The whole string, the share included.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The ShareName of a Shared Subscription, `None` for any other. v5 4.8.2
    pub fn share_name(self) -> Option<&'a str> {
        self.split_share().map(|(name, _)| name)
    }

    /// The filter that topics are matched with: all of it, or what follows the ShareName.
    pub fn filter(self) -> &'a str {
        self.split_share().map_or(self.0, |(_, filter)| filter)
    }

    fn split_share(self) -> Option<(&'a str, &'a str)> {
        self.0.strip_prefix(SHARE_PREFIX)?.split_once('/')
    }

    /// Whether it holds a wildcard.
    pub fn has_wildcard(self) -> bool {
        scan::has_wildcard(self.filter().as_bytes())
    }

    /// The levels of [`filter`](Self::filter), at least one.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        self.filter().split('/')
    }

    /// Whether messages of this topic go to a subscription with this filter.
    ///
    /// Text is compared as it is, byte by byte; wildcards at the beginning do not match topics
    /// that begin with `$`. v5 [MQTT-4.7.2-1] [MQTT-4.7.3-4], v3.1.1 [MQTT-4.7.2-1] [MQTT-4.7.3-4]
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        let filter = self.filter();
        if topic.0.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.levels();
        for wanted in filter.split('/') {
            // The parent level belongs to what `#` matches. v5 4.7.1.2
            if wanted == "#" {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == "+" || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

impl AsRef<str> for TopicFilter<'_> {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl<'a> TryFrom<&'a str> for TopicFilter<'a> {
    type Error = FilterError;

    fn try_from(filter: &'a str) -> Result<Self, FilterError> {
        Self::new(filter)
    }
}

/// Every Topic Name is a Topic Filter that matches itself, unless it would be taken for a
/// Shared Subscription.
impl<'a> TryFrom<TopicName<'a>> for TopicFilter<'a> {
    type Error = FilterError;

    fn try_from(name: TopicName<'a>) -> Result<Self, FilterError> {
        Self::new(name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn names_have_one_character_or_more_and_no_wildcard() {
        // v5 [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.0-1], v3.1.1 [MQTT-4.7.3-1] [MQTT-4.7.1-1]
        let rows = [
            ("a", Ok(())),
            ("/", Ok(())),
            ("//", Ok(())),
            ("a b/ c", Ok(())),
            ("$SYS/x", Ok(())),
            ("$share/a", Ok(())),
            ("größe/温度", Ok(())),
            ("\u{feff}a", Ok(())),
            ("\u{1}", Ok(())),
            ("", Err(NameError::Empty)),
            ("a/+", Err(NameError::Wildcard)),
            ("a#b", Err(NameError::Wildcard)),
            ("a\0b", Err(NameError::NullCharacter)),
            ("+\0", Err(NameError::NullCharacter)),
        ];
        for (name, expected) in rows {
            assert_eq!(check_name(name), expected, "{name:?}");
            assert_eq!(TopicName::from_static(name).is_some(), expected.is_ok(), "{name:?}");
        }
    }

    #[test]
    fn names_and_filters_have_65_535_bytes_at_most() {
        // v5 [MQTT-4.7.3-3], v3.1.1 [MQTT-4.7.3-3]
        let mut text = "a".repeat(65_535);
        assert_eq!(check_name(&text), Ok(()));
        assert_eq!(check_filter(&text, Version::V5), Ok(()));
        text.push('a');
        assert_eq!(check_name(&text), Err(NameError::TooLong));
        assert_eq!(check_filter(&text, Version::V5), Err(FilterError::TooLong));
    }

    #[test]
    fn wildcards_fill_whole_levels() {
        // v5 [MQTT-4.7.1-1] [MQTT-4.7.1-2], v3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3]
        use FilterError::{Empty, MultiLevelWildcard, NullCharacter, SingleLevelWildcard};
        let rows = [
            ("#", Ok(())),
            ("+", Ok(())),
            ("/", Ok(())),
            ("a/#", Ok(())),
            ("/#", Ok(())),
            ("+/+/#", Ok(())),
            ("+/a/+", Ok(())),
            ("/+", Ok(())),
            ("+/", Ok(())),
            ("$SYS/#", Ok(())),
            ("", Err(Empty)),
            ("a#", Err(MultiLevelWildcard)),
            ("a/#/b", Err(MultiLevelWildcard)),
            ("#/", Err(MultiLevelWildcard)),
            ("#/a", Err(MultiLevelWildcard)),
            ("##", Err(MultiLevelWildcard)),
            ("+#", Err(SingleLevelWildcard)),
            ("a+", Err(SingleLevelWildcard)),
            ("+a", Err(SingleLevelWildcard)),
            ("a/+b", Err(SingleLevelWildcard)),
            ("++", Err(SingleLevelWildcard)),
            ("a\0", Err(NullCharacter)),
        ];
        for (filter, expected) in rows {
            for version in Version::ALL {
                assert_eq!(check_filter(filter, version), expected, "{filter:?} in {version}");
            }
        }
    }

    #[test]
    fn levels_and_wildcards_are_counted() {
        let rows =
            [("a", 1, 0), ("/", 2, 0), ("+", 1, 1), ("#", 1, 1), ("+/a/+/#", 4, 3), ("//", 3, 0)];
        for (text, levels, wildcards) in rows {
            assert_eq!((level_count(text), wildcard_count(text)), (levels, wildcards), "{text}");
        }
        assert_eq!(level_count(&"/".repeat(65_535)), 65_536);
    }

    #[test]
    fn shared_filters_name_a_group_and_a_filter_in_5() {
        // v5 [MQTT-4.8.2-1] [MQTT-4.8.2-2]
        let rows = [
            ("$share/g/a", Ok(())),
            ("$share/g/#", Ok(())),
            ("$share/g//", Ok(())),
            ("$share/g//a", Ok(())),
            ("$share/größe/+/b", Ok(())),
            ("$share", Ok(())),
            ("$SHARE/g", Ok(())),
            ("$shared/g", Ok(())),
            ("a/$share/g", Ok(())),
            ("$share/", Err(FilterError::ShareName)),
            ("$share//a", Err(FilterError::ShareName)),
            ("$share/g+/a", Err(FilterError::ShareName)),
            ("$share/+/a", Err(FilterError::ShareName)),
            ("$share/#", Err(FilterError::ShareName)),
            ("$share/ab", Err(FilterError::SharedFilter)),
            ("$share/g/", Err(FilterError::SharedFilter)),
            ("$share/g/a+", Err(FilterError::SingleLevelWildcard)),
            ("$share/g/#/a", Err(FilterError::MultiLevelWildcard)),
        ];
        for (filter, expected) in rows {
            assert_eq!(check_filter(filter, Version::V5), expected, "{filter:?}");
        }
        assert_eq!(check_filter("$share/ab", Version::V3_1_1), Ok(()));
        assert_eq!(check_filter("$share//a", Version::V3_1), Ok(()));
        let filter = TopicFilter::new("$share/g/a/+").unwrap();
        assert_eq!((filter.share_name(), filter.filter()), (Some("g"), "a/+"));
        assert!(filter.has_wildcard());
        assert_eq!(TopicFilter::new("a").unwrap().share_name(), None);
        assert!(TopicFilter::try_from(TopicName::new("$share/g").unwrap()).is_err());
    }

    #[test]
    fn matches_the_standards_examples() {
        // v5 4.7.1, [MQTT-4.7.2-1] [MQTT-4.7.3-4], v3.1.1 [MQTT-4.7.2-1] [MQTT-4.7.3-4]
        let rows = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/a", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("ACCOUNTS", "Accounts", false),
            ("/finance", "finance", false),
            ("\u{e9}", "e\u{301}", false),
            ("$share/g/a/+", "a/b", true),
            ("$share/g/#", "$SYS/a", false),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
        ];
        for (filter, topic, expected) in rows {
            let matches = TopicFilter::new(filter).unwrap().matches(TopicName::new(topic).unwrap());
            assert_eq!(matches, expected, "{filter} and {topic}");
        }
    }

    #[test]
    fn a_filter_of_65_000_levels_is_checked_and_matched_without_recursion() {
        let filter: String = "+/".repeat(32_500);
        let topic: String = "a/".repeat(32_500);
        let checked = TopicFilter::new(&filter).unwrap();
        assert!(checked.matches(TopicName::new(&topic).unwrap()));
        let slashes = "/".repeat(65_000);
        let checked = TopicFilter::new(&slashes).unwrap();
        assert_eq!(checked.levels().count(), 65_001);
        assert!(checked.matches(TopicName::new(&slashes).unwrap()));
    }

    #[test]
    fn a_multi_byte_first_character_is_no_trouble() {
        let name = TopicName::new("温/度").unwrap();
        assert!(TopicFilter::new("+/度").unwrap().matches(name));
        assert!(TopicFilter::new("#").unwrap().matches(name));
    }
}
