//! Hashes of what outsiders choose, seeded against their choosing badly.

use core::hash::Hasher;
#[expect(
    deprecated,
    reason = "it is the only keyed hash of the core library, and what is needed"
)]
use core::hash::SipHasher;

use foldhash::{SharedSeed, fast, quality};

/// What all hashes of one table depend on: who does not know the seed cannot tell which texts
/// have the same.
///
/// No order depends on it: tables are asked, never walked.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    seed: u64,
    shared: SharedSeed,
}

impl Seed {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, shared: SharedSeed::from_u64(seed) }
    }

    /// Of a level, a filter or a name.
    #[inline]
    pub(super) fn of(&self, text: &[u8]) -> u64 {
        let mut hasher = quality::FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(text);
        hasher.finish()
    }

    /// Of something with this hash that belongs to an owner with this number.
    #[inline]
    pub(super) fn within(&self, owner: u32, hash: u64) -> u64 {
        // The hash is mixed well as it is.
        let mut hasher = fast::FoldHasher::with_seed(hash, &self.shared);
        hasher.write_u32(owner);
        hasher.finish()
    }
}

/// Names that nobody guesses who does not know the seed, however many of the others he has seen.
/// They tell nothing of the hashes of a [`Seed`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Names(u64);

impl Names {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The name with this number.
    #[expect(deprecated, reason = "as above")]
    pub(super) fn get(self, number: u64) -> [u64; 2] {
        [0, 1].map(|half| {
            let mut hasher = SipHasher::new_with_keys(self.0, !self.0);
            hasher.write_u64(number);
            hasher.write_u8(half);
            hasher.finish()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_seed_the_text_and_the_owner() {
        let (one, other) = (Seed::new(1), Seed::new(2));
        assert_eq!(one.of(b"plant"), Seed::new(1).of(b"plant"));
        assert_ne!(one.of(b"plant"), other.of(b"plant"));
        assert_ne!(one.of(b""), one.of(b"\0"));
        assert_ne!(one.within(1, one.of(b"plant")), one.within(2, one.of(b"plant")));
        assert_ne!(one.within(1, one.of(b"plant")), one.within(1, one.of(b"plan")));
    }
}
