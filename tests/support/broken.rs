//! Packets that nobody may send.

/// What is broken, the frame, and the Reason Code that it is answered with.
pub(crate) type Row = (&'static str, Vec<u8>, u8);

/// Frames that neither end may send, in a version that is 5.0 or not.
pub(crate) fn from_anybody(v5: bool) -> Vec<Row> {
    let mut rows = vec![
        ("reserved packet type", vec![0x00, 0x00], 0x81),
        ("remaining length of five bytes", vec![0x30, 0x80, 0x80, 0x80, 0x80, 0x01], 0x81),
        ("remaining length that does not end", vec![0x30, 0xff, 0xff, 0xff, 0xff], 0x81),
        ("QoS 3", vec![0x36, 0x05, 0, 1, b'a', 0, 1], 0x81),
        ("DUP at QoS 0", vec![0x38, 0x04, 0, 1, b'a', 0], 0x81),
        ("identifier 0", vec![0x32, 0x06, 0, 1, b'a', 0, 0, 0], 0x82),
        ("PUBACK of identifier 0", vec![0x40, 0x02, 0, 0], 0x82),
        ("PUBREC of identifier 0", vec![0x50, 0x02, 0, 0], 0x82),
        ("PUBREL of identifier 0", vec![0x62, 0x02, 0, 0], 0x82),
        ("PUBCOMP of identifier 0", vec![0x70, 0x02, 0, 0], 0x82),
        ("topic beyond the packet", vec![0x30, 0x02, 0, 9], 0x81),
        ("publish without a topic", vec![0x30, 0x00], 0x81),
        ("publish at QoS 1 that ends before its identifier", vec![0x32, 0x03, 0, 1, b'a'], 0x81),
        ("topic with a wildcard", vec![0x30, 0x04, 0, 1, b'#', 0], 0x90),
        ("topic with a null character", vec![0x30, 0x04, 0, 1, 0, 0], 0x81),
        ("topic that is no UTF-8", vec![0x30, 0x04, 0, 1, 0xff, 0], 0x81),
        ("topic with a surrogate", vec![0x30, 0x06, 0, 3, 0xed, 0xa0, 0x80, 0], 0x81),
        ("PUBACK cut short", vec![0x40, 0x01, 0], 0x81),
        ("PUBACK with flags", vec![0x41, 0x02, 0, 1], 0x81),
    ];
    rows.extend(if v5 { from_anybody_in_v5() } else { from_anybody_in_v3() });
    rows
}

fn from_anybody_in_v5() -> Vec<Row> {
    vec![
        ("empty topic without an alias", vec![0x30, 0x03, 0, 0, 0], 0x82),
        ("properties beyond the packet", vec![0x30, 0x04, 0, 1, b'a', 9], 0x81),
        (
            "property length of five bytes",
            vec![0x30, 0x08, 0, 1, b'a', 0x80, 0x80, 0x80, 0x80, 0x01],
            0x81,
        ),
        ("property length not minimal", vec![0x30, 0x05, 0, 1, b'a', 0x80, 0x00], 0x81),
        ("unknown property", vec![0x30, 0x06, 0, 1, b'a', 2, 0x7f, 0], 0x81),
        ("property of another packet", vec![0x30, 0x07, 0, 1, b'a', 3, 0x13, 0, 9], 0x81),
        ("property twice", vec![0x30, 0x08, 0, 1, b'a', 4, 0x01, 0, 0x01, 0], 0x82),
        ("payload format 2", vec![0x30, 0x06, 0, 1, b'a', 2, 0x01, 2], 0x82),
        ("topic alias 0", vec![0x30, 0x07, 0, 1, b'a', 3, 0x23, 0, 0], 0x94),
        ("PUBACK with a code of PUBREL", vec![0x40, 0x03, 0, 1, 0x92], 0x82),
        ("PUBREL with an unknown code", vec![0x62, 0x03, 0, 1, 0x55], 0x82),
        ("DISCONNECT with an unknown code", vec![0xe0, 0x01, 0x55], 0x82),
        ("AUTH with flags", vec![0xf1, 0x00], 0x81),
    ]
}

fn from_anybody_in_v3() -> Vec<Row> {
    vec![
        ("empty topic", vec![0x30, 0x02, 0, 0], 0x82),
        ("AUTH", vec![0xf0, 0x00], 0x81),
        ("PUBACK with a body", vec![0x40, 0x03, 0, 1, 0], 0x81),
    ]
}
