"""A batch decoder: many traces at once, fixed key-value cache, one captured graph a (batch, cache length).

All rows stand at the same position: prompts start at 0 and their tokens are forced. Rows that ended are dropped, and the batch
shrinks, whenever at most half of them are left.
"""
import numpy as np
import torch
import torch.nn.functional as F

import countdown
import sampling

LENGTH_STEP = 64    # granularity of the cache length that attention reads
CHECK_EVERY = 16    # steps between looks at how many rows are left
SMALLEST_BATCH = 256


class Decoder:
    def __init__(self, model, batch, device="cuda"):
        """Takes the model over; its positions limit the traces."""
        cfg = model.cfg
        self.model = model.to(device=device, dtype=torch.bfloat16)
        self.model.cos, self.model.sin = self.model.cos.float(), self.model.sin.float()
        self.batch, self.device, self.limit = batch, device, cfg["max_position_embeddings"]
        shape = (cfg["num_hidden_layers"], batch, cfg["num_key_value_heads"], self.limit, cfg["head_dim"])
        self.keys = torch.zeros(shape, dtype=torch.bfloat16, device=device)
        self.values = torch.zeros_like(self.keys)
        self.t = torch.zeros(1, dtype=torch.int64, device=device)
        self.temperature = torch.zeros((), dtype=torch.float64, device=device)
        self.top_p = torch.zeros_like(self.temperature)
        self.rows = {
            "tokens": torch.zeros(batch, self.limit, dtype=torch.int64, device=device),
            "entropy": torch.zeros(batch, self.limit, device=device),
            "prompt": torch.zeros(batch, dtype=torch.int64, device=device),
            "done": torch.zeros(batch, dtype=torch.bool, device=device),
            "row": torch.zeros(batch, dtype=torch.int64, device=device)}
        self.graphs, self.pool = {}, None

    @torch.no_grad()
    def load(self, weights):
        """Takes over a state_dict in place, so that captured graphs see it."""
        for name, p in self.model.named_parameters():
            p.copy_(weights[name])

    def step(self, b, length):
        r = {name: t[:b] for name, t in self.rows.items()}
        current = r["tokens"].index_select(1, self.t).squeeze(1)
        mask = (torch.arange(length, device=self.device) <= self.t)[None, None, None]

        def attend(layer, q, k, v):
            keys, values = self.keys[layer, :b], self.values[layer, :b]
            keys.index_copy_(2, self.t, k.unsqueeze(2))
            values.index_copy_(2, self.t, v.unsqueeze(2))
            grouped = q.view(b, k.shape[1], -1, q.shape[-1])  # the heads of a group share their keys
            out = F.scaled_dot_product_attention(grouped, keys[:, :, :length], values[:, :, :length],
                                                 attn_mask=mask.expand(b, k.shape[1], grouped.shape[2], length))
            return out.reshape(q.shape)

        logits = self.model(current, self.t.expand(b), attend).float()
        logits[:, countdown.IDS["<unk>"]:] = float("-inf")  # ids that no trace uses
        h = sampling.entropy(logits.clamp(min=-1e4))
        generates = ~r["done"] & (self.t + 1 >= r["prompt"])
        drawn = sampling.sample(logits, self.temperature, self.top_p)
        following = torch.where(generates, drawn, r["tokens"].index_select(1, self.t + 1).squeeze(1))
        r["tokens"].index_copy_(1, self.t + 1, following[:, None])
        r["entropy"].index_copy_(1, self.t + 1, torch.where(generates, h, -1.0).float()[:, None])
        r["done"] |= generates & (following == countdown.EOS)
        self.t += 1

    def advance(self, b, length):
        key = (b, length)
        if key in self.graphs:
            self.graphs[key].replay()
            return
        self.step(b, length)
        if self.device != "cuda":
            return
        torch.cuda.synchronize()
        self.graphs[key] = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graphs[key], pool=self.pool, capture_error_mode="thread_local"):
            self.step(b, length)
        self.pool = self.pool or self.graphs[key].pool()

    @torch.inference_mode()
    def run(self, prompts, temperature, top_p, seed, limit=None):
        """Decodes every prompt to at most `limit` tokens; returns tokens and entropy (-1 where nothing was generated), as numpy."""
        torch.manual_seed(seed)
        self.temperature.fill_(temperature)
        self.top_p.fill_(top_p)
        limit = min(limit or self.limit, self.limit)
        parts = [self.run_batch(prompts[i:i + self.batch], limit) for i in range(0, len(prompts), self.batch)]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def run_batch(self, prompts, limit):
        n = len(prompts)
        names = ("tokens", "entropy")
        for value in self.rows.values():
            value.zero_()
        tokens = np.zeros((self.batch, self.limit), np.int64)
        for i, prompt in enumerate(prompts):
            tokens[i, :len(prompt)] = prompt
        self.rows["tokens"].copy_(torch.from_numpy(tokens))
        self.rows["entropy"].fill_(-1)
        self.rows["prompt"][:n] = torch.tensor([len(p) for p in prompts])
        self.rows["done"][n:] = True
        self.rows["row"].copy_(torch.arange(self.batch))
        out = {name: self.rows[name].clone() for name in names}
        b, index = self.batch, torch.arange(self.batch, device=self.device)
        self.t.zero_()
        for t in range(limit - 1):
            if t % CHECK_EVERY == 0:
                left = index[:b][~self.rows["done"][:b]]
                fits = b
                while fits // 2 >= max(len(left), SMALLEST_BATCH):
                    fits //= 2
                if fits < b or len(left) == 0:
                    for name in names:
                        out[name][self.rows["row"][:b]] = self.rows[name][:b]
                    if len(left) == 0:
                        break
                    ended = index[:b][self.rows["done"][:b]]
                    keep = torch.cat([left, ended])[:fits]
                    for value in self.rows.values():
                        value[:fits] = value[keep]
                    for cache in (*self.keys, *self.values):
                        cache[:fits] = cache[keep]
                    b = fits
            self.advance(b, min(self.limit, (t // LENGTH_STEP + 1) * LENGTH_STEP))
        for name in names:
            out[name][self.rows["row"][:b]] = self.rows[name][:b]
        return {name: out[name][:n].cpu().numpy() for name in names}
