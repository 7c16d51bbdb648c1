//! Blocks that families share.

mod attention;
mod feed_forward;
mod norm;

pub use attention::SelfAttention;
pub use feed_forward::FeedForward;
pub use norm::LayerNorm;
