//! The end that acknowledgements, DISCONNECT and AUTH have in common: a Reason Code and
//! properties, both of which may be left out. MQTT 5.0 §3.4.2.1, §3.14.2.1, §3.15.2.1.

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::packet_type::Places;
use crate::properties::{Form, Properties};
use crate::reason::ReasonCode;
use crate::varint;
use crate::version::Version;
use crate::wire::Reader;

/// Reads a Reason Code that is allowed in this packet.
#[inline(always)]
pub(crate) fn decode_reason_code(
    reader: &mut Reader<'_>,
    place: Places,
) -> Result<ReasonCode, Fault> {
    let before = *reader;
    let code = ReasonCode::new(reader.byte()?);
    if code.places().and(place).is_none() {
        return Err(before.fault(Cause::InvalidReasonCode(code.get())));
    }
    Ok(code)
}

/// Reads all that is left of a packet of 5.0.
#[inline(always)]
pub(crate) fn decode<'a>(
    reader: &mut Reader<'a>,
    place: Places,
) -> Result<(ReasonCode, Properties<'a>), Fault> {
    if reader.is_empty() {
        return Ok((ReasonCode::SUCCESS, Properties::NONE));
    }
    let reason_code = decode_reason_code(reader, place)?;
    if reader.is_empty() {
        return Ok((reason_code, Properties::reason_code_only(place)));
    }
    let properties = Properties::decode(reader, place)?;
    reader.finish()?;
    Ok((reason_code, properties))
}

/// How to write the end of a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    form: Form,
    properties: u32,
}

impl Tail {
    /// Checks the end of a packet.
    #[inline(always)]
    pub(crate) fn check(
        reason_code: ReasonCode,
        properties: &Properties<'_>,
        version: Version,
        place: Places,
    ) -> Result<Self, EncodeError> {
        if matches!(properties, Properties::List([])) && reason_code == ReasonCode::SUCCESS {
            return Ok(Self { form: Form::Omitted, properties: 0 });
        }
        let properties_len = properties.check(version, place)?;
        if !version.is_v5() {
            if reason_code != ReasonCode::SUCCESS {
                let feature = Feature::ReasonCode(reason_code);
                return Err(EncodeError::NotInVersion(version, feature));
            }
            return Ok(Self { form: Form::Omitted, properties: 0 });
        }
        let form = properties.form(reason_code == ReasonCode::SUCCESS);
        // Without a Reason Code there is nothing that a sender could not send.
        if form != Form::Omitted {
            let places = reason_code.places().and(place);
            if places.is_none() {
                return Err(Cause::InvalidReasonCode(reason_code.get()).into());
            }
            if properties.senders(places).is_none() {
                return Err(EncodeError::NoSender);
            }
        }
        Ok(Self { form, properties: properties_len })
    }

    /// How many bytes it takes.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        match self.form {
            Form::Omitted => 0,
            Form::ReasonCode => 1,
            Form::Whole => block_len(Version::V5, self.properties).saturating_add(1),
        }
    }

    #[inline(always)]
    pub(crate) fn write(
        &self,
        reason_code: ReasonCode,
        properties: &Properties<'_>,
        out: &mut impl BufMut,
    ) {
        if self.form != Form::Omitted {
            out.put_u8(reason_code.get());
        }
        if self.form == Form::Whole {
            properties.write(self.properties, out);
        }
    }
}

/// Bytes that properties take in a packet of `version`, the Property Length included.
#[inline(always)]
pub(crate) fn block_len(version: Version, properties: u32) -> usize {
    if !version.is_v5() {
        return 0;
    }
    // Lossless: targets have addresses of 32 bits at least.
    (properties as usize).saturating_add(varint::encoded_len(properties))
}
