//! Sessions that outlive their connections, and what scenarios about them have in common.

use sansio_mqtt::client::{Acknowledgement, CleanStart, Handle, Options};
use sansio_mqtt::{Property, ReasonCode, Version};

use crate::world::{World, of, scenario};

/// Runs a scenario in every way that stores the session.
pub(crate) fn durably(run: impl Fn(&mut World)) {
    scenario(|world| {
        if world.way.durable {
            run(world);
        }
    });
}

/// Options for a client called `c`, whose session outlives its connections.
pub(crate) fn lasting(version: Version) -> Options {
    let mut options = of(version);
    options.clean_start = CleanStart::Never;
    if version.is_v5() {
        options.clean_start = CleanStart::First;
        options.session_expiry_interval = 3_600;
    }
    options
}

/// As [`lasting`], with the application acknowledging messages by itself.
pub(crate) fn by_hand(version: Version) -> Options {
    let mut options = lasting(version);
    options.acknowledgement = Acknowledgement::Manual;
    options
}

/// What is told of a message that the server has.
pub(crate) fn acknowledged(handle: Handle) -> String {
    format!("published {}: acknowledged {}", handle.get(), ReasonCode::SUCCESS)
}

/// What is told of a message that came to nothing, or was sent at QoS 0.
pub(crate) fn ended(handle: Handle, how: &str) -> String {
    format!("published {}: {how}", handle.get())
}

impl World {
    /// Another connection, on which the server goes on with the session.
    pub(crate) fn resume(&mut self) -> &mut Self {
        self.resume_with(&[])
    }

    pub(crate) fn resume_with(&mut self, properties: &[Property<'_>]) -> &mut Self {
        self.lose().forget();
        // 3.1 does not tell.
        let session_present = self.client().options().version != Version::V3_1;
        self.connect(session_present, properties)
    }

    /// What was sent after CONNECT.
    pub(crate) fn sent_after_connect(&mut self) -> Vec<String> {
        let mut sent = self.sent();
        assert!(!sent.is_empty() && sent.remove(0).starts_with("CONNECT "));
        sent
    }

    /// What was sent that begins so.
    pub(crate) fn sent_of(&mut self, kind: &str) -> Vec<String> {
        self.sent().into_iter().filter(|line| line.starts_with(kind)).collect()
    }
}

/// The packet identifier in a line about a packet.
pub(crate) fn id_of(line: &str) -> u16 {
    line.split('#').nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}
