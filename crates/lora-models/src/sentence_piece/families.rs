//! What a family makes of a SentencePiece model: ids, special tokens, and what stands around a text.

use serde::Deserialize;
use serde_json::Value;

use super::{Piece, PieceKind, SentencePiece, SentencePieceProblem, template};

/// The names of SentencePiece models in a folder, each family's own.
pub(crate) const FILES: [&str; 3] = ["spm.model", "sentencepiece.bpe.model", "tokenizer.model"];

/// The keys of `tokenizer_config.json` that decide about ids.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct TokenizerConfig {
    do_lower_case: Option<bool>,
    split_by_punct: Option<bool>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    legacy: Option<bool>,
}

/// `tokenizer.json` of a model of this `model_type`; `None` for a family whose tokenizers are no SentencePiece models.
///
/// # Errors
///
/// [`SentencePieceProblem`].
pub(crate) fn tokenizer_json(
    bytes: &[u8],
    model_type: &str,
    config: &TokenizerConfig,
) -> Result<Option<Vec<u8>>, SentencePieceProblem> {
    if !["deberta-v2", "xlm-roberta", "llama", "mistral"].contains(&model_type) {
        return Ok(None);
    }
    let mut pieces = SentencePiece::parse(bytes)?;
    let document = match model_type {
        "deberta-v2" if config.split_by_punct == Some(true) => {
            return Err(SentencePieceProblem::Setting {
                key: "split_by_punct of tokenizer_config.json",
                found: "true".to_owned(),
                supported: "false",
            });
        }
        "deberta-v2" => deberta(&mut pieces, config),
        "xlm-roberta" => xlm_roberta(&mut pieces),
        _ => llama(&pieces, config),
    };
    Ok(Some(document.to_string().into_bytes()))
}

fn control(text: &str) -> Piece {
    Piece {
        text: text.to_owned(),
        score: 0.0,
        kind: PieceKind::Control,
    }
}

/// The ids of the file, and `[MASK]` after them.
fn deberta(pieces: &mut SentencePiece, config: &TokenizerConfig) -> Value {
    for name in ["[PAD]", "[CLS]", "[SEP]", "[MASK]"] {
        match pieces.id(name) {
            Some(id) => pieces.pieces[id].kind = PieceKind::Control,
            None => pieces.pieces.push(control(name)),
        }
    }
    let single = [("[CLS]", 0), ("$A", 0), ("[SEP]", 0)];
    let pair = [&single[..], &[("$B", 1), ("[SEP]", 1)]].concat();
    let around = template(&single, &pair, |token| pieces.id(token));
    let lowercase = config.do_lower_case == Some(true);
    pieces.document(lowercase, false, &around)
}

/// Fairseq's ids: four special tokens for the file's first three, and `<mask>` at the end.
fn xlm_roberta(pieces: &mut SentencePiece) -> Value {
    let special = ["<s>", "<pad>", "</s>", "<unk>"].map(control);
    let replaced = pieces.pieces.len().min(3);
    pieces.pieces.splice(0..replaced, special);
    pieces.pieces.push(Piece {
        kind: PieceKind::ControlAfterSpace,
        ..control("<mask>")
    });
    pieces.unknown = 3;
    let single = [("<s>", 0), ("$A", 0), ("</s>", 0)];
    let pair = [&single[..], &[("</s>", 0), ("$B", 0), ("</s>", 0)]].concat();
    let around = template(&single, &pair, |token| pieces.id(token));
    pieces.document(false, false, &around)
}

/// The ids of the file; its beginning token before each text, unless the settings say otherwise.
fn llama(pieces: &SentencePiece, config: &TokenizerConfig) -> Value {
    let mut single = vec![("$A", 0)];
    let mut second = vec![("$B", 1)];
    if config.add_bos_token != Some(false) {
        single.insert(0, ("<s>", 0));
        second.insert(0, ("<s>", 1));
    }
    if config.add_eos_token == Some(true) {
        single.push(("</s>", 0));
        second.push(("</s>", 1));
    }
    let pair = [&single[..], &second].concat();
    let around = template(&single, &pair, |token| pieces.id(token));
    // Since Transformers 4.34 a tokenizer may say that it was trained without the space that older versions put after special
    // tokens too.
    let space_once = config.legacy == Some(false);
    pieces.document(false, space_once, &around)
}
