//! The client crashed between any two of its outputs, and its connection cut at any byte.
//!
//! A script is run to its end once for each place where something can go wrong: the process dies,
//! with or without the records that were on their way to the store, and another one takes over;
//! or the transport breaks. Whatever happens, what the contract promises holds: see
//! [`simulation`].

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "what fails may panic")]

mod application;
mod scripts;
mod server;
mod simulation;

use std::panic::{AssertUnwindSafe, catch_unwind};

use sansio_mqtt::Version;

use crate::scripts::SCRIPTS;
use crate::simulation::{Extent, Fault, Kept, Script, run};

const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];
const KEPT: [Kept; 3] = [Kept::None, Kept::Half, Kept::All];

/// Runs a script in both versions; `faults` says what goes wrong in each of its runs, of how much
/// happens when nothing does.
fn each(script: &Script, faults: impl Fn(Extent) -> Vec<Vec<Fault>>) -> Vec<String> {
    let mut failed = Vec::new();
    for version in VERSIONS {
        println!("{} {version}", script.name);
        let extent = run(script, version, &[]);
        println!("{extent:?}");
        for faults in faults(extent) {
            let one = AssertUnwindSafe(|| run(script, version, &faults));
            if let Err(cause) = catch_unwind(one) {
                let text = cause.downcast_ref::<String>().map(String::as_str);
                let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or_default();
                let text = format!("{} {version} {faults:?}: {text}", script.name);
                failed.push(text);
            }
        }
    }
    failed
}

fn all(faults: impl Fn(Extent) -> Vec<Vec<Fault>>) {
    let failed: Vec<String> = SCRIPTS.iter().flat_map(|script| each(script, &faults)).collect();
    let shown = failed.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} runs failed:\n{shown}", failed.len());
}

#[test]
fn nothing_goes_wrong_when_nothing_goes_wrong() {
    all(|_| vec![Vec::new()]);
}

#[test]
fn a_crash_at_any_output_breaks_no_promise() {
    all(|extent| {
        let crash = |output| KEPT.map(|kept| vec![Fault::Crash { output, kept }]);
        (0..extent.outputs).flat_map(crash).collect()
    });
}

#[test]
fn a_connection_cut_at_any_byte_breaks_no_promise() {
    all(|extent| {
        let to_server = (0..extent.to_server).map(|at| vec![Fault::CutToServer(at)]);
        to_server.chain((0..extent.to_client).map(|at| vec![Fault::CutToClient(at)])).collect()
    });
}

#[test]
fn several_crashes_and_cuts_break_no_promise() {
    all(|extent| {
        let mut random = Random(0x5eed);
        let mut fault = || match random.below(4) {
            0 => Fault::CutToServer(random.below(extent.to_server)),
            1 => Fault::CutToClient(random.below(extent.to_client)),
            _ => {
                let kept = KEPT[random.below(3)];
                Fault::Crash { output: random.below(extent.outputs), kept }
            }
        };
        (0..300).map(|count| (0..2 + count % 4).map(|_| fault()).collect()).collect()
    });
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}
