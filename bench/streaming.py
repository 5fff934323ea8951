"""A cache-aware encoder (the shape of nemotron-speech-streaming-en-0.6b), one step of it as ONNX, and heads that talk."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoFeatureExtractor,
    AutoModelForRNNT,
    AutoModelForTDT,
    NemotronAsrStreamingConfig,
    NemotronAsrStreamingEncoderConfig,
    NemotronAsrStreamingFeatureExtractor,
    NemotronAsrStreamingForRNNT,
    NemotronAsrStreamingProcessor,
)

import checkpoint
from modes import MODES
from transducer import Greedy
from work import MELS

LEFT, LOOKAHEADS, KERNEL = 70, (13, 6, 1, 0), 9
MEL_MEMORY = 7  # frames of features that a step sees again
TOKENS_PER_SECOND = 4.0
RATE, FRAME_SAMPLES = 16_000, 1280
CALIBRATION_S = 42.0
AXES = 64
SETTLED = 210  # frames after which the beginning of a stream is forgotten, nearly
SAYABLE = 256  # tokens; more than half of the LSTM's width would be hard to tell apart by a linear map


@torch.no_grad()
def build(folder: Path, layers: int, seed: int) -> None:
    """Writes a Hugging Face checkpoint in f32, as `checkpoint.build` does."""
    encoder = NemotronAsrStreamingEncoderConfig(
        hidden_size=1024, num_hidden_layers=layers, num_attention_heads=8, intermediate_size=4096, conv_kernel_size=KERNEL,
        attention_bias=False, convolution_bias=False, scale_input=False, num_mel_bins=MELS,
        subsampling_conv_channels=256, sliding_window=LEFT + 1, default_num_lookahead_tokens=LOOKAHEADS[0],
    )  # fmt: skip
    blank = checkpoint.VOCABULARY
    model = NemotronAsrStreamingForRNNT(
        NemotronAsrStreamingConfig(
            vocab_size=blank + 1, blank_token_id=blank, pad_token_id=1, encoder_config=encoder.to_dict()
        )
    ).eval()
    checkpoint.initialise(model, seed)
    model.save_pretrained(folder)
    NemotronAsrStreamingProcessor(
        NemotronAsrStreamingFeatureExtractor(feature_size=MELS), checkpoint.tokenizer(),
        supported_num_lookahead_tokens=list(LOOKAHEADS), default_num_lookahead_tokens=LOOKAHEADS[0],
    ).save_pretrained(folder)  # fmt: skip


def load(folder: Path) -> nn.Module:
    is_tdt = "durations" in json.loads((folder / "config.json").read_text())
    kind = AutoModelForTDT if is_tdt else AutoModelForRNNT
    return kind.from_pretrained(folder, attn_implementation="sdpa").eval()


def greedy(model: nn.Module) -> Greedy:
    """The search, on torch."""

    @torch.no_grad()
    def join(frames: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        hidden = model.encoder_projector(torch.from_numpy(frames)) + torch.from_numpy(outputs)
        return model.joint.head(model.joint.activation(hidden)).numpy()

    @torch.no_grad()
    def predict(tokens: np.ndarray, hidden: np.ndarray, cell: np.ndarray):
        decoder = model.decoder
        memory = (torch.from_numpy(hidden), torch.from_numpy(cell))
        output, (hidden, cell) = decoder.lstm(decoder.embedding(torch.from_numpy(tokens))[:, None], memory)
        return decoder.decoder_projector(output[:, 0]).numpy(), hidden.numpy(), cell.numpy()

    config = model.config
    durations = tuple(getattr(config, "durations", ()))
    return Greedy(join, predict, config.blank_token_id, config.num_decoder_layers, config.decoder_hidden_size, durations)


def audio(seconds: float, seed: int) -> np.ndarray:
    """Bursts of coloured noise and pauses, 60 to 280 ms each. Mono f32 at 16 kHz; less is the beginning of more."""
    rng = np.random.default_rng(seed)
    samples, bursts = int(seconds * RATE), []
    while sum(map(len, bursts)) < samples:
        noise = rng.normal(size=int(rng.uniform(0.06, 0.28) * RATE))
        loudness = rng.choice([0.0, 1.0], p=[0.15, 0.85]) * rng.uniform(0.02, 0.2) * np.hanning(len(noise))
        burst = loudness * (noise - rng.uniform(-0.9, 0.9) * np.roll(noise, 1))
        bursts.append(burst + rng.normal(0.0, 1e-3, len(noise)))
    return np.concatenate(bursts)[:samples].astype(np.float32)


@torch.no_grad()
def calibrate(folder: Path, seed: int) -> None:
    """Changes the heads of the checkpoint in place so that it says about `TOKENS_PER_SECOND` on the bench's audio.

    Random heads do not talk: the frames of a random encoder hardly differ beside their mean, so they say one token for
    ever, and RNNT that begins to speak says ten on a frame. These say where a frame lies in a plane in which frames move
    fast, each token being a direction, unless the last token is near. The blank's bias is found by bisection.
    """
    model = load(folder)
    heard = list(_encoded(model, folder, seed))
    frames = torch.cat([every[settled] for every, settled in heard])
    _say_directions(model, heard, seed)
    bias, blank, low, high = model.joint.head.bias, model.config.blank_token_id, 0.0, 10.0
    said = float("nan")
    for _ in range(10):
        bias[blank] = (low + high) / 2
        search = greedy(model)
        state = search.start()
        search.decode([state], frames.numpy()[None])
        said = state.tokens / (len(frames) / 12.5)
        low, high = (float(bias[blank]), high) if said > TOKENS_PER_SECOND else (low, float(bias[blank]))
    heads = ("encoder_projector.", "decoder.", "joint.")
    changed = {name: value for name, value in model.state_dict().items() if name.startswith(heads)}
    overwrite(folder / "model.safetensors", changed)
    found = {"tokens_per_second": round(said, 2), "blank_bias": round(float(bias[blank]), 4)}
    (folder / "calibration.json").write_text(json.dumps(found) + "\n")


def _encoded(model: nn.Module, folder: Path, seed: int) -> Iterator[tuple[torch.Tensor, slice]]:
    """Frames `[T, d]` of the bench's audio, under both extremes of look-ahead or of a window, and those of them that
    streams hear once they are under way."""
    mel = torch.from_numpy(features(folder, CALIBRATION_S, seed))
    if mel.dim() == 2:
        for lookahead in (LOOKAHEADS[0], LOOKAHEADS[-1]):
            yield model.encoder(mel[None], num_lookahead_tokens=lookahead).last_hidden_state[0], slice(SETTLED, None)
        return
    mode = MODES["10-2-2"]
    for window in mel:
        encoded = model.encoder(window[None]).last_hidden_state[0]
        yield encoded, slice(mode.left_frames, mode.left_frames + mode.frames)


def features(folder: Path, seconds: float, seed: int) -> np.ndarray:
    """Of the bench's audio, for the model in `folder`: `[frames, mels]`, or of every window of 10-2-2
    `[windows, frames, mels]`."""
    extractor, pcm = AutoFeatureExtractor.from_pretrained(folder), audio(seconds, seed)
    if isinstance(extractor, NemotronAsrStreamingFeatureExtractor):
        return checkpoint.mel(extractor, pcm)
    mode = MODES["10-2-2"]
    size, chunk = (n * FRAME_SAMPLES for n in (mode.left_frames + mode.frames + mode.right_frames, mode.frames))
    starts = range(0, len(pcm) - size + 1, chunk)
    return np.stack([checkpoint.mel(extractor, pcm[start : start + size]) for start in starts])


def _say_directions(model: nn.Module, heard: list[tuple[torch.Tensor, slice]], seed: int) -> None:
    """Unit i of the joint's hidden layer listens in direction i; token v is said if the units around it are loud."""
    blank, head = model.config.blank_token_id, model.joint.head
    units = 2 * torch.pi * torch.arange(head.in_features) / head.in_features
    tokens = 2 * torch.pi * torch.arange(SAYABLE) / SAYABLE
    mean = torch.cat([every[settled] for every, settled in heard]).mean(0)
    axes = _fast_axes([(every - mean, settled) for every, settled in heard])
    model.encoder_projector.weight.copy_(torch.stack([units.cos(), units.sin()], 1) @ axes)
    model.encoder_projector.bias.copy_(-(model.encoder_projector.weight @ mean))
    for name, weights in model.decoder.lstm.named_parameters():
        if name.startswith("weight_hh"):
            weights.zero_()
        if name.startswith("bias_ih"):
            weights[head.in_features : 2 * head.in_features] = -20.0  # forget all but the last token
    generator = torch.Generator().manual_seed(seed)
    # What all tokens have in common tells them from the zeros that stand for none.
    shape = model.decoder.embedding.weight[:blank].shape
    common = torch.randn(shape[1:], generator=generator)
    model.decoder.embedding.weight[:blank] = torch.randn(shape, generator=generator) + common
    history = torch.randint(0, SAYABLE, (64, 32), generator=generator)
    state = model.decoder.lstm(model.decoder.embedding(history))[0].flatten(0, 1)
    near = -8.0 * (units - tokens[history].flatten()[:, None]).cos().clamp(min=0.0)
    silent = model.decoder.lstm(model.decoder.embedding(torch.full((1, 1), blank)))[0].flatten(0, 1)
    state, near = torch.cat([state, silent]), torch.cat([near, torch.zeros(1, len(units))])
    found = torch.linalg.lstsq(torch.cat([state, torch.ones(len(state), 1)], 1), near).solution
    model.decoder.decoder_projector.weight.copy_(found[:-1].T)
    model.decoder.decoder_projector.bias.copy_(found[-1])
    head.weight[: blank + 1] = 0.0
    head.weight[:SAYABLE] = (units - tokens[:, None]).cos() * 4.0 / head.in_features
    head.bias[:SAYABLE], head.bias[SAYABLE:blank] = 0.0, -100.0


def _fast_axes(heard: list[tuple[torch.Tensor, slice]]) -> torch.Tensor:
    """`[2, d]`: of the principal axes of all frames, scaled to deviation 1, those two combinations that change most from one
    settled frame to the next, scaled to deviation 1 over these. A beginning or an edge, far as it is from the rest, is
    within the usual distance there."""
    every = torch.cat([frames for frames, _ in heard])
    _, deviation, axes = torch.linalg.svd(every, full_matrices=False)
    axes = axes[:AXES] * len(every) ** 0.5 / deviation[:AXES, None]
    settled = [frames[part] @ axes.T for frames, part in heard]
    _, _, fast = torch.linalg.svd(torch.cat([frames.diff(dim=0) for frames in settled]), full_matrices=False)
    return fast[:2] @ axes / (torch.cat(settled) @ fast[:2].T).std(0)[:, None]


def overwrite(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Replaces tensors of a safetensors file by others of the same shape, in place."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name, tensor in tensors.items():
            begin, end = header[name]["data_offsets"]
            values = tensor.float().contiguous().numpy().tobytes()
            assert header[name]["dtype"] == "F32" and end - begin == len(values), name
            file.seek(8 + length + begin)
            file.write(values)
