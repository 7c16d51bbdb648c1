"""Makes tokens.json: what Transformers' AutoTokenizer makes of texts and pairs, with the tokenizer of assets/minilm-l6.

    python crates/lora-data/tests/golden/make_tokens.py     # from the repository's root; needs transformers

Each case: text, pair (or null), max_length (or null: no truncation), and the input_ids and token_type_ids without padding.
"""

import json
from pathlib import Path

import tokenizers
import transformers

HERE = Path(__file__).resolve().parent
ASSETS = HERE.parents[3] / "assets"

# Written for this test: accents, capitals, numbers, URLs, emoji, other scripts, odd spaces, special tokens in the text.
UNICODE = [
    "It's a charming and often affecting journey.",
    "Crème brûlée à la carte — naïve, CAFÉ-style, for £3.50!",
    "ＦＵＬＬ　ＷＩＤＴＨ and ½ ﬁ ligature, e\u0301 as two code points",
    "日本語のテキストと中文字符 mixed with English",
    "Привет, мир! Ελληνικά, עברית, العربية, हिन्दी, ไทย",
    "Loved it 😀👍🏽 family 👨‍👩‍👧 flag 🇫🇷 ❤️",
    "tabs\tand\nnew lines,\u00a0no-break\u2003em space and\u200bzero width, soft\u00adhyphen",
    "see https://example.org/a_b?c=d&e=f#g or mail first.last@example.org",
    "electroencephalographically supercalifragilisticexpialidocious antidisestablishmentarianism",
    "[CLS] not a start [SEP] nor an end [MASK] [PAD] [UNK]",
    "1,234,567.89 -42 3e-5 0xFF 10% #1 @you $5",
    "don't can't won't I'd've 'quoted' \"double\" `tick` (paren) [bracket] {brace}",
    "\ufffd replacement, \x00 null, \x07 bell, \u0000\u001b escape",
    "İstanbul ẞ ß Straße ŒUVRE ǅ",
    "?!...--",
    "a",
]


def snippets(domain: str, rows: range) -> list[str]:
    lines = (ASSETS / "snippets" / f"{domain}.tsv").read_text(encoding="utf-8").split("\n")[1:]
    return [lines[row].split("\t")[1] for row in rows]


def main() -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(ASSETS / "minilm-l6")
    sentences = UNICODE + [
        text for domain in ("movies", "products", "editorials", "tweets") for text in snippets(domain, range(0, 2000, 250))
    ]
    editorial = snippets("editorials", range(0, 30))
    long = " ".join(editorial)
    short = editorial[0]

    cases = [(text, None, None) for text in sentences]
    cases += [(first, second, None) for first, second in zip(sentences, sentences[1:])]
    # Truncation of one text, and of pairs where the first, the second or both are too long, at odd and even lengths.
    for max_length in (5, 6, 7, 16, 33, 128, 512):
        cases += [(long, None, max_length), (short, None, max_length), (sentences[8], None, max_length)]
        cases += [(long, short, max_length), (short, long, max_length), (long, long[100:], max_length)]
        cases += [(sentences[1], sentences[3], max_length)]

    golden = []
    for text, pair, max_length in cases:
        limit = {"truncation": "longest_first", "max_length": max_length} if max_length else {}
        encoded = tokenizer(text, pair, padding=False, return_token_type_ids=True, **limit)
        golden.append(
            {
                "text": text,
                "pair": pair,
                "max_length": max_length,
                "input_ids": encoded["input_ids"],
                "token_type_ids": encoded["token_type_ids"],
            }
        )
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    made = {"made_by": "make_tokens.py", "tokenizer": "assets/minilm-l6/tokenizer.json", "versions": versions}
    lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in golden)
    head = json.dumps(made, indent=1).rstrip("}").rstrip()
    (HERE / "tokens.json").write_text(f'{head},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{type(tokenizer).__name__}: {len(golden)} cases")


if __name__ == "__main__":
    main()
