"""Makes words.json beside this file: sentences that are words already, as Transformers tokenizes them.

    python crates/lora-data/tests/golden/make_words.py

Run from the root of the repository. Needs transformers; its version is written into the file. `words` says for each token which word it
is a part of; the first token of a word is the one that its tag belongs to.
"""

import json
import pathlib

import transformers

SENTENCES = [
    ["Ada", "lives", "in", "London"],
    ["Jean-Luc", "unbelievably", "re-tokenized", "3.14159", "e-mails", "."],
    ["New", "York's", "Straße", "—", "naïve", "café", "(", "U.S.", ")"],
    ["x"],
]


def main():
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file="assets/minilm-l6/tokenizer.json")
    cases = []
    for words in SENTENCES:
        encoded = tokenizer(words, is_split_into_words=True)
        cases.append({"sentence": words, "input_ids": encoded["input_ids"], "words": encoded.word_ids()})
    golden = {"transformers": transformers.__version__, "cases": cases}
    path = pathlib.Path(__file__).with_name("words.json")
    path.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
