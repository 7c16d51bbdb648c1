//! The texts of one request, on their way through batches that others share.

use std::sync::{Arc, Mutex, PoisonError};

use lora_eval::ModelOutputs;
use lora_pipeline::predict::prepared::{EncodedText, PreparedPredictor};
use tokio::sync::oneshot;

use crate::queue::QueuedRow;

/// The texts of one request.
#[derive(Debug)]
pub(crate) struct Question {
    predictor: Arc<PreparedPredictor>,
    texts: Vec<EncodedText>,
    gathered: Mutex<Gathered>,
}

/// What has come of the outputs.
#[derive(Debug)]
struct Gathered {
    outputs: ModelOutputs,
    missing: usize,
    /// None once it is answered.
    reply: Option<oneshot::Sender<ModelOutputs>>,
}

/// A text of a question, as the queue has it.
#[derive(Clone, Debug)]
pub(crate) struct QueuedText {
    pub question: Arc<Question>,
    /// Which one.
    pub place: usize,
}

impl Question {
    /// A question, and where its outputs will come; nothing comes if they cannot be computed.
    pub fn new(
        predictor: Arc<PreparedPredictor>,
        texts: Vec<EncodedText>,
    ) -> (Arc<Self>, oneshot::Receiver<ModelOutputs>) {
        let (reply, answer) = oneshot::channel();
        let outputs = ModelOutputs {
            members: 0,
            examples: texts.len(),
            outputs: 0,
            values: Vec::new(),
        };
        let gathered = Gathered {
            outputs,
            missing: texts.len(),
            reply: Some(reply),
        };
        let question = Self {
            predictor,
            texts,
            gathered: Mutex::new(gathered),
        };
        (Arc::new(question), answer)
    }

    /// Its texts, for the queue.
    pub fn rows(self: &Arc<Self>) -> impl ExactSizeIterator<Item = QueuedText> {
        let question = Arc::clone(self);
        (0..self.texts.len()).map(move |place| QueuedText {
            question: Arc::clone(&question),
            place,
        })
    }

    pub fn predictor(&self) -> &Arc<PreparedPredictor> {
        &self.predictor
    }

    pub fn text(&self, place: usize) -> &EncodedText {
        &self.texts[place]
    }

    /// Takes the outputs of a text: those of `row` of a batch. The last one answers.
    pub fn take(&self, place: usize, batch: &ModelOutputs, row: usize) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let (members, texts, width) = (batch.members, self.texts.len(), batch.outputs);
        let outputs = &mut gathered.outputs;
        (outputs.members, outputs.outputs) = (members, width);
        outputs.values.resize(members * texts * width, 0.0);
        for member in 0..members {
            let from = (member * batch.examples + row) * width;
            let to = (member * texts + place) * width;
            outputs.values[to..to + width].copy_from_slice(&batch.values[from..from + width]);
        }
        gathered.missing -= 1;
        if gathered.missing == 0
            && let Some(reply) = gathered.reply.take()
        {
            let values = std::mem::take(&mut gathered.outputs.values);
            // Whoever asked may be gone.
            let _ = reply.send(ModelOutputs {
                values,
                ..gathered.outputs
            });
        }
    }

    /// Gives up: the outputs cannot be computed.
    pub fn fail(&self) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.reply = None;
    }

    fn is_wanted(&self) -> bool {
        let gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }
}

impl QueuedRow for QueuedText {
    fn adapter(&self) -> usize {
        Arc::as_ptr(&self.question.predictor) as usize
    }

    fn tokens(&self) -> usize {
        self.question.texts[self.place].tokens.len()
    }

    fn is_wanted(&self) -> bool {
        self.question.is_wanted()
    }
}
