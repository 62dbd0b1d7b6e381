"""Golden logits: float32 PyTorch on the weights of a checkpoint, for the tests of other engines.

    python3 examples/reasoner/train/golden.py --model examples/reasoner/model/bf16 --out examples/reasoner/golden/bf16.json

Reads BF16 checkpoints and NVFP4 ones in the layout of ModelOpt (dequantised exactly, activations not quantised). Three prompts, each
followed by a part of a search trace; logits of the last rows of each. Needs torch (1.13 will do, no GPU) and numpy only;
--transformers compares a BF16 checkpoint with Qwen3ForCausalLM and `tokenizers` besides, and prints the largest difference.
"""
import argparse
import pathlib

import torch

import checkpoint
import countdown
from model import causal_attend

TEXTS = (
    "^7,12,5:79\n\n7*12=84 go 5,84\n\n",
    "^25,3,14,8:58\n\n25+14=39 go 8,3,39\n\n8*3=24 dead\n\n39-8=31 go 3,31\n\n31*3=93 no\n\n",
    "^36,11,2,29:140\n\n36/2=18 go 11,29,18\n\n29-11=18 go 18,18\n\n18+18=36 no\n\nback 36",
)
ROWS = 12  # of the end of each prompt


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor(tokens), torch.arange(len(tokens)), causal_attend)


def compare(folder, prompts):
    import tokenizers
    import transformers
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = tokenizers.Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    ours = checkpoint.load(folder)
    with torch.no_grad():
        worst = max((theirs(torch.tensor([p])).logits[0] - logits_of(ours, p)).abs().max().item() for p in prompts)
    print(f"largest difference from transformers: {worst:.2e}")
    tokens, lengths, _, _ = countdown.traces(countdown.options(), 77, 2000)
    for row, n in zip(tokens, lengths):
        ids = row[:n].tolist()
        assert tokenizer.encode(countdown.decode(ids)).ids == ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == countdown.decode(ids)
    print("tokenizers: 2000 traces encoded and decoded exactly")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out")
    parser.add_argument("--transformers", action="store_true")
    args = parser.parse_args()
    prompts = [countdown.encode(text) for text in TEXTS]
    assert all(countdown.decode(p) == text for p, text in zip(prompts, TEXTS))
    if args.transformers:
        compare(args.model, prompts)
    if args.out:
        model, out = checkpoint.load(args.model), []
        for tokens in prompts:
            at = list(range(len(tokens) - ROWS, len(tokens)))
            rows = logits_of(model, tokens)[at]
            out.append({"tokens": tokens, "logits_at": at, "logits": [[float("%.8g" % v) for v in row] for row in rows.tolist()]})
        pathlib.Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_json(args.out, {"what": "float32 logits of each listed position", "prompts": out})


if __name__ == "__main__":
    main()
