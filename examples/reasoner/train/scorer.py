"""Log-probabilities of packed documents, for both kinds of training.

A step is one packed batch of `size` tokens: whole documents one after the other, each attending to itself only, positions
starting at 0 in each, no loss on the prompt. Every step has the same shapes, so that one compiled function serves all.
"""
import numpy as np
import torch
from torch import nn

import countdown

PACK = 65536          # tokens a step
MAX_DOCUMENTS = 1536  # of one pack
NO_LOSS = -100


def spans(lengths, size=PACK, documents=MAX_DOCUMENTS):
    """Ranges (begin, end) of as many whole documents as fit a pack, all of them in order."""
    begin = 0
    while begin < len(lengths):
        n = int(np.searchsorted(np.cumsum(lengths[begin:begin + documents]), size, "right"))
        yield begin, begin + n
        begin += n


def pack(rows, lengths, prompts, longest, size=PACK, documents=MAX_DOCUMENTS):
    """One pack (tokens, targets, positions, document offsets) of documents that fit, none longer than `longest`."""
    column = np.arange(rows.shape[1])
    inside = column < lengths[:, None]
    flat = np.full(size, countdown.PAD, np.uint8)
    targets = np.full(size, NO_LOSS, np.int16)
    positions = np.zeros(size, np.int16)
    used = int(lengths.sum())
    flat[:used] = rows[inside]
    following = np.concatenate([rows[:, 1:], rows[:, :1]], 1).astype(np.int16)
    following[(column < prompts[:, None] - 1) | (column == lengths[:, None] - 1)] = NO_LOSS
    targets[:used] = following[inside]
    positions[:used] = np.broadcast_to(column, rows.shape)[inside]
    offsets = np.full(documents + size // longest + 2, size, np.int32)
    ends = np.concatenate([[0], np.cumsum(lengths), np.arange(used + longest, size, longest)])  # the rest: documents of padding
    offsets[:len(ends)] = ends
    return flat, targets, positions, offsets


def packed_attend(offsets, longest):
    from torch.nn.attention.varlen import varlen_attn

    def attend(layer, q, k, v):
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        if q.device.type == "cpu":
            return dense_attend(q, k, v, offsets)
        return varlen_attn(q, k, v, offsets, offsets, longest, longest, window_size=(-1, 0))
    return attend


def dense_attend(q, k, v, offsets):
    """The same without the kernel, for a trial on the CPU."""
    at = torch.arange(len(q))
    document = torch.searchsorted(offsets, at.int(), right=True)
    hidden = (document[:, None] != document) | (at[:, None] < at)
    scores = torch.einsum("ihd,jhd->hij", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("hij,jhd->ihd", scores.masked_fill(hidden, float("-inf")).softmax(-1), v)


class Scorer(nn.Module):
    """A model and the logarithm of a factor on its logits, which folds into the head."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.gain = nn.Parameter(torch.zeros(()))

    def weights(self):
        """The state_dict of the model, with the factor folded in."""
        state = {name: w.detach() for name, w in self.model.state_dict().items()}
        return {**state, "lm_head.weight": state["lm_head.weight"] * self.gain.detach().exp()}


def score(scorer, longest, tokens, targets, positions, offsets):
    """Log-probability of each target (of token 0 where there is none) and the entropy, over the ids that traces use."""
    with torch.autocast(tokens.device.type, torch.bfloat16):
        logits = scorer.model(tokens.long(), positions.long(), packed_attend(offsets, longest), torch.bfloat16)
    log_p = (logits.float()[:, :countdown.IDS["<unk>"]] * scorer.gain.exp()).log_softmax(-1)
    return log_p.gather(1, targets.long().clamp(min=0)[:, None]).squeeze(1), -(log_p.exp() * log_p).sum(-1)


def compiled_score(scorer, longest, example, log=print):
    """`score` compiled for packs shaped like `example`, or as it is where the compiler fails."""
    plain = lambda *batch: score(scorer, longest, *batch)
    if example[0].device.type == "cpu":
        return plain
    fast = torch.compile(score, dynamic=False)
    try:
        sum(t.mean() for t in fast(scorer, longest, *example)).backward()
        torch.cuda.synchronize()
    except Exception as error:  # noqa: BLE001: whatever it is, training can go on without
        log(f"not compiled: {type(error).__name__}: {str(error)[:300]}")
        return plain
    finally:
        scorer.zero_grad(set_to_none=True)
    return lambda *batch: fast(scorer, longest, *batch)


def parameter_groups(model, **others):
    """Weight decay for matrices only."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() != 2]
    return [{"params": matrices, "weight_decay": 0.1, **others}, {"params": vectors, "weight_decay": 0.0, **others}]
