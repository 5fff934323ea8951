"""Speech and features shared by the steps: espeak-ng, flite, resampling, and the front end of the model."""
import ctypes
import io
import os
import subprocess
import tempfile
import wave

import numpy as np
import soxr
import torch

RATE = 16000
HOP = 160
MELS = 80
GUARD = 2.0 ** -24  # added to the mel power before the logarithm
FLOOR = float(np.log(GUARD))  # log-mel of digital silence

ACCENTS = ["en-us"] * 5 + ["en-gb"] * 4 + ["en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"]
VARIANTS = ("m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 Alex Alicia Andrea Andy Annie Diogo Gene Gene2 Henrique "
            "Jacky Lee Marco Mario Michael Mike Nguyen Storm adam antonio belinda benjamin boris caleb david edward edward2 "
            "grandma grandpa gustave iven iven2 iven3 john linda marcelo miguel norbert pablo paul pedro quincy rob robert "
            "sandro shelby steph steph2 steph3 victor zac").split()
HELD_OUT_VARIANTS = "Denis Hugo anika aunty ed max michel travis".split()  # never used in training
FLITE = ["slt"] * 9 + ["rms"] * 3 + ["awb"] * 3 + ["kal16"] * 4 + ["kal"]


VOICE_FILES = {"en-us": "gmw/en-US", "en-gb": "gmw/en", "en-gb-x-rp": "gmw/en-GB-x-rp", "en-gb-scotland": "gmw/en-GB-scotland",
               "en-029": "gmw/en-029", "en-gb-x-gbclan": "gmw/en-GB-x-gbclan", "en-gb-x-gbcwmd": "gmw/en-GB-x-gbcwmd",
               "en-us-nyc": "gmw/en-US-nyc"}


class Espeak:
    """espeak-ng through its library: the same samples as `espeak-ng --stdout`, without a process for every sentence."""

    def __init__(self):
        self.lib = ctypes.CDLL("libespeak-ng.so.1")
        self.rate = self.lib.espeak_Initialize(2, 0, None, 0)  # synchronous: samples come through the callback
        self.parts = []
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

        def collect(wav, n, _events):
            if wav and n > 0:
                self.parts.append(np.ctypeslib.as_array(wav, shape=(n,)).copy())
            return 0

        self.callback = callback(collect)
        self.lib.espeak_SetSynthCallback(self.callback)

    def __call__(self, text, voice="en-us", speed=175, pitch=50):
        language, plus, variant = voice.partition("+")
        if self.lib.espeak_SetVoiceByName((VOICE_FILES[language] + plus + variant).encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        self.lib.espeak_SetParameter(1, int(speed), 0)
        self.lib.espeak_SetParameter(3, int(pitch), 0)
        data = text.encode() + b"\0"
        self.parts = []
        self.lib.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, 1 | 0x100 | 0x1000, None, None)
        self.lib.espeak_Synchronize()
        x = np.concatenate(self.parts) if self.parts else np.zeros(0, np.int16)
        return x.astype(np.float32) / 32768, self.rate


def flite(text, voice="slt", stretch=1.0):
    """flite's own samples and rate."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as d:
        out = os.path.join(d, "a.wav")
        subprocess.run(["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}", "-t", text, "-o", out],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out, "rb") as f:
            return read_wav(f.read())


def read_wav(data):
    """PCM16 WAV bytes -> mono float32 samples, rate."""
    with wave.open(io.BytesIO(data)) as w:
        rate, channels = w.getframerate(), w.getnchannels()
        x = np.frombuffer(w.readframes(w.getnframes()), dtype="<i2").astype(np.float32) / 32768
    return x.reshape(-1, channels).mean(1) if channels > 1 else x, rate


def write_wav(path, x, rate):
    with wave.open(path, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes((np.clip(x, -1, 1) * 32767).round().astype("<i2").tobytes())


def resample(x, rate, to=RATE):
    return x if rate == to else soxr.resample(x, rate, to, quality="HQ").astype(np.float32)


_BANK = None


def log_mel(x):
    """16 kHz samples -> un-normalised log-mel, [len(x) // 160, 80] float32: exactly the frames the model sees."""
    global _BANK
    if _BANK is None:
        import librosa
        _BANK = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=512, n_mels=MELS, fmin=0, fmax=8000, norm="slaney"))
        _BANK = (_BANK, torch.hann_window(400, periodic=False))
    x = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    n = len(x) // HOP
    x = torch.cat([x[:1], x[1:] - 0.97 * x[:-1]])
    s = torch.stft(x, 512, HOP, 400, _BANK[1], center=True, pad_mode="constant", return_complex=True)
    power = s.real ** 2 + s.imag ** 2
    return torch.log(_BANK[0] @ power + GUARD).T[:n].contiguous().numpy()


def normalise(f):
    """Per-feature zero mean and unit variance over the utterance (divisor n - 1, 1e-5 added to the deviation)."""
    return (f - f.mean(0)) / (f.std(0, ddof=1) + 1e-5)
