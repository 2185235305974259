//! What happens in the runs.

use sansio_mqtt::client::SessionLost;

use crate::simulation::{Commits, Script};

const QUIET: Script = Script {
    name: "",
    publishes: &[],
    receives: &[],
    window: 10,
    commits: Commits::AtOnce,
    breaks_after: 0,
    loses_session_at: None,
    session_lost: SessionLost::Fail,
    subscribes: false,
};

const MIXED: &[u8] = &[1, 2, 0, 2, 1, 0, 2];

pub(crate) const SCRIPTS: [Script; 12] = [
    Script { name: "publish QoS 1", publishes: &[1; 4], ..QUIET },
    Script { name: "publish QoS 2", publishes: &[2; 4], ..QUIET },
    Script { name: "receive QoS 1", receives: &[1; 4], ..QUIET },
    Script { name: "receive QoS 2", receives: &[2; 4], ..QUIET },
    Script { name: "both ways", publishes: MIXED, receives: MIXED, ..QUIET },
    Script { name: "one at a time", publishes: MIXED, receives: MIXED, window: 1, ..QUIET },
    Script { name: "reconnects", publishes: MIXED, receives: MIXED, breaks_after: 9, ..QUIET },
    Script {
        name: "reconnects, late commits",
        publishes: MIXED,
        receives: MIXED,
        breaks_after: 7,
        commits: Commits::Grouped(100),
        ..QUIET
    },
    Script {
        name: "grouped commits",
        publishes: MIXED,
        receives: MIXED,
        commits: Commits::Grouped(3),
        window: 2,
        ..QUIET
    },
    Script {
        name: "session lost",
        publishes: MIXED,
        receives: MIXED,
        breaks_after: 11,
        loses_session_at: Some(2),
        ..QUIET
    },
    Script {
        name: "session lost, published again",
        publishes: MIXED,
        receives: MIXED,
        breaks_after: 11,
        loses_session_at: Some(2),
        session_lost: SessionLost::Republish,
        commits: Commits::Grouped(2),
        ..QUIET
    },
    Script { name: "subscribe", receives: &[1, 2], publishes: &[2], subscribes: true, ..QUIET },
];
