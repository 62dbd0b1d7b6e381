"""Trains a model by imitation of Countdown search traces and writes it as a BF16 checkpoint.

    python3 examples/reasoner/train/train.py --out examples/reasoner/model/bf16

Needs PyTorch 2.10 or later, a GPU with bfloat16 and a C++ compiler (g++ or $CXX); takes about four minutes on an H200.
Traces are generated while training and none is seen twice; `scorer.py` says what a step is.
"""
import argparse
import math
import queue
import threading
import time

import torch

import checkpoint
import countdown
from model import Qwen3, config
from scorer import NO_LOSS, PACK, Scorer, compiled_score, pack, parameter_groups, spans


class Batches:
    """Packed steps for ever, made by a background thread until `stop`."""

    def __init__(self, opts, seed, device="cuda", size=PACK, chunk=65536, depth=64):
        self.device, self.ready, self.stopped = device, queue.Queue(depth), threading.Event()
        self.thread = threading.Thread(target=self.work, args=(opts, seed, size, chunk), daemon=True)
        self.thread.start()

    def work(self, opts, seed, size, chunk):
        for n in range(1 << 30):
            tokens, lengths, prompts, _ = countdown.traces(opts, seed * 1000003 + n, chunk)
            for begin, end in list(spans(lengths, size))[:-1]:  # the last one is not full
                at = slice(begin, end)
                step = [torch.from_numpy(a) for a in pack(tokens[at], lengths[at], prompts[at], opts.max_tokens, size)]
                step = [t.pin_memory() for t in step] if self.device == "cuda" else step
                while not self.stopped.is_set():
                    try:
                        self.ready.put(step, timeout=0.1)
                        break
                    except queue.Full:
                        pass
                if self.stopped.is_set():
                    return

    def next(self):
        return [t.to(self.device, non_blocking=True) for t in self.ready.get()]

    def stop(self):
        self.stopped.set()
        self.thread.join()


def train(scorer, opts, progress, peak=2e-3, seed=1, log=print, device="cuda", size=PACK):
    """AdamW until progress(step) reaches 1; the learning rate warms up over 200 steps, then a cosine down to 2 % of its peak.

    Returns the scoring function, which is compiled once for all training.
    """
    adam = torch.optim.AdamW(parameter_groups(scorer.model), lr=peak, betas=(0.9, 0.95), fused=device == "cuda")
    source, losses, step = Batches(opts, seed, device, size), [], 0
    log(f"{sum(p.numel() for p in scorer.model.parameters()):,} parameters")
    score = compiled_score(scorer, opts.max_tokens, source.next(), log)
    start = time.time()
    while (done := progress(step)) < 1:
        batch = source.next()
        step += 1
        for group in adam.param_groups:
            group["lr"] = peak * min(1.0, step / 200) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
        counts = batch[1] != NO_LOSS
        log_p, _ = score(*batch)
        loss = -(log_p * counts).sum() / counts.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(scorer.model.parameters(), 1.0)
        adam.step()
        scorer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
        if step % 200 == 0:
            log(f"step {step}  loss {torch.stack(losses).mean().item():.4f}  {time.time() - start:.0f} s  {100 * done:.0f} %")
            losses = []
    source.stop()
    return score


SIZES = {"1m": dict(hidden_size=128, intermediate_size=384, layers=6, heads=4, head_dim=32),
         "6m": dict(hidden_size=256, intermediate_size=768, heads=4),
         "11m": dict(hidden_size=384, intermediate_size=896, heads=6)}


def new_scorer(size, seed, max_positions=countdown.MAX_TOKENS, device="cuda"):
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    return Scorer(Qwen3(config(**SIZES[size], max_positions=max_positions)).initialise()).to(device)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--size", choices=SIZES, default="11m")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    scorer = new_scorer(args.size, args.seed)
    train(scorer, countdown.options(), lambda step: step / args.steps, seed=args.seed)
    checkpoint.save(args.out, scorer.model)


if __name__ == "__main__":
    main()
