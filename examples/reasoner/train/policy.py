"""ReSET, step-aware entropy temperature scaling (arXiv 2606.13233), vectorised over a batch; and top-p sampling.

    T_t   = T_low if H_t < tau_t else T_high
    tau_t = tau_0 in a confident step, the step's mean entropy in an uncertain one (step mean > mean of the whole request)

The histories exclude the current token. While a step has fewer than `window` tokens the mean of the last `window` entropies
stands for the step's mean; the window crosses step boundaries. As long as both means are taken over the same tokens (at most
`window` of them, or the first step only) the step is confident by definition, not by comparing rounded sums.
"""
from dataclasses import dataclass

import torch

import countdown


@dataclass(frozen=True)
class Policy:
    name: str
    t_low: float
    t_high: float
    tau0: float = 0.0
    adaptive: bool = False  # False keeps tau at tau_0; a fixed temperature is t_low == t_high
    top_p: float = 0.95


def fixed(temperature):
    return Policy("greedy" if temperature == 0 else f"T = {temperature}", temperature, temperature)


def untruncated(temperature):
    return Policy(f"T = {temperature}, untruncated", temperature, temperature, top_p=1.0)


def reset(tau0, t_low):
    return Policy(f"ReSET T_low = {t_low}", t_low, 1.0, tau0, True)


def threshold(tau0, t_low):
    return Policy(f"fixed threshold T_low = {t_low}", t_low, 1.0, tau0)


def new_state(batch, window, device):
    zeros = lambda *shape, dtype=torch.float64: torch.zeros(batch, *shape, dtype=dtype, device=device)
    return {"window": zeros(window), "step_sum": zeros(), "step_n": zeros(dtype=torch.int64), "all_sum": zeros(),
            "all_n": zeros(dtype=torch.int64), "cleared": zeros(dtype=torch.bool)}


def entropy(logits):
    log_p = logits.double().log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def temperature(s, h, previous, generates, tau0, t_low, t_high, adaptive):
    """The temperature of each row; updates the history `s` of the rows that generate. `previous` is the last token."""
    window = s["window"].shape[1]
    boundary = generates & (s["all_n"] > 0) & (previous == countdown.STEP)
    s["cleared"] |= boundary & (s["step_n"] > 0)
    s["step_sum"].masked_fill_(boundary, 0)
    s["step_n"].masked_fill_(boundary, 0)

    recent = s["window"].sum(-1) / s["all_n"].clamp(1, window)
    recent = torch.where(s["all_n"] > 0, recent, h)
    step = torch.where(s["step_n"] < window, recent, s["step_sum"] / s["step_n"].clamp(min=1))
    whole = torch.where(s["all_n"] > 0, s["all_sum"] / s["all_n"].clamp(min=1), step)
    uncertain = adaptive & s["cleared"] & (s["all_n"] > window) & (step > whole)
    tau = torch.where(uncertain, step, tau0)

    s["window"].copy_(torch.where(generates[:, None], torch.cat([s["window"][:, 1:], h[:, None]], 1), s["window"]))
    counted = torch.where(generates, h, torch.zeros_like(h))
    for name in ("step", "all"):
        s[name + "_sum"] += counted
        s[name + "_n"] += generates
    return torch.where(h < tau, t_low, t_high), uncertain


def sample(logits, t, top_p):
    """Temperature, then top-p (the token that crosses p is kept), then a draw; t <= 1e-6 means argmax."""
    p = (logits.double() / t.clamp(min=1e-6)[:, None]).softmax(-1)
    ranked, ids = p.sort(dim=-1, descending=True, stable=True)
    ranked = torch.where(ranked.cumsum(-1) - ranked < top_p, ranked, 0.0)
    race = ranked / torch.empty_like(ranked).exponential_()
    pick = torch.where(t <= 1e-6, 0, race.argmax(-1))
    return ids.gather(1, pick[:, None]).squeeze(1)
