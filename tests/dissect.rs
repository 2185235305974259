//! The example `dissect`, run as a function: what it prints and how it exits.

// `main` is not called here.
#[allow(dead_code)]
#[path = "../examples/dissect/main.rs"]
mod dissect;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Exit code, standard output and standard error.
fn run(args: &[&str], stdin: &[u8]) -> (u8, String, String) {
    let args = ["dissect"].iter().chain(args).map(Into::into);
    let (mut out, mut stderr) = (Vec::new(), Vec::new());
    let code = dissect::run(args, &mut { stdin }, &mut out, &mut stderr);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (code, text(out), text(stderr))
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures")
}

fn capture(name: &str) -> String {
    captures().join(name).to_string_lossy().into_owned()
}

#[test]
fn shows_a_recorded_session_one_packet_a_line() {
    let (code, out, stderr) = run(&[&capture("mosquitto-v31-login-1.client.bin")], b"");
    let expected = "     \
     0    34  CONNECT 3.1 \"pub\" clean start, keep alive 60 s, user \"alice\", password <6 bytes hidden>
    34    13  PUBLISH \"login\" QoS 1 #1 \"in\"
    47     2  DISCONNECT 0x00 Normal disconnection
";
    assert_eq!((code, out.as_str(), stderr.as_str()), (0, expected, ""));
}

#[test]
fn says_what_is_wrong_where_and_goes_on_behind_it() {
    let stream = b"
        10 0d 00044d515454 04 02 003c 0001 61   # CONNECT
        0x36 0x06 0x00 0x01 't 00 01 78
    ";
    let (code, _, stderr) = run(&[], stream);
    assert_eq!(code, 2);
    assert!(stderr.contains("line 3: `'t`"), "{stderr}");

    let stream = b"
        10 0d 00044d515454 04 02 003c 0001 61   # CONNECT
        0x36,0x06,0x00,0x01,0x74 00 01 78  C000
        e001 00  30 05 00 01
    ";
    let (code, out, _) = run(&[], stream);
    let expected = "     \
     0    15  CONNECT 3.1.1 \"a\" clean start, keep alive 60 s
    15     8  MALFORMED PUBLISH: QoS 3
              at byte 15 (byte 0 of the packet); reason code 0x81 Malformed Packet
              36 06 00 01 74 00 01 78
              ^^
    23     2  PINGREQ
    25     3  MALFORMED DISCONNECT: bytes left over after the last field
              at byte 27 (byte 2 of the packet); reason code 0x81 Malformed Packet
              e0 01 00
                    ^^
    28     4  INCOMPLETE PUBLISH of 7 bytes: 3 are missing
";
    assert_eq!((code, out.as_str()), (1, expected));
}

#[test]
fn marks_a_byte_in_the_middle_of_a_long_packet() {
    let topic = "61".repeat(20);
    let stream = format!("30 21 0014{topic} 16 02 00000001 02 00000000");
    let (code, out, _) = run(&["--version", "5", "--from", "client"], stream.as_bytes());
    let expected = "     \
     0    35  MALFORMED PUBLISH: properties that run over the end of the packet
              at byte 24 (byte 24 of the packet); reason code 0x81 Malformed Packet
              … 61 61 61 61 61 61 61 61 16 02 00 00 00 01 02 00 …
                                        ^^
";
    assert_eq!((code, out.as_str()), (1, expected));
}

#[test]
fn stops_where_the_next_packet_cannot_be_found() {
    let (code, out, _) = run(&["--from", "client", "--raw"], &[0x30, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_eq!(code, 1);
    assert!(out.ends_with("no telling where the next packet begins\n"), "{out}");

    let args = ["--from", "client", "--version", "3.1.1", "--maximum-packet-size", "100"];
    let (code, out, _) = run(&args, b"c000 30 8001 0001");
    assert_eq!(code, 1);
    assert!(out.contains("a packet of 131 bytes where 100 are the maximum"), "{out}");
    assert!(out.ends_with("the packet would have 131 bytes, more than there are\n"), "{out}");
}

#[test]
fn guesses_end_and_version_and_says_why() {
    let rows = [
        ("9003 0001 00", "3.1.1 from the server", "in 5.0 there is a fault at byte 5"),
        ("9004 0001 00 00", "5.0 from the server", "in 5.0 there is no fault"),
        ("4002 0001 8206 0001 0001 61 00", "3.1.1 from the client", "in 5.0"),
        ("3003 0001 61", "3.1.1 from the client", "in 5.0"),
        ("8a06 0001 0001 61 00", "3.1 from the client", "in 3.1.1"),
    ];
    for (stream, guess, why) in rows {
        let (code, out, stderr) = run(&[], stream.as_bytes());
        assert_eq!(code, 0, "{stream}: {out}");
        assert!(stderr.contains(&format!("taken for MQTT {guess}: ")), "{stream}: {stderr}");
        assert!(stderr.contains(why), "{stream}: {stderr}");
    }
    let (_, _, stderr) = run(&["--version", "3.1.1"], b"3003 0001 61");
    assert_eq!(stderr, "");
}

#[test]
fn a_malformed_connect_does_not_hide_what_follows() {
    let stream = b"10 0d 00044d515454 04 03 003c 0001 61  8206 0001 0001 61 00";
    let (code, out, _) = run(&[], stream);
    assert_eq!(code, 1);
    assert!(out.ends_with("    15     8  SUBSCRIBE #1 [\"a\" QoS 0]\n"), "{out}");
}

#[test]
fn json_hides_secrets_unless_asked() {
    let path = capture("mosquitto-v31-login-1.client.bin");
    for (args, password) in [
        (&["--json", path.as_str()][..], r#"{"hidden_bytes":6}"#),
        (&["--json", "--secrets", path.as_str()][..], r#""736573616d65""#),
    ] {
        let (code, out, _) = run(args, b"");
        assert_eq!(code, 0);
        let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert_eq!(first["type"], "CONNECT");
        assert_eq!(first["fields"]["user_name"], "alice");
        assert_eq!(first["fields"]["password"].to_string(), password);
    }
    let (_, out, _) = run(&["--json"], b"f0 0a 18 08 15 0000 16 0002 2a2a");
    assert!(out.contains(r#"{"name":"authentication_data","value":{"hidden_bytes":2}}"#), "{out}");
}

#[test]
fn bytes_around_a_fault_are_hidden_where_a_secret_may_be() {
    let connect = b"10 1d 00044d515454 05 c2 003c 00 000163 000175 0006 736563726574 00000000";
    let (code, out, _) = run(&[], connect);
    assert_eq!(code, 1);
    assert!(out.contains("--secrets") && !out.contains("73 65 63"), "{out}");
    let (_, out, _) = run(&["--secrets"], connect);
    assert!(out.contains("73 65 63"), "{out}");
}

#[test]
fn json_tells_where_a_packet_is_broken() {
    let path = capture("raw-v5-property-twice.malformed.bin");
    let (code, out, _) = run(&["--json", &path], b"");
    assert_eq!(code, 1);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let expected = serde_json::json!({
        "cause": "DuplicateProperty(ContentType)",
        "message": "Content Type twice",
        "type": "PUBLISH",
        "offset": 28,
        "offset_in_packet": 10,
        "reason_code": 0x82,
        "reason": "0x82 Protocol Error",
    });
    assert_eq!(last["error"], expected);
    assert_eq!((&last["offset"], &last["length"]), (&18.into(), &15.into()));
}

/// Every recorded stream, against the dump that `captures.rs` makes of it.
#[test]
fn json_accounts_for_every_byte_of_every_recorded_stream() {
    let mut streams = 0;
    for entry in fs::read_dir(captures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        streams += 1;
        let name = path.to_string_lossy();
        let dump = fs::read_to_string(path.with_extension("txt")).unwrap();
        // What does not begin with CONNECT may be a recording that began later.
        let is_sound = !dump.contains(" error ") || dump.contains("ConnectExpected");
        let mut args = vec!["--json", &name];
        if name.contains(".server.") {
            args.extend(["--from", "server"]);
        }
        let (code, out, stderr) = run(&args, b"");
        assert_eq!(code, u8::from(!is_sound), "{name}: {out}{stderr}");
        let mut end = 0;
        for line in out.lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["offset"], end, "{name}");
            end += object["length"].as_u64().unwrap();
            let is_packet = object["type"].is_string() && object["fields"].is_object();
            assert_ne!(is_packet, object["error"].is_object(), "{name}: {line}");
        }
        assert_eq!(end, fs::metadata(&path).unwrap().len(), "{name}");
    }
    assert!(streams >= 1000, "{streams}");
}

#[test]
fn help_and_wrong_usage_have_their_exit_codes() {
    let (code, out, _) = run(&["--help"], b"");
    assert_eq!(code, 0);
    assert!(out.contains("--maximum-packet-size <BYTES>"), "{out}");
    for args in [&["--version", "4"][..], &["--from", "broker"], &["--raw", "file"], &["/nowhere"]]
    {
        let (code, out, stderr) = run(args, b"");
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(!stderr.is_empty(), "{args:?}");
    }
    assert_eq!(run(&[], b"").0, 0);
    assert_eq!(run(&[], b"c0 0").0, 2);
    assert_eq!(run(&[], &[0xc0, 0]).0, 2);
    assert_eq!(run(&["--raw"], &[0xc0, 0]).0, 0);
}
