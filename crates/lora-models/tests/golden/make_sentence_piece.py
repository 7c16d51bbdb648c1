"""Writes SentencePiece models and what SentencePiece and Transformers make of texts with them: sentence_piece/.

    python make_sentence_piece.py
    python make_sentence_piece.py --rule nmt_nfkc --out DIR      # with the replacements of real models, which are large

Needs sentencepiece, protobuf, tokenizers and transformers; their versions are in each ids.json.

For every text: `ids`, those of the tokenizer that Transformers' converter of the family makes of the same file, special tokens
included; `pieces`, those of SentencePiece itself, moved to where the family has them; and whether the two `agree` but for
the special tokens around. Where they do not, the script prints both.
"""

import argparse
import io
import json
import pathlib
import tempfile
import types

import sentencepiece
import tokenizers
import transformers
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers.convert_slow_tokenizer import DebertaV2Converter, LlamaConverter, XLMRobertaConverter, generate_merges

HERE = pathlib.Path(__file__).parent

# Written for this purpose: short sentences of several languages, so that small vocabularies have many merges.
SUBJECTS = ["the old baker", "a quiet child", "my neighbour", "the tall engineer", "her patient teacher", "every visitor"]
VERBS = ["carries", "repairs", "paints", "remembers", "measures", "forgets", "sells", "borrows"]
OBJECTS = ["a wooden boat", "three lamps", "the broken clock", "some bread", "a letter from 1987", "the blue door"]
PLACES = ["near the harbour", "in the morning", "behind the station", "without a word", "for 25 euros", "at home"]
OTHERS = [
    "Der Bäcker verkauft frisches Brot und größere Kuchen.",
    "L'élève écrit une lettre à son frère, n'est-ce pas ?",
    "El niño pequeño pinta la puerta azul mañana.",
    "Старый пекарь несёт хлеб домой.",
    "先生は朝に古い時計を直します。",
    "Wait -- what? No! It's 3.14 (roughly); 50% off: e-mail a@b.org.",
]
TEXTS = [
    "the old baker repairs the broken clock",
    "The Old Baker REPAIRS it.",
    "  two  spaces   before, between and after  ",
    "a tab\there and\na new line\r\n",
    "größere Kuchen, frisches Brot",
    "L'élève écrit : « oui » !",
    "ﬁne ＡＢＣ ①② full　width",
    "先生は朝に古い時計",
    "emoji 🦀 and 🙂🙂 and ￼",
    "1987 25 3.14 50%",
    "unknown: ᚠᚢᚦ ᚨᚱᚲ",
    "e\u0301 and é, A\u030a and Å",
    "zero\u200bwidth and soft\u00adhyphen",
    "non\u00a0breaking\u2009thin",
    "▁ the mark itself ▁▁ twice",
    "x",
    " ",
    "",
    "a@b.org https://example.org/path?query=1&other=two",
    "[CLS] the [MASK] clock [SEP]",
    "<s> the <mask> clock </s> <unk>",
    "CamelCaseAndsnake_case and-dashes",
    "..........!!!!!????",
]


def sentences():
    made = []
    for a, subject in enumerate(SUBJECTS):
        for b, verb in enumerate(VERBS):
            for c, thing in enumerate(OBJECTS):
                place = PLACES[(a + b + c) % len(PLACES)]
                text = f"{subject} {verb} {thing} {place}."
                made.append(text if (a + b + c) % 3 else text.capitalize())
    return made + OTHERS * 8


# A few replacements in place of the hundreds of kilobytes of a real rule: wide letters, ligatures, spaces.
RULE = {"ﬁ": "fi", "Ａ": "A", "Ｂ": "B", "Ｃ": "C", "①": "1", "②": "2", "　": " ", "\t": " ", "\n": " ", "\r": " ",
        "\u00a0": " ", "\u2009": " ", "e\u0301": "é", "\u200b": " ", "▁": " "}


def rule_file(folder):
    path = folder / "rule.tsv"
    code_points = lambda text: " ".join(f"{ord(c):04X}" for c in text)
    path.write_text("".join(f"{code_points(source)}\t{code_points(target)}\n" for source, target in RULE.items()))
    return path


class Merges:
    """Merges by score. Transformers 5.23 calls its own class for this with arguments that it does not take."""

    def __init__(self, path):
        pieces = sentencepiece.SentencePieceProcessor(model_file=path)
        self.vocabulary = {pieces.IdToPiece(piece): piece for piece in range(pieces.GetPieceSize())}

    def extract(self, scores):
        return self.vocabulary, generate_merges(self.vocabulary, scores)


LlamaConverter.SpmExtractor = Merges


def families(normalization):
    """For each family: training options, the files around the model, Transformers' converter and what it asks of a slow
    tokenizer, its special tokens, what stands around a text, and where SentencePiece's ids lie in the family."""
    yield "deberta", {
        "model_type": "deberta-v2",
        "file": "spm.model",
        "train": {"model_type": "unigram", "vocab_size": 330, "hard_vocab_limit": False, "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3,
                  "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]", **normalization},
        "config": {"do_lower_case": False, "split_by_punct": False},
        "converter": DebertaV2Converter,
        "special": ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"],
        "moved": lambda piece: piece,
    }
    yield "xlm_roberta", {
        "model_type": "xlm-roberta",
        "file": "sentencepiece.bpe.model",
        "train": {"model_type": "unigram", "vocab_size": 300, "hard_vocab_limit": False, **normalization},
        "config": {},
        "converter": XLMRobertaConverter,
        "special": ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)],
        "moved": lambda piece: {0: 3, 1: 0, 2: 2}.get(piece, piece + 1),
    }
    llama = {
        "model_type": "llama",
        "file": "tokenizer.model",
        "train": {"model_type": "bpe", "vocab_size": 620, "byte_fallback": True, "normalization_rule_name": "identity",
                  "remove_extra_whitespaces": False, "split_digits": True, "allow_whitespace_only_pieces": True},
        "converter": LlamaConverter,
        "special": ["<unk>", "<s>", "</s>"],
        "moved": lambda piece: piece,
    }
    yield "llama", {**llama, "config": {}, "around": ("<s>:0 $A:0", "<s>:0 $A:0 <s>:1 $B:1")}
    ends = {"add_bos_token": False, "add_eos_token": True, "legacy": False}
    yield "llama_with_ends", {**llama, "config": ends, "around": ("$A:0 </s>:0", "$A:0 </s>:0 $B:1 </s>:1")}


def converted(path, family):
    """The tokenizer of Transformers' converter, with the special tokens that its classes add."""
    special = [AddedToken(token, special=True, normalized=False) if isinstance(token, str) else token
               for token in family["special"]]
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    known = lambda token: {"<s>": 0, "</s>": 2}[token] if "xlm" in family["model_type"] else pieces.PieceToId(token)
    asked = types.SimpleNamespace(vocab_file=str(path), add_prefix_space=True, convert_tokens_to_ids=known,
                                  convert_ids_to_tokens=pieces.IdToPiece, **family["config"])
    tokenizer = family["converter"](asked).converted()
    tokenizer.add_special_tokens(special)
    if "around" in family:
        single, pair = family["around"]
        tokens = {part.split(":")[0] for part in pair.split() if "$" not in part}
        tokenizer.post_processor = TemplateProcessing(
            single=single, pair=pair, special_tokens=[(token, known(token)) for token in sorted(tokens)])
    return tokenizer


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--out", type=pathlib.Path, default=HERE / "sentence_piece")
    arguments.add_argument("--rule", help="a rule of SentencePiece's in place of the small one here")
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rule = {"normalization_rule_tsv": str(rule_file(pathlib.Path(folder)))}
        if arguments.rule:
            rule = {"normalization_rule_name": arguments.rule}
        for name, family in families(rule):
            write(arguments.out / name, family)


def write(folder, family):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / family["file"]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_writer=model, minloglevel=2, num_threads=1, **family["train"])
    path.write_bytes(model.getvalue())
    (folder / "config.json").write_text(json.dumps({"model_type": family["model_type"]}) + "\n")
    if family["config"]:
        (folder / "tokenizer_config.json").write_text(json.dumps(family["config"]) + "\n")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    tokenizer = converted(path, family)
    texts = []
    for text in TEXTS:
        of_pieces = [family["moved"](piece) for piece in pieces.encode(text)]
        of_tokenizer = tokenizer.encode(text)
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        texts.append({"text": text, "ids": of_tokenizer.ids, "pieces": of_pieces, "agree": plain == of_pieces,
                      "decoded": tokenizer.decode(plain)})
        if plain != of_pieces:
            print(f"{folder.name}: {text!r}: SentencePiece {pieces.encode(text, out_type=str)}, converter {of_tokenizer.tokens}")
    pair = tokenizer.encode(TEXTS[0], TEXTS[4])
    versions = {module.__name__: module.__version__ for module in (sentencepiece, tokenizers, transformers)}
    expected = {"versions": versions, "texts": texts,
                "pair": {"texts": [TEXTS[0], TEXTS[4]], "ids": pair.ids, "type_ids": pair.type_ids}}
    (folder / "ids.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
