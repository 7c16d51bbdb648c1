//! What stands on a backbone: one file a head. Each gives rows of logits, as [`lora_core::Model::forward`] says.

mod labels;
mod language;
mod sequence;
mod spans;
mod tokens;
mod transform;

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::peft::TaskType;
use lora_core::{LoraLinear, Pass};
use lora_data::{Batch, Task};
use lora_kernels::LinearWeight;

use crate::backbone::Backbone;
use crate::blocks::{Reading, VisitLinears, linears_of};
use crate::error::LoadError;
use crate::families::{ModelSpec, SequenceForm};
use crate::weights::Scope;

pub use labels::SavedHead;
pub use language::{CausalLmHead, Decoder, MaskedLmHead, TiedDecoder};
pub use sequence::{FirstTokenHead, LastTokenHead, PooledHead};
pub use spans::SpanHead;
pub use tokens::TokenHead;
pub use transform::HeadTransform;

/// What a head is for, by the names of Hugging Face's classes. A [`Task`] has one; masked language models are of no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// One row of logits a sequence: classification, or regression with one output.
    SequenceClassification {
        /// Number of classes; 1 for regression.
        outputs: usize,
    },
    /// One row of logits a token.
    TokenClassification {
        /// Number of classes.
        outputs: usize,
    },
    /// Start and end of an answer in the text.
    QuestionAnswering,
    /// The tokens behind masks.
    MaskedLm,
    /// The token after each token.
    CausalLm,
}

impl From<&Task> for HeadKind {
    /// The head that a task needs.
    fn from(task: &Task) -> Self {
        let outputs = task.outputs();
        match task {
            Task::Classification { .. } | Task::MultiLabel { .. } | Task::Regression => {
                Self::SequenceClassification { outputs }
            }
            Task::QuestionAnswering { .. } => Self::QuestionAnswering,
            Task::Tagging { .. } => Self::TokenClassification { outputs },
            Task::MultipleChoice { .. } | Task::Completion => Self::CausalLm,
        }
    }
}

/// The head of a model.
#[derive(Module, Debug)]
pub enum Head {
    /// A sequence, by its first token.
    FirstToken(FirstTokenHead),
    /// A sequence, by its last real token.
    LastToken(LastTokenHead),
    /// A sequence, by a transform of its pooled tokens.
    Pooled(PooledHead),
    /// Each token.
    Tokens(TokenHead),
    /// Start and end of an answer.
    Spans(SpanHead),
    /// Masked language model.
    MaskedLm(MaskedLmHead),
    /// Causal language model.
    CausalLm(CausalLmHead),
}

linears_of!(Head: FirstToken | LastToken | Pooled | Tokens | Spans | MaskedLm | CausalLm);

impl HeadKind {
    /// The kind by the name of a Hugging Face class, such as `BertForMaskedLM`; `None` for a class without head or with
    /// one that is not supported.
    pub fn of_architecture(class: &str, outputs: usize) -> Option<Self> {
        let kinds = [
            (
                "ForSequenceClassification",
                Self::SequenceClassification { outputs },
            ),
            ("ForTokenClassification", Self::TokenClassification { outputs }),
            ("ForQuestionAnswering", Self::QuestionAnswering),
            ("ForMaskedLM", Self::MaskedLm),
            ("ForCausalLM", Self::CausalLm),
            ("LMHeadModel", Self::CausalLm),
        ];
        let kind = kinds.into_iter().find(|(head, _)| class.ends_with(head));
        kind.map(|(_, kind)| kind)
    }

    /// PEFT's name of the task; it has none for masked language models.
    pub fn task_type(self) -> Option<TaskType> {
        match self {
            Self::SequenceClassification { .. } => Some(TaskType::SeqCls),
            Self::TokenClassification { .. } => Some(TaskType::TokenCls),
            Self::QuestionAnswering => Some(TaskType::QuestionAns),
            Self::CausalLm => Some(TaskType::CausalLm),
            Self::MaskedLm => None,
        }
    }
}

impl Head {
    /// Builds a head on a backbone of this spec. What the checkpoint lacks starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Head`] if the family has no such head, [`LoadError::Tensors`].
    pub fn load(
        kind: HeadKind,
        spec: &ModelSpec,
        backbone: &Backbone,
        at: &Scope<'_>,
    ) -> Result<Self, LoadError> {
        match kind {
            HeadKind::SequenceClassification { outputs } => match spec.sequence {
                SequenceForm::FirstToken { .. } => {
                    FirstTokenHead::load(outputs, spec, at).map(Self::FirstToken)
                }
                SequenceForm::LastToken { padding } => {
                    LastTokenHead::load(outputs, padding, spec, at).map(Self::LastToken)
                }
                SequenceForm::Pooled(pooling) => {
                    PooledHead::load(outputs, pooling, spec, at).map(Self::Pooled)
                }
            },
            HeadKind::TokenClassification { outputs } => TokenHead::load(outputs, spec, at).map(Self::Tokens),
            HeadKind::QuestionAnswering => SpanHead::load(spec, at).map(Self::Spans),
            HeadKind::MaskedLm => MaskedLmHead::load(spec, backbone, at).map(Self::MaskedLm),
            HeadKind::CausalLm => CausalLmHead::load(spec, backbone, at).map(Self::CausalLm),
        }
    }

    /// Rows of logits.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`; at least the tokens of [`Head::reads`]
    /// - output: `[rows, outputs]`, as [`lora_core::Model::forward`] says
    pub fn forward(&self, hidden: Tensor<3>, input: &Batch, backbone: &Backbone, pass: &Pass) -> Tensor<2> {
        match self {
            Self::FirstToken(head) => head.forward(hidden, pass),
            Self::LastToken(head) => head.forward(hidden, input, pass),
            Self::Pooled(head) => head.forward(hidden, input, pass),
            Self::Tokens(head) => head.forward(hidden, pass),
            Self::Spans(head) => head.forward(hidden, pass),
            Self::MaskedLm(head) => head.forward(hidden, backbone, pass),
            Self::CausalLm(head) => head.forward(hidden, backbone, pass),
        }
    }

    /// Path of the output layer that is the table of token embeddings.
    pub fn tied_output(&self) -> Option<&'static str> {
        match self.decoder()? {
            Decoder::Tied(tied) => Some(tied.path()),
            Decoder::Own(_) => None,
        }
    }

    /// The decoder of a language model.
    pub fn decoder(&self) -> Option<&Decoder> {
        match self {
            Self::MaskedLm(head) => Some(&head.decoder),
            Self::CausalLm(head) => Some(&head.decoder),
            Self::FirstToken(_) | Self::LastToken(_) | Self::Pooled(_) | Self::Tokens(_) | Self::Spans(_) => {
                None
            }
        }
    }

    /// Gives a tied output layer a weight of its own.
    ///
    /// # Shapes
    ///
    /// - table: `[vocab_size, d_embedding]`
    pub fn untie(&mut self, table: LinearWeight) {
        match self {
            Self::MaskedLm(head) => head.decoder.untie(table),
            Self::CausalLm(head) => head.decoder.untie(table),
            Self::FirstToken(_) | Self::LastToken(_) | Self::Pooled(_) | Self::Tokens(_) | Self::Spans(_) => {
            }
        }
    }

    /// Which hidden states [`Head::forward`] reads.
    pub fn reads(&self) -> Reading {
        match self {
            Self::FirstToken(_) => Reading::FirstToken,
            // An answer is looked for among all places.
            Self::Spans(_) => Reading::EveryPlace,
            Self::LastToken(_)
            | Self::Pooled(_)
            | Self::Tokens(_)
            | Self::MaskedLm(_)
            | Self::CausalLm(_) => Reading::EveryToken,
        }
    }

    /// The modules whose outputs are the logits: "all linear" leaves them out.
    pub fn outputs(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut push = |linear: &LoraLinear| paths.push(linear.path().to_owned());
        match self {
            Self::FirstToken(head) => push(&head.output),
            Self::LastToken(head) => push(&head.score),
            Self::Pooled(head) => push(&head.classifier),
            Self::Tokens(head) => push(&head.classifier),
            Self::Spans(head) => push(&head.outputs),
            Self::MaskedLm(head) => head.decoder.visit_linears(&mut push),
            Self::CausalLm(head) => head.decoder.visit_linears(&mut push),
        }
        paths
    }

    /// The modules that adapters train and save in full, by PEFT's names: those that no pretrained model has. A language
    /// model's head is pretrained.
    pub fn modules_to_save(&self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::FirstToken(head) => head.trained(),
            Self::LastToken(_) => &["score"],
            Self::Pooled(_) => &["classifier"],
            Self::Tokens(head) => return vec![head.classifier.path().to_owned()],
            Self::Spans(head) => return vec![head.outputs.path().to_owned()],
            Self::MaskedLm(_) | Self::CausalLm(_) => &[],
        };
        names.iter().copied().map(str::to_owned).collect()
    }
}

/// `[batch, seq, width]` as rows, `[batch · seq, width]`.
pub(crate) fn rows_of_tokens(tokens: Tensor<3>) -> Tensor<2> {
    let [batch, seq, width] = tokens.dims();
    tokens.reshape([batch * seq, width])
}
