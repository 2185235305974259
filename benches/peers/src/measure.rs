//! Checks every peer, then measures all of them in turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::alloc;
use crate::corpus::{Chunk, Proto, Workload};
use crate::flow::{BATCH, PAYLOAD_LEN};
use crate::registry::{Check, Meter, Outcome, Registry};
use crate::tally::Tally;
use crate::wire;

pub struct Settings {
    pub rounds: usize,
    /// A sample goes on until it has taken this long.
    pub sample: Duration,
    pub peers: Vec<String>,
    pub workloads: Vec<String>,
}

impl Settings {
    fn wants_peer(&self, peer: &str) -> bool {
        // A peer may have several rows: its name, and in brackets what the row shows.
        let peer = peer.split(' ').next().unwrap_or(peer);
        let asked = |name: &String| name == peer || peer == "f1" || peer == "f2";
        self.peers.is_empty() || self.peers.iter().any(asked)
    }

    fn wants(&self, key: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|asked| key.starts_with(asked))
    }
}

/// One workload: a table of peers.
pub struct Table {
    /// `d1`, `e1`, `s0` and so on.
    pub key: String,
    pub proto: Proto,
    pub title: String,
    pub bytes_per_packet: f64,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub peer: &'static str,
    /// The figures, or why there are none.
    pub result: Outcome<Figures>,
}

pub struct Figures {
    /// Nanoseconds per packet: a sorted sample of every round.
    pub ns: Vec<f64>,
    pub allocations: f64,
    pub allocated_bytes: f64,
    /// Whether an encoder's bytes are those of the corpus.
    pub identical: Option<bool>,
}

impl Figures {
    pub fn at(&self, quantile: f64) -> f64 {
        let place = quantile * (self.ns.len() - 1) as f64;
        self.ns[place.round() as usize]
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }
}

/// Something that can be sampled: runs once and says how many packets that was.
type Subject = Box<dyn FnMut(&mut Meter) -> Outcome<u64>>;

pub fn all(
    registry: &Registry,
    workloads: &[&'static Workload],
    settings: &Settings,
) -> Vec<Table> {
    let mut groups = Vec::new();
    let mut add = |key: String, proto, title: String, bytes_per_packet, candidates: Vec<_>| {
        let (rows, subjects) = prepare(candidates);
        groups.push((Table { key, proto, title, bytes_per_packet, rows }, subjects));
    };

    for workload in workloads {
        let key = format!("d{}", workload.number);
        if settings.wants(&key) {
            let candidates = decode_candidates(registry, workload, settings);
            let bytes = mean_size(&workload.decode);
            add(key, workload.proto, workload.title.into(), bytes, candidates);
        }
    }
    for workload in workloads {
        let key = format!("e{}", workload.number);
        if settings.wants(&key) {
            let candidates = encode_candidates(registry, workload, settings);
            let bytes = mean_size(&workload.encode);
            add(key, workload.proto, workload.title.into(), bytes, candidates);
        }
    }
    for proto in Proto::ALL {
        for qos in 0..3 {
            let key = format!("s{qos}");
            if settings.wants(&key) {
                let candidates = flow_candidates(registry, proto, qos, settings);
                let title = format!("send QoS {qos}, {PAYLOAD_LEN} B, all acknowledgements");
                add(key, proto, title, PAYLOAD_LEN as f64, candidates);
            }
        }
    }
    measure(groups, settings)
}

fn mean_size(chunks: &[Chunk]) -> f64 {
    let bytes: usize = chunks.iter().map(|chunk| chunk.wire.len()).sum();
    let packets: u64 = chunks.iter().map(|chunk| chunk.tally.packets).sum();
    bytes as f64 / packets as f64
}

/// What a subject is before it is measured: a peer, whether its bytes are those of the corpus,
/// and how to run it; or why it cannot be.
type Candidate = (&'static str, Outcome<(Option<bool>, Subject)>);

fn decode_candidates(
    registry: &Registry,
    workload: &'static Workload,
    settings: &Settings,
) -> Vec<Candidate> {
    let of_proto = registry.decoders.iter().filter(|decoder| decoder.proto == workload.proto);
    let wanted = of_proto.filter(|decoder| settings.wants_peer(decoder.peer));
    let candidate = |decoder: &crate::registry::Decoder| {
        let check = decoder.check;
        let mut run = (decoder.start)();
        let mut at = 0;
        let mut subject: Subject = Box::new(move |meter| {
            let chunk = &workload.decode[at];
            at = (at + 1) % workload.decode.len();
            let tally = run(chunk, meter)?;
            let expected = if check == Check::Full { chunk.tally } else { chunk.frames };
            same(tally, expected)?;
            Ok(tally.packets)
        });
        let checked = protect(|| {
            let mut meter = Meter::default();
            workload.decode.iter().try_for_each(|_| subject(&mut meter).map(drop))
        });
        (decoder.peer, checked.map(|()| (None, subject)))
    };
    wanted.map(candidate).collect()
}

fn encode_candidates(
    registry: &Registry,
    workload: &'static Workload,
    settings: &Settings,
) -> Vec<Candidate> {
    let of_proto = registry.encoders.iter().filter(|encoder| encoder.proto == workload.proto);
    let wanted = of_proto.filter(|encoder| settings.wants_peer(encoder.peer));
    let candidate = |encoder: &crate::registry::Encoder| {
        let chunk = &workload.encode[0];
        let start = || {
            let bytes = (encoder.bytes)(chunk)?;
            let mut tally = Tally::default();
            match workload.proto {
                Proto::V4 => wire::decode::<false>(&bytes, &mut tally)?,
                Proto::V5 => wire::decode::<true>(&bytes, &mut tally)?,
            }
            same(tally, chunk.tally)?;
            let mut run = (encoder.start)(chunk)?;
            run(&mut Meter::default())?;
            let subject: Subject = Box::new(move |meter| Ok(run(meter)? as u64));
            Ok((Some(bytes == chunk.wire), subject))
        };
        (encoder.peer, protect(start))
    };
    wanted.map(candidate).collect()
}

fn flow_candidates(
    registry: &Registry,
    proto: Proto,
    qos: u8,
    settings: &Settings,
) -> Vec<Candidate> {
    const MESSAGES: u64 = 8 * BATCH;
    let of_kind = registry.flows.iter().filter(|flow| flow.proto == proto && flow.qos == qos);
    let wanted = of_kind.filter(|flow| settings.wants_peer(flow.peer));
    let candidate = |flow: &crate::registry::Flow| {
        let start = || {
            let mut run = (flow.start)()?;
            let mut subject: Subject = Box::new(move |meter| {
                let done = run(MESSAGES, meter)?;
                let complete = done == MESSAGES;
                complete.then_some(done).ok_or_else(|| format!("{done} of {MESSAGES} messages"))
            });
            // Past the wrap-around of packet identifiers.
            for _ in 0..600 {
                subject(&mut Meter::default())?;
            }
            Ok((None, subject))
        };
        (flow.peer, protect(start))
    };
    wanted.map(candidate).collect()
}

fn same(tally: Tally, expected: Tally) -> Outcome {
    let equal = tally == expected;
    equal.then_some(()).ok_or_else(|| format!("{tally:?} where {expected:?} is expected"))
}

/// A panic counts as a failure.
pub fn protect<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panic".into()))
}

/// What a `Meter` shows for nothing, in nanoseconds.
fn timer_overhead() -> f64 {
    let mut samples: Vec<u128> = (0..10_001)
        .map(|_| {
            let mut meter = Meter::default();
            meter.time(|| ());
            meter.elapsed.as_nanos()
        })
        .collect();
    samples.sort_unstable();
    samples[samples.len() / 2] as f64
}

/// Counts the allocations of those that can run.
fn prepare(candidates: Vec<Candidate>) -> (Vec<Row>, Vec<(usize, Subject)>) {
    let mut rows = Vec::new();
    let mut subjects = Vec::new();
    for (peer, candidate) in candidates {
        let result = candidate.map(|(identical, mut subject)| {
            let (allocations, allocated_bytes) = count_allocations(&mut subject);
            subjects.push((rows.len(), subject));
            Figures { ns: Vec::new(), allocations, allocated_bytes, identical }
        });
        rows.push(Row { peer, result });
    }
    (rows, subjects)
}

/// Measures in turns: a round takes one sample of every peer in every workload, so that a time
/// in which the machine is slow hits all of them and few of the samples of each. Every round
/// starts with another peer.
fn measure(mut groups: Vec<(Table, Vec<(usize, Subject)>)>, settings: &Settings) -> Vec<Table> {
    let overhead = timer_overhead();
    for round in 0..settings.rounds {
        for (table, subjects) in &mut groups {
            for turn in 0..subjects.len() {
                let which = (turn + round) % subjects.len();
                let (row, subject) = &mut subjects[which];
                // Warms caches and branch prediction up.
                sample(subject, settings.sample / 8, overhead);
                let ns = sample(subject, settings.sample, overhead);
                table.rows[*row].result.as_mut().unwrap().ns.push(ns);
            }
        }
    }
    let mut tables: Vec<Table> = groups.into_iter().map(|(table, _)| table).collect();
    for row in tables.iter_mut().flat_map(|table| &mut table.rows) {
        if let Ok(figures) = &mut row.result {
            figures.ns.sort_unstable_by(f64::total_cmp);
        }
    }
    tables
}

fn sample(subject: &mut Subject, target: Duration, overhead: f64) -> f64 {
    let mut meter = Meter::default();
    let mut packets = 0;
    while meter.elapsed < target {
        packets += subject(&mut meter).expect("it worked before");
    }
    let ns = meter.elapsed.as_nanos() as f64 - f64::from(meter.calls) * overhead;
    ns / packets as f64
}

/// Allocations, and the bytes they ask for, per packet.
fn count_allocations(subject: &mut Subject) -> (f64, f64) {
    let mut meter = Meter::default();
    let mut packets = 0;
    alloc::count_allocations(true);
    for _ in 0..16 {
        packets += subject(&mut meter).expect("it worked before");
    }
    alloc::count_allocations(false);
    let per_packet = |count: u64| count as f64 / packets as f64;
    (per_packet(meter.allocated.calls), per_packet(meter.allocated.bytes))
}
