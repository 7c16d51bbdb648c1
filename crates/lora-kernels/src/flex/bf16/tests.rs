//! Products in bf16 against sums in f64, at sizes that fill no block, from matrices of every layout.

use half::bf16;

use super::unit::Unit;
use super::*;
use crate::flex::{Branch, Matrix, Packed};

/// Rows, depth, columns: single rows and columns, odd sizes, more than one block of depth and of columns,
/// and rows that few threads share out, where many share out the columns.
const SHAPES: [[usize; 3]; 7] = [
    [1, 7, 5],
    [3, 32, 32],
    [33, 70, 45],
    [65, 901, 130],
    [9, 800, 300],
    [130, 33, 161],
    [517, 33, 45],
];

fn drawn(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut number = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| number()).collect()
}

/// `[rows, cols]` of contiguous rows as `[rows, cols]` of contiguous columns.
fn turned<T: Copy>(numbers: &[T], [rows, cols]: [usize; 2]) -> Vec<T> {
    let places = (0..cols).flat_map(|col| (0..rows).map(move |row| row * cols + col));
    places.map(|place| numbers[place]).collect()
}

fn product(
    left: Matrix<'_>,
    right: RightSide<'_>,
    terms: Terms,
    bias: Option<&[f32]>,
    branch: Option<Branch<'_>>,
) -> Vec<f32> {
    let product = Bf16Product {
        left,
        right,
        terms,
        bias,
        branch,
    };
    product.compute()
}

/// Fails where a number is further from its sum in f64 than a part of the sizes of all that is added.
fn near(found: &[f32], x: &[f32], w: &[f32], [rows, depth, cols]: [usize; 3], part: f64) {
    assert_eq!(found.len(), rows * cols);
    for row in 0..rows {
        for col in 0..cols {
            let terms = (0..depth).map(|p| f64::from(x[row * depth + p]) * f64::from(w[p * cols + col]));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            let error = (f64::from(found[row * cols + col]) - sum).abs();
            assert!(error <= part * size, "{rows}x{depth}x{cols}: {error} of {size}");
        }
    }
}

#[test]
fn products_of_every_layout_are_near_their_sums_and_have_the_same_bits() {
    for dims @ [rows, depth, cols] in SHAPES {
        let (x, w) = (drawn(rows * depth, 1), drawn(depth * cols, 2));
        let columns = turned(&w, [depth, cols]);
        let left = Matrix::new(&x, [rows, depth], depth);
        // One number in 2⁸ at most for each side; two in 2¹⁷, what is left out of the product of both low parts, and sums.
        for (terms, part) in [(Terms::One, 0.008), (Terms::Two, 2e-5)] {
            let by_rows = product(
                left,
                RightSide::F32(Matrix::new(&w, [depth, cols], cols)),
                terms,
                None,
                None,
            );
            let matrix = Matrix::new(&columns, [cols, depth], depth).transposed();
            let by_columns = product(left, RightSide::F32(matrix), terms, None, None);
            near(&by_rows, &x, &w, dims, part);
            assert_eq!(by_rows, by_columns);
        }
    }
}

#[test]
fn bf16_weights_are_those_numbers_exactly() {
    for [rows, depth, cols] in SHAPES {
        let (x, w) = (drawn(rows * depth, 3), drawn(depth * cols, 4));
        let halves: Vec<bf16> = w.iter().map(|w| bf16::from_f32(*w)).collect();
        let rounded: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
        let columns = turned(&halves, [depth, cols]);
        let left = Matrix::new(&x, [rows, depth], depth);
        for terms in [Terms::One, Terms::Two] {
            let in_f32 = RightSide::F32(Matrix::new(&rounded, [depth, cols], cols));
            let expected = product(left, in_f32, terms, None, None);
            let by_rows = Matrix::new(&halves, [depth, cols], cols);
            let by_columns = Matrix::new(&columns, [cols, depth], depth).transposed();
            for matrix in [by_rows, by_columns] {
                assert_eq!(
                    product(left, RightSide::Bf16(matrix), terms, None, None),
                    expected
                );
            }
        }
    }
}

#[test]
fn a_row_has_the_bits_that_it_has_alone_and_with_any_number_of_threads() {
    for [rows, depth, cols] in SHAPES {
        let (x, w) = (drawn(rows * depth, 5), drawn(depth * cols, 6));
        let right = RightSide::F32(Matrix::new(&w, [depth, cols], cols));
        for terms in [Terms::One, Terms::Two] {
            let whole = product(Matrix::new(&x, [rows, depth], depth), right, terms, None, None);
            for (x, expected) in x.chunks(depth).zip(whole.chunks(cols)) {
                let alone = product(Matrix::new(x, [1, depth], depth), right, terms, None, None);
                assert_eq!(alone, expected);
            }
            for threads in [1, 2, 3, 7, 40] {
                let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build() else {
                    panic!("a pool of {threads} threads");
                };
                let left = Matrix::new(&x, [rows, depth], depth);
                let found = pool.install(|| product(left, right, terms, None, None));
                assert_eq!(found, whole, "{threads} threads");
            }
        }
    }
}

/// Values of few bits, of which every sum is exact: so nothing may be missing, doubled or from another group.
#[test]
fn bias_and_branch_of_each_group_are_added_once() {
    let whole = |len: usize, seed: u64| -> Vec<f32> {
        let rounded = drawn(len, seed).into_iter();
        rounded.map(|number| (number * 4.0).round()).collect()
    };
    for [rows, depth, cols] in SHAPES {
        for (groups, rank) in [(1, 8), (rows, 3)] {
            let (x, w, bias) = (whole(rows * depth, 7), whole(depth * cols, 8), whole(cols, 9));
            let (down, b) = (whole(rows * rank, 10), whole(groups * rank * cols, 11));
            let of_groups = b
                .chunks(rank * cols)
                .map(|b| Packed::new(Matrix::new(b, [rank, cols], cols)));
            let branch = Branch {
                left: Matrix::new(&down, [rows, rank], rank),
                right: &of_groups.collect::<Vec<_>>(),
                lengths: &vec![rows / groups; groups],
            };
            let mut expected = Vec::new();
            for row in 0..rows {
                let b = &b[row / (rows / groups) * rank * cols..];
                for col in 0..cols {
                    let base: f32 = (0..depth).map(|p| x[row * depth + p] * w[p * cols + col]).sum();
                    let update: f32 = (0..rank).map(|r| down[row * rank + r] * b[r * cols + col]).sum();
                    expected.push(base + bias[col] + update);
                }
            }
            let left = Matrix::new(&x, [rows, depth], depth);
            let right = RightSide::F32(Matrix::new(&w, [depth, cols], cols));
            let found = product(left, right, Terms::One, Some(&bias), Some(branch));
            assert_eq!(found, expected, "{groups} groups, {rows}x{depth}x{cols}");
        }
    }
}

/// Padding beyond the matrix is multiplied, so it must be zero and not what a matrix before left there.
#[test]
fn what_was_multiplied_before_does_not_show() {
    let right =
        |w: &'static [f32], [depth, cols]: [usize; 2]| RightSide::F32(Matrix::new(w, [depth, cols], cols));
    let infinite = [f32::INFINITY; 40 * 70];
    let large: &'static [f32] = Box::leak(Box::new(infinite));
    product(
        Matrix::new(large, [40, 70], 70),
        right(large, [70, 40]),
        Terms::Two,
        None,
        None,
    );
    let ones: &'static [f32] = &[1.0; 15];
    let found = product(
        Matrix::new(ones, [3, 5], 5),
        right(ones, [5, 3]),
        Terms::Two,
        None,
        None,
    );
    assert_eq!(found, [5.0; 9]);
}

/// Few rows are multiplied in another way than many: one that reads the weight in place.
#[test]
fn few_rows_have_the_bits_that_they_have_in_tiles() {
    for unit in Unit::found() {
        for [rows, depth, cols] in SHAPES.into_iter().chain([[8, 1, 16], [2, 64, 1], [6, 577, 1040]]) {
            let rows = rows.min(ThinBf16Product::ROWS);
            let (x, w, bias) = (drawn(rows * depth, 12), drawn(depth * cols, 13), drawn(cols, 14));
            let mut halves: Vec<bf16> = w.iter().map(|w| bf16::from_f32(*w)).collect();
            // Subnormal: zero to every unit.
            halves[0] = bf16::from_bits(0x8001);
            let columns = turned(&halves, [depth, cols]);
            let left = Matrix::new(&x, [rows, depth], depth);
            for (groups, rank) in [(1, 8), (rows, 3)] {
                let (down, b) = (drawn(rows * rank, 15), drawn(groups * rank * cols, 16));
                let down = Matrix::new(&down, [rows, rank], rank);
                let b: Vec<Matrix<'_>> = b
                    .chunks(rank * cols)
                    .map(|b| Matrix::new(b, [rank, cols], cols))
                    .collect();
                let packed: Vec<Packed> = b.iter().map(|b| Packed::new(*b)).collect();
                let lengths = vec![rows / groups; groups];
                for right in [
                    Matrix::new(&halves, [depth, cols], cols),
                    Matrix::new(&columns, [cols, depth], depth).transposed(),
                ] {
                    let product = Bf16Product {
                        left,
                        right: RightSide::Bf16(right),
                        terms: Terms::One,
                        bias: Some(&bias),
                        branch: Some(Branch {
                            left: down,
                            right: &packed,
                            lengths: &lengths,
                        }),
                    };
                    let expected = product.compute_by(unit);
                    let found = ThinBf16Product {
                        left,
                        right,
                        bias: Some(&bias),
                        branch: Some((down, &b)),
                    };
                    let as_bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(
                        as_bits(&found.compute_in(unit.order())),
                        as_bits(&expected),
                        "{}: {rows}x{depth}x{cols}",
                        unit.name()
                    );
                }
            }
        }
    }
}
