//! Parts of a broker, without I/O: whom a message goes to.
//!
//! | | |
//! |---|---|
//! | [`Subscriptions`] | the subscribers of a topic |
//! | [`SharedSubscriptions`] | the groups of a topic, and who of each has its turn |
//! | [`Retained`] | the messages that a new subscription finds |
//!
//! They hold what clients ask for, and nothing of the clients themselves: a subscriber is a
//! number of the caller's choice. Nothing in them recurses, no order depends on hashes, and
//! matching allocates nothing once its [`Scratch`] has grown.

mod filters;
mod grant;
mod hash;
mod levels;
mod members;
mod retained;
mod select;
mod shared;
mod slab;
mod small_text;
mod subscriptions;
mod tree;

pub use filters::FilterKey;
pub use grant::{Grant, InsertError};
pub use retained::{Retained, RetainedError, RetainedLimits};
pub use shared::{GroupKey, SharedGroup, SharedSubscriptions};
pub use subscriptions::{Inserted, Subscriptions};
pub use tree::Scratch;
