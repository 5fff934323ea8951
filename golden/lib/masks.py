"""Attention masks over encoder frames, `[T, T]` bool, query first: may query `i` see key `j`?"""

import torch


def build(style: str, context: list[int], frames: int) -> torch.Tensor:
    i = torch.arange(frames)[:, None]
    j = torch.arange(frames)[None, :]
    if style == "full":
        return torch.ones(frames, frames, dtype=torch.bool)
    if style == "regular":
        left, right = context
        return ((j >= i - left) | (left < 0)) & ((j <= i + right) | (right < 0))
    if style == "chunked_limited":
        left, right = context
        chunk = right + 1
        assert left % chunk == 0, "the left context must hold whole chunks"
        behind = i // chunk - j // chunk
        return (behind >= 0) & (behind <= left // chunk)
    if style == "chunked_limited_with_rc":
        left, chunk, right = context
        start = i // chunk * chunk
        return (j >= start - left) & (j <= start + chunk - 1 + right)
    raise ValueError(style)
