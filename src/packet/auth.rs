//! AUTH, MQTT 5.0 §3.15.

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::packet::body::Body;
use crate::packet::tail::{self, Tail};
use crate::packet_type::{PacketType, Places, Sender};
use crate::properties::{Form, Properties};
use crate::property_id::PropertyId;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// Authentication exchange, in 5.0: one step of extended authentication, from either end. §3.15
///
/// §3.15.2.2.2 asks for an Authentication Method, §3.15.2.1 lets the properties be left out: an
/// AUTH without any properties is taken for what it is, one that has some needs the method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Auth<'a> {
    /// The step: `SUCCESS`, `CONTINUE_AUTHENTICATION` or `RE_AUTHENTICATE`.
    pub reason_code: ReasonCode,
    /// The Authentication Method and what goes with it.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    #[inline]
    pub(crate) fn decode(reader: &mut Reader<'a>, sender: Sender) -> Result<Self, Fault> {
        let before = *reader;
        let place = Places::of(PacketType::Auth, sender);
        let (reason_code, properties) = tail::decode(reader, place)?;
        let auth = Self { reason_code, properties };
        auth.check_method().map_err(|cause| Fault {
            cause,
            // The Property Length stands behind the Reason Code.
            left: before.left().saturating_sub(1),
        })?;
        Ok(auth)
    }

    #[inline]
    fn check_method(&self) -> Result<(), Cause> {
        let may_lack_it = match self.properties.form(self.reason_code == ReasonCode::SUCCESS) {
            Form::Omitted => true,
            // An AUTH that came so is encoded as it came, but none is made so.
            Form::ReasonCode => self.properties.were_received_in(Places::AUTH),
            Form::Whole => false,
        };
        if may_lack_it || self.properties.contains(PropertyId::AuthenticationMethod) {
            return Ok(());
        }
        Err(Cause::MissingAuthenticationMethod)
    }
}

impl<'a> Body<'a> for Auth<'a> {
    type Plan = Tail;

    fn check(&self, version: Version) -> Result<Tail, EncodeError> {
        if !version.is_v5() {
            let feature = Feature::Packet(PacketType::Auth);
            return Err(EncodeError::NotInVersion(version, feature));
        }
        self.check_method()?;
        Tail::check(self.reason_code, &self.properties, version, Places::AUTH)
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Tail) -> usize {
        plan.len()
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0xf0
    }

    fn write(&self, _: Version, plan: &Tail, out: &mut impl BufMut) {
        plan.write(self.reason_code, &self.properties, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::property::Property;
    use alloc::vec::Vec;

    fn decode(bytes: &[u8], sender: Sender) -> Result<Packet<'_>, (Cause, usize)> {
        Packet::decode(bytes, Version::V5, sender).map_err(|error| (error.cause, error.offset))
    }

    #[test]
    fn may_do_without_a_body_or_without_properties() {
        // v5 3.15.2.1
        let forms: [&[u8]; 3] =
            [&[0xf0, 0], &[0xf0, 1, 0x18], &[0xf0, 6, 0x18, 4, 0x15, 0, 1, b'm']];
        for bytes in forms {
            let packet = decode(bytes, Sender::Server).unwrap();
            let mut out = Vec::new();
            packet.encode(Version::V5, &mut out).unwrap();
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn properties_include_the_method() {
        // v5 3.15.2.2.2
        let cause = Cause::MissingAuthenticationMethod;
        assert_eq!(decode(&[0xf0, 2, 0x18, 0], Sender::Client), Err((cause, 3)));
        let auth = Auth {
            reason_code: ReasonCode::CONTINUE_AUTHENTICATION,
            properties: Properties::List(&[Property::AuthenticationData(b"x")]),
        };
        for properties in [auth.properties, Properties::NONE] {
            let auth = Auth { properties, ..auth };
            assert_eq!(
                Packet::from(auth).encode(Version::V5, &mut Vec::new()),
                Err(EncodeError::Invalid(cause))
            );
        }
    }

    #[test]
    fn a_code_alone_of_another_packet_makes_none() {
        // v5 3.15.2.1: the code may be left out if it is Success, and then all is.
        let others: [(&[u8], Sender); 3] = [
            (&[0x40, 3, 0, 1, 0x10], Sender::Server),
            (&[0xe0, 1, 0], Sender::Client),
            (&[0xe0, 2, 0, 0], Sender::Client),
        ];
        for (bytes, sender) in others {
            let properties = match decode(bytes, sender).unwrap() {
                Packet::PubAck(packet) => packet.properties,
                Packet::Disconnect(packet) => packet.properties,
                packet => panic!("{packet}"),
            };
            for reason_code in [ReasonCode::CONTINUE_AUTHENTICATION, ReasonCode::SUCCESS] {
                let auth = Auth { reason_code, properties };
                assert_eq!(
                    Packet::from(auth).encode(Version::V5, &mut Vec::new()),
                    Err(EncodeError::Invalid(Cause::MissingAuthenticationMethod))
                );
            }
        }
    }

    #[test]
    fn has_three_reason_codes_each_with_its_sender() {
        // v5 [MQTT-3.15.2-1]
        let cause = |code| Err((Cause::InvalidReasonCode(code), 2));
        assert_eq!(decode(&[0xf0, 1, 1], Sender::Client), cause(1));
        assert_eq!(decode(&[0xf0, 1, 0x19], Sender::Server), cause(0x19));
        assert_eq!(decode(&[0xf0, 1, 0], Sender::Client), cause(0));
        assert!(decode(&[0xf0, 1, 0x19], Sender::Client).is_ok());
    }

    #[test]
    fn is_not_in_3_x() {
        let error = EncodeError::NotInVersion(Version::V3_1_1, Feature::Packet(PacketType::Auth));
        let result = Packet::from(Auth::default()).encode(Version::V3_1_1, &mut Vec::new());
        assert_eq!(result, Err(error));
    }
}
