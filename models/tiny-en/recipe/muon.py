"""Muon for the matrices of the encoder layers, AdamW for everything else."""
import math

import torch


def orthogonalise(x, steps=4):
    """Newton-Schulz iteration: [n, r, c] (r <= c) to nearly orthonormal rows, in bfloat16."""
    x = x.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        g = x @ x.mT
        x = 3.4445 * x + (-4.7750 * g + 2.0315 * (g @ g)) @ x
    return x


class Muon:
    """Matrices of equal shape are updated together. Updates have the size AdamW's would have (0.2 sqrt(max side))."""

    def __init__(self, params, momentum=0.95, decay=1e-2):
        self.momentum, self.decay, self.groups = momentum, decay, {}
        for p in params:
            r, c = p.shape[:2]
            self.groups.setdefault((min(r, c), max(r, c)), []).append(p)
        self.buffers = {k: torch.zeros(len(v), *k) for k, v in self.groups.items()}

    @torch.no_grad()
    def step(self, lr):
        for (r, c), params in self.groups.items():
            wide = [p.shape[0] <= p.shape[1] for p in params]
            g = torch.stack([p.grad.flatten(1) if w else p.grad.flatten(1).T for p, w in zip(params, wide)])
            buffer = self.buffers[r, c].lerp_(g, 1 - self.momentum)
            update = orthogonalise(g.lerp_(buffer, self.momentum)).float()
            for p, w, u in zip(params, wide, update):
                p.mul_(1 - lr * self.decay).add_((u if w else u.T).reshape(p.shape), alpha=-lr * 0.2 * math.sqrt(c))

    def state_dict(self):
        return self.buffers

    def load_state_dict(self, buffers):
        for k, v in buffers.items():
            self.buffers[k].copy_(v)


def split(model):
    """(matrices for Muon, the other parameters) of a model."""
    matrices = [p for n, p in model.encoder.layers.named_parameters()
                if p.ndim >= 2 and "depthwise" not in n and "bias" not in n]
    ids = {id(p) for p in matrices}
    return matrices, [p for p in model.parameters() if id(p) not in ids]
