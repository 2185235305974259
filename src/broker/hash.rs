//! Hashes of what outsiders choose, seeded against their choosing badly.

use core::hash::Hasher;

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

    /// Another seed, of which no more is known to who sees what is made with it.
    pub(super) fn for_names(seed: u64) -> Self {
        let seed = Self::new(seed);
        Self::new(seed.of(b"names") ^ seed.of(b"other names").rotate_left(32))
    }

    /// Two numbers that nobody guesses who does not know the seed.
    pub(super) fn pair(&self, number: u64) -> [u64; 2] {
        let number = number.to_be_bytes();
        [&b"high"[..], b"low"].map(|which| {
            let mut hasher = quality::FoldHasher::with_seed(self.seed, &self.shared);
            hasher.write(which);
            hasher.write(&number);
            hasher.finish()
        })
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
