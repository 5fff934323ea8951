"""The ways of streaming that are measured."""

from dataclasses import dataclass

FRAME_S = 0.08


@dataclass(frozen=True)
class Mode:
    """`windows`: every step encodes left context, chunk and right context anew, in encoder frames. `cached`: it encodes
    `frames` new ones, which are the look-ahead and one."""

    name: str
    family: str
    frames: int
    left_frames: int = 0
    right_frames: int = 0

    @property
    def chunk_s(self) -> float:
        return self.frames * FRAME_S

    @property
    def latency_s(self) -> float:
        """From a frame's first sample, at the chunk's beginning, to the last that its step needs."""
        return (self.frames + self.right_frames) * FRAME_S

    def batches(self, most_rows: int) -> list[int]:
        """Powers of two, up to so many encoder frames in a step."""
        rows = self.left_frames + self.frames + self.right_frames
        return [2**n for n in range(7) if 2**n * rows <= most_rows]


MODES = {
    mode.name: mode
    for mode in (
        Mode("10-2-2", "windows", frames=25, left_frames=125, right_frames=25),
        *(Mode(f"R={lookahead}", "cached", frames=lookahead + 1) for lookahead in (13, 6, 1, 0)),
    )
}
