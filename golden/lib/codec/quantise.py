"""How sure a quantiser is of each code."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@torch.no_grad()
def margins(seen: torch.Tensor, book: torch.Tensor, codes: torch.Tensor, *, normalise: bool) -> torch.Tensor:
    """How much farther the second nearest entry is than the nearest, as squared distances, in f64.

    `seen` `[N, d]` is what the codebook `[size, d]` is asked about. Asserts that `codes` `[N]` are nearest.
    """
    seen, book = seen.double(), book.double()
    if normalise:
        seen, book = nn.functional.normalize(seen), nn.functional.normalize(book)
    distance = torch.cdist(seen, book, compute_mode="donot_use_mm_for_euclid_dist").square()
    two = distance.topk(min(2, len(book)), largest=False).values
    chosen = distance.gather(1, codes[:, None])[:, 0]
    assert bool((chosen - two[:, 0] < 1e-5 * (1.0 + two[:, 0])).all()), "the reference chose another entry"
    return two[:, -1] - two[:, 0]


def variety(codes: torch.Tensor, size: int) -> float:
    """Different codes, as a share of how many there could be."""
    return len(codes.unique()) / min(size, len(codes))


@contextmanager
def seen_by(projections: list[nn.Module]) -> Iterator[list[torch.Tensor]]:
    """What quantisers see, `[T, d]` each, in the order in which their input projections run."""
    seen: list[torch.Tensor] = []
    hooks = [layer.register_forward_hook(lambda _layer, _args, out: seen.append(out[0].T)) for layer in projections]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def residual_margins(seen: torch.Tensor, books: list[torch.Tensor], codes: list[torch.Tensor]) -> list[torch.Tensor]:
    """`margins` of each of a chain of Euclidean `books`, the first of which sees `seen` `[T, d]`."""
    out = []
    for book, code in zip(books, codes):
        out.append(margins(seen, book, code, normalise=False))
        seen = seen - book[code]
    return out
