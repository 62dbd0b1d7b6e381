"""Reads bench/results/<gpu>/gemv.json for the scripts that draw and tabulate it."""

import json
import math
from pathlib import Path

TOKENS = [1, 2, 3, 4, 6, 8, 12, 16]
DEFAULT_FOLDER = Path(__file__).parent / "results" / "h200"


def load(folder):
    """The records of gemv.json, and context.json beside it."""
    folder = Path(folder)
    context = folder / "context.json"
    return json.loads((folder / "gemv.json").read_text()), json.loads(context.read_text()) if context.exists() else {}


def select(records, activation, m=None, layout="linear", pdl=True, gate="none"):
    """Records of one variant; the odd shapes are no layers of a model and stay out of means and plots. Older records
    have no gate."""
    return [
        r
        for r in records
        if r["activation"] == activation
        and r["layout"] == layout
        and r["pdl"] == pdl
        and r.get("gate", "none") == gate
        and r["model"] != "odd"
        and (m is None or r["m"] == m)
    ]


def distinct(records):
    """One record a shape: two models that share a layer's shape count once in a mean."""
    return list({(r["n"], r["k"], r["m"], r["activation"]): r for r in records}.values())


def ratios(records, over, under):
    """The quotients of two fields, where both were measured."""
    return [r[over] / r[under] for r in records if r.get(over) and r.get(under)]


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def source(context):
    """What a figure or table says about where its numbers come from."""
    return f"{context.get('gpu', 'unknown GPU')}, CUDA {context.get('cuda', '?')}, commit {context.get('commit', '?')}"
