"""Left-chunk-right windows over long audio, with the decoder state carried from chunk to chunk.

The loop is NeMo's `speech_to_text_streaming_infer_rnnt.py`, with one repair: on the last window the samples dropped
from the left are rounded up to whole encoder frames, so that the window's frame grid stays that of the stream.
"""

from dataclasses import dataclass

FRAME = 1280


@dataclass(frozen=True)
class Window:
    """`samples` of audio from `start`; the decoder visits `frames` encoder frames after the first `skip`."""

    start: int
    samples: int
    skip: int
    frames: int
    first_frame: int


def plan(total: int, left: int, chunk: int, right: int) -> list[Window]:
    """All windows for `total` samples; contexts in encoder frames."""
    limit = (left + chunk + right) * FRAME
    windows: list[Window] = []
    have_left = have_chunk = have_right = 0
    fed = decoded = 0
    while fed < total:
        add = min((chunk + right) * FRAME if fed == 0 else chunk * FRAME, total - fed)
        fed += add
        have_left += have_chunk
        have_right += add
        is_last = fed == total
        have_chunk = have_right if is_last else chunk * FRAME
        have_right = 0 if is_last else have_right - have_chunk
        extra = max(have_left + have_chunk + have_right - limit, 0)
        have_left -= -(-extra // FRAME) * FRAME
        samples = have_left + have_chunk + have_right
        skip = have_left // FRAME
        frames = encoder_frames(samples) - skip if is_last else chunk
        assert have_left % FRAME == 0
        windows.append(Window(fed - samples, samples, skip, frames, decoded))
        decoded += frames
    assert decoded == encoder_frames(total), "every frame of the offline encoder is decoded once"
    return windows


def encoder_frames(samples: int) -> int:
    """Of the non-causal encoder: ceil(floor(samples / 160) / 8)."""
    return -(-(samples // 160) // 8)
