"""Make the talk that `make demo` cuts: a synthetic voice that pauses and hesitates, over three slides.

The voice is espeak-ng's (a development dependency); nothing is recorded and nothing is fetched.
"""

from __future__ import annotations

import ctypes
import subprocess
import wave
from pathlib import Path

import espeakng_loader
from PIL import Image, ImageDraw, ImageFont

from orpheus.media.video import ffmpeg

SCRIPT = (
    ("Welcome to the quarterly review.", 1.5),
    ("Um.", 1.2),
    ("Today we will talk about three topics.", 0.4),
    ("First, the new warehouse in Lisbon opened in March.", 2.0),
    ("Uh.", 0.8),
    ("Second, shipping times fell by twelve percent.", 0.4),
    ("Third, the support team answered four thousand tickets.", 1.0),
)
"""What is said, and for how many seconds nobody speaks after it."""

SLIDES = ("Quarterly review", "1  Warehouse in Lisbon", "2  Shipping    3  Support")

_SYNCHRONOUS, _RATE = 2, 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def make_talk(path: Path) -> None:
    """Write the talk as MP4."""
    sound, starts = path.with_suffix(".wav"), [0.0]
    with wave.open(str(sound), "wb") as out:
        voice = _Voice()
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(voice.rate_hz)
        at_s = 0.0
        for text, pause_s in SCRIPT:
            data = voice.say(text) + bytes(2 * int(pause_s * voice.rate_hz))
            out.writeframes(data)
            at_s += len(data) / 2 / voice.rate_hz
            if text.startswith(("Today", "Uh")):
                starts.append(at_s)
    slides = [_slide(path.with_name(f"slide-{number}.png"), title) for number, title in enumerate(SLIDES)]
    lengths = [end - start for start, end in zip(starts, [*starts[1:], at_s], strict=True)]
    inputs = [
        word
        for slide, length in zip(slides, lengths, strict=True)
        for word in ("-loop", "1", "-t", f"{length:.3f}", "-framerate", "25", "-i", str(slide))
    ]
    count = len(slides)
    joined = "".join(f"[{number}:v]" for number in range(count)) + f"concat=n={count}:v=1:a=0,format=yuv420p[v]"
    subprocess.run(  # noqa: S603 (our own words)
        [
            *(ffmpeg(), "-nostdin", "-hide_banner", "-loglevel", "error", *inputs, "-i", str(sound)),
            *(
                "-filter_complex",
                joined,
                "-map",
                "[v]",
                "-map",
                f"{count}:a",
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
            ),
            *("-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart", "-f", "mp4", "-y", str(path)),
        ],
        check=True,
    )
    for file in (sound, *slides):
        file.unlink()


class _Voice:
    """espeak-ng by its C interface (speak_lib.h)."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        folder = espeakng_loader.get_data_path().encode()
        self.rate_hz = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, folder, 0))
        self._heard = bytearray()
        self._callback = _CALLBACK(self._hear)  # kept, or C would call into nothing
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_SetVoiceByName(b"en-us")
        self._library.espeak_SetParameter(_RATE, 150, 0)

    def say(self, text: str) -> bytes:
        """Return 16-bit samples."""
        self._heard.clear()
        words = text.encode() + b"\0"
        self._library.espeak_Synth(words, len(words), 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        return bytes(self._heard)

    def _hear(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if samples and count > 0:
            self._heard.extend(ctypes.string_at(samples, 2 * count))
        return 0


def _slide(path: Path, title: str) -> Path:
    picture = Image.new("RGB", (640, 360), (24, 34, 52))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 352, 640, 360), fill=(246, 178, 107))
    draw.text((320, 180), title, font=ImageFont.load_default(36), anchor="mm", fill=(250, 246, 238))
    picture.save(path)
    return path
