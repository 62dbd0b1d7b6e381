"""Trains a model by imitation, then by reinforcement at T = 1; writes a BF16 checkpoint and the ranges of its inputs.

    python3 examples/reasoner/train/reinforce.py --size 1m --seed 1 --out DIR --commit HASH

The task is `countdown.rollouts`, whose choices are equally good. Reinforcement: 16 samples a problem at T = 1, untruncated; the
reward is 1 for a solved problem; advantages are normalised within a problem; a few clipped-ratio steps of Adam an iteration. It
begins with the head scaled so that T = 1 is what sampled best before, and the scale learns along. As the model gets better,
its traces may be less long. Both parts are boxed by the clock: --imitate and --until count seconds from --start.
"""
import argparse
import copy
import json
import math
import pathlib
import tarfile
import time
import traceback

import numpy as np
import torch

import checkpoint
import countdown
from decode import Decoder
from ranges import input_amax
from scorer import NO_LOSS, PACK, pack, parameter_groups, spans
from train import SIZES, new_scorer, train

CLIP = 0.2
KL_LIMIT = 0.03      # of one iteration; beyond it the rest of its steps is left out
SHORTEST = 64        # limit on a trace that good results lead to
TOO_EASY = 0.78      # share solved from which the limit falls
CHOICE = 0.1         # nats from which a token counts as a choice
CHOICES = 0.22       # share of choices below which their entropy is rewarded,
BONUS = 0.2          # by so much for each nat and each choice that is missing
COLLAPSE = 0.12      # loss of solved problems that brings the best weights back


def sample(decoder, rows, samples, temperature, top_p, seed, limit):
    """Tokens, lengths, prompt lengths, solved and entropies of `samples` traces of each problem."""
    rows = np.ascontiguousarray(rows.repeat(samples, 0))
    prompts = [countdown.prompt(countdown.as_problem(row)) for row in rows[::samples]]
    out = decoder.run([p for p in prompts for _ in range(samples)], temperature, top_p, seed, limit)
    tokens = np.ascontiguousarray(out["tokens"][:, :limit].astype(np.uint8))
    ended = tokens == countdown.EOS
    lengths = np.where(ended.any(1), ended.argmax(1) + 1, limit).astype(np.int32)
    lengths_of_prompts = np.array([len(p) for p in prompts], np.int32).repeat(samples)
    entropy = out["entropy"][:, :limit]
    return tokens, lengths, lengths_of_prompts, countdown.solved_rows(rows, tokens), entropy[entropy >= 0]


def advantages(solved, samples):
    """(reward - mean) / deviation within each problem; zero where all samples agree."""
    reward = solved.reshape(-1, samples).astype(np.float32)
    deviation = reward.std(1, keepdims=True)
    return ((reward - reward.mean(1, keepdims=True)) / np.where(deviation > 0, deviation, 1)).reshape(-1)


class Reinforcement:
    def __init__(self, scorer, score, decoder, opts, args, log):
        self.scorer, self.score, self.decoder, self.opts, self.args, self.log = scorer, score, decoder, opts, args, log
        self.limit, self.scale, self.iteration, self.smooth, self.best = args.limit, 1.0, 0, None, None
        self.rng, self.events = np.random.default_rng(args.seed), []
        self.reset_optimiser()

    def reset_optimiser(self):
        groups = parameter_groups(self.scorer.model, speed=1.0) + [{"params": [self.scorer.gain], "speed": 10.0}]
        for group in groups:
            group["weight_decay"] = 0.0
        self.adam = torch.optim.AdamW(groups, lr=self.args.rate, betas=(0.9, 0.95), fused=self.args.device == "cuda")

    def packs(self, tokens, lengths, prompts, advantage):
        """The documents with an advantage in random order, packed: (batch on the device, advantage of each token)."""
        order = self.rng.permutation(np.flatnonzero(advantage))
        for begin, end in spans(lengths[order], self.args.pack):
            at = order[begin:end]
            batch = pack(tokens[at], lengths[at], prompts[at], self.opts.max_tokens, self.args.pack)
            weight = np.zeros(self.args.pack, np.float32)
            weight[:int(lengths[at].sum())] = advantage[at].repeat(lengths[at])
            yield [torch.from_numpy(a).to(self.args.device) for a in (*batch, weight)]

    def loss(self, batch, old, weight, bonus):
        """Summed over the pack: the clipped objective, and how far the policy has moved, as KL(old, new)."""
        counts = batch[1] != NO_LOSS
        log_p, entropy = self.score(*batch)
        log_ratio = torch.where(counts, log_p - old, 0.0)
        ratio = log_ratio.exp()
        gained = torch.minimum(ratio * weight, ratio.clamp(1 - CLIP, 1 + CLIP) * weight)
        loss = -((gained + bonus * entropy * (entropy > CHOICE)) * counts).sum()
        return loss, (((ratio - 1) - log_ratio) * counts).sum().detach()

    def learn(self, packs, rate, bonus):
        """Up to `steps` steps of Adam, each on its part of the packs; returns how many, the KL of the last and the norm."""
        old = [self.score(*batch)[0].detach() for *batch, _ in packs]
        taken, kl, norm = 0, 0.0, 0.0
        for group in self.adam.param_groups:
            group["lr"] = rate * group["speed"]
        for part in np.array_split(np.arange(len(packs)), min(self.args.steps, len(packs))):
            count = sum((packs[i][1] != NO_LOSS).sum() for i in part)
            moved = 0.0
            for i in part:
                *batch, weight = packs[i]
                loss, distance = self.loss(batch, old[i], weight, bonus)
                (loss / count).backward()
                moved = moved + distance / count
            kl = float(moved)
            norm = float(torch.nn.utils.clip_grad_norm_(self.scorer.parameters(), 1.0))
            if kl < KL_LIMIT and math.isfinite(norm):
                self.adam.step()
                taken += 1
            self.scorer.zero_grad(set_to_none=True)
            if kl >= KL_LIMIT:
                break
        return taken, kl, norm

    def guard(self, solved):
        """Follows the smoothed share of solved problems: makes the task harder, or goes back after a collapse."""
        self.smooth = solved if self.smooth is None else 0.8 * self.smooth + 0.2 * solved
        if self.best is None or self.smooth > self.best[0]:
            self.best = self.smooth, copy.deepcopy(self.scorer.state_dict())
        if self.smooth > TOO_EASY and self.limit > SHORTEST:
            self.limit -= 8
            self.events.append({"iteration": self.iteration, "limit": self.limit})
            self.smooth = self.best = None
        elif self.smooth < self.best[0] - COLLAPSE:
            self.log(f"collapsed to {100 * self.smooth:.1f} %: back to {100 * self.best[0]:.1f} % at half the rate")
            self.scorer.load_state_dict(self.best[1])
            self.scale /= 2
            self.events.append({"iteration": self.iteration, "collapsed": True})
            self.smooth = self.best = None
            self.reset_optimiser()

    def iterate(self, done):
        args, start = self.args, time.time()
        self.decoder.load(self.scorer.weights())
        seed = args.seed * 1000003 + self.iteration
        rows = countdown.problem_rows(self.opts, seed, args.problems, countdown.TRAINING)
        traces = sample(self.decoder, rows, args.samples, 1.0, 1.0, seed, self.limit)
        tokens, lengths, prompts, solved, entropy = traces
        sampled, choices, limit = time.time() - start, float((entropy > CHOICE).mean()), self.limit
        packs = list(self.packs(tokens, lengths, prompts, advantages(solved, args.samples)))
        rate = args.rate * self.scale * min(1.0, (self.iteration + 1) / 5) * (1 - 0.9 * done)
        bonus = BONUS * max(0.0, CHOICES - choices)
        taken, kl, norm = self.learn(packs, rate, bonus) if packs else (0, 0.0, 0.0)
        self.iteration += 1
        self.guard(float(solved.mean()))
        self.log(f"iteration {self.iteration}  limit {limit}  solved {100 * solved.mean():.1f}  "
                 f"tokens {(lengths - prompts).mean():.0f}  H80 {np.quantile(entropy, 0.8):.3f}  choices {choices:.3f}  "
                 f"gain {self.scorer.gain.item():.3f}  steps {taken}  KL {kl:.4f}  norm {norm:.2f}  bonus {bonus:.4f}  "
                 f"rate {rate:.1e}  sampling {sampled:.1f} s  all {time.time() - start:.1f} s")


def evaluate(decoder, rows, args, limit, temperatures, log):
    """Share solved at each temperature, with top-p 0.95; the same problems and seeds."""
    found = {}
    for t in temperatures:
        tokens, lengths, prompts, solved, entropy = sample(decoder, rows, args.eval_samples, t, 0.95, 7, limit)
        ended = (tokens == countdown.EOS).any(1)
        found[t] = float(solved.mean())
        log(f"  evaluation  limit {limit}  T {t}  solved {100 * found[t]:.2f}  wrong {100 * (ended & ~solved).mean():.2f}  "
            f"tokens {(lengths - prompts).mean():.0f}  H80 {np.quantile(entropy, 0.8):.3f}  choices {(entropy > CHOICE).mean():.3f}")
    return found


def save(args, scorer, limit, notes, log):
    """Writes the checkpoint and packs it into DIR.tar.gz, replacing an earlier one whole."""
    out = pathlib.Path(args.out)
    model = copy.deepcopy(scorer.model)
    model.load_state_dict(scorer.weights())
    model.cfg = {**model.cfg, "max_position_embeddings": limit}
    checkpoint.save(out, model)
    for name, value in notes.items():
        checkpoint.write_json(out / f"{name}.json", value)
    if args.archive:
        part = pathlib.Path(args.archive + ".part")
        with tarfile.open(part, "w:gz", compresslevel=1) as archive:
            archive.add(out, out.name)
        part.replace(args.archive)
    log(f"saved {out}")


def box(since, until, clock=time.time):
    """progress(step) that goes from 0 at the first call, not before `since`, to 1 at `until`."""
    first = []

    def progress(step=0):
        first[:] = first or [max(since, clock())]
        return 1.0 if clock() >= until else (clock() - first[0]) / max(1e-9, until - first[0])
    return progress


def best_gain(found):
    """-log of the highest temperature that solves within one point of the best."""
    return -math.log(max(t for t, solved in found.items() if solved >= max(found.values()) - 0.01))


def run(args, log):
    opts = countdown.rollouts()
    scorer = new_scorer(args.size, args.seed, opts.max_tokens, args.device)
    progress = box(args.start, args.start + args.imitate)
    score = train(scorer, opts, progress, seed=args.seed, log=log, device=args.device, size=args.pack)
    save(args, scorer, args.limit, {}, log)
    decoder = Decoder(copy.deepcopy(scorer.model), args.problems * args.samples, device=args.device)
    held = countdown.problem_rows(opts, 11, args.eval_problems, countdown.CALIBRATION)
    found = evaluate(decoder, held, args, args.limit, (1.0, 0.8, 0.6, 0.4), log)
    with torch.no_grad():
        scorer.gain.fill_(best_gain(found))
    work = Reinforcement(scorer, score, decoder, opts, args, log)
    work.decoder.load(scorer.weights())
    imitated = evaluate(decoder, held, args, args.limit, (1.0, 0.6), log)  # as reinforcement begins, the head scaled
    try:
        loop(work, held, args, log)
    except Exception:  # noqa: BLE001: what has been learnt is worth keeping
        log(traceback.format_exc())
    finish(work, held, {"imitated": found, "scaled": imitated}, args, log)


def loop(work, held, args, log):
    progress, looked = box(time.time(), args.start + args.until), time.time()
    while (done := progress()) < 1:
        work.iterate(done)
        if time.time() - looked > args.every:
            looked = time.time()
            work.decoder.load(work.scorer.weights())
            evaluate(work.decoder, held, args, work.limit, (1.0, 0.6), log)
            save(args, work.scorer, work.limit, {}, log)
            if args.device == "cuda":
                log(f"  memory {torch.cuda.max_memory_reserved() / 2**30:.1f} GiB")


def finish(work, held, before, args, log):
    save(args, work.scorer, work.limit, {}, log)
    work.decoder.load(work.scorer.weights())
    traces = sample(work.decoder, held[:256], 4, 1.0, 1.0, 5, work.limit)
    amax = input_amax(checkpoint.load(args.out).to(args.device), *traces[:3])
    notes = {"input_amax": amax, "input_scales": {name: value / (6 * 448) for name, value in amax.items()}}
    save(args, work.scorer, work.limit, notes, log)
    found = {**before, "reinforced": evaluate(work.decoder, held, args, work.limit, (1.0, 0.6, 0.2), log),
             "reinforced_first_limit": evaluate(work.decoder, held, args, args.limit, (1.0, 0.6), log)}
    notes["training"] = {"commit": args.commit, "size": args.size, "seed": args.seed, "first_limit": args.limit, "limit": work.limit,
                         "iterations": work.iteration, "gain": work.scorer.gain.item(), "solved": found, "events": work.events,
                         "parameters": sum(p.numel() for p in work.scorer.model.parameters()),
                         "task": {name: getattr(work.opts, name) for name, _ in work.opts._fields_},
                         "torch": torch.__version__, "seconds": time.time() - args.start}
    save(args, work.scorer, work.limit, notes, log)
    log(json.dumps(notes["training"]))


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--archive", help="a .tar.gz that is replaced whenever the checkpoint is written")
    parser.add_argument("--commit", required=True, help="of this code, for the record")
    parser.add_argument("--size", choices=SIZES, default="1m")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=float, default=None, help="UNIX time that the two boxes count from (default: now)")
    parser.add_argument("--imitate", type=float, default=90)
    parser.add_argument("--until", type=float, default=270)
    parser.add_argument("--every", type=float, default=60, help="seconds between checkpoints")
    parser.add_argument("--limit", type=int, default=224, help="tokens of a trace, the prompt included, to begin with")
    parser.add_argument("--problems", type=int, default=512)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--eval-problems", type=int, default=1024)
    parser.add_argument("--eval-samples", type=int, default=8)
    parser.add_argument("--pack", type=int, default=PACK)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args(arguments)
    args.start = args.start or time.time()
    return args


def main():
    args = parse()
    run(args, lambda text: print(f"[{time.time() - args.start:5.0f}] {text}", flush=True))


if __name__ == "__main__":
    main()
