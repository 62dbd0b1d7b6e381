"""Trains the demonstration model on Countdown search traces and writes it as a BF16 checkpoint.

    python3 examples/reasoner/train/train.py --out examples/reasoner/model/bf16

Needs PyTorch 2.10 or later, a GPU with bfloat16 and a C++ compiler (g++ or $CXX); takes about four minutes on an H200.
Traces are generated while training and none is seen twice. A step is one packed batch of 65,536 tokens: whole documents one
after the other, each attending to itself only, positions starting at 0 in each, no loss on the prompt.
"""
import argparse
import math
import queue
import threading
import time

import numpy as np
import torch
import torch.nn.functional as F

import checkpoint
import countdown
from model import Qwen3, config

PACK = 65536          # tokens a step
MAX_DOCUMENTS = 1536  # of one pack
NO_LOSS = -100


def pack(tokens, lengths, prompts, size=PACK, documents=MAX_DOCUMENTS):
    """Yields packed steps (tokens, targets, positions, document offsets) of as many whole documents as fit."""
    begin = 0
    while True:
        ends = np.cumsum(lengths[begin:begin + documents])
        n = int(np.searchsorted(ends, size, "right"))
        if begin + n >= len(lengths):
            return
        rows, length, prompt = tokens[begin:begin + n], lengths[begin:begin + n], prompts[begin:begin + n]
        begin += n
        column = np.arange(rows.shape[1])
        inside = column < length[:, None]
        flat = np.full(size, countdown.PAD, np.uint8)
        targets = np.full(size, NO_LOSS, np.int16)
        positions = np.zeros(size, np.int16)
        used = int(ends[n - 1])
        flat[:used] = rows[inside]
        following = np.concatenate([rows[:, 1:], rows[:, :1]], 1).astype(np.int16)
        following[(column < prompt[:, None] - 1) | (column == length[:, None] - 1)] = NO_LOSS
        targets[:used] = following[inside]
        positions[:used] = np.broadcast_to(column, rows.shape)[inside]
        offsets = np.full(documents + 2, size, np.int32)
        offsets[0] = 0
        offsets[1:n + 1] = ends[:n]
        for start in range(used, size, countdown.MAX_TOKENS):  # the unused end: short documents of padding
            n += 1
            offsets[n] = min(start + countdown.MAX_TOKENS, size)
        yield flat, targets, positions, offsets[:documents + 1]


def batches(opts, seed, chunk=65536, depth=64):
    """Packed steps for ever, made by a background thread."""
    ready = queue.Queue(depth)

    def work():
        for n in range(1 << 30):
            tokens, lengths, prompts, _ = countdown.traces(opts, seed * 1000003 + n, chunk)
            for step in pack(tokens, lengths, prompts):
                ready.put([torch.from_numpy(a).pin_memory() for a in step])

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield ready.get()


def packed_attend(offsets):
    from torch.nn.attention.varlen import varlen_attn

    def attend(layer, q, k, v):
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        return varlen_attn(q, k, v, offsets, offsets, countdown.MAX_TOKENS, countdown.MAX_TOKENS, window_size=(-1, 0))
    return attend


def loss_of(model, tokens, targets, positions, offsets):
    with torch.autocast("cuda", torch.bfloat16):
        logits = model(tokens.long(), positions.long(), packed_attend(offsets), torch.bfloat16)
    return F.cross_entropy(logits.float(), targets.long(), ignore_index=NO_LOSS)


def train(cfg, opts, steps, peak=2e-3, seed=1, log=print):
    """AdamW; the learning rate warms up over 200 steps and follows a cosine down to 2 % of its peak."""
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    model = Qwen3(cfg).initialise().cuda()
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    adam = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                             lr=peak, betas=(0.9, 0.95), fused=True)
    loss_step = torch.compile(loss_of)
    log(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    source, losses, start = batches(opts, seed), [], time.time()
    for step in range(1, steps + 1):
        batch = [t.cuda(non_blocking=True) for t in next(source)]
        for group in adam.param_groups:
            group["lr"] = peak * min(1.0, step / 200) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        loss = loss_step(model, *batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        losses.append(loss.detach())
        if step % 500 == 0 or step == steps:
            log(f"step {step}  loss {torch.stack(losses).mean().item():.4f}  {time.time() - start:.0f} s")
            losses = []
    return model.eval()


SIZES = {"6m": dict(hidden_size=256, intermediate_size=768, heads=4),
         "11m": dict(hidden_size=384, intermediate_size=896, heads=6)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--size", choices=SIZES, default="11m")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    model = train(config(**SIZES[args.size]), countdown.options(), args.steps, seed=args.seed)
    checkpoint.save(args.out, model)


if __name__ == "__main__":
    main()
