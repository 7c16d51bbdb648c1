//! Every unit of this machine on tiles of drawn values: against the portable one, and that against sums in f64.

use half::bf16;

use super::*;

/// Values of many sizes, the same in every run (Knuth's MMIX).
fn drawn(seed: u64) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        let mut number = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let exponent = 120 + (state >> 40) % 9;
            ((state >> 33) & 0x807f | exponent << 7) as u32
        };
        number() | number() << 16
    }
}

struct Case {
    terms: Terms,
    sums: SumTile,
    left: Vec<LeftTile>,
    right: Vec<RightTile>,
}

fn cases() -> impl Iterator<Item = Case> {
    let all = [0, 1, 2, 7].map(|steps| [Terms::One, Terms::Two].map(|terms| (steps, terms)));
    all.into_iter().flatten().map(|(steps, terms)| {
        let mut pair = drawn(steps as u64 + 1);
        let mut row = || -> [f32; COLS] { std::array::from_fn(|_| f32::from_bits(pair() << 16)) };
        let sums = SumTile(std::array::from_fn(|_| row()));
        let mut left = || LeftTile(std::array::from_fn(|_| std::array::from_fn(|_| pair())));
        let left = (0..2 * steps * terms.count()).map(|_| left()).collect();
        let mut right = || RightTile(std::array::from_fn(|_| std::array::from_fn(|_| pair())));
        let right = (0..steps * terms.count()).map(|_| right()).collect();
        Case {
            terms,
            sums,
            left,
            right,
        }
    })
}

fn numbers(pair: u32) -> [f64; 2] {
    [pair as u16, (pair >> 16) as u16].map(|bits| bf16::from_bits(bits).to_f64())
}

/// The sum in f64, and that of the sizes of all its values.
fn exact(case: &Case, row: usize, col: usize) -> [f64; 2] {
    let start = f64::from(case.sums.0[row][col]);
    let mut sums = [start, start.abs()];
    let count = case.terms.count();
    for (left, right) in case.left.chunks(2 * count).zip(case.right.chunks(count)) {
        for (of_left, of_right) in [(0, 0), (0, 1), (1, 0)].into_iter().take(2 * count - 1) {
            for pair in 0..PAIRS {
                let x = numbers(left[2 * of_left + row / TILE_ROWS].0[row % TILE_ROWS][pair]);
                let w = numbers(right[of_right].0[pair][col]);
                for (x, w) in x.into_iter().zip(w) {
                    sums[0] += x * w;
                    sums[1] += (x * w).abs();
                }
            }
        }
    }
    sums
}

#[test]
fn every_unit_is_near_the_sums_in_f64() {
    for unit in Unit::found() {
        for case in cases() {
            let mut sums = case.sums;
            unit.ready()
                .multiply(&mut sums, ROWS, &case.left, &case.right, case.terms);
            for row in 0..ROWS {
                for col in 0..COLS {
                    let [sum, size] = exact(&case, row, col);
                    let error = (f64::from(sums.0[row][col]) - sum).abs();
                    assert!(error <= 1e-5 * size, "{}: {error} of {size}", unit.name());
                }
            }
        }
    }
}

/// No drawn number leads to a subnormal sum, which AVX512-BF16 would clear.
#[test]
fn dot_products_have_the_bits_of_the_portable_unit() {
    let of_dot_products = |unit: &Unit| unit.name() == "AVX512-BF16";
    // Without AVX512-BF16 there is nothing to compare.
    let Some(unit) = Unit::found().into_iter().find(of_dot_products) else {
        return;
    };
    for case in cases() {
        let [mut found, mut expected] = [case.sums; 2];
        unit.ready()
            .multiply(&mut found, ROWS, &case.left, &case.right, case.terms);
        Unit::Portable
            .ready()
            .multiply(&mut expected, ROWS, &case.left, &case.right, case.terms);
        assert_eq!(found.0, expected.0);
    }
}

#[test]
fn a_row_has_the_same_bits_in_a_block_of_any_rows() {
    for unit in Unit::found() {
        for case in cases() {
            let mut whole = case.sums;
            unit.ready()
                .multiply(&mut whole, ROWS, &case.left, &case.right, case.terms);
            for rows in [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 20, 31] {
                let mut sums = case.sums;
                unit.ready()
                    .multiply(&mut sums, rows, &case.left, &case.right, case.terms);
                assert_eq!(
                    sums.0[..rows],
                    whole.0[..rows],
                    "{} with {rows} rows",
                    unit.name()
                );
            }
        }
    }
}

#[test]
fn every_unit_that_the_processor_has_multiplies_right() {
    for unit in Unit::found() {
        assert!(unit.multiplies_right(), "{}", unit.name());
    }
}

#[test]
fn the_numbers_that_tell_the_order_do() {
    let numbers = numbers_that_tell_the_order();
    let (pairs, _) = numbers.as_chunks();
    assert_ne!(Order::PairByPair.sum(pairs), Order::TileByTile.sum(pairs));
    for unit in Unit::found() {
        assert!(unit.adds_in_its_order(), "{}", unit.name());
    }
}
