"""Makes windows.json: what Transformers' tokenizer makes of questions and long contexts, cut into overlapping windows, with the tokenizer of
assets/minilm-l6, and where answers lie in the windows. The sentences are our own.

    python crates/lora-data/tests/golden/make_windows.py     # from the repository's root; needs transformers

Places are bytes of the context. An answer's tokens are the last that starts at or before it and the first that ends at or after it, if the
window's part of the context holds all of it; else both are 0.
"""

import json
from pathlib import Path

import tokenizers
import transformers

HERE = Path(__file__).resolve().parent
ASSETS = HERE.parents[3] / "assets"

MILL = (
    "Über dem See stand die alte Mühle. It was built in 1871 by Ana Lund, a boat-builder's daughter; her brother Olaf (1850–1912) paid "
    "£3.50 for the wheel. 日本語 visitors came by 1890. The mill burnt twice: once in the dry summer of 1899, and again on New Year's "
    "Eve 1923, when nobody was there to see it. Its electroencephalographically-named successor grinds no corn 😀 at all."
)
QUESTIONS = [
    ("When was the mill built?", "1871"),
    ("Who built the old mill?", "Ana Lund"),
    ("What did Olaf pay?", "£3.50"),
    ("Where do the visitors come from?", "日本語"),
    ("When did the mill burn for the second time, and was anybody there?", "New Year's Eve 1923, when nobody was there"),
    ("What stood above the lake?", "Mühle"),
    ("What does its successor grind?", "no corn"),
    ("Which word ends the text?", "all."),
    ("Who burnt it?", None),
]
SHORT = "Ana rows. Olaf swims."


def cases():
    tokenizer = transformers.AutoTokenizer.from_pretrained(ASSETS / "minilm-l6")
    for context, questions in [(MILL, QUESTIONS), (SHORT, [("Who rows?", "Ana"), ("Who swims?", "Olaf swims")])]:
        for max_length, overlap, max_question in [(48, 12, 20), (30, 5, 8), (25, 0, 12), (384, 128, 64)]:
            for question, answer in questions:
                asked = tokenizer(question, add_special_tokens=False, truncation=True, max_length=max_question)
                # The question cut to its first tokens, as text again.
                end = asked.encodings[0].offsets[-1][1]
                question_cut = question[:end]
                made = tokenizer(
                    question_cut,
                    context,
                    truncation="only_second",
                    max_length=max_length,
                    stride=overlap,
                    return_overflowing_tokens=True,
                    return_offsets_mapping=True,
                )
                start = context.index(answer) if answer else None
                windows = []
                for index in range(len(made["input_ids"])):
                    inside = [sequence == 1 for sequence in made.sequence_ids(index)]
                    places = [place if mine else None for place, mine in zip(made["offset_mapping"][index], inside)]
                    of_context = [(token, place) for token, place in enumerate(places) if place]
                    target = [0, 0]
                    if answer:
                        last_char = start + len(answer)
                        if of_context[0][1][0] <= start and of_context[-1][1][1] >= last_char:
                            target = [
                                max(token for token, (first, _) in of_context if first <= start),
                                min(token for token, (_, last) in of_context if last >= last_char),
                            ]
                    bytes_of = lambda char: len(context[:char].encode())
                    windows.append({
                        "input_ids": made["input_ids"][index],
                        "token_type_ids": made["token_type_ids"][index],
                        "offsets": [place and [bytes_of(place[0]), bytes_of(place[1])] for place in places],
                        "target": target,
                    })
                yield {
                    "question": question,
                    "context": context,
                    "answer": answer,
                    "max_length": max_length,
                    "overlap": overlap,
                    "max_question": max_question,
                    "windows": windows,
                }


def main():
    golden = {
        "generator": "make_windows.py",
        "versions": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "cases": list(cases()),
    }
    (HERE / "windows.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
