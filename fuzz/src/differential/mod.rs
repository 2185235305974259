//! Other implementations get the same packets: what they and this crate disagree about is a
//! class that `DISAGREEMENTS.md` judges, or a panic.

mod facts;
mod known;
mod one;
mod three;
mod two;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic;

use arbitrary::{Arbitrary as _, Unstructured};
use sansio_mqtt::{Cause, DecodeError, FixedHeader, OwnedPacket, Packet, Sender, Version};

use facts::Facts;

/// Decodes a frame of a version, and says all that it read, or why it read nothing.
type Decode = fn(&[u8], Version) -> Result<Facts, String>;

/// Of each version two know nothing of each other.
const PEERS: [(Peer, Decode, &[Version]); 3] = [
    (Peer::One, one::decode, &[Version::V3_1, Version::V3_1_1, Version::V5]),
    (Peer::Two, two::decode, &[Version::V3_1_1, Version::V5]),
    (Peer::Three, three::decode, &[Version::V3_1]),
];

/// Another implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Of all versions.
    One,
    /// Of 3.1.1 and 5.0.
    Two,
    /// Of 3.1.
    Three,
}

/// What this crate and a peer make of one frame that they disagree about.
pub struct Dispute<'a> {
    pub peer: Peer,
    pub version: Version,
    pub frame: &'a [u8],
    pub found: Found<'a>,
}

/// Which of the two takes it.
pub enum Found<'a> {
    /// This crate does, the peer gives a reason why not.
    PeerRefuses(Packet<'a>, String),
    /// The peer does, this crate from neither sender.
    WeRefuse(Vec<DecodeError>),
    /// Both do, and read different things: in one and not in the other.
    Differ(Packet<'a>, Facts, Facts),
}

/// The input begins with a packet; or with a byte that no packet has in front, and is read as
/// `Arbitrary` reads it: see [`damaged`].
pub fn run(input: &[u8]) {
    classes(input);
}

/// The known classes of disagreement that the input falls into.
///
/// # Panics
///
/// On a disagreement that is not known.
pub fn classes(input: &[u8]) -> BTreeSet<&'static str> {
    let mut classes = BTreeSet::new();
    let made = match input {
        [0..0x10, rest @ ..] => damaged(&mut Unstructured::new(rest)).unwrap_or_default(),
        _ => input.to_vec(),
    };
    let Ok(Some(header)) = FixedHeader::decode(&made) else { return classes };
    let Some(frame) = made.get(..header.frame_len()) else { return classes };
    for (peer, decode, versions) in PEERS {
        for version in versions {
            let theirs = quietly(|| decode(frame, *version));
            let Some(found) = compare(frame, *version, theirs) else { continue };
            let dispute = Dispute { peer, version: *version, frame, found };
            classes.insert(known::class(&dispute).unwrap_or_else(|| new(&dispute)));
        }
    }
    classes
}

/// A valid packet with up to three of its bytes changed.
fn damaged(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let changes: [(bool, u16, u8); 3] = u.arbitrary()?;
    let mut frame = OwnedPacket::arbitrary(u)?.frame().to_vec();
    for (_, at, byte) in changes.into_iter().filter(|(change, ..)| *change) {
        let len = frame.len();
        frame[usize::from(at) % len] = byte;
    }
    Ok(frame)
}

/// What they disagree about, if they do.
fn compare(frame: &[u8], version: Version, theirs: Result<Facts, String>) -> Option<Found<'_>> {
    let ours =
        [Sender::Client, Sender::Server].map(|sender| Packet::decode(frame, version, sender));
    let accepted = ours.iter().find_map(|ours| ours.ok());
    match (accepted, theirs) {
        (None, Err(_)) => None,
        (Some(packet), Err(reason)) => Some(Found::PeerRefuses(packet, reason)),
        (None, Ok(_)) => {
            let wrong_sender =
                |error: &DecodeError| matches!(error.cause, Cause::PacketFromWrongSender(_));
            let errors = ours.into_iter().filter_map(Result::err);
            Some(Found::WeRefuse(errors.filter(|error| !wrong_sender(error)).collect()))
        }
        (Some(packet), Ok(theirs)) => {
            let (ours, theirs) = facts::of(&packet).without_common(theirs);
            let agree = ours.is_empty() && theirs.is_empty();
            (!agree).then_some(Found::Differ(packet, ours, theirs))
        }
    }
}

fn new(dispute: &Dispute<'_>) -> ! {
    let Dispute { peer, version, frame, .. } = dispute;
    let what = match &dispute.found {
        Found::PeerRefuses(packet, reason) => format!("refuses ({reason}) {packet:?}"),
        Found::WeRefuse(errors) => format!("accepts what is refused here for {errors:?}"),
        Found::Differ(_, ours, theirs) => format!("reads {theirs:?} where we read {ours:?}"),
    };
    panic!("peer {peer:?} in {version} {what}: {frame:02x?}")
}

thread_local! {
    static PEER_RUNS: Cell<bool> = const { Cell::new(false) };
}

/// Keeps what happens when a peer panics from being taken for a panic of this crate: libFuzzer's
/// hook ends the process. To be called once.
pub fn ignore_panics_of_peers() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !PEER_RUNS.get() {
            hook(info);
        }
    }));
}

fn quietly(
    decode: impl FnOnce() -> Result<Facts, String> + panic::UnwindSafe,
) -> Result<Facts, String> {
    PEER_RUNS.set(true);
    let result = panic::catch_unwind(decode);
    PEER_RUNS.set(false);
    result.unwrap_or_else(|_| Err("panicked".into()))
}

/// The body of a frame that is whole, found without this crate.
fn body(frame: &[u8]) -> Result<&[u8], String> {
    let length = frame.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0);
    let length = length.ok_or("no remaining length")?;
    frame.get(length + 2..).ok_or("no body".into())
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
