//! Recorded traffic of other people's clients and broker, `testdata/captures/*.bin`: every
//! stream decodes to its last byte, in whatever pieces it arrives, and encodes to the same bytes.
//! What it decodes to stands beside it, in `NAME.client.txt` and so on.
//!
//! - `UPDATE_DUMPS=1` writes those dumps instead of comparing them.
//! - `CAPTURES=DIR` reads streams recorded elsewhere, which have no dumps.

#[path = "support/dump.rs"]
mod dump;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sansio_mqtt::{DecodeError, Decoder, Packet, Sender, Version};

use dump::Dump;

type Result<T> = std::result::Result<T, String>;

/// A directory that lost some is a failure.
const FEWEST_STREAMS: usize = 1000;

/// Streams that are called sound and are not; their dumps end with an error too.
const REFUSED: [(&str, &str); 5] = [
    ("mosquitto-v5-message-too-large.server", "PUBACK with 0x95 is not in v5 table 3-4"),
    ("raw-v31-empty-id.client", "a Client Identifier of 3.1 has 1 to 23 characters"),
    ("raw-v31-subscribe-empty.server", "the broker answers no filter with no return code"),
    ("raw-v311-empty-id.client", "v3.1.1 [MQTT-3.1.3-7]: empty without Clean Session"),
    ("raw-v5-auth-unasked.client", "AUTH without an Authentication Method, v5 3.15.2.2.2"),
];

/// Of a longer payload, a dump has the hash.
const LONGEST_PAYLOAD: usize = 64;

#[test]
fn every_recorded_stream_decodes_to_its_last_byte_and_encodes_to_the_same_bytes() {
    let elsewhere = env::var_os("CAPTURES").map(PathBuf::from);
    let dir = elsewhere.clone().unwrap_or_else(directory);
    let fewest = if elsewhere.is_some() { 1 } else { FEWEST_STREAMS };
    let streams = streams(&dir).unwrap();
    assert!(streams.len() >= fewest, "{} streams in {}", streams.len(), dir.display());
    let (mut packets, mut failures) = (0, Vec::new());
    for path in &streams {
        match check(path, elsewhere.is_none()) {
            Ok(count) => packets += count,
            Err(failure) => failures.push(format!("{}: {failure}", path.display())),
        }
    }
    println!("{} streams, {packets} packets", streams.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_dump_has_its_stream() {
    for path in files(&directory(), "txt").unwrap() {
        assert!(path.with_extension("bin").exists(), "{} has no stream", path.display());
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures")
}

fn streams(dir: &Path) -> io::Result<Vec<PathBuf>> {
    files(dir, "bin")
}

fn files(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    Ok(paths)
}

/// One side of a connection.
struct Stream {
    version: Version,
    sender: Sender,
    /// Ends with an error.
    malformed: bool,
    bytes: Vec<u8>,
}

impl Stream {
    /// By the name of its file.
    fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let full_name = name.trim_end_matches(".bin");
        let (name, kind) = full_name.rsplit_once('.').ok_or("no kind")?;
        let version = name.split('-').find_map(|word| match word {
            "v31" => Some(Version::V3_1),
            "v311" => Some(Version::V3_1_1),
            "v5" => Some(Version::V5),
            _ => None,
        });
        let sender = match kind {
            "client" | "malformed" => Sender::Client,
            "server" => Sender::Server,
            kind => return Err(format!("no kind of stream `{kind}`")),
        };
        let is_refused = REFUSED.iter().any(|(refused, _)| *refused == full_name);
        let malformed = kind == "malformed" || is_refused;
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        Ok(Self { version: version.ok_or("no version in the name")?, sender, malformed, bytes })
    }

    /// One that learns the version of a client from its CONNECT.
    fn decoder(&self) -> Decoder {
        match self.sender {
            Sender::Client => Decoder::from_client(),
            Sender::Server => Decoder::from_server(self.version),
        }
    }
}

/// Checks a stream, and says how many packets it holds.
fn check(path: &Path, has_dump: bool) -> Result<usize> {
    let stream = Stream::read(path)?;
    let whole = Decoded::of(&stream, usize::MAX);
    for chunk in [1, 7, 1000] {
        if Decoded::of(&stream, chunk) != whole {
            return Err(format!("decodes otherwise in pieces of {chunk} bytes"));
        }
    }
    check_encoding(&stream)?;
    if has_dump {
        compare(&path.with_extension("txt"), &whole.to_string())?;
    }
    match whole.error {
        Some((offset, error)) if !stream.malformed => Err(format!("{error} of that at {offset}")),
        None if stream.malformed => Err("decodes without an error".into()),
        None if whole.len != stream.bytes.len() => Err(format!("decodes to {} only", whole.len)),
        _ => Ok(whole.packets.len()),
    }
}

/// What a stream decodes to.
#[derive(PartialEq)]
struct Decoded {
    /// Offset, length and notation.
    packets: Vec<(usize, usize, String)>,
    /// Bytes in whole packets.
    len: usize,
    /// Where the packet begins that is none, and why it is none.
    error: Option<(usize, DecodeError)>,
}

impl Decoded {
    /// Lets the stream arrive in pieces of `chunk` bytes.
    fn of(stream: &Stream, chunk: usize) -> Self {
        let mut decoded = Self { packets: Vec::new(), len: 0, error: None };
        let mut decoder = stream.decoder();
        let mut buffer = Vec::new();
        for piece in stream.bytes.chunks(chunk) {
            buffer.extend_from_slice(piece);
            let used = decoded.take(&mut decoder, &buffer);
            buffer.drain(..used);
            if decoded.error.is_some() {
                break;
            }
        }
        decoded
    }

    /// Takes all whole packets off the front of what arrived, and says how many bytes they are.
    fn take(&mut self, decoder: &mut Decoder, buffer: &[u8]) -> usize {
        let mut used = 0;
        loop {
            match decoder.decode(&buffer[used..]) {
                Ok(Some((packet, len))) => {
                    let dump = Dump { packet: &packet, longest_payload: LONGEST_PAYLOAD };
                    self.packets.push((self.len, len, dump.to_string()));
                    self.len += len;
                    used += len;
                }
                Ok(None) => return used,
                Err(error) => {
                    self.error = Some((self.len, error));
                    return used;
                }
            }
        }
    }
}

/// The dump: one line a packet.
impl std::fmt::Display for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (offset, len, notation) in &self.packets {
            writeln!(f, "{offset:>6}  {len:>5}  {notation}")?;
        }
        if let Some((offset, error)) = &self.error {
            let (cause, code) = (error.cause, error.reason_code().get());
            writeln!(f, "{offset:>6}  error  {cause:?} {code:#04x} @{}", error.offset)?;
        }
        Ok(())
    }
}

/// Encodes packet by packet, for the version that the file's name says.
fn check_encoding(stream: &Stream) -> Result<()> {
    let mut decoder = stream.decoder();
    let mut rest = stream.bytes.as_slice();
    let mut out = Vec::new();
    while let Ok(Some((packet, len))) = decoder.decode(rest) {
        if let Packet::Connect(connect) = &packet
            && connect.version != stream.version
        {
            return Err(format!("a CONNECT of MQTT {}", connect.version));
        }
        out.clear();
        packet.encode(stream.version, &mut out).map_err(|error| format!("{packet}: {error}"))?;
        if out != rest[..len] {
            return Err(format!("{packet} encodes otherwise: {out:02x?}"));
        }
        rest = &rest[len..];
    }
    Ok(())
}

fn compare(path: &Path, dump: &str) -> Result<()> {
    if env::var_os("UPDATE_DUMPS").is_some_and(|value| value == "1") {
        return fs::write(path, dump).map_err(|error| error.to_string());
    }
    let expected = fs::read_to_string(path)
        .map_err(|error| format!("no dump ({error}); write it with UPDATE_DUMPS=1 and read it"))?;
    if dump == expected {
        return Ok(());
    }
    let mut message = String::from("differs from its dump:");
    let (mut got, mut wanted) = (dump.lines(), expected.lines());
    loop {
        match (got.next(), wanted.next()) {
            (Some(line), Some(other)) if line == other => {}
            (line, other) => {
                let end = "the end";
                let _ = write!(message, "\n    {}", line.unwrap_or(end));
                let _ = write!(message, "\n not {}", other.unwrap_or(end));
                return Err(message);
            }
        }
    }
}
