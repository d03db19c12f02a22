//! Chance that can be repeated: a test says its seed, and the same seed throws the same.

/// `SplitMix64` (Steele, Lea, Flood 2014): enough chance for an order of sending, in five lines.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a length fits");
        usize::try_from(self.throw() % bound).expect("less than a length")
    }

    /// Any order of these.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A number from one bound to the other, both among them.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.throw() % (high - low + 1)
    }

    /// Yes, so often of a hundred times.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.throw() % 100 < chance
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Another dice, so that more throws of one do not change those of the other.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.throw())
    }
}
