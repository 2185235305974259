//! Who may do what, once let in.

use sansio_mqtt::broker::{Authorizer, Client, Decision};
use sansio_mqtt::{Publish, Will};

/// Everybody may do everything, but for topics that begin with `$`: those are the broker's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights;

impl Authorizer for Rights {
    fn publish(&mut self, _: &Client, publish: &Publish<'_>) -> Decision {
        may_publish_to(publish.topic)
    }

    fn will(&mut self, _: &Client, will: &Will<'_>) -> Decision {
        may_publish_to(will.topic)
    }
}

fn may_publish_to(topic: &str) -> Decision {
    if topic.starts_with('$') { Decision::Deny } else { Decision::Allow }
}
