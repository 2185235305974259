//! The bodies that need nothing but `sansio_mqtt`; its own tests include them file by file, and
//! run them over the corpus.

pub mod broker;
pub mod client;
pub mod decode;
mod input;
pub mod round_trip;
pub mod stream;
pub mod topic;
