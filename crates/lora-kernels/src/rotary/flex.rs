//! Rotary embedding on Flex: heads are turned where the projection wrote them, in place where nobody else holds them.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{RotaryOps, Turn, composed_rotary};
use crate::flex::{changed, inlined, numbers};

/// Tokens that a thread takes at a time.
const TOKENS: usize = 8;

impl RotaryOps for Flex {
    fn fused_rotary(
        heads: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        turn: Turn,
    ) -> FloatTensor<Self> {
        if heads.dtype() != DType::F32 || cos.dtype() != DType::F32 {
            return composed_rotary::<Self>(heads, cos, sin, turn);
        }
        let [cos, sin] = [cos, sin].map(|tensor| tensor.to_contiguous());
        let (cos, sin) = (numbers(&cos), numbers(&sin));
        let [_, n_heads, seq, d_head] = heads.shape().dims();
        let half = d_head / 2;
        let direction = match turn {
            Turn::Forward => 1.0,
            Turn::Back => -1.0,
        };
        let tokens = heads.transpose(1, 2);
        drop(heads);
        let turned = changed(
            tokens,
            n_heads * d_head,
            TOKENS,
            inlined!(|token, index| {
                let at = index % seq * half;
                let (cos, sin) = (&cos[at..][..half], &sin[at..][..half]);
                for head in token.chunks_exact_mut(d_head) {
                    let (first, second) = head.split_at_mut(half);
                    for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                        let sin = direction * sin;
                        (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
                    }
                }
            }),
        );
        turned.transpose(1, 2)
    }
}
