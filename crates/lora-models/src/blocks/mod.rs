//! Blocks that families share.

mod activation;
mod attention;
mod encoder_layer;
mod feed_forward;
mod input;
mod norm;

pub use activation::{Activation, UnknownActivation};
pub use attention::SelfAttention;
pub use encoder_layer::{EncoderLayer, EncoderLayerNames, EncoderSizes};
pub use feed_forward::FeedForward;
pub use input::{attention_mask, places, token_ids};
pub use norm::LayerNorm;
