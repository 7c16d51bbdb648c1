"""Makes the Parquet files beside this one, as the `datasets` library and the hub write them: Arrow's writer, Snappy, and the names of classes
in the metadata under `huggingface`. The sentences are our own.

    python make_parquet.py     # needs pyarrow; made with 26.0.1
"""

import datetime
import decimal
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).resolve().parent
STRING = {"dtype": "string", "_type": "Value"}


def write(name, columns, features, **settings):
    schema = pa.schema(
        [(column, kind) for column, (kind, _) in columns.items()],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    table = pa.table({column: values for column, (_, values) in columns.items()}, schema=schema)
    path = HERE / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **settings)


def labels(*names):
    return {"names": list(names), "_type": "ClassLabel"}


COLA = {"sentence": STRING, "label": labels("unacceptable", "acceptable"), "idx": {"dtype": "int32", "_type": "Value"}}
for shard, (sentences, classes) in enumerate([
    (["The boat that he rowed leaked.", 'They said "no" twice.', "Him rowed boat the."], [1, 1, 0]),
    (["Nobody rows here."], [1]),
]):
    write(
        f"cola/train-{shard:05}-of-00002",
        {"sentence": (pa.string(), sentences), "label": (pa.int64(), classes), "idx": (pa.int32(), list(range(len(classes))))},
        COLA,
    )
write("cola/test-00000-of-00001", {"sentence": (pa.string(), ["Who rows?", "Rows who."]), "label": (pa.int64(), [-1, -1])}, COLA)

write(
    "stsb",
    {
        "sentence1": (pa.string(), ["A man rows.", "It snows."]),
        "sentence2": (pa.string(), ["A man is rowing a boat.", "A cat sleeps."]),
        "label": (pa.float32(), [3.8, 0.0]),
    },
    {"sentence1": STRING, "sentence2": STRING, "label": {"dtype": "float32", "_type": "Value"}},
)

ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
CONTEXT = "Über dem See stand die alte Mühle, built in 1871 by Ana Lund."
write(
    "squad",
    {
        "id": (pa.string(), ["q1", "q2", "q3"]),
        "title": (pa.string(), ["Mill"] * 3),
        "context": (pa.string(), [CONTEXT] * 3),
        "question": (pa.string(), ["When was it built?", "Who built it?", "Who burnt it?"]),
        "answers": (
            ANSWERS,
            [
                {"text": ["1871", "in 1871"], "answer_start": [CONTEXT.index("1871"), CONTEXT.index("in 1871")]},
                {"text": ["Ana Lund"], "answer_start": [CONTEXT.index("Ana")]},
                {"text": [], "answer_start": []},
            ],
        ),
    },
    {"id": STRING, "title": STRING, "context": STRING, "question": STRING, "answers": {"feature": {"text": STRING}, "_type": "Sequence"}},
)

CHOICES = pa.struct([("text", pa.list_(pa.string())), ("label", pa.list_(pa.string()))])
write(
    "arc",
    {
        "id": (pa.string(), ["a", "b", "c"]),
        "question": (pa.string(), ["What floats?", "What sinks?", "What flies?"]),
        "choices": (
            CHOICES,
            [
                {"text": ["a stone", "a cork", "a nail"], "label": ["A", "B", "C"]},
                {"text": ["a stone", "a cork", "oil", "ice"], "label": ["1", "2", "3", "4"]},
                {"text": ["a swift", "a mole"], "label": ["A", "B"]},
            ],
        ),
        "answerKey": (pa.string(), ["B", "1", ""]),
    },
    {"id": STRING, "question": STRING, "answerKey": STRING},
)
write(
    "boolq",
    {
        "question": (pa.string(), ["is ice lighter than water", "do moles fly"]),
        "answer": (pa.bool_(), [True, False]),
        "passage": (pa.string(), ["Ice floats on water.", "Moles dig."]),
    },
    {"question": STRING, "answer": {"dtype": "bool", "_type": "Value"}, "passage": STRING},
)
write(
    "mmlu/test-00000-of-00001",
    {
        "question": (pa.string(), ["How many oars does one rower in a scull hold?", "What is 2 + 2?"]),
        "subject": (pa.string(), ["rowing_sports", "sums"]),
        "choices": (pa.list_(pa.string()), [["one", "two", "three", "four"], ["1", "2", "3", "4"]]),
        "answer": (pa.int64(), [1, 3]),
    },
    {"question": STRING, "subject": STRING, "choices": {"feature": STRING, "_type": "Sequence"}, "answer": labels("A", "B", "C", "D")},
)
write(
    "winogrande",
    {
        "sentence": (pa.string(), ["The oar fit the boat because the _ was short."]),
        "option1": (pa.string(), ["oar"]),
        "option2": (pa.string(), ["boat"]),
        "answer": (pa.string(), ["1"]),
    },
    {"sentence": STRING},
)
write(
    "clinc",
    {
        "text": (pa.string(), ["book a boat", "how deep is the lake", "sing me a song", "hire a boat for me"]),
        "intent": (pa.int64(), [2, 0, 1, 2]),
    },
    {"text": STRING, "intent": labels("depth", "oos", "booking")},
)
write(
    "trec",
    {
        "text": (pa.string(), ["How long is an oar ?", "Who rowed first ?"]),
        "coarse_label": (pa.int64(), [5, 3]),
        "fine_label": (pa.int64(), [1, 0]),
    },
    {"text": STRING, "coarse_label": labels("ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"), "fine_label": labels("HUM:ind", "NUM:dist")},
)
write("uncompressed", {"text": (pa.string(), ["a", "b"]), "label": (pa.string(), ["x", "y"])}, {}, compression="none")
write("gzipped", {"text": (pa.string(), ["a", "b"]), "label": (pa.string(), ["x", "y"])}, {}, compression="gzip")

# Columns as other writers have them: texts as bytes without a type, labels with gaps as decimals, and types that are no text.
write(
    "binary",
    {
        "text": (pa.binary(), ["Der Müller rudert.".encode(), b"Nobody rows.", b"It leaks."]),
        "text_pair": (pa.binary(6), [b"oars\xc3\xa9", b"anchor", b"rudder"]),
        "label": (pa.binary(), [b"boat", b"mill", b"boat"]),
    },
    {},
)
write("broken_binary", {"text": (pa.binary(), [b"fine", b"caf\xe9"]), "label": (pa.int64(), [0, 1])}, {})
write(
    "gaps",
    {
        "text": (pa.large_string(), [f"text {row}" for row in range(6)]),
        "label": (pa.float64(), [1.0, 0.0, 1.0, 2.0, 0.0, 2.0]),
        "half": (pa.float16(), [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
        "category": (pa.dictionary(pa.int8(), pa.string()), pa.array(["b", "a", "b", "a", "a", "b"]).dictionary_encode()),
    },
    {},
)
DAY = datetime.datetime(2021, 3, 4, 5, 6, 7)
write(
    "other_types",
    {
        "string": (pa.string(), ["a", "b"]),
        "decimal": (pa.decimal128(10, 2), [decimal.Decimal("1.50"), decimal.Decimal("2.00")]),
        "date": (pa.date32(), [DAY.date(), DAY.date()]),
        "milliseconds": (pa.timestamp("ms"), [DAY, DAY]),
        "nanoseconds": (pa.timestamp("ns"), [DAY, DAY]),
        "time": (pa.time64("us"), [DAY.time(), DAY.time()]),
        "list": (pa.list_(pa.string()), [["a"], ["b", "c"]]),
        "struct": (pa.struct([("x", pa.string())]), [{"x": "a"}, {"x": "b"}]),
        "map": (pa.map_(pa.string(), pa.string()), [[("k", "v")], [("k", "w")]]),
        "struct_of_date": (pa.struct([("x", pa.date32())]), [{"x": DAY.date()}, {"x": DAY.date()}]),
        "integer": (pa.int64(), [0, 1]),
        "empty": (pa.null(), [None, None]),
    },
    {},
)
