//! What multiplies tiles of bf16 values: the best that the processor has.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use super::tiles::{COLS, LeftTile, PAIRS, ROWS, RightTile, SumTile, TILE_ROWS, Terms};

/// A way to multiply tiles of bf16 values with sums in f32. The ways differ in the last bits of their sums; one machine always
/// takes the same one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// Intel's matrix unit (AMX-BF16), on Linux.
    #[cfg(target_arch = "x86_64")]
    Amx(amx::Amx),
    /// The dot products of AVX512-BF16: AMD's Zen 4 and later, some of Intel's without a matrix unit.
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    /// Plain f32 values, and the reference of the others.
    Portable,
}

/// In which order the products of a row and a column are added to a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Pair by pair of neighbours along the depth, of each the later product first.
    PairByPair,
    /// Tile by tile: the earlier products of all pairs, the later ones by themselves, and both together to the sum.
    TileByTile,
}

impl Order {
    /// The sum of the numbers of a tile.
    fn sum(self, pairs: &[[f32; 2]]) -> f32 {
        match self {
            Self::PairByPair => pairs
                .iter()
                .fold(0.0, |sum, [earlier, later]| (sum + later) + earlier),
            Self::TileByTile => {
                let [earlier, later] =
                    [0, 1].map(|place| pairs.iter().fold(0.0, |sum, pair| sum + pair[place]));
                earlier + later
            }
        }
    }
}

/// Numbers of a tile, in bf16: what is left of the small ones beside the large ones depends on the order.
fn numbers_that_tell_the_order() -> [f32; 2 * PAIRS] {
    const LARGE: f32 = 16_777_216.0;
    std::array::from_fn(|index| [LARGE, 3.0, 1.0, -LARGE, 1.0, 5.0, 1.0][index % 7])
}

/// A unit that is ready on this thread, for one piece of work without other work within it.
#[derive(Debug)]
pub(super) enum Ready {
    #[cfg(target_arch = "x86_64")]
    Amx(amx::Configured),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    Portable,
}

impl Unit {
    /// The best unit of this machine: found once, and only taken if it multiplies right.
    pub fn of_this_machine() -> Self {
        static UNIT: OnceLock<Unit> = OnceLock::new();
        *UNIT.get_or_init(|| {
            let mut units = Self::found();
            units.retain(|unit| unit.multiplies_right() && unit.adds_in_its_order());
            units.first().copied().unwrap_or(Self::Portable)
        })
    }

    /// The units that the processor says it has, the best one first.
    pub fn found() -> Vec<Self> {
        let mut units = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            units.extend(amx::Amx::try_new().map(Self::Amx));
            units.extend(avx512::Avx512::try_new().map(Self::Avx512));
        }
        units.push(Self::Portable);
        units
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx(_) => "AMX-BF16",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX512-BF16",
            Self::Portable => "portable",
        }
    }

    /// The order in which a sum is added.
    pub fn order(self) -> Order {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx(_) => Order::TileByTile,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Order::PairByPair,
            Self::Portable => Order::PairByPair,
        }
    }

    pub fn ready(self) -> Ready {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx(amx) => Ready::Amx(amx.configured()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => Ready::Avx512(avx512),
            Self::Portable => Ready::Portable,
        }
    }

    /// Whether a sum is added in [`Unit::order`]: few rows are multiplied without the unit, and must have the same bits.
    fn adds_in_its_order(self) -> bool {
        let numbers = numbers_that_tell_the_order();
        let pairs = numbers.as_chunks::<2>().0;
        let row = std::array::from_fn(|pair| {
            let [earlier, later] = pairs[pair].map(|number| number.to_bits() >> 16);
            earlier | later << 16
        });
        let ones = RightTile([[0x3f80_3f80; COLS]; PAIRS]);
        let mut sums = SumTile([[0.0; COLS]; ROWS]);
        let left = [LeftTile([row; TILE_ROWS]); 2];
        self.ready().multiply(&mut sums, ROWS, &left, &[ones], Terms::One);
        let expected = self.order().sum(pairs);
        sums.0.as_flattened().iter().all(|sum| *sum == expected)
    }

    /// Multiplies known tiles and compares with the portable way: a wrong kernel, or a processor that does not do what it says, must
    /// never be taken silently. Sums of many values differ in their order; those of few and small whole numbers are exact.
    fn multiplies_right(self) -> bool {
        const STEPS: usize = 3;
        [Terms::One, Terms::Two].into_iter().all(|terms| {
            let (left, right) = known_tiles(STEPS, terms);
            let mut sums = SumTile(std::array::from_fn(|row| {
                std::array::from_fn(|col| (row * 3 + col) as f32 - 40.0)
            }));
            let mut expected = sums;
            portable::multiply(&mut expected, ROWS, &left, &right, terms);
            self.ready().multiply(&mut sums, ROWS, &left, &right, terms);
            sums.0 == expected.0
        })
    }
}

impl Ready {
    /// Adds `left · right` to the first `rows` rows of the sums, and anything to those below: for each step of the depth two left
    /// tiles and one right tile of each term.
    ///
    /// # Panics
    ///
    /// Panics if the tiles of both sides are not of so many steps.
    pub fn multiply(
        &self,
        sums: &mut SumTile,
        rows: usize,
        left: &[LeftTile],
        right: &[RightTile],
        terms: Terms,
    ) {
        assert!(rows <= ROWS, "a block has no {rows} rows");
        assert_eq!(left.len(), 2 * right.len(), "two left tiles for each right tile");
        assert!(right.len().is_multiple_of(terms.count()), "tiles of each term");
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx(amx) => amx.multiply(sums, left, right, terms),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.multiply(sums, rows, left, right, terms),
            Self::Portable => portable::multiply(sums, rows, left, right, terms),
        }
    }
}

/// Whole numbers from −8 to 7 that repeat in no direction of a tile.
fn known_tiles(steps: usize, terms: Terms) -> (Vec<LeftTile>, Vec<RightTile>) {
    let number = |index: usize, factor: usize| {
        let whole = (index * factor + index / 7 + index * index % 11) % 16;
        (whole as f32 - 8.0).to_bits() >> 16
    };
    let pair = |index: usize, factor: usize| number(2 * index, factor) | number(2 * index + 1, factor) << 16;
    let left = |tile: usize| {
        LeftTile(std::array::from_fn(|row| {
            std::array::from_fn(|at| pair((tile * TILE_ROWS + row) * PAIRS + at, 5))
        }))
    };
    let right = |tile: usize| {
        RightTile(std::array::from_fn(|at| {
            std::array::from_fn(|col| pair((tile * PAIRS + at) * COLS + col, 3))
        }))
    };
    let count = steps * terms.count();
    (
        (0..2 * count).map(left).collect(),
        (0..count).map(right).collect(),
    )
}
