"""Tiny random checkpoints that are lively: every layer at a realistic scale, every head undecided."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import (
    Nemotron3_5AsrConfig,
    Nemotron3_5AsrForRNNT,
    NemotronAsrStreamingConfig,
    NemotronAsrStreamingEncoderConfig,
    NemotronAsrStreamingForRNNT,
    ParakeetCTCConfig,
    ParakeetEncoderConfig,
    ParakeetForCTC,
    ParakeetForRNNT,
    ParakeetForTDT,
    ParakeetRNNTConfig,
    ParakeetTDTConfig,
)

from . import search

BLANK_SHARE = 0.5


@dataclass(frozen=True)
class Spec:
    """One point of the config space.

    `head` is tdt, rnnt, ctc, hybrid (tdt + ctc), nemotron or nemotron3_5. A `stuck` model runs into the ten-symbol rule.
    """

    name: str
    head: str
    mels: int = 80
    width: int = 32
    heads: int = 4
    kernel: int = 9
    bias: bool = True
    scale_input: bool = False
    channels: int = 8
    lstm_layers: int = 1
    vocabulary: int = 48
    control: tuple[str, ...] = ()
    punctuation: bool = False
    left: int = 0
    rights: tuple[int, ...] = ()
    nemo: str | None = None
    hugging_face: bool = True
    windows: tuple[tuple[int, int, int], ...] = ()
    stuck: bool = False
    seed: int = 1

    @property
    def streaming(self) -> bool:
        return self.head.startswith("nemotron")

    @property
    def family(self) -> str:
        return "rnnt" if self.streaming else "tdt" if self.head == "hybrid" else self.head


def build(spec: Spec, pad: int) -> nn.Module:
    """The `transformers` model of `spec`, re-initialised layer by layer from its seed. f32, eval."""
    encoder = dict(
        hidden_size=spec.width,
        num_hidden_layers=2,
        num_attention_heads=spec.heads,
        intermediate_size=4 * spec.width if spec.width < 64 else 2 * spec.width,
        conv_kernel_size=spec.kernel,
        attention_bias=spec.bias,
        convolution_bias=spec.bias,
        scale_input=spec.scale_input,
        num_mel_bins=spec.mels,
        subsampling_conv_channels=spec.channels,
        dropout=0.0,
        layerdrop=0.0,
        activation_dropout=0.0,
        attention_dropout=0.0,
    )
    if spec.streaming:
        encoder = NemotronAsrStreamingEncoderConfig(
            **encoder, sliding_window=spec.left + 1, default_num_lookahead_tokens=spec.rights[0]
        )
    else:
        encoder = ParakeetEncoderConfig(**encoder)
    common = dict(vocab_size=spec.vocabulary + 1, encoder_config=encoder.to_dict(), pad_token_id=pad)
    transducer = dict(
        **common, decoder_hidden_size=32, num_decoder_layers=spec.lstm_layers, blank_token_id=spec.vocabulary
    )
    classes = {
        "ctc": lambda: ParakeetForCTC(ParakeetCTCConfig(**common)),
        "rnnt": lambda: ParakeetForRNNT(ParakeetRNNTConfig(**transducer)),
        "tdt": lambda: ParakeetForTDT(ParakeetTDTConfig(**transducer)),
        "hybrid": lambda: ParakeetForTDT(ParakeetTDTConfig(**transducer)),
        "nemotron": lambda: NemotronAsrStreamingForRNNT(NemotronAsrStreamingConfig(**transducer)),
        "nemotron3_5": lambda: Nemotron3_5AsrForRNNT(
            Nemotron3_5AsrConfig(**transducer, prompt_intermediate_size=2 * spec.width)
        ),
    }
    model = classes[spec.head]().eval()
    # Under "eager" the streaming encoder gets an additive float mask and reads its zeros as "masked".
    model.set_attn_implementation("sdpa")
    if spec.head != "ctc":
        model.generation_config.decoder_start_token_id = spec.vocabulary
    if hasattr(model.config, "durations"):
        # `generate` takes the argmax over token and duration logits together unless these ids are suppressed.
        first = model.config.vocab_size
        model.generation_config.suppress_tokens = list(range(first, first + len(model.config.durations)))
    return model


@torch.no_grad()
def reinitialise(model: nn.Module, seed: int) -> None:
    """Each layer's own default initialisation, then random norms, running statistics and position biases."""
    torch.manual_seed(seed)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, (nn.LayerNorm, nn.BatchNorm1d)):
            module.weight.uniform_(0.6, 1.4)
            module.bias.normal_(0.0, 0.2)
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.02, 0.4)
        for name in ("bias_u", "bias_v"):
            if hasattr(module, name):
                getattr(module, name).normal_(0.0, 0.5)
    if hasattr(model, "decoder"):
        model.decoder.embedding.weight[model.config.blank_token_id] = 0.0


@torch.no_grad()
def whiten(layer: nn.Linear | nn.Conv1d, outputs: torch.Tensor, scale: float = 1.0) -> None:
    """Rescales the rows of `layer`, whose outputs were `[N, out]`, to mean 0 and standard deviation `scale`."""
    gain = scale / outputs.std(0)
    layer.bias.copy_((layer.bias - outputs.mean(0)) * gain)
    layer.weight.mul_(gain.reshape(-1, *[1] * (layer.weight.dim() - 1)))


def liven_transducer(model: nn.Module, encoded: list[torch.Tensor], quiet: list[int], spec: Spec) -> None:
    """Makes the joint undecided about the encoder outputs `[T, d]` given; about half of all decisions become blank.

    `quiet` lists the ids that must not be said (`<unk>`, `<pad>`).
    """
    _whiten_joint(model, encoded, spec.seed)
    with torch.no_grad():
        model.joint.head.bias[quiet] -= 50.0
    if spec.family == "tdt" or spec.stuck:
        _balance_blank(model, encoded, search.tdt if spec.family == "tdt" else search.rnnt)
    else:
        _teach(model, encoded, quiet, spec.seed)


@torch.no_grad()
def _whiten_joint(model: nn.Module, encoded: list[torch.Tensor], seed: int) -> None:
    config = model.config
    whiten(model.encoder_projector, model.encoder_projector(torch.cat(encoded)))
    generator = torch.Generator().manual_seed(seed)
    heard = torch.randint(0, config.vocab_size - 1, (8, 24), generator=generator)
    whiten(model.decoder.decoder_projector, model.decoder(heard).flatten(0, 1))
    frames = model.encoder_projector(torch.cat(encoded))
    states = model.decoder(heard).flatten(0, 1)
    states = states[torch.randint(0, len(states), (len(frames),), generator=generator)]
    whiten(model.joint.head, model.joint.head(model.joint.activation(frames + states)), 2.0)


@torch.no_grad()
def _balance_blank(model: nn.Module, encoded: list[torch.Tensor], run: Callable) -> None:
    low, high = -20.0, 20.0
    before = float(model.joint.head.bias[model.config.blank_token_id])
    for _ in range(12):
        middle = (low + high) / 2
        model.joint.head.bias[model.config.blank_token_id] = before + middle
        found = search.Hypothesis()
        for one in encoded:
            run(model.encoder_projector(one), search.Prediction(model).start(), found)
        low, high = (middle, high) if found.blanks < BLANK_SHARE * found.steps else (low, middle)


def _teach(model: nn.Module, encoded: list[torch.Tensor], quiet: list[int], seed: int, steps: int = 300) -> None:
    """A few steps of gradient descent: say the class of a frame when it differs from the class said last.

    Without it a random RNNT that leaves blank seldom comes back to it: nothing in its state says that a frame has had
    its say, and it runs into the ten-symbol rule.
    """
    generator = torch.Generator().manual_seed(seed)
    blank = model.config.blank_token_id
    sayable = torch.tensor([token for token in range(blank) if token not in quiet])
    everything = torch.cat(encoded)
    mean = everything.mean(0)
    _, deviation, axes = torch.linalg.svd(everything - mean, full_matrices=False)
    axes = axes[:12].T / deviation[:12]
    classes = sayable[torch.randperm(len(sayable), generator=generator)[:24]]
    probe = axes @ torch.randn(axes.shape[1], len(classes), generator=generator)
    paths = []
    for one in encoded:
        frames, states, labels, tokens = [], [], [], [blank]
        for t, token in enumerate(classes[((one - mean) @ probe).argmax(-1)].tolist()):
            if token != tokens[-1]:
                frames.append(t)
                states.append(len(tokens) - 1)
                labels.append(token)
                tokens.append(token)
            frames.append(t)
            states.append(len(tokens) - 1)
            labels.append(blank)
        paths.append((one.detach(), torch.tensor([tokens]), frames, states, torch.tensor(labels)))
    learned = [model.encoder_projector, model.decoder, model.joint]
    optimiser = torch.optim.Adam([p for module in learned for p in module.parameters()], lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        for one, history, frames, states, labels in paths:
            hidden = model.encoder_projector(one)[frames] + model.decoder(history)[0, states]
            logits = model.joint.head(model.joint.activation(hidden))
            loss = nn.functional.cross_entropy(logits, labels) / len(paths)
            loss.backward()
        model.decoder.embedding.weight.grad[blank] = 0.0
        optimiser.step()


@torch.no_grad()
def liven_ctc(head: nn.Conv1d, encoded: list[torch.Tensor], quiet: list[int]) -> None:
    """As `liven_transducer`, for a CTC head whose last row is blank."""
    whiten(head, ctc_logits(head, torch.cat(encoded)), 2.0)
    head.bias[quiet] -= 50.0
    logits = ctc_logits(head, torch.cat(encoded))
    lead = logits[:, :-1].max(-1).values - logits[:, -1]
    head.bias[-1] += lead.quantile(BLANK_SHARE)


def ctc_logits(head: nn.Conv1d, encoded: torch.Tensor) -> torch.Tensor:
    """`[T, d]` -> `[T, V + 1]`; the head is a convolution of width 1."""
    return nn.functional.linear(encoded, head.weight[:, :, 0], head.bias)
