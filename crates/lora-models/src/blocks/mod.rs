//! Blocks that families share.

mod activation;
mod attention;
mod causal_attention;
mod causal_decoder;
mod encoder;
mod encoder_layer;
mod encoding;
mod feed_forward;
mod gated_feed_forward;
mod input;
mod key_value_cache;
mod layout;
mod norm;
mod rms_norm;
mod rope;
mod tokens;
mod visit_linears;

pub use activation::{Activation, UnknownActivation};
pub use attention::SelfAttention;
pub use causal_attention::{CausalContext, CausalSelfAttention, CausalSpan, Heads, causal_bias};
pub use causal_decoder::CausalDecoder;
pub use encoder::{Encoder, EncoderForm, Positions, Segments};
pub use encoder_layer::{EncoderLayer, EncoderLayerNames, EncoderSizes, encoder_layers};
pub use encoding::{Encoding, Projections, Reading, SharedStates, SharedWork, layer_of, through_layers};
pub use feed_forward::FeedForward;
pub use gated_feed_forward::GatedFeedForward;
pub use input::{attention_mask, places, token_ids};
pub use key_value_cache::{KeyValueCache, LayerCache};
pub use layout::{EncoderContext, Layout, Visibility};
pub use norm::LayerNorm;
pub use rms_norm::RmsNorm;
pub use rope::{Rope, RopeScaling, Rotation, Yarn};
pub use tokens::Tokens;
pub use visit_linears::VisitLinears;
pub(crate) use visit_linears::linears_of;
