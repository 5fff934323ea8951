"""Random codecs that are lively: activations of a realistic size in every layer, quantisers whose codes vary."""

from collections.abc import Callable

import torch
from torch import nn


def randomise_snakes(alphas: list[nn.Parameter], tiny_share: float = 0.05) -> None:
    """Slopes between 0.3 and 2; a few are as small as 0.003."""
    for alpha in alphas:
        alpha.data.uniform_(0.3, 2.0)
        tiny = torch.rand_like(alpha) < tiny_share
        alpha.data[tiny] = torch.empty_like(alpha).uniform_(0.003, 0.1)[tiny]


def randomise_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
            module.weight.data.uniform_(0.6, 1.4)
            module.bias.data.normal_(0.0, 0.2)


@torch.no_grad()
def scale_layers(sizes: dict[nn.Module, float], within: nn.Module, run: Callable[[], object]) -> None:
    """Runs a model once and rescales each layer `within` when it is reached: its output's deviation becomes its size.

    Channels keep different gains (a factor of 0.6 to 1.4) and get random biases.
    """
    handles = [
        layer.register_forward_hook(lambda layer, args, out: _rescale(layer, args[0], out, sizes[layer]))
        for layer in within.modules()
        if layer in sizes
    ]
    run()
    for handle in handles:
        handle.remove()


def _rescale(layer: nn.Module, x: torch.Tensor, out: torch.Tensor, size: float) -> torch.Tensor:
    bias = getattr(layer, "bias", None)
    plain = out if bias is None else out - bias.reshape(-1, 1)
    gain = size / plain.std().clamp_min(1e-6)
    rows = weight_of(layer).shape[0]
    set_weight(layer, weight_of(layer) * (gain * torch.empty(rows, 1, 1).uniform_(0.6, 1.4)))
    if bias is not None:
        bias.normal_(0.0, 0.3 * size)
    return layer.forward(x)


def weight_of(layer: nn.Module) -> torch.Tensor:
    return layer.weight.detach().clone()


@torch.no_grad()
def set_weight(layer: nn.Module, weight: torch.Tensor) -> None:
    """Sets the effective weight. Under weight norm its direction gets a random length, which must be divided out."""
    if hasattr(layer, "parametrizations"):
        pair = layer.parametrizations.weight
        length = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.dim() - 1))
        pair.original0.copy_(length)
        pair.original1.copy_(weight * torch.empty_like(length).uniform_(0.5, 2.0))
    elif hasattr(layer, "weight_g"):
        length = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.dim() - 1))
        layer.weight_g.copy_(length)
        layer.weight_v.copy_(weight * torch.empty_like(length).uniform_(0.5, 2.0))
    else:
        layer.weight.copy_(weight)


@torch.no_grad()
def whitening(seen: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The map `x -> W x + b` that makes `seen` `[N, C]` white in its `width` main directions: W `[width, C]` and b."""
    mean = seen.mean(0)
    centred = (seen - mean).double()
    values, axes = torch.linalg.eigh(centred.T @ centred / len(seen))
    axes, values = axes[:, -width:], values[-width:].clamp_min(1e-3 * values[-1])
    rotation = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64))[0]
    weight = (rotation @ (axes / values.sqrt()).T).float()
    return weight, -(weight @ mean)


@torch.no_grad()
def whiten_outputs(layer: nn.Conv1d, seen: torch.Tensor) -> None:
    """Makes the outputs of a convolution, which were `seen` `[N, C]`, white."""
    mixing, bias = whitening(seen, seen.shape[1])
    set_weight(layer, torch.einsum("dc,cik->dik", mixing, weight_of(layer)))
    layer.bias.copy_(mixing @ layer.bias + bias)


@torch.no_grad()
def regression(inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Least squares with a little ridge: `targets ≈ inputs W^T + b`. Returns W `[out, in]`, b."""
    x, y = inputs.double(), targets.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    covariance = (x - mean_x).T @ (x - mean_x) / len(x)
    covariance += 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    weight = torch.linalg.solve(covariance, (x - mean_x).T @ (y - mean_y) / len(x)).T
    return weight.float(), (mean_y - weight @ mean_x).float()


@torch.no_grad()
def teach_factorised(quantizers: list[nn.Module], latents: torch.Tensor) -> None:
    """Whitens what each book of a SNAC or DAC quantiser sees of `latents` `[1, C, T]`, book by book.

    Codebooks are random; `out_proj` is the least-squares map back, so that every book takes its share of the residual.
    """
    residual = latents
    for quantizer in quantizers:
        stride = getattr(quantizer, "stride", 1)
        seen = nn.functional.avg_pool1d(residual, stride, stride)[0].T
        quantizer.codebook.weight.normal_()
        width = quantizer.codebook.weight.shape[1]
        weight, bias = whitening(seen, width)
        set_weight(quantizer.in_proj, weight[:, :, None])
        quantizer.in_proj.bias.copy_(bias)
        directions = nn.functional.normalize(seen @ weight.T + bias)
        chosen = (directions @ nn.functional.normalize(quantizer.codebook.weight).T).argmax(1)
        weight, bias = regression(quantizer.codebook.weight[chosen], seen)
        set_weight(quantizer.out_proj, weight[:, :, None])
        quantizer.out_proj.bias.copy_(bias)
        found = quantizer(residual)[0]
        residual = residual - found


@torch.no_grad()
def euclidean_book(residual: torch.Tensor, size: int) -> torch.Tensor:
    """A codebook `[size, d]`: normal, as wide in each direction as `residual` `[N, d]`, of many lengths, and scaled so
    that the least is left."""
    centred = residual - residual.mean(0)
    entries = torch.randn(size, len(residual)) @ centred / len(residual) ** 0.5
    entries = residual.mean(0) + entries * torch.empty(size, 1).uniform_(0.2, 1.4)
    for _ in range(4):
        chosen = entries[torch.cdist(residual, entries).argmin(1)]
        entries = entries * ((residual * chosen).sum() / chosen.square().sum()).clamp(0.3, 1.2)
    return entries
