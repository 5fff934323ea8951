"""Step 3. Trains from given weights until a given time -> checkpoints

Two processes of one thread each ("local SGD"): each makes its own updates
(Muon for the encoder's matrices, AdamW for the rest), and every few updates the parameters
of both are averaged; that wastes less of a shared machine than two threads in every small operation. Loss: packed TDT
loss a token + 0.2 CTC a token. The learning rate follows a cosine or a straight line over wall-clock time. A running average of the
averaged weights is kept, and is what 5_package.py ships.
"""
import argparse
import math
import os
import queue
import threading
import time

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

import data
import model as M
import muon as muon_optimiser


def flat(tensors, out=None):
    return torch.cat([t.detach().reshape(-1).float() for t in tensors], out=out)


def unflat(vector, tensors):
    at = 0
    with torch.no_grad():
        for t in tensors:
            t.copy_(vector[at:at + t.numel()].view_as(t))
            at += t.numel()


def worker(rank, a, shared, barrier):
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    torch.set_flush_denormal(True)
    model, tokenizer = M.load(a.start)
    ctc = torch.nn.Linear(model.config.encoder_config.hidden_size, M.VOCAB)
    torch.nn.init.zeros_(ctc.weight)
    params = list(model.parameters()) + list(ctc.parameters())
    buffers = [b for n, b in model.named_buffers() if "running" in n]
    state = params + buffers
    matrices, others = ([], list(model.parameters())) if a.adamw else muon_optimiser.split(model)
    others += list(ctc.parameters())
    muon = muon_optimiser.Muon(matrices, decay=a.decay)
    opt = torch.optim.AdamW([{"params": [p for p in others if p.ndim > 1], "weight_decay": a.decay},
                             {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0}],
                            lr=a.lr, betas=(0.9, 0.98), fused=True)
    step, ema, rounds = 0, None, 0
    if a.resume:
        while not os.path.exists(a.resume):  # started while the run that writes it still goes on
            time.sleep(0.5)
        c = torch.load(a.resume, weights_only=False)
        model.load_state_dict(c["model"])
        ctc.load_state_dict(c["ctc"])
        if not a.fresh_optimiser:
            opt.load_state_dict(c["opt"])
            muon.load_state_dict(c["muon"])
        ema, rounds, step = c["ema"], c["rounds"], c["step"]
        if a.fresh_average:
            ema, rounds = None, 0
    first_step, began = step, time.time()
    source = data.Batches(data.Shards(a.shards), tokenizer, a.seconds, a.seed * 100 + rank + step, concat=a.concat, mask=a.mask, vary=a.vary)
    if rank == 0:
        print(len(source.shards.items), "utterances,", sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    ready = queue.Queue(4)
    stop = threading.Event()

    def feed():
        for b in source:
            ready.put(b)
            if stop.is_set():
                return

    threading.Thread(target=feed, daemon=True).start()
    total = [0.0, 0.0, 0.0, 0.0]
    t0, saved, cpu0 = time.time(), time.time(), time.process_time()
    model.train()
    while True:
        x, tokens, counts, segments = ready.get()
        done = (time.time() - began) / max(1, a.until - began)
        fall = 1 - min(1.0, done) if a.linear else 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        lr = a.lr * min(1.0, (step - first_step + 1) / a.warm_up) * (fall * (1 - a.floor) + a.floor)
        for g in opt.param_groups:
            g["lr"] = lr
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h, stats = M.encode(model, x, training=True)
            projected = model.encoder_projector(h)
            logits = ctc(h if step > 150 else h.detach()).float()
        lengths = torch.full((len(x),), h.shape[1])
        per = max(1, int(counts.sum()))
        l_ctc = F.ctc_loss(logits.log_softmax(-1).transpose(0, 1), tokens, lengths, counts, blank=M.BLANK, reduction="sum", zero_infinity=True) / per
        l_tdt = M.tdt_loss(model, projected, tokens, segments) / per
        loss = l_tdt + a.ctc * l_ctc
        model.zero_grad(set_to_none=True)
        ctc.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(params, a.clip)
        if torch.isfinite(norm):
            opt.step()
            muon.step(lr * a.muon)
            M.update_batch_norm(model, stats)
        step += 1
        for i, v in enumerate((l_tdt.item(), l_ctc.item(), x.shape[0] * x.shape[1] / 100, norm.item())):
            total[i] += v
        if step % a.every == 0:  # average both processes
            shared[rank].copy_(flat(state))
            barrier.wait()
            mean = shared.mean(0)
            finished = time.time() > a.until
            flags[rank] = 1.0 if finished else 0.0
            barrier.wait()
            unflat(mean, state)
            if rank == 0:
                keep = min(a.average, (1 + rounds) / (10 + rounds))
                ema = mean.clone() if ema is None else ema.lerp_(mean, 1 - keep)
                rounds += 1
            finished = bool(flags.sum() > 0)
            if rank == 0 and (finished or time.time() - saved > a.save * 60):
                saved = time.time()
                os.makedirs(a.out, exist_ok=True)
                body = {"model": model.state_dict(), "ctc": ctc.state_dict(), "opt": opt.state_dict(), "muon": muon.state_dict(), "ema": ema, "rounds": rounds,
                        "step": step, "names": [n for n, _ in model.named_parameters()] + ["ctc.weight", "ctc.bias"] + [n for n, _ in model.named_buffers() if "running" in n]}
                path = os.path.join(a.out, f"step{step:06d}.pt")
                torch.save(body, path + ".tmp")
                os.rename(path + ".tmp", path)
                print("saved", path, flush=True)
            if finished:
                stop.set()
                break
        if step % 100 == 0:
            s = time.time() - t0
            if rank == 0:
                print(f"{time.strftime('%H:%M:%S')} step {step} tdt {total[0] / 100:.3f} ctc {total[1] / 100:.3f} norm {total[3] / 100:.2f} lr {lr:.2e} "
                      f"{2 * total[2] / s:.0f} audio s/s, cpu {(time.process_time() - cpu0) / s:.2f}", flush=True)
            total = [0.0] * 4
            t0, cpu0 = time.time(), time.process_time()


flags = None


def launch(rank, a, shared, f, barrier):
    global flags
    flags = f
    worker(rank, a, shared, barrier)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--start", required=True, help="Hugging Face folder with the first weights and the tokenizer")
    ap.add_argument("--shards", default="shards/*.npy")
    ap.add_argument("--out", default="checkpoints")
    ap.add_argument("--until", type=float, required=True, help="end, seconds since 1970 (date -d 'today 09:20' +%%s)")
    ap.add_argument("--resume", help="checkpoint to go on from")
    ap.add_argument("--fresh-optimiser", action="store_true")
    ap.add_argument("--fresh-average", action="store_true")
    ap.add_argument("--lr", type=float, default=1.2e-3)
    ap.add_argument("--muon", type=float, default=1.5, help="learning rate of Muon, as a multiple of AdamW's")
    ap.add_argument("--adamw", action="store_true", help="AdamW for everything")
    ap.add_argument("--floor", type=float, default=0.01, help="last learning rate, as a part of the first")
    ap.add_argument("--linear", action="store_true", help="a straight line instead of the cosine")
    ap.add_argument("--warm-up", type=int, default=200)
    ap.add_argument("--decay", type=float, default=1e-2)
    ap.add_argument("--clip", type=float, default=1.0)
    ap.add_argument("--ctc", type=float, default=0.2)
    ap.add_argument("--seconds", type=float, default=55, help="audio in a batch of one process")
    ap.add_argument("--concat", type=float, default=0.12, help="part of the sentences that is put together to 6-28 s")
    ap.add_argument("--mask", type=float, default=1.0, help="strength of masking")
    ap.add_argument("--vary", type=float, default=1.0, help="strength of noise, warping")
    ap.add_argument("--every", type=int, default=8, help="updates between two averagings of the processes")
    ap.add_argument("--average", type=float, default=0.995, help="memory of the running average")
    ap.add_argument("--save", type=float, default=5, help="minutes between checkpoints")
    ap.add_argument("--seed", type=int, default=3)
    a = ap.parse_args()
    M.library()
    model, _ = M.load(a.start)
    n = sum(p.numel() for p in model.parameters()) + sum(b.numel() for k, b in model.named_buffers() if "running" in k)
    n += (model.config.encoder_config.hidden_size + 1) * M.VOCAB
    shared, f = torch.zeros(2, n).share_memory_(), torch.zeros(2).share_memory_()
    context = mp.get_context("spawn")
    barrier = context.Barrier(2)
    mp.spawn(launch, args=(a, shared, f, barrier), nprocs=2)


if __name__ == "__main__":
    main()
