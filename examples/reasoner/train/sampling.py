"""Entropies and draws of a batch of rows of logits."""
import torch


def entropy(logits):
    """In nats, of each row's softmax."""
    log_p = logits.double().log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def sample(logits, t, top_p):
    """Temperature, then top-p (the token that crosses p is kept), then a draw; t <= 1e-6 means argmax."""
    p = (logits.double() / t.clamp(min=1e-6)).softmax(-1)
    ranked, ids = p.sort(dim=-1, descending=True, stable=True)
    ranked = torch.where(ranked.cumsum(-1) - ranked < top_p, ranked, 0.0)
    race = ranked / torch.empty_like(ranked).exponential_()
    pick = torch.where(t <= 1e-6, 0, race.argmax(-1))
    return ids.gather(1, pick[:, None]).squeeze(1)
