//! Every statement of the standards that this crate can break is named by a test.
//!
//! The tables in `testdata/conformance` list the statements, each with the layer that can break
//! it. A test names a statement in a comment, by version and number, since the versions use the
//! same numbers for different rules: `v5` or `v3.1.1`, and behind it one number or more in
//! brackets. Comments count within the `tests` module of a file in `src`, in `tests`, and in the
//! golden vectors of `testdata/vectors`.

#![allow(clippy::panic, reason = "what fails a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// Layers that are not built, or that no test of this crate reaches: nobody has to name their
/// statements. Whoever builds a layer takes its line away.
const NOT_YET: [(&str, &str); 2] = [
    ("transport", "WebSocket and the streams of the examples are not there yet"),
    ("application", "for documentation or deployment, which no test of the code reaches"),
];

/// The table of a version's statements, and how many it has.
const TABLES: [(&str, &str, usize); 3] = [
    ("mqtt-3.1.1.tsv", "v3.1.1", 141),
    ("mqtt-5.0.tsv", "v5", 251),
    ("mqtt-5.0-unnumbered.tsv", "v5", 78),
];

/// A statement: the version as comments name it, and the number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Statement {
    version: String,
    id: String,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.version, self.id)
    }
}

/// A statement's row.
struct Row {
    layer: String,
    paraphrase: String,
}

#[test]
fn every_statement_of_the_layers_that_are_built_is_named_by_a_test() {
    let statements = read_tables();
    let layers: BTreeSet<&str> = statements.values().map(|row| row.layer.as_str()).collect();
    for (layer, reason) in NOT_YET {
        assert!(layers.contains(layer), "no statement is of the layer {layer} ({reason})");
    }
    let named: BTreeSet<Statement> = citations()
        .into_iter()
        .filter(|found| found.in_test)
        .map(|found| found.statement)
        .collect();

    let mut missing = String::new();
    for layer in layers {
        let of_layer = || statements.iter().filter(|(_, row)| row.layer == layer);
        let covered = of_layer().filter(|(statement, _)| named.contains(statement)).count();
        let not_yet = NOT_YET.iter().find(|(name, _)| *name == layer);
        let note = not_yet.map_or(String::new(), |(_, reason)| format!(", not yet: {reason}"));
        println!("{layer}: {covered} of {}{note}", of_layer().count());
        if not_yet.is_some() {
            continue;
        }
        for (statement, row) in of_layer().filter(|(statement, _)| !named.contains(statement)) {
            missing.push_str(&format!("\n{statement} {}", row.paraphrase));
        }
    }
    assert!(missing.is_empty(), "no test names{missing}");
}

/// Statements about both ends that one of the machines cannot break.
const ONE_END_ONLY: [(&str, &str, &str, &str); 1] = [(
    "tests/client/",
    "v3.1.1",
    "MQTT-4.8.0-2",
    "nothing that the client machine does with a packet can fail for a while",
)];

#[test]
fn every_statement_about_both_ends_is_named_by_a_test_of_each() {
    let statements = read_tables();
    let citations = citations();
    let mut missing = String::new();
    for end in ["tests/client/", "tests/broker/"] {
        let of_end = citations.iter().filter(|found| found.place.starts_with(end));
        let named: BTreeSet<&Statement> = of_end.map(|found| &found.statement).collect();
        for (statement, row) in statements.iter().filter(|(_, row)| row.layer == "both-peers") {
            let is_exempt = ONE_END_ONLY.iter().any(|(other, version, id, _)| {
                (*other, *version, *id) == (end, &*statement.version, &*statement.id)
            });
            if !is_exempt && !named.contains(statement) {
                missing.push_str(&format!("\n{end} {statement} {}", row.paraphrase));
            }
        }
    }
    assert!(missing.is_empty(), "no test names{missing}");
}

#[test]
fn every_statement_that_is_named_exists_in_the_version_named_with_it() {
    let statements = read_tables();
    let unknown: Vec<String> = citations()
        .into_iter()
        .filter(|found| !statements.contains_key(&found.statement))
        .map(|found| format!("{}: {}", found.place, found.statement))
        .collect();
    assert!(unknown.is_empty(), "no such statements:\n{}", unknown.join("\n"));
}

#[test]
fn numbers_belong_to_the_version_before_them() {
    let cited = |text| {
        let found = cited_in("x.txt", text, |_| true);
        found.into_iter().map(|found| found.statement.to_string()).collect::<Vec<_>>()
    };
    let rows: [(&str, &[&str]); 6] = [
        ("# v5 [MQTT-1-1], v3.1.1 [MQTT-1-2]", &["v5 [MQTT-1-1]", "v3.1.1 [MQTT-1-2]"]),
        ("# v5 [MQTT-1-1] [U5-1-2]", &["v5 [MQTT-1-1]", "v5 [U5-1-2]"]),
        ("# v5 3.1, and more\n# [MQTT-1-1]", &["v5 [MQTT-1-1]"]),
        ("# v5\n\n# [MQTT-1-1]", &["no version [MQTT-1-1]"]),
        ("code(), // v5 [MQTT-1-1]", &["v5 [MQTT-1-1]"]),
        ("\"v5 [MQTT-1-1]\"", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(cited(text), expected, "{text:?}");
    }
}

fn read_tables() -> BTreeMap<Statement, Row> {
    let mut statements = BTreeMap::new();
    for (file, version, expected) in TABLES {
        let before = statements.len();
        for line in read(&root().join("testdata/conformance").join(file)).lines().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [id, _section, layer, paraphrase, _test_idea] = columns[..] else {
                panic!("{file}: not five columns: {line}");
            };
            let statement = Statement { version: version.into(), id: id.into() };
            let row = Row { layer: layer.into(), paraphrase: paraphrase.into() };
            assert!(statements.insert(statement, row).is_none(), "{file}: {id} twice");
        }
        assert_eq!(statements.len() - before, expected, "rows of {file}");
    }
    statements
}

/// A statement named in a comment.
struct Citation {
    statement: Statement,
    place: String,
    in_test: bool,
}

fn citations() -> Vec<Citation> {
    let mut found = Vec::new();
    for path in files_under("src", "rs") {
        let text = read(&path);
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        found.extend(cited_in(&shown(&path), &text, |line| line > lines));
    }
    for path in files_under("tests", "rs") {
        // The examples in here are none.
        if !path.ends_with(file!()) {
            found.extend(cited_in(&shown(&path), &read(&path), |_| true));
        }
    }
    for path in files_under("testdata/vectors", "txt") {
        found.extend(cited_in(&shown(&path), &read(&path), |_| true));
    }
    found
}

/// What the comments of a file name; a comment of several lines is one.
fn cited_in(file: &str, text: &str, in_test: impl Fn(usize) -> bool) -> Vec<Citation> {
    let mut found = Vec::new();
    let mut version = "no version";
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim_start();
        let whole_line = line.starts_with("//") || line.starts_with('#');
        let comment = match line.split_once("// ") {
            _ if whole_line => line,
            Some((_, comment)) => comment,
            None => "",
        };
        if !whole_line {
            version = "no version";
        }
        for word in comment.split([' ', ',', '(', ')', ';', ':', '`']) {
            match word.trim_end_matches('.') {
                "v5" => version = "v5",
                "v3.1.1" => version = "v3.1.1",
                word => found.extend(id(word).map(|id| Citation {
                    statement: Statement { version: version.into(), id: id.into() },
                    place: format!("{file}:{number}"),
                    in_test: in_test(number),
                })),
            }
        }
    }
    found
}

/// The number in brackets that a word is.
fn id(word: &str) -> Option<&str> {
    let id = word.strip_prefix('[')?.strip_suffix(']')?;
    (id.starts_with("MQTT-") || id.starts_with("U5-")).then_some(id)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn read(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn files_under(directory: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} files under {directory}");
    found.sort();
    found
}
