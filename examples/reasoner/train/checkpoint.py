"""Reading and writing checkpoints: safetensors shards with their index, config.json and a WordLevel tokenizer.json.

Needs only torch and numpy. NVFP4 checkpoints in the layout of ModelOpt are dequantised when read.
"""
import json
import pathlib
import struct

import numpy as np
import torch

import countdown
from model import Qwen3

E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def e4m3_table():
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    value = np.where(exponent == 0, mantissa * 2.0 ** -9, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    value[(codes & 127) == 127] = np.nan
    return np.where(codes >= 128, -value, value).astype(np.float32)


def read_tensors(folder):
    """Every tensor of a checkpoint as (dtype name, numpy array); BF16 and FP8 stay bits (uint16, uint8)."""
    types = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32, "U8": np.uint8, "F8_E4M3": np.uint8}
    out = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        for name, entry in json.loads(data[8:8 + size]).items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                array = np.frombuffer(data[8 + size + begin:8 + size + end], types[entry["dtype"]])
                out[name] = entry["dtype"], array.reshape(entry["shape"])
    return out


def to_float32(dtype, array):
    if dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return e4m3_table()[array] if dtype == "F8_E4M3" else array.astype(np.float32)


def read_weights(folder):
    """The weights of a BF16 or NVFP4 checkpoint, as float32 tensors."""
    raw = read_tensors(folder)
    weights = {}
    for name, (dtype, array) in raw.items():
        if not name.endswith(".weight"):
            continue
        if dtype == "U8":  # NVFP4: even k in the low nibble, value = e2m1 * e4m3 * global
            codes = np.stack([array & 15, array >> 4], -1).reshape(array.shape[0], -1)
            scale = to_float32(*raw[name + "_scale"]).repeat(16, 1)
            weights[name] = E2M1[codes] * scale * to_float32(*raw[name + "_scale_2"]).reshape(())
        else:
            weights[name] = to_float32(dtype, array)
    return {name: torch.from_numpy(np.ascontiguousarray(w)) for name, w in weights.items()}


def load(folder):
    """A float32 model of a checkpoint folder."""
    cfg = json.loads((pathlib.Path(folder) / "config.json").read_text())
    model = Qwen3(cfg)
    model.load_state_dict(read_weights(folder))
    return model.eval()


def bf16_bits(tensor):
    """Round to nearest even, as numpy uint16."""
    bits = tensor.detach().float().cpu().contiguous().numpy().view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_shard(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, bits in tensors:
        header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [offset, offset + bits.nbytes]}
        offset += bits.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(bits.tobytes() for _, bits in tensors))


def save(folder, model, shard_bytes=15 << 20):
    """Writes a BF16 checkpoint in shards of at most `shard_bytes`."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shards, used = [[]], 0
    for name, p in model.state_dict().items():
        bits = bf16_bits(p)
        if used and used + bits.nbytes > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append((name, bits))
        used += bits.nbytes
    index = {"metadata": {"total_size": sum(b.nbytes for s in shards for _, b in s)}, "weight_map": {}}
    for i, shard in enumerate(shards):
        name = "model-%05d-of-%05d.safetensors" % (i + 1, len(shards))
        write_shard(folder / name, shard)
        index["weight_map"].update({tensor: name for tensor, _ in shard})
    write_json(folder / "model.safetensors.index.json", index)
    write_json(folder / "config.json", model.cfg)
    write_json(folder / "generation_config.json", {
        "bos_token_id": countdown.BOS, "eos_token_id": countdown.EOS, "pad_token_id": countdown.PAD, "do_sample": True,
        "temperature": 0.6, "top_p": 0.95, "top_k": 0, "max_length": countdown.MAX_TOKENS})
    write_json(folder / "tokenizer.json", tokenizer_json())
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "^", "eos_token": "$", "pad_token": "_",
        "unk_token": "<unk>", "clean_up_tokenization_spaces": False, "model_max_length": countdown.MAX_TOKENS})


def tokenizer_json():
    """The layout of Hugging Face's `tokenizers`: WordLevel behind a Split on the words of the vocabulary."""
    special = ["_", "^", "$"] + [t for t in countdown.VOCABULARY if t.startswith("<")]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": countdown.IDS[t], "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for t in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": countdown.SPLIT_PATTERN}, "behavior": "Isolated",
                          "invert": False},
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": countdown.IDS, "unk_token": "<unk>"},
    }


def write_json(path, value):
    pathlib.Path(path).write_text(json.dumps(value, indent=1) + "\n")
