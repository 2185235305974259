//! CONNACK, MQTT 5.0 §3.2.

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::packet::body::Body;
use crate::packet::tail::{self, block_len};
use crate::packet_type::Places;
use crate::properties::Properties;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// Connect acknowledgement: the server's answer to CONNECT. §3.2
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ConnAck<'a> {
    /// Whether the server resumes a session; never with a refusal, and not in 3.1.
    /// v5 [MQTT-3.2.2-6]
    pub session_present: bool,
    /// The result. The return codes of 3.x are mapped to the Reason Codes of the same meaning:
    /// [`ReasonCode::from_return_code`].
    pub reason_code: ReasonCode,
    /// In 5.0.
    pub properties: Properties<'a>,
}

/// What checking a CONNACK found out for writing it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) remaining: usize,
    properties: u32,
    code: u8,
}

impl<'a> ConnAck<'a> {
    /// A refusal without properties.
    pub const fn refuse(reason_code: ReasonCode) -> Self {
        Self { session_present: false, reason_code, properties: Properties::NONE }
    }

    /// The same packet without what `version` does not have; codes that 3.x lacks become the
    /// nearest that it has.
    pub(crate) fn for_version(self, version: Version) -> Result<Self, EncodeError> {
        if version.is_v5() {
            return Ok(self);
        }
        let feature = Feature::ReasonCode(self.reason_code);
        let reason_code = self
            .reason_code
            .for_connack_of_v3()
            .ok_or(EncodeError::NotInVersion(version, feature))?;
        let session_present = self.session_present && version == Version::V3_1_1;
        Ok(Self { session_present, reason_code, properties: Properties::NONE })
    }

    #[inline]
    pub(crate) fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, Fault> {
        let flags_at = *reader;
        let flags = reader.byte()?;
        let reserved = if version == Version::V3_1 { 0xff } else { 0xfe };
        if flags & reserved != 0 {
            return Err(flags_at.fault(Cause::ReservedAcknowledgeFlags(flags)));
        }
        let session_present = flags != 0;
        let code_at = *reader;
        let reason_code = if version.is_v5() {
            tail::decode_reason_code(reader, Places::CONNACK)?
        } else {
            let code = reader.byte()?;
            ReasonCode::from_return_code(code)
                .ok_or(code_at.fault(Cause::InvalidReasonCode(code)))?
        };
        if session_present && reason_code != ReasonCode::SUCCESS {
            return Err(code_at.fault(Cause::SessionPresentWithError));
        }
        let properties = Properties::decode_in(version, reader, Places::CONNACK)?;
        reader.finish()?;
        Ok(Self { session_present, reason_code, properties })
    }
}

impl<'a> Body<'a> for ConnAck<'a> {
    type Plan = Plan;

    fn check(&self, version: Version) -> Result<Plan, EncodeError> {
        if self.session_present && version == Version::V3_1 {
            return Err(EncodeError::NotInVersion(version, Feature::SessionPresent));
        }
        if self.session_present && self.reason_code != ReasonCode::SUCCESS {
            return Err(Cause::SessionPresentWithError.into());
        }
        let properties = self.properties.check(version, Places::CONNACK)?;
        if !version.is_v5() {
            let feature = Feature::ReasonCode(self.reason_code);
            let code = self
                .reason_code
                .return_code()
                .ok_or(EncodeError::NotInVersion(version, feature))?;
            return Ok(Plan { remaining: 2, properties, code });
        }
        let code = self.reason_code.get();
        if self.reason_code.places().and(Places::CONNACK).is_none() {
            return Err(Cause::InvalidReasonCode(code).into());
        }
        Ok(Plan { remaining: block_len(version, properties).saturating_add(2), properties, code })
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Plan) -> usize {
        plan.remaining
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0x20
    }

    fn write(&self, version: Version, plan: &Plan, out: &mut impl BufMut) {
        out.put_slice(&[u8::from(self.session_present), plan.code]);
        if version.is_v5() {
            self.properties.write(plan.properties, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet_type::Sender;
    use alloc::vec::Vec;

    fn encode(connack: ConnAck<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        Packet::from(connack).encode(version, &mut out).map(|()| out)
    }

    #[test]
    fn return_codes_of_3_x_are_mapped_both_ways() {
        for code in 0..=5u8 {
            let bytes = [0x20, 2, 0, code];
            let packet = Packet::decode(&bytes, Version::V3_1_1, Sender::Server).unwrap();
            let Packet::ConnAck(connack) = packet else { panic!("{packet}") };
            assert_eq!(connack.reason_code.return_code(), Some(code));
            assert_eq!(encode(connack, Version::V3_1_1).unwrap(), bytes);
        }
        let error = Packet::decode(&[0x20, 2, 0, 6], Version::V3_1, Sender::Server).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::InvalidReasonCode(6), 3));
    }

    #[test]
    fn a_refusal_never_says_session_present() {
        // v5 [MQTT-3.2.2-6], v3.1.1 [MQTT-3.2.2-4]
        let refusal =
            ConnAck { session_present: true, ..ConnAck::refuse(ReasonCode::NOT_AUTHORIZED) };
        for version in [Version::V3_1_1, Version::V5] {
            let error = EncodeError::Invalid(Cause::SessionPresentWithError);
            assert_eq!(encode(refusal, version), Err(error));
        }
    }

    #[test]
    fn what_3_x_lacks_is_refused_unless_replaced_on_purpose() {
        let banned = ConnAck::refuse(ReasonCode::BANNED);
        let error =
            EncodeError::NotInVersion(Version::V3_1, Feature::ReasonCode(ReasonCode::BANNED));
        assert_eq!(encode(banned, Version::V3_1), Err(error));
        let refusal = banned.for_version(Version::V3_1).unwrap();
        assert_eq!(encode(refusal, Version::V3_1).unwrap(), [0x20, 2, 0, 5]);
        // v3.1.1 [MQTT-3.2.2-6]
        let malformed = ConnAck::refuse(ReasonCode::MALFORMED_PACKET);
        assert!(malformed.for_version(Version::V3_1_1).is_err());
        let resumed = ConnAck { session_present: true, ..Default::default() };
        let error = EncodeError::NotInVersion(Version::V3_1, Feature::SessionPresent);
        assert_eq!(encode(resumed, Version::V3_1), Err(error));
        assert_eq!(encode(resumed, Version::V3_1_1).unwrap(), [0x20, 2, 1, 0]);
        let plain = resumed.for_version(Version::V3_1).unwrap();
        assert_eq!(encode(plain, Version::V3_1).unwrap(), [0x20, 2, 0, 0]);
    }

    #[test]
    fn a_3_x_connack_is_too_short_for_5() {
        let error = Packet::decode(&[0x20, 2, 0, 1], Version::V5, Sender::Server).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::InvalidReasonCode(1), 3));
        let error = Packet::decode(&[0x20, 2, 0, 0], Version::V5, Sender::Server).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::FieldOverrunsPacket, 4));
    }
}
