//! Imports point down only, so that each file can be read and tested with nothing but what is
//! below it; files and functions stay small, and `lib.rs` holds no logic.
//!
//! What a file imports is every path in its code that begins with `crate::`, `super::` or
//! `self::`, whether in a `use` or not. Comments and the `tests` modules are exempt.

#![allow(clippy::panic, reason = "what fails a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every file of `src`, the lowest first: each imports only from those before it, and so there
/// are no cycles. A parent comes after its children.
const ORDER: &[&str] = &[
    "version",
    "qos",
    "packet_id",
    "scan",
    "text",
    "list",
    "packet_type",
    "reason",
    "property_id",
    "topic",
    "error",
    "varint",
    "wire",
    "property",
    "properties",
    "packet::header",
    "packet::tail",
    "packet::body",
    "packet::ack",
    "packet::auth",
    "packet::connack",
    "packet::connect",
    "packet::disconnect",
    "packet::publish",
    "packet::subscribe",
    "packet::unsubscribe",
    "packet::suback",
    "packet",
    "encode",
    "display",
    "decoder",
    "message",
    "owned_packet",
    "time",
    "outgoing",
    "session::store",
    "session::ids",
    "session::publish",
    "session::alias",
    "session::peer_time",
    "session::keep_alive",
    "session::expiry",
    "session::at_most_once",
    "session::inbound",
    "session::entry",
    "session::outbound",
    "session::resuming",
    "session",
    "link",
    "broker::hash",
    "broker::slab",
    "broker::small_text",
    "broker::topics",
    "broker::levels",
    "broker::members",
    "broker::tree",
    "broker::select",
    "broker::grant",
    "broker::filters",
    "broker::subscriptions",
    "broker::shared",
    "broker::authorizer",
    "broker::retained",
    "broker::options",
    "broker::error",
    "broker::event",
    "broker::messages",
    "broker::delivery",
    "broker::ready",
    "broker::queue",
    "broker::inbound",
    "broker::ack",
    "broker::timers",
    "broker::session",
    "broker::connection",
    "broker::machine",
    "broker::routing",
    "broker::replaying",
    "broker::publishing",
    "broker::acknowledging",
    "broker::ending",
    "broker::connack",
    "broker::handshake",
    "broker::authenticating",
    "broker::subscribing",
    "broker::receiving",
    "broker::transmitting",
    "broker::administration",
    "broker",
    "client::error",
    "client::event",
    "client::events",
    "client::options",
    "client::operations",
    "client::records",
    "client::requests",
    "client::machine",
    "client::publishing",
    "client::subscribing",
    "client::acknowledging",
    "client::handshake",
    "client::receiving",
    "client::transmitting",
    "client::restoring",
    "client",
    "arbitrary",
    "lib",
];

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 500;

/// Lines of a function, from its name to its closing brace.
const LONGEST_FUNCTION: usize = 80;

struct File {
    module: String,
    /// Without the tests.
    code: String,
}

#[test]
fn every_file_has_its_place_in_the_order() {
    let mut modules: Vec<String> = files().into_iter().map(|file| file.module).collect();
    let mut order = ORDER.to_vec();
    modules.sort();
    order.sort();
    assert_eq!(modules, order, "files of src, and ORDER");
    for module in ORDER {
        if let Some((parent, _)) = module.rsplit_once("::") {
            assert!(place(module) < place(parent), "{module} stands above {parent}");
        }
    }
}

#[test]
fn imports_point_down() {
    let mut upward = Vec::new();
    for file in files() {
        for import in imports(&file.module, &file.code) {
            if place(&import) >= place(&file.module) && import != file.module {
                upward.push(format!("{} imports {import}", file.module));
            }
        }
    }
    assert!(upward.is_empty(), "upward:\n{}", upward.join("\n"));
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for file in files() {
        let lines = file.code.lines().count();
        if lines > LONGEST_FILE {
            long.push(format!("{}: {lines} lines", file.module));
        }
        for (name, lines) in functions(&file.code) {
            if lines > LONGEST_FUNCTION {
                long.push(format!("{}: {name}: {lines} lines", file.module));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn the_title_page_holds_no_logic() {
    let files = files();
    let Some(lib) = files.iter().find(|file| file.module == "lib") else { panic!("no lib.rs") };
    for item in without_attributes(&without_comments(&lib.code)).split(';') {
        let item = item.trim();
        let allowed = ["mod ", "pub mod ", "use ", "pub use ", "extern crate "];
        let declares = allowed.iter().any(|start| item.starts_with(start));
        let inline = item.contains("mod ") && item.contains('{');
        assert!(item.is_empty() || declares && !inline, "lib.rs holds {item:?}");
    }
}

#[test]
fn paths_name_the_files_that_they_lead_to() {
    let rows: [(&str, &str, &[&str]); 9] = [
        ("decoder", "use crate::error::{Cause, DecodeError};", &["error"]),
        ("decoder", "use crate::{error::Cause, wire::{self, Reader}};", &["error", "wire"]),
        ("decoder", "write!(f, \"{}\", crate::text::Bytes(b))", &["text"]),
        ("decoder", "use crate::packet::tail::block_len;", &["packet::tail"]),
        ("packet", "pub use self::ack::{PubAck, PubRel};", &["packet::ack"]),
        ("packet::ack", "use super::{Packet, tail::Tail};", &["packet", "packet::tail"]),
        ("decoder", "use crate::Packet;", &["lib"]),
        ("decoder", "// crate::message\npub(super) use core::fmt;", &[]),
        ("decoder", "\"//\"; use crate::\n    wire;", &["wire"]),
    ];
    for (module, code, expected) in rows {
        assert_eq!(imports(module, code), expected, "{code}");
    }
}

fn place(module: &str) -> usize {
    match ORDER.iter().position(|found| *found == module) {
        Some(place) => place,
        None => panic!("{module} has no place in ORDER"),
    }
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
            let code = code.collect::<Vec<_>>().join("\n");
            files.push(File { module: module(path.strip_prefix(&root).unwrap_or(&path)), code });
        }
    }
    files
}

/// `packet/mod.rs` is `packet`, `packet/ack.rs` is `packet::ack`.
fn module(path: &Path) -> String {
    let path: PathBuf = if path.ends_with("mod.rs") {
        path.parent().unwrap_or(path).to_owned()
    } else {
        path.with_extension("")
    };
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    names.join("::")
}

/// The modules that the paths in `code` lead to, those in braces taken apart.
fn imports(module: &str, code: &str) -> Vec<String> {
    let code = without_comments(code);
    let parent = module.rsplit_once("::").map_or("lib", |(parent, _)| parent);
    let mut found = Vec::new();
    for (start, base) in [("crate::", "lib"), ("super::", parent), ("self::", module)] {
        for (at, _) in code.match_indices(start) {
            let (before, path) = code.split_at(at);
            // Not the end of another word or path.
            if !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':')) {
                follow(base, path.strip_prefix(start).unwrap_or(path), &mut found);
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Follows the path at the front of `rest` down from the module `base`, and gives what is behind
/// it.
fn follow<'a>(base: &str, rest: &'a str, found: &mut Vec<String>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut list) = rest.strip_prefix('{') {
        loop {
            list = follow(base, list, found).trim_start();
            match list.strip_prefix(',') {
                Some(after) => list = after,
                None => return list.strip_prefix('}').unwrap_or(list),
            }
        }
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let child = if base == "lib" { name.to_owned() } else { format!("{base}::{name}") };
    if !ORDER.contains(&child.as_str()) {
        // An item of the module. The comma at the end of a list is followed by none.
        if !name.is_empty() {
            found.push(base.to_owned());
        }
        return skip_path(after);
    }
    match after.strip_prefix("::") {
        Some(after) => follow(&child, after, found),
        None => {
            found.push(child);
            skip_path(after)
        }
    }
}

/// What is behind the rest of a path and a new name for it.
fn skip_path(rest: &str) -> &str {
    let rest = rest.strip_prefix(" as ").unwrap_or(rest);
    rest.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '*'))
}

fn without_comments(code: &str) -> String {
    let mut out = String::new();
    for line in code.lines() {
        // A comment begins outside of strings, behind an even number of quotes.
        let mut before = line.match_indices("//").map(|(at, _)| line.split_at(at).0);
        let code = before.find(|before| before.matches('"').count() % 2 == 0);
        out.push_str(code.unwrap_or(line));
        out.push('\n');
    }
    out
}

/// Leaves out `#[…]` and `#![…]`.
fn without_attributes(code: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' if depth == 0 && matches!(chars.peek(), Some('[' | '!')) => {
                chars.next_if_eq(&'!');
            }
            '[' => depth += 1,
            ']' => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// The functions of a file, and how many lines they take; its braces stand where rustfmt puts
/// them.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let words = line.split_once("fn ");
        let Some((before, name)) = words.filter(|(before, _)| is_qualifier(before)) else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let ends = |line: &&str| {
            let closes = line.trim() == "}" || line.trim_start().starts_with("} ");
            closes && line.len() - line.trim_start().len() == indent
        };
        let one_line =
            before.len() + name.len() > 0 && (line.ends_with('}') || line.ends_with(';'));
        let rest = if one_line { 0 } else { lines[start..].iter().position(ends).unwrap_or(0) };
        let name = name.split(['(', '<']).next().unwrap_or(name);
        found.push((name, rest + 1));
    }
    found
}

/// Whether all that stands before `fn` belongs to it.
fn is_qualifier(before: &str) -> bool {
    let known = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
    before.split_whitespace().all(|word| known.contains(&word))
}
