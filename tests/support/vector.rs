//! The golden vectors of `testdata/vectors/*.txt`: packets and what they decode to, or which
//! rule they break. They were written from the standard's text, without this crate at hand.
//!
//! A vector is a stanza; blank lines part stanzas, `#` begins a comment.
//!
//! ```text
//! # What this vector is, and which rule it comes from.
//! accept 3.1.1 5 from client server
//! bytes 40 02 12 34
//! packet PUBACK packet_id=0x1234 reason_code=0x00 properties={}
//!
//! # PUBACK with a code that its table does not list. v5 [MQTT-3.4.2-1]
//! reject 5 from client server
//! bytes 40 03 00 01 01
//! cause InvalidReasonCode 0x82 @4
//! ```
//!
//! - The first line names the versions and senders it holds for.
//! - `bytes`, on one line or more, are one whole packet; for `reject` as much of one as makes the
//!   error certain. `packet` is the notation of `dump.rs`. In both `(TEXT)*N` stands for N times
//!   TEXT.
//! - Accepted bytes encode to the same bytes, or to those of `reencodes` where that line is: for
//!   a Remaining Length of 3.x that is not minimal, and for a CONNECT of 3.1 without a field whose
//!   flag is set.
//! - `cause` names the variant of `Cause`, its Reason Code, and where the field at fault begins.

use std::fs;
use std::path::Path;

use sansio_mqtt::{Sender, Version};

/// What is wrong with a file of vectors, as opposed to the codec.
pub(crate) type Result<T> = std::result::Result<T, String>;

#[derive(Debug)]
pub(crate) struct Vector {
    /// File and line.
    pub(crate) place: String,
    pub(crate) versions: Vec<Version>,
    pub(crate) senders: Vec<Sender>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

#[derive(Debug)]
pub(crate) enum Expected {
    Accept { packet: String, encoded: Vec<u8> },
    Reject { cause: String, reason_code: u8, offset: usize },
}

/// All vectors of a directory.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<Vector>> {
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| error.to_string())?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let mut vectors = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        vectors.extend(parse_file(&name, &text)?);
    }
    Ok(vectors)
}

fn parse_file(name: &str, text: &str) -> Result<Vec<Vector>> {
    let mut vectors = Vec::new();
    let mut stanza: Vec<(&str, &str)> = Vec::new();
    let mut first_line = 0;
    // The empty line ends the last stanza as it does every other.
    for (line, number) in text.lines().chain([""]).zip(1..) {
        if line.is_empty() {
            if !stanza.is_empty() {
                let place = format!("testdata/vectors/{name}:{first_line}");
                let vector = parse(place.clone(), &stanza);
                vectors.push(vector.map_err(|error| format!("{place}: {error}"))?);
                stanza.clear();
            }
        } else if !line.starts_with('#') {
            if stanza.is_empty() {
                first_line = number;
            }
            stanza.push(line.split_once(' ').unwrap_or((line, "")));
        }
    }
    Ok(vectors)
}

fn parse(place: String, stanza: &[(&str, &str)]) -> Result<Vector> {
    let Some(((verdict, scope), lines)) = stanza.split_first() else {
        return Err("no lines".into());
    };
    let (versions, senders) = parse_scope(scope)?;
    let mut bytes = Vec::new();
    let (mut packet, mut encoded, mut cause) = (None, None, None);
    for (key, rest) in lines {
        match *key {
            "bytes" => bytes.extend(hex(rest)?),
            "packet" if packet.is_none() => packet = Some(repeat(rest)?),
            "reencodes" if encoded.is_none() => encoded = Some(hex(rest)?),
            "cause" if cause.is_none() => cause = Some(parse_cause(rest)?),
            key => return Err(format!("line `{key}` is unknown or there twice")),
        }
    }
    if encoded.is_some() && versions.contains(&Version::V5) {
        return Err("`reencodes` in 5.0, where every packet has one form".into());
    }
    let expected = match (*verdict, packet, cause) {
        ("accept", Some(packet), None) => {
            Expected::Accept { packet, encoded: encoded.unwrap_or_else(|| bytes.clone()) }
        }
        ("reject", None, Some(cause)) if encoded.is_none() => cause,
        _ => return Err("neither `accept` with `packet` nor `reject` with `cause`".into()),
    };
    Ok(Vector { place, versions, senders, bytes, expected })
}

fn parse_scope(scope: &str) -> Result<(Vec<Version>, Vec<Sender>)> {
    let (versions, senders) = scope.split_once(" from ").ok_or("no `from`")?;
    let version = |word| match word {
        "3.1" => Ok(Version::V3_1),
        "3.1.1" => Ok(Version::V3_1_1),
        "5" => Ok(Version::V5),
        _ => Err(format!("no version `{word}`")),
    };
    let sender = |word| match word {
        "client" => Ok(Sender::Client),
        "server" => Ok(Sender::Server),
        _ => Err(format!("no sender `{word}`")),
    };
    let versions = versions.split(' ').map(version).collect::<Result<_>>()?;
    Ok((versions, senders.split(' ').map(sender).collect::<Result<_>>()?))
}

fn parse_cause(text: &str) -> Result<Expected> {
    let mut words = text.split(' ');
    let (Some(cause), Some(code), Some(offset), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("no cause, code and offset: `{text}`"));
    };
    let code = code.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let offset = offset.strip_prefix('@').and_then(|digits| digits.parse().ok());
    Ok(Expected::Reject {
        cause: cause.to_owned(),
        reason_code: code.ok_or("no reason code")?,
        offset: offset.ok_or("no offset")?,
    })
}

fn hex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = repeat(text)?.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or("no bytes in hexadecimal")
    };
    Ok(digits.chunks(2).map(byte).collect::<std::result::Result<_, _>>()?)
}

/// Writes out every `(TEXT)*N`.
fn repeat(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(")*") {
        let (before, unit) = before.rsplit_once('(').ok_or("`)*` without `(`")?;
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (count, after) = after.split_at(digits);
        let count = count.parse().map_err(|error| format!("`{count}`: {error}"))?;
        out.push_str(before);
        out.push_str(&unit.repeat(count));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
