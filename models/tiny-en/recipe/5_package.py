"""Step 5. Checkpoint -> Hugging Face folder with f16 weights (running average, or mean of several checkpoints)"""
import argparse
import json
import os
import shutil

import torch

import model as M


def average(paths, plain=False):
    """Mean over checkpoints of their running averages (or of the weights themselves): {name: tensor}."""
    total, names, shapes = None, None, None
    for path in paths:
        c = torch.load(path, weights_only=False)
        named = dict(c["model"], **{"ctc." + k: v for k, v in c["ctc"].items()})
        names = c["names"]
        shapes = [named[n].shape for n in names]
        vector = torch.cat([named[n].reshape(-1).float() for n in names]) if plain else c["ema"]
        total = vector if total is None else total + vector
    out, at = {}, 0
    for n, s in zip(names, shapes):
        out[n] = (total[at:at + s.numel()] / len(paths)).view(s)
        at += s.numel()
    return out


def build(start, paths, plain=False):
    """Model in f32 with the averaged weights of the checkpoints."""
    model, tokenizer = M.load(start)
    weights = {k: v for k, v in average(paths, plain).items() if not k.startswith("ctc.")}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all("num_batches" in k or "inv_freq" in k for k in missing), (missing, unexpected)
    return model.eval(), tokenizer


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("checkpoints", nargs="+")
    ap.add_argument("--start", required=True, help="Hugging Face folder with the tokenizer and configuration")
    ap.add_argument("--plain", action="store_true", help="the weights themselves instead of their running average")
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    model, _ = build(a.start, a.checkpoints, a.plain)
    model.to(torch.float16).save_pretrained(a.out)
    for name in ("config.json", "generation_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        source, target = os.path.join(a.start, name), os.path.join(a.out, name)
        if os.path.abspath(source) != os.path.abspath(target):
            shutil.copyfile(source, target)
    # The longest recordings in training were of 20 to 30 s: the recogniser cuts what is longer than this into windows.
    path = os.path.join(a.out, "config.json")
    with open(path) as f:
        config = json.load(f)
    config["percept"] = {"piece_seconds": 20}
    with open(path, "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)
        f.write("\n")
    os.chmod(os.path.join(a.out, "model.safetensors"), 0o644)
    print(os.path.getsize(os.path.join(a.out, "model.safetensors")) / 1e6, "MB")


if __name__ == "__main__":
    main()
