"""Writes gguf.gguf, a file with one tensor of every type that is read here, and gguf.safetensors with the numbers that
gguf-py reads from them.

    python make_gguf.py

Needs: gguf 0.19 (ggml-org), numpy, safetensors. K-quants are made of random bytes with small scales, for gguf-py reads but does not
make them.
"""
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
random = np.random.default_rng(17)
writer = gguf.GGUFWriter(HERE / "gguf.gguf", "llama")
writer.add_uint32("test.integer", 42)
writer.add_float32("test.float", 0.25)
writer.add_string("test.text", "Wärme ▁ text")
writer.add_array("test.list", ["a", "b c", ""])
expected = {}
for kind in (T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows, columns = 3, max(2 * block, 8)
    if kind in (T.Q4_K, T.Q5_K, T.Q6_K):
        data = random.integers(0, 256, (rows, columns // block, size), dtype=np.uint8)
        scales = random.uniform(-0.02, 0.02, (rows, columns // block, 2)).astype(np.float16).view(np.uint8)
        places = slice(0, 4) if kind != T.Q6_K else slice(208, 210)
        data[..., places] = scales[..., : places.stop - places.start]
        data = data.reshape(rows, -1)
    elif kind == T.F32:
        data = random.normal(size=(rows, columns)).astype(np.float32)
    elif kind == T.F16:
        data = random.normal(size=(rows, columns)).astype(np.float16)
    else:
        data = gguf.quants.quantize(random.normal(size=(rows, columns)).astype(np.float32), kind)
    writer.add_tensor(kind.name, data, raw_dtype=kind)
    expected[kind.name] = np.ascontiguousarray(gguf.quants.dequantize(data, kind).astype(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file(expected, HERE / "gguf.safetensors", metadata={"gguf": "0.19", "seed": "17"})
