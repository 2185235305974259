//! Fills `corpus/` with first inputs for the targets, made from `../testdata`; then
//! `cargo +nightly fuzz cmin TARGET` keeps those that differ.

use std::error::Error;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use sansio_mqtt::{Packet, Sender, Version};

/// Longer inputs slow a fuzzer down and find nothing that shorter ones do not.
const MAXIMUM_LEN: usize = 2048;

/// One direction of a captured connection.
type Stream = (Sender, Vec<u8>);

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> Result<(), Box<dyn Error>> {
    let frames = vectors()?;
    let streams = captures()?;
    for frame in &frames {
        write("decode", frame)?;
        write("differential", frame)?;
        write("round_trip", frame)?;
        write("differential", &[&[0][..], frame].concat())?;
        for mode in 0..8 {
            write("stream", &[&[mode, 0, 0, 2, 1, 3], &frame[..]].concat())?;
        }
    }
    for (sender, stream) in &streams {
        let modes = if *sender == Sender::Client { 0..5 } else { 5..8 };
        for mode in modes {
            write("stream", &[&[mode, 0, 200, 3, 7, 0, 2], &stream[..]].concat())?;
        }
    }
    let (filters, names) = topics(&frames);
    for (at, filter) in filters.iter().enumerate() {
        // Few of the bytes that stretch, which make the target slow.
        let stretch = if at % 16 == 0 { 0xfa + (at / 16 % 6) as u8 } else { 0 };
        let name = &names[at % names.len()];
        write("topic", &[&[stretch], filter.as_bytes(), b"\n", name.as_bytes()].concat())?;
    }
    Ok(())
}

fn write(target: &str, input: &[u8]) -> std::io::Result<()> {
    if input.len() > MAXIMUM_LEN {
        return Ok(());
    }
    let directory = Path::new(HERE).join("corpus").join(target);
    fs::create_dir_all(&directory)?;
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    fs::write(directory.join(format!("{:016x}", hasher.finish())), input)
}

/// The lines `bytes 30 05 (61)*3 …` of all vectors.
fn vectors() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut frames = Vec::new();
    for entry in fs::read_dir(Path::new(HERE).join("../testdata/vectors"))? {
        let text = fs::read_to_string(entry?.path())?;
        for line in text.lines().filter_map(|line| line.strip_prefix("bytes ")) {
            frames.push(bytes(line)?);
        }
    }
    Ok(frames)
}

fn bytes(line: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    for word in line.replace(") *", ")*").split_whitespace() {
        let (hex, times) = match word.strip_prefix('(').and_then(|word| word.split_once(")*")) {
            Some((hex, times)) => (hex, times.parse()?),
            None => (word, 1),
        };
        bytes.extend([u8::from_str_radix(hex, 16)?].repeat(times));
    }
    Ok(bytes)
}

fn captures() -> Result<Vec<Stream>, Box<dyn Error>> {
    let mut streams = Vec::new();
    for entry in fs::read_dir(Path::new(HERE).join("../testdata/captures"))? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        let sender = if name.ends_with(".client.bin") {
            Sender::Client
        } else if name.ends_with(".server.bin") {
            Sender::Server
        } else {
            continue;
        };
        streams.push((sender, fs::read(&path)?));
    }
    Ok(streams)
}

/// The Topic Filters and Topic Names in the packets.
fn topics(frames: &[Vec<u8>]) -> (Vec<String>, Vec<String>) {
    let (mut filters, mut names) = (Vec::new(), Vec::new());
    let decode = |frame| Packet::decode(frame, Version::V3_1_1, Sender::Client).ok();
    for packet in frames.iter().filter_map(|frame| decode(frame)) {
        match packet {
            Packet::Subscribe(packet) => {
                filters.extend(packet.subscriptions.iter().map(|item| item.topic_filter.into()));
            }
            Packet::Unsubscribe(packet) => {
                filters.extend(packet.topic_filters.iter().map(String::from));
            }
            Packet::Publish(packet) => names.push(packet.topic.to_owned()),
            _ => {}
        }
    }
    (filters, names)
}
