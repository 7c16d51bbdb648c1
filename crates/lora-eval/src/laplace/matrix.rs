//! Symmetric matrices by their eigenvectors, and blocks of a curvature matrix made of them.

use std::ops::Range;

use nalgebra::{DMatrix, SymmetricEigen};

/// A symmetric positive semidefinite matrix `Q diag(values) Qᵀ`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Eigen {
    /// Q: eigenvectors in columns.
    vectors: DMatrix<f64>,
    values: Vec<f64>,
}

impl Eigen {
    /// Of a matrix `[size, size]`, row-major; none if a number is not finite. Eigenvalues that rounding makes negative are 0.
    pub fn of(matrix: Vec<f64>, size: usize) -> Option<Self> {
        if matrix.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let matrix = DMatrix::from_vec(size, size, matrix);
        let symmetric = (&matrix + matrix.transpose()) * 0.5;
        let SymmetricEigen {
            eigenvectors,
            eigenvalues,
        } = SymmetricEigen::new(symmetric);
        Some(Self {
            vectors: eigenvectors,
            values: eigenvalues.iter().map(|value| value.max(0.0)).collect(),
        })
    }

    fn size(&self) -> usize {
        self.values.len()
    }
}

/// The entries row by row, in single precision.
pub(crate) fn row_major(matrix: &DMatrix<f64>) -> Vec<f32> {
    // The transpose column by column.
    matrix.transpose().iter().map(|entry| *entry as f32).collect()
}

/// A block on the diagonal of a curvature matrix, by its eigenvectors.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CurvatureBlock {
    /// `diag(values)`.
    Diagonal(Vec<f64>),
    /// `output ⊗ input`, for a weight `[d_output, d_input]`, row-major.
    Kronecker {
        /// Of the gradients of outputs.
        output: Eigen,
        /// Of the inputs.
        input: Eigen,
    },
    /// Any matrix.
    Full(Eigen),
}

/// A block and the values of the vector that it is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub range: Range<usize>,
    pub block: CurvatureBlock,
}

impl CurvatureBlock {
    /// The eigenvalues, in the order of the coordinates of [`CurvatureBlock::rotated`].
    pub fn eigenvalues(&self) -> Vec<f64> {
        match self {
            Self::Diagonal(values) => values.clone(),
            Self::Full(eigen) => eigen.values.clone(),
            Self::Kronecker { output, input } => {
                let product = |of_output: &f64| {
                    let of_output = *of_output;
                    input.values.iter().map(move |of_input| of_output * of_input)
                };
                output.values.iter().flat_map(product).collect()
            }
        }
    }

    /// Q as its factors for outputs and inputs, row-major in single precision; none is the identity.
    pub fn rotations(&self) -> [Option<Vec<f32>>; 2] {
        let rows = |eigen: &Eigen| Some(row_major(&eigen.vectors));
        match self {
            Self::Diagonal(_) => [None, None],
            Self::Full(eigen) => [rows(eigen), None],
            Self::Kronecker { output, input } => [rows(output), rows(input)],
        }
    }

    /// `Qᵀ v`: coordinates along the eigenvectors.
    pub fn rotated(&self, vector: &[f64]) -> Vec<f64> {
        match self {
            Self::Diagonal(_) => vector.to_vec(),
            Self::Full(eigen) => {
                let vector = DMatrix::from_column_slice(vector.len(), 1, vector);
                eigen.vectors.tr_mul(&vector).as_slice().to_vec()
            }
            Self::Kronecker { output, input } => {
                // Qᵀ vec(W) = vec(Uᵀ W V); the transpose of W is what a column-major matrix reads.
                let transposed = DMatrix::from_column_slice(input.size(), output.size(), vector);
                (input.vectors.tr_mul(&transposed) * &output.vectors)
                    .as_slice()
                    .to_vec()
            }
        }
    }

    /// The variance of every output of the weight `[outputs, inputs]` that the block is about, for an input, with the precision λ
    /// added to the block: `e_oᵀ ⊗ xᵀ (block + λ I)⁻¹ e_o ⊗ x`.
    ///
    /// # Panics
    /// If the block is not about outputs by inputs.
    pub fn output_variances(&self, input: &[f64], precision: f64) -> Vec<f64> {
        let of = |output: &Eigen, inputs: &[(f64, f64)]| {
            let along = |of_output: &f64| {
                let terms = inputs.iter();
                terms
                    .map(|(square, of_input)| square / (of_output * of_input + precision))
                    .sum::<f64>()
            };
            let along: Vec<f64> = output.values.iter().map(along).collect();
            let variance = |row: usize| {
                let squares = output.vectors.row(row);
                squares
                    .iter()
                    .zip(&along)
                    .map(|(entry, along)| entry.powi(2) * along)
                    .sum()
            };
            (0..output.size()).map(variance).collect()
        };
        match self {
            Self::Diagonal(values) => values
                .chunks_exact(input.len())
                .map(|row| {
                    let terms = row.iter().zip(input);
                    terms
                        .map(|(value, input)| input.powi(2) / (value + precision))
                        .sum()
                })
                .collect(),
            Self::Full(output) => {
                let [input] = input else {
                    panic!("a full block is about outputs alone, with the input of a bias")
                };
                of(output, &[(input.powi(2), 1.0)])
            }
            Self::Kronecker {
                output,
                input: of_inputs,
            } => {
                let column = DMatrix::from_column_slice(input.len(), 1, input);
                let rotated = of_inputs.vectors.tr_mul(&column);
                let squares = rotated.iter().map(|value| value.powi(2));
                let inputs: Vec<(f64, f64)> = squares.zip(of_inputs.values.iter().copied()).collect();
                of(output, &inputs)
            }
        }
    }

    /// `Q c`: the vector with these coordinates.
    pub fn rotated_back(&self, coordinates: &[f64]) -> Vec<f64> {
        match self {
            Self::Diagonal(_) => coordinates.to_vec(),
            Self::Full(eigen) => {
                let coordinates = DMatrix::from_column_slice(coordinates.len(), 1, coordinates);
                (&eigen.vectors * coordinates).as_slice().to_vec()
            }
            Self::Kronecker { output, input } => {
                let transposed = DMatrix::from_column_slice(input.size(), output.size(), coordinates);
                (&input.vectors * transposed * output.vectors.transpose())
                    .as_slice()
                    .to_vec()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// `M Mᵀ` for a matrix of values without pattern.
    fn positive(size: usize, phase: f64) -> DMatrix<f64> {
        let root = DMatrix::from_fn(size, size, |row, column| {
            ((row * 7 + column * 3) as f64 + phase).sin()
        });
        &root * root.transpose()
    }

    fn eigen(matrix: &DMatrix<f64>) -> Eigen {
        Eigen::of(matrix.as_slice().to_vec(), matrix.nrows()).unwrap()
    }

    /// `Q diag(f(values)) Qᵀ`, column by column.
    fn dense(block: &CurvatureBlock, change: impl Fn(f64) -> f64) -> DMatrix<f64> {
        let values = block.eigenvalues();
        let size = values.len();
        let mut matrix = DMatrix::zeros(size, size);
        for column in 0..size {
            let mut unit = vec![0.0; size];
            unit[column] = 1.0;
            let mut coordinates = block.rotated(&unit);
            for (coordinate, value) in coordinates.iter_mut().zip(&values) {
                *coordinate *= change(*value);
            }
            matrix
                .column_mut(column)
                .copy_from_slice(&block.rotated_back(&coordinates));
        }
        matrix
    }

    #[test]
    fn a_kronecker_block_is_the_product_of_its_factors() {
        let (output, input) = (positive(2, 0.3), positive(3, 1.9));
        let block = CurvatureBlock::Kronecker {
            output: eigen(&output),
            input: eigen(&input),
        };
        let expected = output.kronecker(&input);
        assert!((dense(&block, |value| value) - &expected).amax() < 1e-12);
        let inverse = (expected + DMatrix::identity(6, 6) * 0.7).try_inverse().unwrap();
        assert!((dense(&block, |value| 1.0 / (value + 0.7)) - inverse).amax() < 1e-12);
    }

    #[test]
    fn a_full_block_is_its_matrix() {
        let matrix = positive(4, 0.9);
        let block = CurvatureBlock::Full(eigen(&matrix));
        assert!((dense(&block, |value| value) - matrix).amax() < 1e-12);
    }

    #[test]
    fn numbers_that_are_not_finite_have_no_eigenvalues() {
        assert_eq!(Eigen::of(vec![1.0, f64::NAN, 0.0, 1.0], 2), None);
    }
}
