"""One step of the cache-aware encoder, and the networks of the search, as ONNX: what a peer needs to stream.

The step is the best that a graph with its memory as inputs and outputs can be, and better than the exports that people
use: keys and values are cached and not computed again, the projection of positions is a constant, the subsampling sees
no frame for nothing, only new rows come out (the host keeps the rest), and any number of streams make a batch.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import checkpoint
from streaming import KERNEL, LEFT, LOOKAHEADS, MEL_MEMORY, features, load
from work import MELS


class Step(nn.Module):
    """Encoder frames T of streams B at once. All tensors f32 but `seen`, int64.

    `mel` `[B, 7 + 8 T, mels]`, the first seven frames of which the last step has seen; `keys_values`
    `[B, left, 2 layers, d]` and `convolved` `[B, kernel - 1, layers, d]`, what earlier steps gave; `seen` `[B]`, how many
    frames the stream has had. Gives the encoder's frames `[B, T, d]` and the new rows of both memories.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.subsampling, self.blocks = encoder.subsampling, encoder.layers
        # A short linear map is quantised where a convolution of width one is not.
        self.points = nn.ModuleList(
            nn.ModuleList(_linear(part) for part in (block.conv.pointwise_conv1, block.conv.pointwise_conv2))
            for block in self.blocks
        )
        longest = torch.zeros(1, LEFT + max(LOOKAHEADS) + 1, encoder.config.hidden_size)
        positions = encoder.encode_positions(longest)[0, : LEFT + 2 * max(LOOKAHEADS) + 1]
        attention = [block.self_attn for block in self.blocks]
        heads = encoder.config.num_attention_heads
        table = [part.relative_k_proj(positions).unflatten(-1, (heads, -1)).permute(1, 2, 0) for part in attention]
        self.positions = nn.ParameterList(nn.Parameter(one.contiguous(), requires_grad=False) for one in table)

    def forward(self, mel: torch.Tensor, keys_values: torch.Tensor, convolved: torch.Tensor, seen: torch.Tensor):
        hidden = self._subsample(mel, seen)
        # Slots of the memory that no frame has filled yet are not to be seen.
        filled = torch.arange(LEFT)[None] >= LEFT - seen[:, None]
        empty = functional.pad((~filled).float(), (0, hidden.shape[1]))[:, None, None] * -1e9
        memory, rows = keys_values.unbind(2), []
        for index, block in enumerate(self.blocks):
            hidden = hidden + 0.5 * block.feed_forward1(block.norm_feed_forward1(hidden))
            attended, key, value = self._attend(index, hidden, memory[2 * index], memory[2 * index + 1], empty)
            hidden = hidden + attended
            made, gated = self._convolve(index, hidden, convolved[:, :, index])
            hidden = hidden + made
            hidden = hidden + 0.5 * block.feed_forward2(block.norm_feed_forward2(hidden))
            hidden = block.norm_out(hidden)
            rows.append((key, value, gated))
        new = torch.stack([row for key, value, _ in rows for row in (key, value)], 2)
        return hidden, new, torch.stack([gated for _, _, gated in rows], 2)

    def _subsample(self, mel: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Valid convolutions in time. What lies before the stream's first frame is zero at every stage."""
        subsampling = self.subsampling
        hidden = _from(mel[:, None], 14 - 8 * seen)
        hidden = functional.relu(_strided(subsampling.conv_in, hidden))
        for first, layer in zip((6 - 4 * seen, 2 - 2 * seen), subsampling.layers, strict=True):
            hidden = _strided(layer.depthwise_conv, _from(hidden, first))
            hidden = functional.relu(layer.pointwise_conv(hidden))
        return subsampling.linear(hidden.transpose(1, 2).flatten(2))

    def _attend(self, index: int, hidden: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, empty: torch.Tensor):
        block = self.blocks[index]
        part, hidden = block.self_attn, block.norm_self_att(hidden)
        key, value = part.k_proj(hidden), part.v_proj(hidden)
        shape = (-1, part.head_dim)
        query = part.q_proj(hidden).unflatten(-1, shape)
        count = hidden.shape[1]
        table = self.positions[index][:, :, max(LOOKAHEADS) + 1 - count : LEFT + max(LOOKAHEADS) + count]
        distant = (query + part.bias_v).transpose(1, 2) @ table
        all_keys = torch.cat([keys, key], 1).unflatten(-1, shape).permute(0, 2, 3, 1)
        all_values = torch.cat([values, value], 1).unflatten(-1, shape).transpose(1, 2)
        scores = (query + part.bias_u).transpose(1, 2) @ all_keys + _shifted(distant, count)
        weights = (scores * part.scaling + empty).softmax(-1)
        return part.o_proj((weights @ all_values).transpose(1, 2).flatten(2)), key, value

    def _convolve(self, index: int, hidden: torch.Tensor, before: torch.Tensor):
        block, (widen, narrow) = self.blocks[index], self.points[index]
        gated = functional.glu(widen(block.norm_conv(hidden)), -1)
        joined = torch.cat([before, gated], 1).transpose(1, 2)
        part = block.conv
        mixed = functional.conv1d(joined, part.depthwise_conv.weight, part.depthwise_conv.bias, groups=joined.shape[1])
        return narrow(part.activation(part.norm(mixed.transpose(1, 2)))), gated


def _linear(convolution: nn.Conv1d) -> nn.Linear:
    made = nn.Linear(convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None)
    made.weight = nn.Parameter(convolution.weight[:, :, 0].contiguous(), requires_grad=False)
    if convolution.bias is not None:
        made.bias = convolution.bias
    return made


def _from(hidden: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """`[B, C, T, F]` with zeros before the frame `first` `[B]`."""
    return hidden * (torch.arange(hidden.shape[2])[None] >= first[:, None])[:, None, :, None]


def _strided(part: nn.Conv2d, hidden: torch.Tensor) -> torch.Tensor:
    padded = functional.pad(hidden, part.freq_pad)
    return functional.conv2d(padded, part.weight, part.bias, part.stride, groups=part.groups)


def _shifted(scores: torch.Tensor, count: int) -> torch.Tensor:
    """`[B, H, T, left + 2 T - 1]` by distance -> `[B, H, T, left + T]` by key."""
    batch, heads = scores.shape[:2]
    width = LEFT + 2 * count - 1
    padded = functional.pad(scores, (1, 0)).reshape(batch, heads, width + 1, count)
    return padded[:, :, 1:].reshape(batch, heads, count, width)[..., : LEFT + count]


class Joiner(nn.Module):
    def __init__(self, model: nn.Module):
        super().__init__()
        self.projector, self.joint = model.encoder_projector, model.joint

    def forward(self, frames: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """`[B, d]` and `[B, p]`. The axis in between makes `MatMul`s, which can be quantised."""
        hidden = self.joint.activation(self.projector(frames[:, None]) + outputs[:, None])
        return self.joint.head(hidden)[:, 0]


class Predictor(nn.Module):
    def __init__(self, model: nn.Module):
        super().__init__()
        self.decoder = model.decoder

    def forward(self, tokens: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor):
        output, (hidden, cell) = self.decoder.lstm(self.decoder.embedding(tokens)[:, None], (hidden, cell))
        return self.decoder.decoder_projector(output[:, 0]), hidden, cell


def example(encoder_layers: int, streams: int, frames: int) -> tuple[torch.Tensor, ...]:
    d = 1024
    return (
        torch.randn(streams, MEL_MEMORY + 8 * frames, MELS),
        torch.randn(streams, LEFT, 2 * encoder_layers, d),
        torch.randn(streams, KERNEL - 1, encoder_layers, d),
        torch.full((streams,), LEFT),
    )


@torch.no_grad()
def distance(encoder: nn.Module, mel: np.ndarray, lookahead: int) -> float:
    """How far the frames that `Step` gives step by step are from those of `transformers` under the same mask: the largest
    difference, relative to the largest value."""
    offline = encoder(torch.from_numpy(mel)[None], num_lookahead_tokens=lookahead).last_hidden_state[0]
    step, count, layers = Step(encoder).eval(), lookahead + 1, len(encoder.layers)
    _, keys_values, convolved, _ = (torch.zeros_like(one) for one in example(layers, 1, count))
    seen, frames = torch.zeros(1, dtype=torch.int64), []
    padded = torch.cat([torch.zeros(2 * MEL_MEMORY, MELS), torch.from_numpy(mel)])
    for at in range(0, len(padded) - MEL_MEMORY - 8 * count + 1, 8 * count):
        encoded, new, gated = step(padded[None, at : at + MEL_MEMORY + 8 * count], keys_values, convolved, seen)
        keys_values = torch.cat([keys_values, new], 1)[:, -LEFT:]
        convolved = torch.cat([convolved, gated], 1)[:, 1 - KERNEL :]
        seen = (seen + count).clamp(max=LEFT)
        frames.append(encoded[0])
    streamed = torch.cat(frames)
    return float((streamed - offline[: len(streamed)]).abs().max() / offline.abs().max())


def export_step(folder: Path, path: Path) -> None:
    encoder = load(folder).encoder
    far = distance(encoder, features(folder, 8.0, seed=1), lookahead=1)
    if far > 1e-4:
        raise SystemExit(f"steps disagree with transformers by {far} of the largest value")
    batch, frames = torch.export.Dim("batch", min=1, max=512), torch.export.Dim("frames", min=1, max=14)
    torch.onnx.export(
        Step(encoder).eval(), example(len(encoder.layers), 2, 3), path,
        input_names=["mel", "keys_values", "convolved", "seen"], output_names=["encoded", "new_keys_values", "new_convolved"],
        dynamic_shapes=({0: batch, 1: 8 * frames + MEL_MEMORY}, {0: batch}, {0: batch}, {0: batch}),
        dynamo=True, external_data=True,
    )  # fmt: skip


def export_search(folder: Path, out: Path, family: str) -> None:
    """`joiner-FAMILY.onnx`, `predictor-FAMILY.onnx`, and `search-FAMILY.json` with what the search has to know."""
    model = load(folder)
    layers, width = model.config.num_decoder_layers, model.config.decoder_hidden_size
    batch = torch.export.Dim("batch", min=1, max=512)
    torch.onnx.export(
        Joiner(model).eval(), (torch.randn(2, 1024), torch.randn(2, width)), out / f"joiner-{family}.onnx",
        input_names=["frames", "outputs"], output_names=["logits"], dynamic_shapes=({0: batch}, {0: batch}),
        dynamo=True, external_data=False,
    )  # fmt: skip
    memory = torch.randn(layers, 2, width)
    torch.onnx.export(
        Predictor(model).eval(), (torch.tensor([1, 2]), memory, memory), out / f"predictor-{family}.onnx",
        input_names=["tokens", "hidden", "cell"], output_names=["outputs", "new_hidden", "new_cell"],
        dynamic_shapes=({0: batch}, {1: batch}, {1: batch}), dynamo=True, external_data=False,
    )  # fmt: skip
    facts = {"blank": model.config.blank_token_id, "durations": list(getattr(model.config, "durations", []))}
    (out / f"search-{family}.json").write_text(json.dumps(facts) + "\n")


def prepare(folder: Path, out: Path, family: str) -> None:
    """Exports what is not there yet, in f32 and 8 bits."""
    name, export = {"windows": ("encoder", checkpoint.export), "cached": ("step", export_step)}[family]
    graphs = [out / f"{name}.onnx", out / f"joiner-{family}.onnx"]
    if not graphs[0].exists():
        export(folder, graphs[0])
    if not graphs[1].exists():
        export_search(folder, out, family)
    for graph in graphs:
        quantized = graph.with_stem(f"{graph.stem}-int8")
        if not quantized.exists():
            checkpoint.quantize(graph, quantized)
