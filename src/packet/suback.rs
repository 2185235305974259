//! SUBACK and UNSUBACK, MQTT 5.0 §3.9 and §3.11.

use core::fmt;
use core::iter::Copied;
use core::slice;

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::list::list_traits;
use crate::packet::body::{Body, Plan};
use crate::packet::tail::block_len;
use crate::packet_id::PacketId;
use crate::packet_type::Places;
use crate::properties::Properties;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// Subscribe acknowledgement: the server's answer to SUBSCRIBE. §3.9
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubAck<'a> {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Reason String and User Properties, in 5.0.
    pub properties: Properties<'a>,
    /// One for each Topic Filter, in their order: the QoS granted, or why there is none.
    pub reason_codes: ReasonCodes<'a>,
}

/// Unsubscribe acknowledgement: the server's answer to UNSUBSCRIBE. §3.11
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnsubAck<'a> {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Reason String and User Properties, in 5.0.
    pub properties: Properties<'a>,
    /// One for each Topic Filter, in their order; in 3.x there are none.
    pub reason_codes: ReasonCodes<'a>,
}

impl<'a> SubAck<'a> {
    /// Without properties.
    pub const fn new(packet_id: PacketId, reason_codes: &'a [ReasonCode]) -> Self {
        let reason_codes = ReasonCodes::List(reason_codes);
        Self { packet_id, properties: Properties::NONE, reason_codes }
    }

    /// The same packet without what `version` does not have: every failure is 0x80 in 3.1.1.
    pub(crate) fn for_version(self, version: Version) -> Result<Self, EncodeError> {
        if version.is_v5() {
            return Ok(self);
        }
        if version == Version::V3_1
            && let Some(failure) = self.reason_codes.iter().find(|code| code.is_error())
        {
            return Err(EncodeError::NotInVersion(version, Feature::ReasonCode(failure)));
        }
        let reason_codes = self.reason_codes.one_failure();
        Ok(Self { properties: Properties::NONE, reason_codes, ..self })
    }

    #[inline]
    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Fault> {
        let packet_id = reader.packet_id()?;
        let properties = Properties::decode_in(version, reader, Places::SUBACK)?;
        let allowed = |code: ReasonCode| code.is_in_suback(version);
        let reason_codes = ReasonCodes::decode(reader, allowed)?;
        Ok(Self { packet_id, properties, reason_codes })
    }
}

impl<'a> Body<'a> for SubAck<'a> {
    type Plan = Plan;

    fn check(&self, version: Version) -> Result<Plan, EncodeError> {
        let properties = self.properties.check(version, Places::SUBACK)?;
        let properties_len = block_len(version, properties);
        let mut codes: usize = 0;
        for code in self.reason_codes {
            if !code.is_in_suback(version) {
                return Err(if code.is_in_suback(Version::V5) {
                    EncodeError::NotInVersion(version, Feature::ReasonCode(code))
                } else {
                    Cause::InvalidReasonCode(code.get()).into()
                });
            }
            codes = codes.saturating_add(1);
        }
        if codes == 0 {
            return Err(Cause::NoReasonCode.into());
        }
        let remaining = codes.saturating_add(properties_len).saturating_add(2);
        Ok(Plan { remaining, properties })
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Plan) -> usize {
        plan.remaining
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0x90
    }

    fn write(&self, version: Version, plan: &Plan, out: &mut impl BufMut) {
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.properties.write(plan.properties, out);
        }
        self.reason_codes.write(out);
    }
}

impl<'a> UnsubAck<'a> {
    /// Without properties.
    pub const fn new(packet_id: PacketId, reason_codes: &'a [ReasonCode]) -> Self {
        let reason_codes = ReasonCodes::List(reason_codes);
        Self { packet_id, properties: Properties::NONE, reason_codes }
    }

    /// The same packet without what `version` does not have.
    pub(crate) const fn for_version(self, version: Version) -> Self {
        if version.is_v5() { self } else { Self::new(self.packet_id, &[]) }
    }

    #[inline]
    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Fault> {
        let packet_id = reader.packet_id()?;
        if !version.is_v5() {
            reader.finish()?;
            return Ok(Self::new(packet_id, &[]));
        }
        let properties = Properties::decode(reader, Places::UNSUBACK)?;
        let allowed = |code: ReasonCode| !code.places().and(Places::UNSUBACK).is_none();
        let reason_codes = ReasonCodes::decode(reader, allowed)?;
        Ok(Self { packet_id, properties, reason_codes })
    }
}

impl<'a> Body<'a> for UnsubAck<'a> {
    type Plan = Plan;

    fn check(&self, version: Version) -> Result<Plan, EncodeError> {
        let properties = self.properties.check(version, Places::UNSUBACK)?;
        if !version.is_v5() {
            return match self.reason_codes.iter().next() {
                Some(_) => Err(EncodeError::NotInVersion(version, Feature::UnsubAckReasonCodes)),
                None => Ok(Plan { remaining: 2, properties }),
            };
        }
        let mut codes: usize = 0;
        for code in self.reason_codes {
            if code.places().and(Places::UNSUBACK).is_none() {
                return Err(Cause::InvalidReasonCode(code.get()).into());
            }
            codes = codes.saturating_add(1);
        }
        if codes == 0 {
            return Err(Cause::NoReasonCode.into());
        }
        let remaining = codes.saturating_add(block_len(version, properties)).saturating_add(2);
        Ok(Plan { remaining, properties })
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Plan) -> usize {
        plan.remaining
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0xb0
    }

    fn write(&self, version: Version, plan: &Plan, out: &mut impl BufMut) {
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.properties.write(plan.properties, out);
            self.reason_codes.write(out);
        }
    }
}

/// The Reason Codes of a SUBACK or UNSUBACK, in their order: a list to send, or a block that was
/// received.
///
/// Lists are equal if their codes are, in whichever form.
#[derive(Clone, Copy)]
pub enum ReasonCodes<'a> {
    /// To send.
    List(&'a [ReasonCode]),
    /// Received, or made by `for_version`.
    Block(ReasonCodeBlock<'a>),
}

/// Reason Codes as they were received, or with one code for all failures; only this crate makes
/// them.
#[derive(Clone, Copy)]
pub struct ReasonCodeBlock<'a> {
    source: Source<'a>,
    /// Whether every failure is 0x80.
    one_failure: bool,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Bytes(&'a [u8]),
    List(&'a [ReasonCode]),
}

impl<'a> ReasonCodes<'a> {
    /// The codes in their order.
    #[inline]
    pub fn iter(&self) -> ReasonCodesIter<'a> {
        let (source, one_failure) = match *self {
            Self::List(list) => (Source::List(list), false),
            Self::Block(block) => (block.source, block.one_failure),
        };
        let iter = match source {
            Source::Bytes(bytes) => Iter::Block(bytes.iter().copied()),
            Source::List(list) => Iter::List(list.iter().copied()),
        };
        ReasonCodesIter { iter, one_failure }
    }

    fn one_failure(self) -> Self {
        let source = match self {
            Self::List(list) => Source::List(list),
            Self::Block(block) => block.source,
        };
        Self::Block(ReasonCodeBlock { source, one_failure: true })
    }

    #[inline(always)]
    fn decode(
        reader: &mut Reader<'a>,
        allowed: impl Fn(ReasonCode) -> bool,
    ) -> Result<Self, Fault> {
        if reader.is_empty() {
            return Err(reader.fault(Cause::NoReasonCode));
        }
        let mut rest = *reader;
        while !rest.is_empty() {
            let before = rest;
            let code = rest.byte()?;
            if !allowed(ReasonCode::new(code)) {
                return Err(before.fault(Cause::InvalidReasonCode(code)));
            }
        }
        let source = Source::Bytes(reader.take_rest());
        Ok(Self::Block(ReasonCodeBlock { source, one_failure: false }))
    }

    #[inline(always)]
    fn write(&self, out: &mut impl BufMut) {
        match self {
            Self::Block(ReasonCodeBlock { source: Source::Bytes(bytes), one_failure: false }) => {
                out.put_slice(bytes);
            }
            _ => self.iter().for_each(|code| out.put_u8(code.get())),
        }
    }
}

list_traits!(ReasonCodes<'a>, ReasonCode, ReasonCodesIter<'a>);

impl fmt::Debug for ReasonCodeBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&ReasonCodes::Block(*self), f)
    }
}

/// The Reason Codes of a SUBACK or UNSUBACK, one after another: made by [`ReasonCodes::iter`].
#[derive(Clone)]
pub struct ReasonCodesIter<'a> {
    iter: Iter<'a>,
    one_failure: bool,
}

#[derive(Clone)]
enum Iter<'a> {
    List(Copied<slice::Iter<'a, ReasonCode>>),
    Block(Copied<slice::Iter<'a, u8>>),
}

impl Iterator for ReasonCodesIter<'_> {
    type Item = ReasonCode;

    #[inline(always)]
    fn next(&mut self) -> Option<ReasonCode> {
        let code = match &mut self.iter {
            Iter::List(list) => list.next()?,
            Iter::Block(bytes) => ReasonCode::new(bytes.next()?),
        };
        let replaced = self.one_failure && code.is_error() && code.is_in_suback(Version::V5);
        Some(if replaced { ReasonCode::UNSPECIFIED_ERROR } else { code })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.iter {
            Iter::List(list) => list.size_hint(),
            Iter::Block(bytes) => bytes.size_hint(),
        }
    }
}

impl ExactSizeIterator for ReasonCodesIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet_type::Sender;
    use alloc::vec::Vec;

    fn encode<'a>(packet: impl Into<Packet<'a>>, version: Version) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        packet.into().encode(version, &mut out).map(|()| out)
    }

    #[test]
    fn each_version_has_its_return_codes() {
        // v5 [MQTT-3.9.3-2], v3.1.1 [MQTT-3.9.3-2]
        let allowed = |version, code: u8| {
            let bytes = match version {
                Version::V5 => [0x90, 4, 0, 1, 0, code].to_vec(),
                _ => [0x90, 3, 0, 1, code].to_vec(),
            };
            Packet::decode(&bytes, version, Sender::Server).is_ok()
        };
        let codes = |version| (0..=255).filter(|code| allowed(version, *code)).collect::<Vec<_>>();
        assert_eq!(codes(Version::V3_1), [0, 1, 2]);
        assert_eq!(codes(Version::V3_1_1), [0, 1, 2, 0x80]);
        let v5 = [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
        assert_eq!(codes(Version::V5), v5);
    }

    #[test]
    fn failures_of_5_become_the_one_of_3_1_1_on_purpose() {
        let codes = [ReasonCode::GRANTED_QOS_1, ReasonCode::NOT_AUTHORIZED];
        let suback = SubAck::new(PacketId::MIN, &codes);
        let feature = Feature::ReasonCode(ReasonCode::NOT_AUTHORIZED);
        let error = EncodeError::NotInVersion(Version::V3_1_1, feature);
        assert_eq!(encode(suback, Version::V3_1_1), Err(error));
        let replaced = suback.for_version(Version::V3_1_1).unwrap();
        assert_eq!(encode(replaced, Version::V3_1_1).unwrap(), [0x90, 4, 0, 1, 1, 0x80]);
        let error = EncodeError::NotInVersion(Version::V3_1, feature);
        assert_eq!(suback.for_version(Version::V3_1), Err(error));
    }

    #[test]
    fn unsuback_has_codes_in_5_alone() {
        let unsuback = UnsubAck::new(PacketId::MIN, &[ReasonCode::NO_SUBSCRIPTION_EXISTED]);
        assert_eq!(encode(unsuback, Version::V5).unwrap(), [0xb0, 4, 0, 1, 0, 0x11]);
        let error = EncodeError::NotInVersion(Version::V3_1_1, Feature::UnsubAckReasonCodes);
        assert_eq!(encode(unsuback, Version::V3_1_1), Err(error));
        let plain = unsuback.for_version(Version::V3_1_1);
        assert_eq!(encode(plain, Version::V3_1_1).unwrap(), [0xb0, 2, 0, 1]);
        assert_eq!(encode(plain, Version::V5), Err(Cause::NoReasonCode.into()));
    }

    #[test]
    fn there_is_a_code() {
        // v5 [MQTT-3.8.4-6]
        let none = SubAck::new(PacketId::MIN, &[]);
        assert_eq!(encode(none, Version::V3_1_1), Err(Cause::NoReasonCode.into()));
        let error = Packet::decode(&[0x90, 2, 0, 1], Version::V3_1_1, Sender::Server).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::NoReasonCode, 4));
    }
}
