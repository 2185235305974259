//! DISCONNECT, MQTT 5.0 §3.14.

use bytes::BufMut;

use crate::error::{EncodeError, Fault, Feature};
use crate::packet::body::Body;
use crate::packet::tail::{self, Tail};
use crate::packet_type::{PacketType, Places, Sender};
use crate::properties::Properties;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::Reader;

/// Disconnect notification: the last packet of either end, in 3.x of the client. §3.14
///
/// What was received encodes to the same bytes, what is made from a list of properties to the
/// shortest form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Disconnect<'a> {
    /// Why; in 3.x there is none but [`ReasonCode::NORMAL_DISCONNECTION`].
    pub reason_code: ReasonCode,
    /// In 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(crate) fn for_version(self, version: Version) -> Result<Self, EncodeError> {
        if version.is_v5() {
            return Ok(self);
        }
        // A plain DISCONNECT would say that all is well, and delete the Will.
        if self.reason_code != ReasonCode::NORMAL_DISCONNECTION {
            let feature = Feature::ReasonCode(self.reason_code);
            return Err(EncodeError::NotInVersion(version, feature));
        }
        Ok(Self::default())
    }

    #[inline]
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        version: Version,
        sender: Sender,
    ) -> Result<Self, Fault> {
        if !version.is_v5() {
            reader.finish()?;
            return Ok(Self::default());
        }
        let place = Places::of(PacketType::Disconnect, sender);
        let (reason_code, properties) = tail::decode(reader, place)?;
        Ok(Self { reason_code, properties })
    }
}

impl<'a> Body<'a> for Disconnect<'a> {
    type Plan = Tail;

    fn check(&self, version: Version) -> Result<Tail, EncodeError> {
        Tail::check(self.reason_code, &self.properties, version, Places::DISCONNECT)
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Tail) -> usize {
        plan.len()
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        0xe0
    }

    fn write(&self, _: Version, plan: &Tail, out: &mut impl BufMut) {
        plan.write(self.reason_code, &self.properties, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;
    use crate::packet::Packet;
    use crate::property::Property;
    use alloc::vec::Vec;

    fn encode(disconnect: Disconnect<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        Packet::from(disconnect).encode(version, &mut out).map(|()| out)
    }

    #[test]
    fn each_form_decodes_and_is_kept() {
        // v5 3.14.2.1, v3.1.1 3.14
        let forms: [&[u8]; 4] =
            [&[0xe0, 0], &[0xe0, 1, 0x81], &[0xe0, 2, 0, 0], &[0xe0, 2, 0x80, 0]];
        for bytes in forms {
            for sender in [Sender::Client, Sender::Server] {
                let packet = Packet::decode(bytes, Version::V5, sender).unwrap();
                let Packet::Disconnect(disconnect) = packet else { panic!("{packet}") };
                assert_eq!(encode(disconnect, Version::V5).unwrap(), bytes);
            }
        }
        let error = Packet::decode(&[0xe0, 1, 0], Version::V3_1_1, Sender::Client).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::TrailingBytes, 2));
    }

    #[test]
    fn only_5_has_one_from_the_server() {
        for version in [Version::V3_1, Version::V3_1_1] {
            let error = Packet::decode(&[0xe0, 0], version, Sender::Server).unwrap_err();
            assert_eq!(error.cause, Cause::PacketFromWrongSender(Sender::Server));
        }
    }

    #[test]
    fn nobody_sends_a_client_reason_with_a_server_property() {
        // v5 [MQTT-3.14.2-1]
        let list = [Property::ServerReference("other")];
        let disconnect = Disconnect {
            reason_code: ReasonCode::DISCONNECT_WITH_WILL_MESSAGE,
            properties: Properties::List(&list),
        };
        assert_eq!(encode(disconnect, Version::V5), Err(EncodeError::NoSender));
    }

    #[test]
    fn a_reason_has_no_form_in_3_x() {
        let disconnect =
            Disconnect { reason_code: ReasonCode::PROTOCOL_ERROR, ..Default::default() };
        let feature = Feature::ReasonCode(ReasonCode::PROTOCOL_ERROR);
        let error = EncodeError::NotInVersion(Version::V3_1_1, feature);
        assert_eq!(encode(disconnect, Version::V3_1_1), Err(error));
        assert_eq!(disconnect.for_version(Version::V3_1_1), Err(error));
    }
}
