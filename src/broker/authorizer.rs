//! Who may do what: the wrapper's say. MQTT 5.0 §5.4.2.

use alloc::boxed::Box;
use core::fmt;

use crate::packet::{Publish, Subscription, Will};

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Client {
    /// The Client Identifier: what the client chose, or was assigned.
    pub client_id: Box<str>,
    /// Whom the application took the client for: the
    /// [identity](crate::broker::Acceptance::identity) that it gave, or else the User Name of the
    /// CONNECT.
    pub identity: Option<Box<str>>,
}

impl Client {
    /// Bytes of the names.
    pub(super) fn size(&self) -> usize {
        self.client_id.len().saturating_add(self.identity.as_ref().map_or(0, |name| name.len()))
    }
}

/// A message that is about to be sent to a client.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Forwarded<'a> {
    /// The Topic Name.
    pub topic: &'a str,
    /// Who published it; `None` of the application's.
    pub publisher: Option<&'a Client>,
}

impl fmt::Debug for Forwarded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded")
            .field("topic", &self.topic)
            .field("publisher", &self.publisher)
            .finish()
    }
}

/// What an [`Authorizer`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// It may be.
    Allow,
    /// It may not be.
    Deny,
}

/// Decides who may do what, with the rights of the moment: a right that was taken away holds
/// nothing up that was granted before it.
///
/// Text is compared as it is: a Client Identifier or User Name can be `#` or `+/admin`, so do not
/// build filters of them.
///
/// ```
/// use sansio_mqtt::broker::{Authorizer, Client, Decision};
/// use sansio_mqtt::Publish;
///
/// /// Each client publishes below its own name only.
/// struct OwnTree;
///
/// impl Authorizer for OwnTree {
///     fn publish(&mut self, client: &Client, publish: &Publish<'_>) -> Decision {
///         let first = publish.topic.split('/').next();
///         if first == Some(&*client.client_id) { Decision::Allow } else { Decision::Deny }
///     }
/// }
/// ```
pub trait Authorizer {
    /// Whether a client may publish this. Its topic is there, whether an alias stood for it or not.
    ///
    /// What is refused is not passed on. In 5.0 the PUBACK or PUBREC says so, 0x87; 3.x has no way
    /// to say it. v5 3.4.2.1, v3.1.1 [MQTT-3.3.5-2]
    fn publish(&mut self, client: &Client, publish: &Publish<'_>) -> Decision {
        let _ = (client, publish);
        Decision::Allow
    }

    /// Whether a client may subscribe to this, `$share/` and the ShareName included. A refusal is
    /// 0x87 in the SUBACK, in 3.1.1 0x80.
    fn subscribe(&mut self, client: &Client, subscription: &Subscription<'_>) -> Decision {
        let _ = (client, subscription);
        Decision::Allow
    }

    /// Whether a client may have this Will. A refusal refuses the connection, with 0x87, in 3.x 5.
    fn will(&mut self, client: &Client, will: &Will<'_>) -> Decision {
        let _ = (client, will);
        Decision::Allow
    }

    /// Whether a message is sent to a client that subscribes to it, asked when it is about to be
    /// sent for the first time. What is refused is gone.
    fn deliver(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        let _ = (client, message);
        Decision::Allow
    }

    /// Whether a retained message is sent to a client that has just subscribed to it. Its
    /// publisher may have lost the right to publish it.
    fn replay(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        self.deliver(client, message)
    }
}

/// Allows everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AllowAll;

impl Authorizer for AllowAll {}
