//! What the fuzz targets do, as ordinary functions: each takes the bytes of one input and panics
//! if something does not hold.

pub mod bodies;
pub mod differential;
