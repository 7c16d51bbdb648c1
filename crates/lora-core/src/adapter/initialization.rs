//! How LoRA's factors are initialized.

use nalgebra::{DMatrix, SVD};
use rand_distr::{Distribution, Normal, Uniform};

use crate::config::{Init, LowRankSettings};
use crate::random::parameter_generator;
use crate::tensors::HostTensor;

/// Sweeps after which a decomposition is given up; LAPACK's default is far below.
const MAX_SWEEPS: usize = 10_000;

/// Initial values of the factors, row-major on the host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InitialFactors {
    /// `[d_input, rank]`.
    pub a: HostTensor,
    /// `[rank, d_output]`.
    pub b: HostTensor,
}

/// Why factors could not be made from a base weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitError {
    RankTooLarge { largest: usize },
    OddRank,
    NotFinite,
}

/// First values of both factors for the linear at a path. Random numbers depend on `(seed, path)` alone.
///
/// `weight` gives the base weight `[d_input, d_output]`; only initializations that take the factors from it call it.
///
/// # Panics
///
/// Panics if the rank or the input size is 0.
pub(crate) fn initial_factors(
    path: &str,
    [d_input, d_output]: [usize; 2],
    settings: &LowRankSettings,
    init: Init,
    seed: u64,
    weight: impl FnOnce() -> HostTensor,
) -> Result<InitialFactors, InitError> {
    let rank = settings.rank;
    let mut generator = parameter_generator(seed, path);
    let mut draw = |distribution: &dyn Fn(&mut rand_chacha::ChaCha8Rng) -> f32, count: usize| -> Vec<f32> {
        (0..count).map(|_| distribution(&mut generator)).collect()
    };
    let plain = |values| InitialFactors {
        a: HostTensor {
            shape: vec![d_input, rank],
            values,
        },
        b: HostTensor {
            shape: vec![rank, d_output],
            values: vec![0.0; rank * d_output],
        },
    };
    match init {
        Init::KaimingUniform => {
            let bound = 1.0 / (d_input as f32).sqrt();
            let uniform = Uniform::new(-bound, bound).expect("the bound is positive");
            Ok(plain(draw(
                &|generator| uniform.sample(generator),
                d_input * rank,
            )))
        }
        Init::Gaussian => {
            let normal = Normal::new(0.0, 1.0 / rank as f32).expect("the deviation is positive");
            Ok(plain(draw(&|generator| normal.sample(generator), d_input * rank)))
        }
        Init::Orthogonal => {
            if !rank.is_multiple_of(2) {
                return Err(InitError::OddRank);
            }
            let normal = Normal::new(0.0_f32, 1.0).expect("the deviation is positive");
            let mut matrix = |rows: usize, columns: usize| {
                let values = draw(&|generator| normal.sample(generator), rows * columns);
                DMatrix::from_row_iterator(rows, columns, values.into_iter().map(f64::from))
            };
            let half = rank / 2;
            let basis = matrix(rank, rank).qr().q(); // [rank, rank]
            let rows =
                |first: usize| DMatrix::from_fn(half, rank, |row, column| basis[(2 * row + first, column)]);
            let a = matrix(d_input, half) * rows(0) / 10.0; // [d_input, rank]
            let b = (matrix(half, d_output).transpose() * rows(1)).transpose() / 10.0; // [rank, d_output]
            Ok(InitialFactors {
                a: host(&a),
                b: host(&b),
            })
        }
        Init::Pissa | Init::PissaNiter(_) | Init::Olora => {
            let largest = d_input.min(d_output);
            if rank > largest {
                return Err(InitError::RankTooLarge { largest });
            }
            let weight = weight();
            if weight.values.iter().any(|value| !value.is_finite()) {
                return Err(InitError::NotFinite);
            }
            let values = weight.values.iter().copied().map(f64::from);
            let weight = DMatrix::from_row_iterator(d_input, d_output, values);
            match init {
                Init::PissaNiter(rounds) => {
                    let basis = leading_basis(&weight, rank, rounds, path);
                    pissa(basis.transpose() * weight, Some(&basis), settings)
                }
                Init::Pissa => pissa(weight, None, settings),
                _ => Ok(olora(&weight, rank)),
            }
        }
    }
}

/// `A = U √(S/s)`, `B = √(S/s) Vᵀ` of the largest singular values, so that `s A B` is the best approximation of rank r. With a
/// basis `Q` the matrix is `Qᵀ W`, and its left vectors are those of W in the basis.
fn pissa(
    matrix: DMatrix<f64>,
    basis: Option<&DMatrix<f64>>,
    settings: &LowRankSettings,
) -> Result<InitialFactors, InitError> {
    let rank = settings.rank;
    let SVD {
        u: Some(u),
        v_t: Some(v_t),
        singular_values,
    } = SVD::try_new(matrix, true, true, f64::EPSILON, MAX_SWEEPS).ok_or(InitError::NotFinite)?
    else {
        unreachable!("both sides were requested")
    };
    let u = match basis {
        Some(basis) => basis * u,
        None => u,
    };
    let root = |triplet: usize| (singular_values[triplet] / settings.mean_scale()).sqrt();
    let a = DMatrix::from_fn(u.nrows(), rank, |row, triplet| u[(row, triplet)] * root(triplet));
    let b = DMatrix::from_fn(rank, v_t.ncols(), |triplet, column| {
        v_t[(triplet, column)] * root(triplet)
    });
    Ok(InitialFactors {
        a: host(&a),
        b: host(&b),
    })
}

/// An orthonormal basis `Q`, `[d_input, rank]`, that nearly spans what the largest singular values make of the weight: that of a
/// random sketch after rounds of subspace iteration (Halko et al. 2011, algorithm 4.4). Like `torch.svd_lowrank`, it has no
/// more columns than are needed.
fn leading_basis(weight: &DMatrix<f64>, rank: usize, rounds: u32, path: &str) -> DMatrix<f64> {
    let normal = Normal::new(0.0, 1.0).expect("the deviation is positive");
    let draws = normal.sample_iter(parameter_generator(0, path));
    let sketch = DMatrix::from_iterator(weight.ncols(), rank, draws.take(weight.ncols() * rank));
    let mut basis = (weight * sketch).qr().q();
    for _ in 0..rounds {
        let other = (weight.transpose() * basis).qr().q();
        basis = (weight * other).qr().q();
    }
    basis
}

/// PEFT factors its own orientation, `Wᵀ = Q R`: `B = Q_rᵀ`, `A = R_rᵀ`.
fn olora(weight: &DMatrix<f64>, rank: usize) -> InitialFactors {
    let (q, r) = weight.transpose().qr().unpack(); // [d_output, k], [k, d_input]
    InitialFactors {
        a: host(&r.rows(0, rank).transpose()),
        b: host(&q.columns(0, rank).transpose()),
    }
}

/// To f32, row-major.
fn host(matrix: &DMatrix<f64>) -> HostTensor {
    HostTensor {
        shape: vec![matrix.nrows(), matrix.ncols()],
        // nalgebra is column-major: the transpose's columns are the rows.
        values: matrix.transpose().iter().map(|value| *value as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LowRankSettings = LowRankSettings {
        rank: 2,
        scale: 2.5,
        mean_factor: 0.64,
    };

    fn matrix(tensor: &HostTensor) -> DMatrix<f64> {
        DMatrix::from_row_iterator(
            tensor.shape[0],
            tensor.shape[1],
            tensor.values.iter().copied().map(f64::from),
        )
    }

    /// Diagonal in a rotated basis: singular values 5, 3 and 1 are known without a decomposition.
    fn known() -> DMatrix<f64> {
        let (c, s) = (0.6, 0.8);
        let left = DMatrix::from_row_slice(3, 3, &[c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]);
        let middle = DMatrix::from_row_slice(
            3,
            4,
            &[5.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        );
        left * middle
    }

    #[test]
    fn pissa_takes_the_largest_singular_triplets() {
        let factors =
            initial_factors("p", [3, 4], &SETTINGS, Init::Pissa, 1, || host(&known())).expect("rank 2 of 3");
        let product = matrix(&factors.a) * matrix(&factors.b) * SETTINGS.mean_scale();
        let mut rest = known() - product;
        // What is left is the smallest triplet: 1 at [2, 2].
        rest[(2, 2)] -= 1.0;
        assert!(rest.norm() < 1e-6, "{rest}");
    }

    #[test]
    fn a_random_sketch_finds_the_largest_triplets_in_a_few_rounds() {
        let init =
            |init| initial_factors("p", [3, 4], &SETTINGS, init, 1, || host(&known())).expect("rank 2 of 3");
        let product = |factors: &InitialFactors| matrix(&factors.a) * matrix(&factors.b);
        let [exact, found] = [Init::Pissa, Init::PissaNiter(16)].map(init);
        // The gap between the second and the third value is 3 to 1: the error shrinks by 9 a round.
        assert!((product(&exact) - product(&found)).norm() < 1e-6);
        let rough = init(Init::PissaNiter(0));
        assert!((product(&exact) - product(&rough)).norm() > 1e-3);
    }

    #[test]
    fn olora_has_an_orthonormal_b_and_keeps_the_first_outputs() {
        let factors =
            initial_factors("p", [3, 4], &SETTINGS, Init::Olora, 1, || host(&known())).expect("rank 2 of 3");
        let b = matrix(&factors.b);
        assert!((b.clone() * b.transpose() - DMatrix::identity(2, 2)).norm() < 1e-6);
        // The first r inputs lie in the span of the basis; the third does not.
        let product = matrix(&factors.a) * b; // [3, 4]
        let difference = known() - product;
        assert!(difference.rows(0, 2).norm() < 1e-6, "{difference}");
    }

    #[test]
    fn orthogonal_halves_cancel() {
        let settings = LowRankSettings { rank: 4, ..SETTINGS };
        let factors = initial_factors("p", [5, 7], &settings, Init::Orthogonal, 1, || unreachable!())
            .expect("the rank is even");
        let (a, b) = (matrix(&factors.a), matrix(&factors.b));
        assert!(a.norm() > 0.1 && b.norm() > 0.1);
        assert!((a * b).norm() < 1e-6);
    }

    #[test]
    fn impossible_starts_are_refused() {
        let odd = LowRankSettings { rank: 3, ..SETTINGS };
        let large = LowRankSettings { rank: 4, ..SETTINGS };
        let weight = || host(&known());
        let refused =
            |settings, init| initial_factors("p", [3, 4], settings, init, 1, weight).expect_err("impossible");
        assert_eq!(refused(&odd, Init::Orthogonal), InitError::OddRank);
        assert_eq!(
            refused(&large, Init::Pissa),
            InitError::RankTooLarge { largest: 3 }
        );
        let broken = || HostTensor {
            shape: vec![3, 4],
            values: vec![f32::NAN; 12],
        };
        let error = initial_factors("p", [3, 4], &SETTINGS, Init::Pissa, 1, broken).expect_err("not finite");
        assert_eq!(error, InitError::NotFinite);
    }
}
