//! Runs all bodies over the corpus that is checked in, and compares the classes of disagreement
//! that it has with those that `DISAGREEMENTS.md` judges.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sansio_mqtt_fuzz::{bodies, differential};

fn replay(target: &str, mut body: impl FnMut(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut count = 0;
    for input in fs::read_dir(&directory).expect("a corpus") {
        let path = input.expect("a file").path();
        // Shown only if the body panics.
        println!("{}", path.display());
        body(&fs::read(&path).expect("a file"));
        count += 1;
    }
    assert_ne!(count, 0, "{} is empty", directory.display());
}

#[test]
fn the_bodies_hold_for_the_corpus() {
    replay("broker", bodies::broker::run);
    replay("client", bodies::client::run);
    replay("decode", bodies::decode::run);
    replay("round_trip", bodies::round_trip::run);
    replay("stream", bodies::stream::run);
    replay("topic", bodies::topic::run);
}

#[test]
fn disagreements_are_those_that_are_judged() {
    differential::ignore_panics_of_peers();
    let mut found = BTreeSet::new();
    replay("differential", |input| found.extend(differential::classes(input)));
    let text = include_str!("../DISAGREEMENTS.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let judged: BTreeSet<_> = rows.map(|(class, _)| class).collect();
    assert_eq!(found, judged);
}
