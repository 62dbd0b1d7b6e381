"""NVFP4 round-to-nearest in PyTorch, to evaluate what quantisation does to the model.

Blocks of 16 along K share one E4M3 scale; one float32 global scale, amax / (6 * 448), for a weight matrix and for each row of
activations (as dynamic quantisation does). Operation by operation the rule of the library's own quantiser.
"""
import torch
from torch import nn
import torch.nn.functional as F

BLOCK = 16


def round_e2m1(x):
    """Nearest of 0, .5, 1, 1.5, 2, 3, 4, 6 (ties to the even code), saturating."""
    a = x.abs()
    a = torch.where(a < 2, (a * 2).round() / 2, torch.where(a < 4, a.round(), (a.clamp(max=6) / 2).round() * 2))
    return torch.copysign(a, x)


def quantise(x, amax):
    """x [..., K] float32 and the maximum that sets the global scale -> (e2m1 * e4m3 [..., K], global scale)."""
    blocks = x.unflatten(-1, (-1, BLOCK))
    scale_2 = (amax / (6 * 448)).clamp(min=torch.finfo(torch.float32).tiny)
    quotient = blocks.abs().amax(-1, keepdim=True) / 6 / scale_2.unsqueeze(-1)
    scale = quotient.clamp(max=448).to(torch.float8_e4m3fn).float()
    divisor = scale * scale_2.unsqueeze(-1)
    elements = round_e2m1(torch.where(divisor > 0, blocks / divisor, torch.zeros_like(blocks)))
    return (elements * scale).flatten(-2), scale_2


class ScaledLinear(nn.Module):
    """y = x W alpha; products e2m1 * e4m3 are exact in bfloat16, so alpha carries the global scale. Or plain BF16."""

    def __init__(self, n, k, device):
        super().__init__()
        self.register_buffer("weight", torch.empty(n, k, dtype=torch.bfloat16, device=device))
        self.register_buffer("alpha", torch.ones((), device=device))
        self.quantised = self.quantise_activations = False

    def set(self, weight, quantised):
        self.quantised = quantised
        if quantised:
            product, scale_2 = quantise(weight.float(), weight.float().abs().amax().reshape(1))
            self.weight.copy_(product)
            self.alpha.copy_(scale_2.reshape(()))
        else:
            self.weight.copy_(weight)
            self.alpha.fill_(1.0)

    def forward(self, x):
        if not self.quantised:
            return F.linear(x, self.weight)
        if self.quantise_activations:
            wide = x.float()
            product, scale_2 = quantise(wide, wide.abs().amax(-1, keepdim=True))
            return (F.linear(product.to(x.dtype), self.weight).float() * (scale_2 * self.alpha)).to(x.dtype)
        return (F.linear(x, self.weight).float() * self.alpha).to(x.dtype)
