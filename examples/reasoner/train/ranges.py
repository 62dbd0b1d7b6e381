"""The largest input of every linear layer that NVFP4 applies to, over sampled traces: W4A4's input scales come from it."""
import torch

from model import quantised_linears
from scorer import packed_attend, pack, spans


@torch.no_grad()
def input_amax(model, tokens, lengths, prompts, size=8192):
    """Module name -> largest magnitude, of a float32 model on packed traces."""
    longest, found = tokens.shape[1], {}

    def watch(name):
        def hook(module, inputs):
            largest = inputs[0].abs().amax().float()
            found[name] = torch.maximum(found.get(name, largest), largest)
        return hook

    hooks = [model.get_submodule(name).register_forward_pre_hook(watch(name)) for name in quantised_linears(model.cfg)]
    device = next(model.parameters()).device
    for begin, end in spans(lengths, size):
        at = slice(begin, end)
        batch = pack(tokens[at], lengths[at], prompts[at], longest, size)
        token, _, position, offsets = (torch.from_numpy(a).to(device) for a in batch)
        used = int(lengths[at].sum())
        with torch.autocast(device.type, torch.bfloat16):
            trim(model, token, position, offsets, used, longest)
    for hook in hooks:
        hook.remove()
    return {name: float(value) for name, value in found.items()}


def trim(model, token, position, offsets, used, longest):
    """A forward pass of the used part of a pack."""
    keep = offsets.clamp(max=used)
    model(token[:used].long(), position[:used].long(), packed_attend(keep, longest), torch.bfloat16)
