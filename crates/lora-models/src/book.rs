//! The book's pages on families, so that their examples are compiled with the tests.

#[doc = include_str!("../../../docs/src/families/bert.md")]
mod bert {}
#[doc = include_str!("../../../docs/src/families/deberta.md")]
mod deberta {}
#[doc = include_str!("../../../docs/src/families/distilbert.md")]
mod distilbert {}
#[doc = include_str!("../../../docs/src/families/electra.md")]
mod electra {}
#[doc = include_str!("../../../docs/src/families/modernbert.md")]
mod modernbert {}
#[doc = include_str!("../../../docs/src/families/roberta.md")]
mod roberta {}
#[doc = include_str!("../../../docs/src/families/llama.md")]
mod llama {}
#[doc = include_str!("../../../docs/src/families/gpt2.md")]
mod gpt2 {}
