"""The Qwen3 architecture in plain PyTorch, with the module names of transformers' Qwen3ForCausalLM.

`attend(layer, q, k, v)` is left to the caller, so that training (packed sequences), batch decoding (key-value cache) and the
float32 reference (plain causal attention) share one model. Shapes there: q [..., heads, d], k and v [..., kv_heads, d].
"""
import torch
from torch import nn
import torch.nn.functional as F


def config(hidden_size=384, intermediate_size=896, layers=8, heads=6, kv_heads=2, head_dim=64, vocab_size=32, max_positions=768):
    """A config.json that transformers reads."""
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
        "hidden_size": hidden_size, "intermediate_size": intermediate_size, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim, "vocab_size": vocab_size,
        "max_position_embeddings": max_positions, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "rope_scaling": None,
        "attention_bias": False, "attention_dropout": 0.0, "hidden_act": "silu", "tie_word_embeddings": False,
        "use_sliding_window": False, "sliding_window": None, "use_cache": True, "initializer_range": 0.02,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "torch_dtype": "bfloat16",
    }


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight.to(x.dtype) * y.to(x.dtype)


def rotary_tables(cfg, positions):
    """cos and sin of the rotary embedding, each [positions, head_dim], float32."""
    d = cfg["head_dim"]
    frequency = 1.0 / cfg["rope_theta"] ** (torch.arange(0, d, 2, dtype=torch.float32) / d)
    angle = torch.arange(positions, dtype=torch.float32)[:, None] * frequency
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """x [..., heads, d]; cos and sin [..., 1, d]."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class Attention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d, hidden = cfg["head_dim"], cfg["hidden_size"]
        self.d = d
        self.q_proj = nn.Linear(hidden, cfg["num_attention_heads"] * d, bias=False)
        self.k_proj = nn.Linear(hidden, cfg["num_key_value_heads"] * d, bias=False)
        self.v_proj = nn.Linear(hidden, cfg["num_key_value_heads"] * d, bias=False)
        self.o_proj = nn.Linear(cfg["num_attention_heads"] * d, hidden, bias=False)
        self.q_norm, self.k_norm = RMSNorm(d, cfg["rms_norm_eps"]), RMSNorm(d, cfg["rms_norm_eps"])

    def forward(self, x, layer, cos, sin, attend):
        q, k, v = (p(x).unflatten(-1, (-1, self.d)) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin)
        return self.o_proj(attend(layer, q, k, v).flatten(-2))


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        hidden, inner = cfg["hidden_size"], cfg["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.input_layernorm = RMSNorm(cfg["hidden_size"], cfg["rms_norm_eps"])
        self.self_attn = Attention(cfg)
        self.post_attention_layernorm = RMSNorm(cfg["hidden_size"], cfg["rms_norm_eps"])
        self.mlp = MLP(cfg)

    def forward(self, x, layer, cos, sin, attend):
        x = x + self.self_attn(self.input_layernorm(x), layer, cos, sin, attend)
        return x + self.mlp(self.post_attention_layernorm(x))


class Qwen3(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(cfg["vocab_size"], cfg["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(cfg) for _ in range(cfg["num_hidden_layers"]))
        self.model.norm = RMSNorm(cfg["hidden_size"], cfg["rms_norm_eps"])
        self.lm_head = nn.Linear(cfg["hidden_size"], cfg["vocab_size"], bias=False)
        cos, sin = rotary_tables(cfg, cfg["max_position_embeddings"])
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def initialise(self):
        """Normal weights of 0.02, the projections back into the residual stream scaled by the depth."""
        depth = (2 * len(self.model.layers)) ** 0.5
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 / (depth if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0))
        return self

    def forward(self, tokens, positions, attend, dtype=None):
        """Logits [..., vocab]; the residual stream is kept in `dtype`, by default that of the embedding."""
        x = self.model.embed_tokens(tokens)
        x = x.to(dtype or x.dtype)
        cos, sin = (t[positions].unsqueeze(-2).to(x.dtype) for t in (self.cos, self.sin))
        for i, layer in enumerate(self.model.layers):
            x = layer(x, i, cos, sin, attend)
        return self.lm_head(self.model.norm(x))


def causal_attend(layer, q, k, v):
    """Plain attention of one sequence, [tokens, heads, d]."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = torch.einsum("ihd,jhd->hij", q, k) * q.shape[-1] ** -0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    return torch.einsum("hij,jhd->ihd", scores.masked_fill(later, float("-inf")).softmax(-1), v)


def quantised_linears(cfg):
    """The linears that NVFP4 applies to; the embedding and the head stay as they are."""
    parts = ["self_attn." + p for p in ("q_proj", "k_proj", "v_proj", "o_proj")] + ["mlp." + p for p in ("gate_proj", "up_proj", "down_proj")]
    return ["model.layers.%d.%s" % (i, p) for i in range(cfg["num_hidden_layers"]) for p in parts]
