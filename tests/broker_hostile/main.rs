//! Clients that break the rules or abuse them: each gets what the standard says, holds no more
//! memory than the options imply, and nobody else notices.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "what fails may panic")]

mod broken;
mod churn;
mod extremes;
mod floods;
#[path = "../support/broken.rs"]
mod frames;
mod known_faults;
mod known_machine_faults;
mod large;
mod limits;
mod listener;
mod lone;
#[path = "../support/counting.rs"]
mod memory;
mod names;
mod out_of_place;
#[path = "../support/packets.rs"]
mod packets;
mod random;
mod silence;
mod wills;
mod world;
