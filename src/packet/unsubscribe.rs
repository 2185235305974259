//! UNSUBSCRIBE, MQTT 5.0 §3.10.

use core::fmt;
use core::slice;

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault};
use crate::list::list_traits;
use crate::packet::ack::{check_dup, dup_flag};
use crate::packet::body::{Body, Plan};
use crate::packet::subscribe::{check_meaning, has_same_filters};
use crate::packet::tail::block_len;
use crate::packet_id::PacketId;
use crate::packet_type::Places;
use crate::properties::Properties;
use crate::topic;
use crate::version::Version;
use crate::wire::{self, Reader};

/// Unsubscribe request, from the client. §3.10
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unsubscribe<'a> {
    /// Whether this is sent again, in 3.1; later versions have no such flag.
    pub dup: bool,
    /// Of this request, for the UNSUBACK.
    pub packet_id: PacketId,
    /// In 5.0.
    pub properties: Properties<'a>,
    /// What to unsubscribe from, one or more.
    pub topic_filters: TopicFilters<'a>,
}

impl<'a> Unsubscribe<'a> {
    /// Without properties.
    pub const fn new(packet_id: PacketId, topic_filters: &'a [&'a str]) -> Self {
        let topic_filters = TopicFilters::List(topic_filters);
        Self { dup: false, packet_id, properties: Properties::NONE, topic_filters }
    }

    /// The same packet without what `version` does not have.
    pub(crate) fn for_version(self, version: Version) -> Result<Self, EncodeError> {
        self.topic_filters.check_meaning(version)?;
        if version.is_v5() {
            return Ok(Self { dup: false, ..self });
        }
        let dup = self.dup && version == Version::V3_1;
        Ok(Self { dup, properties: Properties::NONE, ..self })
    }

    #[inline]
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        version: Version,
        dup: bool,
    ) -> Result<Self, Fault> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::decode_in(version, reader, Places::UNSUBSCRIBE)?;
        let topic_filters = TopicFilters::decode(reader, version)?;
        Ok(Self { dup, packet_id, properties, topic_filters })
    }
}

impl<'a> Body<'a> for Unsubscribe<'a> {
    type Plan = Plan;

    fn check(&self, version: Version) -> Result<Plan, EncodeError> {
        check_dup(self.dup, version)?;
        let properties = self.properties.check(version, Places::UNSUBSCRIBE)?;
        let properties_len = block_len(version, properties);
        let list = self.topic_filters.check(version)?;
        let remaining = list.saturating_add(properties_len).saturating_add(2);
        Ok(Plan { remaining, properties })
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Plan) -> usize {
        plan.remaining
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0xa2 | dup_flag(self.dup)
    }

    fn write(&self, version: Version, plan: &Plan, out: &mut impl BufMut) {
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.properties.write(plan.properties, out);
        }
        self.topic_filters.write(out);
    }
}

/// The Topic Filters of an UNSUBSCRIBE, in their order: a list to send, or a block that was
/// received.
///
/// Lists are equal if their filters are, in whichever form.
#[derive(Clone, Copy)]
pub enum TopicFilters<'a> {
    /// To send.
    List(&'a [&'a str]),
    /// Received.
    Block(TopicFilterBlock<'a>),
}

/// Topic Filters as they were received; only decoding makes them.
#[derive(Clone, Copy)]
pub struct TopicFilterBlock<'a> {
    bytes: &'a [u8],
    /// In which they were received, and for which they were checked.
    received: Version,
}

impl<'a> TopicFilters<'a> {
    /// The filters in their order.
    pub fn iter(&self) -> TopicFiltersIter<'a> {
        TopicFiltersIter(match self {
            Self::List(list) => Iter::List(list.iter()),
            Self::Block(block) => Iter::Block(Reader::new(block.bytes)),
        })
    }

    fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Fault> {
        if reader.is_empty() {
            return Err(reader.fault(Cause::NoTopicFilter));
        }
        let mut rest = *reader;
        while !rest.is_empty() {
            rest.checked_topic_filter(version)?;
        }
        Ok(Self::Block(TopicFilterBlock { bytes: reader.take_rest(), received: version }))
    }

    /// Refuses what was received where its filters mean something else.
    fn check_meaning(&self, version: Version) -> Result<(), EncodeError> {
        let Self::Block(block) = self else { return Ok(()) };
        check_meaning(self.iter(), block.received, version)
    }

    /// Checks all filters, and says how many bytes they take.
    fn check(&self, version: Version) -> Result<usize, EncodeError> {
        if let Self::Block(block) = self
            && has_same_filters(block.received, version)
        {
            return Ok(block.bytes.len());
        }
        self.check_meaning(version)?;
        let mut len: usize = 0;
        for filter in self {
            len = len.saturating_add(wire::checked_binary_len(filter.as_bytes())?);
            topic::check_filter(filter, version).map_err(Cause::of_topic_filter)?;
        }
        if len == 0 { Err(Cause::NoTopicFilter.into()) } else { Ok(len) }
    }

    fn write(&self, out: &mut impl BufMut) {
        match self {
            Self::List(list) => {
                list.iter().for_each(|filter| wire::put_binary(filter.as_bytes(), out));
            }
            Self::Block(block) => out.put_slice(block.bytes),
        }
    }
}

list_traits!(TopicFilters<'a>, &'a str, TopicFiltersIter<'a>);

impl fmt::Debug for TopicFilterBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&TopicFilters::Block(*self), f)
    }
}

/// The Topic Filters of an UNSUBSCRIBE, one after another: made by [`TopicFilters::iter`].
#[derive(Clone)]
pub struct TopicFiltersIter<'a>(Iter<'a>);

#[derive(Clone)]
enum Iter<'a> {
    List(slice::Iter<'a, &'a str>),
    Block(Reader<'a>),
}

impl<'a> Iterator for TopicFiltersIter<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        match &mut self.0 {
            Iter::List(list) => list.next().copied(),
            Iter::Block(reader) => reader.string_again(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Feature;
    use crate::packet::Packet;
    use crate::packet_type::Sender;
    use alloc::vec::Vec;

    fn encode(unsubscribe: Unsubscribe<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        Packet::from(unsubscribe).encode(version, &mut out).map(|()| out)
    }

    #[test]
    fn filters_keep_their_order() {
        let unsubscribe = Unsubscribe::new(PacketId::MIN, &["b/#", "a"]);
        let bytes = encode(unsubscribe, Version::V5).unwrap();
        assert_eq!(bytes, b"\xa2\x0b\x00\x01\x00\x00\x03b/#\x00\x01a");
        let packet = Packet::decode(&bytes, Version::V5, Sender::Client).unwrap();
        assert_eq!(packet, Packet::from(unsubscribe));
    }

    #[test]
    fn a_received_filter_keeps_its_meaning_or_is_refused() {
        // v5 4.8.2: `$share/g` alone would not even be a filter in 5.0.
        let rows = [
            (Version::V5, "$share/g/a", Version::V3_1_1, Some(Feature::SharedSubscription)),
            (Version::V3_1_1, "$share/g/a", Version::V5, Some(Feature::UnsharedFilter)),
            (Version::V3_1, "$share/g", Version::V5, Some(Feature::UnsharedFilter)),
            (Version::V3_1, "$share/g", Version::V3_1_1, None),
            (Version::V5, "$shared/g/a", Version::V3_1, None),
            (Version::V3_1_1, "$share", Version::V5, None),
        ];
        for (received, topic_filter, version, feature) in rows {
            let list = ["a", topic_filter];
            let unsubscribe = Unsubscribe::new(PacketId::MIN, &list);
            let bytes = encode(unsubscribe, received).unwrap();
            let packet = Packet::decode(&bytes, received, Sender::Client).unwrap();
            let refused = feature.map(|feature| EncodeError::NotInVersion(version, feature));
            assert_eq!(packet.check(version).err(), refused, "{topic_filter} for {version}");
            let kept = packet.for_version(version);
            assert_eq!(kept.err(), refused, "{topic_filter} for {version}");
            let Ok(kept) = kept else { continue };
            let mut out = Vec::new();
            kept.encode(version, &mut out).unwrap();
            assert_eq!(out, encode(unsubscribe, version).unwrap());
        }
    }

    #[test]
    fn there_is_a_filter() {
        // v5 [MQTT-3.10.3-2], v3.1.1 [MQTT-3.10.3-2]
        for version in Version::ALL {
            let none = Unsubscribe::new(PacketId::MIN, &[]);
            assert_eq!(encode(none, version), Err(Cause::NoTopicFilter.into()));
        }
    }
}
