"""Runs the `transformers` modules and keeps what passes each seam."""

from dataclasses import dataclass

import numpy as np
import torch

from . import masks, search


@dataclass
class Encoded:
    """One utterance, valid frames only: features `[N, mels]`, everything else `[T, d]`."""

    mel_raw: torch.Tensor
    mel: torch.Tensor
    subsampled: torch.Tensor
    layers: list[torch.Tensor]
    encoder: torch.Tensor


@torch.no_grad()
def features(extractor, pcm: list[np.ndarray]) -> dict:
    """The extractor's output for a batch: `input_features` `[B, N + 1, mels]` and `attention_mask`."""
    return dict(extractor(pcm, sampling_rate=16_000, return_attention_mask=True, return_tensors="pt"))


@torch.no_grad()
def mel_before_normalisation(extractor, pcm: np.ndarray) -> torch.Tensor:
    """`[N, mels]`: the extractor's own pre-emphasis, STFT and log, without its last step."""
    x = torch.from_numpy(pcm)
    x = torch.cat([x[:1], x[1:] - extractor.preemphasis * x[:-1]])
    return extractor._torch_extract_fbank_features(x[None])[0, : len(pcm) // 160]


@torch.no_grad()
def encode(model, extractor, pcm: np.ndarray, lookahead: int | None = None) -> Encoded:
    encoder = model.encoder
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out[0].clone()))
        for name, module in [("subsampled", encoder.subsampling)]
        + [(f"layer.{i}", layer) for i, layer in enumerate(encoder.layers)]
    ]
    inputs = features(extractor, [pcm])
    extra = {} if lookahead is None else {"num_lookahead_tokens": lookahead}
    output = encoder(**inputs, **extra)
    for hook in hooks:
        hook.remove()
    valid = int(output.attention_mask.sum())
    frames = int(inputs["attention_mask"].sum())
    return Encoded(
        mel_raw=mel_before_normalisation(extractor, pcm),
        mel=inputs["input_features"][0, :frames],
        subsampled=(seen["subsampled"] * encoder.input_scale)[:valid],
        layers=[seen[f"layer.{i}"][:valid] for i in range(len(encoder.layers))],
        encoder=output.last_hidden_state[0, :valid],
    )


@torch.no_grad()
def encode_masked(model, mel: torch.Tensor, style: str, context: list[int]) -> torch.Tensor:
    """The encoder's layers under an explicit attention mask. `mel` `[N, mels]` normalised -> `[T, d]`."""
    encoder = model.encoder
    hidden = encoder.subsampling(mel[None]) * encoder.input_scale
    positions = encoder.encode_positions(hidden)
    mask = masks.build(style, context, hidden.shape[1])[None, None]
    for layer in encoder.layers:
        hidden = layer(hidden, attention_mask=mask, position_embeddings=positions)
    return hidden[0]


@torch.no_grad()
def project(model, encoded: torch.Tensor, prompt: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoder output `[T, d]` -> (what the joint sees, its projection `[T, joint]`)."""
    if prompt is not None:
        one_hot = torch.nn.functional.one_hot(torch.tensor(prompt), model.config.num_prompts).float()
        encoded = model.prompt_projector(torch.cat([encoded, one_hot.expand(len(encoded), -1)], -1))
    return encoded, model.encoder_projector(encoded)


@torch.no_grad()
def transduce(model, projected: torch.Tensor) -> search.Hypothesis:
    run = search.tdt if hasattr(model.config, "durations") else search.rnnt
    return run(projected, search.Prediction(model).start(), search.Hypothesis())


@torch.no_grad()
def generate(model, extractor, pcm: np.ndarray, **extra) -> tuple[list[int], list[int], list[int]]:
    """`transformers`' own search: (tokens, frames, advances), blanks removed."""
    output = model.generate(**features(extractor, [pcm]), **extra)
    steps = zip(output.sequences[0, 1:].tolist(), output.durations[0, 1:].tolist())
    tokens, frames, advances, at = [], [], [], 0
    for token, advance in steps:
        if token != model.config.blank_token_id:
            tokens.append(token)
            frames.append(at)
            advances.append(advance)
        at += advance
    return tokens, frames, advances
