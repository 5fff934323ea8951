"""The network on equally long rows, the packed TDT loss, and greedy decoding.

`encode` computes what `transformers`' ParakeetEncoder does, with the same parameters, for a batch whose rows all have
the same number of frames: no masks, no padding, the position projection once per batch, and the depthwise convolution
as a sum of shifts, which `torch.compile` fuses. `python model.py --check DIR` compares both with `transformers`.
"""
import argparse
import ctypes
import os
import subprocess

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers.models.parakeet.modeling_parakeet import ParakeetForTDT

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB, BLANK, DURATIONS = 257, 256, 5


def load(folder):
    """(model in f32, tokenizer) of a Hugging Face folder."""
    model = ParakeetForTDT.from_pretrained(folder, dtype=torch.float32)
    return model, Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))


def relative_positions(length, inv_freq):
    position = torch.arange(length - 1, -length, -1, dtype=torch.float32)
    angle = position[:, None] * inv_freq
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def subsample(sub, x):
    x = x.unsqueeze(1)
    with torch.autocast("cpu", enabled=False):  # these convolutions are faster in f32
        for layer in sub.layers:
            x = layer(x)
    return sub.linear(x.transpose(1, 2).flatten(2))


def attention(m, x, pos):
    B, T, C = x.shape
    H, K = m.config.num_attention_heads, m.head_dim
    q = m.q_proj(x).view(B, T, H, K)
    k = m.k_proj(x).view(B, T, H, K).permute(0, 2, 3, 1)
    v = m.v_proj(x).view(B, T, H, K).transpose(1, 2)
    p = m.relative_k_proj(pos).view(2 * T - 1, H, K).permute(1, 2, 0)
    content = (q + m.bias_u).transpose(1, 2) @ k
    place = (q + m.bias_v).transpose(1, 2) @ p  # [B, H, T, 2T - 1]
    place = F.pad(place, (1, 0)).view(B, H, 2 * T, T)[:, :, 1:].reshape(B, H, T, 2 * T - 1)[..., :T]
    w = ((content + place) * m.scaling).float().softmax(-1).to(v.dtype)
    return m.o_proj((w @ v).transpose(1, 2).reshape(B, T, C))


def convolution(m, x, training):
    a, gate = F.linear(x, m.pointwise_conv1.weight.squeeze(-1)).chunk(2, -1)
    x = a * torch.sigmoid(gate)
    T, size, w = x.shape[1], m.depthwise_conv.kernel_size[0], m.depthwise_conv.weight.squeeze(1)
    padded = F.pad(x, (0, 0, m.padding, m.padding))
    y = padded[:, :T] * w[:, 0]
    for i in range(1, size):
        y = y + padded[:, i:i + T] * w[:, i]
    y = y.float()
    if training:
        mean, var = y.mean((0, 1)), y.var((0, 1), unbiased=False)
        stats = (mean.detach(), var.detach())
    else:
        mean, var, stats = m.norm.running_mean, m.norm.running_var, None
    y = (y - mean) * (torch.rsqrt(var + m.norm.eps) * m.norm.weight) + m.norm.bias
    return F.linear(F.silu(y), m.pointwise_conv2.weight.squeeze(-1)), stats


def block(m, x, pos, training):
    x = x + 0.5 * m.feed_forward1.linear2(F.silu(m.feed_forward1.linear1(m.norm_feed_forward1(x))))
    x = x + attention(m.self_attn, m.norm_self_att(x), pos)
    y, stats = convolution(m.conv, m.norm_conv(x), training)
    x = x + y
    x = x + 0.5 * m.feed_forward2.linear2(F.silu(m.feed_forward2.linear1(m.norm_feed_forward2(x))))
    return m.norm_out(x), stats


def encode(model, x, training=False):
    """[B, frames, 80] normalised features -> encoder states [B, T, 144] and, in training, batch-norm statistics."""
    enc = model.encoder
    x = subsample(enc.subsampling, x)
    pos = relative_positions(x.shape[1], enc.encode_positions.inv_freq)
    stats = []
    for layer in enc.layers:
        x, s = block(layer, x, pos, training)
        stats.append(s)
    return x, stats


def update_batch_norm(model, stats, momentum=0.05):
    with torch.no_grad():
        for layer, (mean, var) in zip(model.encoder.layers, stats):
            layer.conv.norm.running_mean.lerp_(mean.float(), momentum)
            layer.conv.norm.running_var.lerp_(var.float(), momentum)


def library():
    """Compiles tdt_loss.c for this processor."""
    source, out = os.path.join(HERE, "tdt_loss.c"), os.environ.get("TDT_LOSS", "tdt_loss.so")
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        subprocess.run(["gcc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", source, "-o", out, "-lm", "-lmvec"], check=True)
    return ctypes.CDLL(os.path.abspath(out))


class PackedTDT(torch.autograd.Function):
    """Sum of the TDT losses of packed segments, from encoder and decoder projections; gradients are made in the forward pass."""
    lib = None

    @staticmethod
    def forward(ctx, enc, dec, weight, bias, segments, labels):
        PackedTDT.lib = lib = PackedTDT.lib or library()
        B, T, C = enc.shape
        row, t0, frames, u0, count = (c.contiguous() for c in segments.unbind(1))
        volume = frames * (count + 1)
        start, label_at = volume.cumsum(0) - volume, count.cumsum(0) - count
        enc_at, dec_at = row * T + t0, row * dec.shape[1] + u0
        n, cells = len(segments), int(volume.sum())
        int64 = ctypes.c_int64

        def ptr(*tensors):
            return [ctypes.c_void_p(t.data_ptr()) for t in tensors]

        e, d = enc.detach().float().contiguous(), dec.detach().float().contiguous()
        joint = torch.empty(cells, C, dtype=torch.bfloat16)
        lib.joint_forward(*ptr(e, d, joint, start, frames, count, enc_at, dec_at), int64(0), int64(n), int64(C))
        w = weight.detach().bfloat16()
        logits = torch.addmm(bias.detach().bfloat16(), joint, w.t())
        loss = torch.empty(n)
        lib.tdt_segments(*ptr(logits, logits, start, frames, count, label_at, labels, loss), int64(0), int64(n), int64(VOCAB), int64(DURATIONS))
        d_joint = logits @ w  # the logits have become their gradient
        d_enc, d_dec = torch.zeros_like(e), torch.zeros_like(d)
        lib.joint_backward(*ptr(d_joint, joint, d_enc, d_dec, start, frames, count, enc_at, dec_at), int64(0), int64(n), int64(C))
        ctx.grads = (d_enc, d_dec, (logits.t() @ joint).float(), logits.sum(0, dtype=torch.float32))
        return loss.sum()

    @staticmethod
    def backward(ctx, g):
        return (*(x * g for x in ctx.grads), None, None)


def tdt_loss(model, projected, tokens, segments):
    """Sum of losses over segments. projected: [B, T, 144]; tokens: [B, U] (padded with 0) of each whole row;
    segments: list of (row, first frame, frames, first token, tokens)."""
    dec = model.decoder(torch.cat([torch.full((len(tokens), 1), BLANK), tokens], 1))  # [B, U + 1, 144]
    labels = torch.cat([tokens[r, a:a + n] for r, _, _, a, n in segments] + [torch.zeros(1, dtype=torch.long)])
    head = model.joint.head
    return PackedTDT.apply(projected.float(), dec.float(), head.weight, head.bias, torch.tensor(segments), labels)


@torch.inference_mode()
def greedy(model, projected, max_symbols=10):
    """Greedy TDT decoding of a list of [T, 144] states, all of them at once -> token lists."""
    n = len(projected)
    length = torch.tensor([len(p) for p in projected])
    enc = torch.nn.utils.rnn.pad_sequence(projected, batch_first=True)
    t, symbols = torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.long)
    out = [[] for _ in range(n)]
    dec, (h, c) = model.decoder.lstm(model.decoder.embedding(torch.full((n, 1), BLANK)))
    dec = model.decoder.decoder_projector(dec)[:, 0]
    live = torch.arange(n)
    while len(live):
        logits = model.joint.head(F.relu(enc[live, t[live]] + dec[live]))
        token, jump = logits[:, :VOCAB].argmax(-1), logits[:, VOCAB:].argmax(-1)
        is_blank = token == BLANK
        emit = live[~is_blank]
        if len(emit):
            new = token[~is_blank]
            for i, k in zip(emit.tolist(), new.tolist()):
                out[i].append(k)
            o, (nh, nc) = model.decoder.lstm(model.decoder.embedding(new[:, None]), (h[:, emit].contiguous(), c[:, emit].contiguous()))
            h[:, emit], c[:, emit] = nh, nc
            dec[emit] = model.decoder.decoder_projector(o)[:, 0]
        jump = torch.where(is_blank, jump.clamp(min=1), jump)
        count = torch.where((jump > 0) | is_blank, 0, symbols[live] + 1)
        stuck = count >= max_symbols
        t[live] += jump + stuck.long()
        symbols[live] = torch.where(stuck, 0, count)
        live = live[t[live] < length[live]]
    return out


@torch.inference_mode()
def transcribe(model, tokenizer, features):
    """Texts of a list of normalised feature arrays [frames, 80]."""
    states = []
    for f in features:
        x, _ = encode(model, torch.as_tensor(f, dtype=torch.float32)[None])
        states.append(model.encoder_projector(x)[0])
    return [tokenizer.decode(ids) for ids in greedy(model, states)]


def check(folder):
    """Encoder and loss against `transformers`."""
    torch.manual_seed(0)
    model, _ = load(folder)
    model.eval()
    x = torch.randn(3, 163, 80)
    ref = model.get_audio_features(input_features=x, attention_mask=torch.ones(3, 163, dtype=torch.long))
    got, _ = encode(model, x)
    print("encoder, largest difference:", (got - ref.last_hidden_state).abs().max().item())
    y = torch.randint(2, 256, (3, 9))
    projected = ref.pooler_output.detach().requires_grad_()
    segments = [(i, 0, projected.shape[1], 0, 9) for i in range(3)]
    loss = tdt_loss(model, projected, y, segments)
    loss.backward()
    mine, mine_head = projected.grad.clone(), model.joint.head.weight.grad.clone()
    model.zero_grad()
    projected.grad = None
    logits = model.joint(encoder_hidden_states=projected[:, :, None],
                         decoder_hidden_states=model.decoder(torch.cat([torch.full((3, 1), BLANK), y], 1))[:, None])
    want = model.loss_function(token_logits=logits[..., :VOCAB], duration_logits=logits[..., VOCAB:], labels=y,
                               logit_lengths=torch.full((3,), projected.shape[1]), label_lengths=torch.full((3,), 9),
                               blank_token_id=BLANK, durations=list(range(DURATIONS)), reduction="sum")
    want.backward()
    rel = lambda a, b: ((a - b).norm() / b.norm()).item()
    print(f"loss {loss.item():.3f}, transformers {want.item():.3f}; gradients differ by "
          f"{rel(mine, projected.grad):.1e} (states) and {rel(mine_head, model.joint.head.weight.grad):.1e} (head)")


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--check", required=True, metavar="DIR")
    check(ap.parse_args().check)
