//! Filters and topics of a plant as a broker sees them, made from a seed: always the same.
//!
//! Sites have lines, lines have machines, machines have sensors, and there is a fleet of devices
//! beside them. Six of ten filters have no wildcard; of the others most have a `+` in the middle
//! or a `#` at the end.

const SEED: u64 = 0x6d71_7474_2d35_2e30;

/// A number that follows from `number` and the seed alone (SplitMix64).
fn random(number: u32, stream: u64) -> u64 {
    let mut x = SEED ^ (stream << 32) ^ u64::from(number);
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const SENSORS: [&str; 12] = [
    "temperature",
    "pressure",
    "vibration",
    "power",
    "speed",
    "torque",
    "humidity",
    "level",
    "flow",
    "noise",
    "state",
    "alarm",
];
const AREAS: [&str; 6] = ["press", "paint", "body", "assembly", "logistics", "energy"];
const KINDS: [&str; 4] = ["up", "down", "status", "config"];

/// Where something is: popular sites more often than others.
struct Place {
    site: u64,
    area: &'static str,
    line: u64,
    machine: u64,
    sensor: &'static str,
    device: u64,
    kind: &'static str,
}

fn place(number: u32, stream: u64) -> Place {
    let x = random(number, stream);
    let pick = |shift: u32, of: u64| ((x.rotate_right(shift) & 0xffff_ffff) * of) >> 32;
    // Half of all at three sites of fifty.
    let site = if pick(3, 2) == 0 { pick(7, 3) } else { pick(11, 50) };
    Place {
        site,
        area: AREAS[pick(17, 6) as usize],
        line: pick(23, 20),
        machine: pick(29, 60),
        sensor: SENSORS[pick(37, 12) as usize],
        device: pick(43, 150_000),
        kind: KINDS[pick(53, 4) as usize],
    }
}

/// The filter with this number: 3 to 7 levels; few are the same as another.
pub(crate) fn filter(number: u32) -> String {
    let Place { site, area, line, machine, sensor, device, kind } = place(number, 1);
    match random(number, 2) % 20 {
        // 12 of 20: exact.
        0..=5 => format!("site/{site}/{area}/line{line}/m{machine}/{sensor}"),
        6..=8 => format!("fleet/dev-{device:07}/{kind}"),
        9..=10 => format!("site/{site}/{area}/line{line}/m{machine}/{sensor}/value"),
        11 => format!("user/{device}/inbox/{kind}"),
        // 5 of 20: `+` in the middle.
        12 | 13 => format!("fleet/dev-{device:07}/+/{kind}"),
        14 => format!("site/{site}/{area}/+/m{machine}/{sensor}"),
        15 => format!("site/+/{area}/line{line}/m{machine}/+/value"),
        16 => format!("site/{site}/+/line{line}/m{machine}/+"),
        // 3 of 20: `#` at the end.
        17 => format!("site/{site}/{area}/line{line}/m{machine}/#"),
        18 => format!("fleet/dev-{device:07}/#"),
        _ => format!("user/{device}/inbox/#"),
    }
}

/// The topic with this number: of the same things, in another order.
pub(crate) fn topic(number: u32) -> String {
    let Place { site, area, line, machine, sensor, device, kind } = place(number, 3);
    match random(number, 4) % 10 {
        0..=3 => format!("site/{site}/{area}/line{line}/m{machine}/{sensor}"),
        4 | 5 => format!("site/{site}/{area}/line{line}/m{machine}/{sensor}/value"),
        6 | 7 => format!("fleet/dev-{device:07}/{kind}"),
        8 => format!("fleet/dev-{device:07}/ch{}/{kind}", line % 4),
        _ => format!("user/{device}/inbox/{kind}"),
    }
}
