//! The protocol buffer of a SentencePiece model (`sentencepiece_model.proto`): the fields that decide about ids.

use prost::Message;

use super::{Algorithm, Piece, PieceKind, SentencePiece, SentencePieceProblem};

#[derive(Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Message)]
struct PieceProto {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

#[derive(Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(int32, optional, tag = "40")]
    unk_id: Option<i32>,
}

#[derive(Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    escape_whitespaces: Option<bool>,
}

impl SentencePiece {
    /// The model in the bytes of its file.
    ///
    /// # Errors
    ///
    /// [`SentencePieceProblem`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SentencePieceProblem> {
        let model = ModelProto::decode(bytes)?;
        let trainer = model.trainer_spec.unwrap_or_default();
        let normalizer = model.normalizer_spec.unwrap_or_default();
        let refuse = |key, found: String, supported| {
            Err(SentencePieceProblem::Setting {
                key,
                found,
                supported,
            })
        };
        let algorithm = match trainer.model_type() {
            1 => Algorithm::Unigram,
            2 => Algorithm::BytePairs,
            other => return refuse("model_type", other.to_string(), "1 (unigram), 2 (BPE)"),
        };
        if trainer.treat_whitespace_as_suffix() {
            return refuse("treat_whitespace_as_suffix", "true".to_owned(), "false");
        }
        if !normalizer.escape_whitespaces() {
            return refuse("escape_whitespaces", "false".to_owned(), "true");
        }
        if model.pieces.is_empty() {
            return Err(SentencePieceProblem::Empty);
        }
        let unknown = usize::try_from(trainer.unk_id()).ok();
        let unknown = unknown.filter(|id| *id < model.pieces.len());
        let unknown = unknown.ok_or(SentencePieceProblem::Unknown {
            id: trainer.unk_id(),
            count: model.pieces.len(),
        })?;
        let piece = |piece: PieceProto| {
            let (score, kind) = (piece.score(), PieceKind::of_code(piece.kind().into()));
            let text = piece.piece.unwrap_or_default();
            if !score.is_finite() {
                return Err(SentencePieceProblem::Score { piece: text, score });
            }
            Ok(Piece {
                text,
                score: score.into(),
                kind,
            })
        };
        Ok(Self {
            algorithm,
            unknown,
            byte_fallback: trainer.byte_fallback(),
            space_before: normalizer.add_dummy_prefix(),
            one_space: normalizer.remove_extra_whitespaces(),
            replacements: normalizer.precompiled_charsmap.unwrap_or_default(),
            pieces: model.pieces.into_iter().map(piece).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(pieces: &[(&str, f32, i32)], trainer: TrainerSpec, normalizer: NormalizerSpec) -> Vec<u8> {
        let piece = |(text, score, kind): &(&str, f32, i32)| PieceProto {
            piece: Some((*text).to_owned()),
            score: Some(*score),
            kind: Some(*kind),
        };
        let model = ModelProto {
            pieces: pieces.iter().map(piece).collect(),
            trainer_spec: Some(trainer),
            normalizer_spec: Some(normalizer),
        };
        model.encode_to_vec()
    }

    const PIECES: [(&str, f32, i32); 2] = [("<unk>", 0.0, 2), ("a", -1.5, 1)];

    #[test]
    fn settings_that_are_not_in_the_file_are_those_of_sentencepiece() {
        let found = SentencePiece::parse(&file(&PIECES, TrainerSpec::default(), NormalizerSpec::default()));
        let piece = |text: &str, score, kind| Piece {
            text: text.to_owned(),
            score,
            kind,
        };
        let expected = SentencePiece {
            pieces: vec![
                piece("<unk>", 0.0, PieceKind::Control),
                piece("a", -1.5, PieceKind::Text),
            ],
            algorithm: Algorithm::Unigram,
            unknown: 0,
            byte_fallback: false,
            replacements: Vec::new(),
            space_before: true,
            one_space: true,
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_with_the_reason() {
        let plain = TrainerSpec::default;
        let refused = |bytes: &[u8]| {
            let problem = SentencePiece::parse(bytes).expect_err("the file lies");
            problem.to_string()
        };
        let words = TrainerSpec {
            model_type: Some(3),
            ..plain()
        };
        let outside = TrainerSpec {
            unk_id: Some(2),
            ..plain()
        };
        let suffix = TrainerSpec {
            treat_whitespace_as_suffix: Some(true),
            ..plain()
        };
        for (trainer, expected) in [
            (words, "model_type is `3`"),
            (outside, "id 2, but there are 2 pieces"),
            (suffix, "treat_whitespace_as_suffix is `true`"),
        ] {
            let sentence = refused(&file(&PIECES, trainer, NormalizerSpec::default()));
            assert!(sentence.contains(expected), "{sentence}");
        }
        let no_number = file(&[("a", f32::NAN, 1)], plain(), NormalizerSpec::default());
        assert!(refused(&no_number).contains("the score of the piece `a` is NaN"));
        assert!(refused(b"").contains("holds no pieces"));
        assert!(refused(b"GGUF and more").contains("no SentencePiece model"));
    }
}
