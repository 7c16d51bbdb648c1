//! Small values as zeros on Flex: in place where nobody else holds the values, on all threads.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{VanishingOps, composed_vanishing};
use crate::flex::{inlined, mapped, vanishing};

impl VanishingOps for Flex {
    fn fused_vanishing(input: FloatTensor<Self>, smallest: f32) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_vanishing::<Self>(input, smallest);
        }
        mapped(input, inlined!(|x| vanishing(x, smallest)))
    }
}
