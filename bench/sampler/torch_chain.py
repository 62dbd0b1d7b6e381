#!/usr/bin/env python3
"""Times the chain of PyTorch calls that an engine would use in place of the sampler, in a CUDA graph, and writes it into
the torch_chain_us of sampler.json where there is one: torch_chain.py [RESULTS_FOLDER]

Ranks, drafts and what the policy decided are not in it. Per row: softmax at temperature 1 and its entropy, a temperature by comparison with a
threshold, division, top-k and top-p by a sort where the setting asks for them, softmax, and the exponential race (what
torch.multinomial does for one sample, without its host synchronisation).
"""

import json
import sys
from pathlib import Path

import torch

VOCABULARY = 151936
BATCHES = [1, 8, 32, 64]
TEMPERATURES = {"temperature": 1.0, "temperature .6": 0.6}
SETTINGS = list(TEMPERATURES) + ["reset", "reset, top-p .95, top-k 20", "reset, top-p .95"]
FEW_SETTINGS = ["reset, top-k 1000", "reset, flat rows", "reset, flat rows, top-p .95"]  # that few cases have
LAUNCHES, WARM_UPS, GROUPS, REPLAYS = 10, 30, 7, 20


def chain(logits, setting):
    if setting in TEMPERATURES:
        scaled = logits.float() / TEMPERATURES[setting]
    else:
        p = torch.softmax(logits.float(), dim=-1)
        entropy = torch.special.entr(p).sum(dim=-1)
        temperature = torch.where(entropy < 0.55, 0.3, 1.0)
        scaled = logits.float() / temperature.unsqueeze(-1)
    if "top-k" in setting:
        values, ids = scaled.topk(int(setting.split("top-k ")[1]), dim=-1)
        p = torch.softmax(values, dim=-1)
        kept = p.masked_fill(p.cumsum(dim=-1) - p >= 0.95, 0) if "top-p" in setting else p
        choice = (kept / torch.empty_like(kept).exponential_()).argmax(dim=-1, keepdim=True)
        return ids.gather(-1, choice)
    if "top-p" in setting:
        values, ids = scaled.sort(dim=-1, descending=True)
        p = torch.softmax(values, dim=-1)
        kept = p.masked_fill(p.cumsum(dim=-1) - p >= 0.95, 0)
        choice = (kept / torch.empty_like(kept).exponential_()).argmax(dim=-1, keepdim=True)
        return ids.gather(-1, choice)
    p = torch.softmax(scaled, dim=-1)
    return (p / torch.empty_like(p).exponential_()).argmax(dim=-1)


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


def group_us(graph):
    """The median over one group of replays."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(REPLAYS + 1)]
    events[0].record()
    for event in events[1:]:
        graph.replay()
        event.record()
    torch.cuda.synchronize()
    return median(a.elapsed_time(b) * 1000 / LAUNCHES for a, b in zip(events, events[1:]))


def microseconds(call):
    """The median of the groups' medians, so that a group with other clocks does not decide; and their range."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            call()
    for _ in range(WARM_UPS):
        graph.replay()
    groups = [group_us(graph) for _ in range(GROUPS)]
    return median(groups), min(groups), max(groups)


def measure():
    """Times by (dtype, batch, setting)."""
    torch.manual_seed(1)
    times = {}
    for name, dtype in [("bf16", torch.bfloat16), ("fp32", torch.float32)]:
        for batch in BATCHES:
            flat = torch.randn(batch, VOCABULARY, device="cuda") * 0.3
            peaked = torch.randn(batch, VOCABULARY, device="cuda") * 2.5
            peaks = torch.randint(VOCABULARY, (batch, 20), device="cuda")
            peaked.scatter_(1, peaks, 16 + 2.5 * torch.randn(batch, 20, device="cuda"))
            for setting in SETTINGS + (FEW_SETTINGS if name == "bf16" and batch <= 8 else []):
                logits = (flat if "flat" in setting else peaked).to(dtype)
                time, fastest, slowest = microseconds(lambda: chain(logits, setting))
                times[name, batch, setting] = round(time, 3)
                print(f"{name} {batch} {setting}: {time:.3f} ({fastest:.3f}..{slowest:.3f})", flush=True)
    return times


def main():
    times = measure()
    if len(sys.argv) < 2:
        return
    path = Path(sys.argv[1]) / "sampler.json"
    records = json.loads(path.read_text())
    for record in records:
        record["torch_chain_us"] = times.get((record["dtype"], record["batch"], record["setting"]))
    path.write_text("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in records) + "\n]\n")


if __name__ == "__main__":
    main()
