"""What do media pipelines cost beside a plain script that makes the same FFmpeg and Python calls, one after the other?

    .venv/bin/python benchmarks/media_overhead.py [--repeat 3] [talk] [media] [pdf]

Three ways to the same results, taken in turns because the machine changes under us: a plain script; Orpheus with one slot, which has to
work one step after the other as well (the difference is what Orpheus costs); Orpheus with two slots (what steps side by
side gain). Server and worker run as always: durable, every file hashed, stored and listed. Models are loaded before the first
measurement in all three. Each job gets a file of its own, so that nothing comes from the cache. CPU seconds are of the script or of server and
worker, with all their children.

The talk is espeak-ng's (scripts/demo_talk.py), eight times over: three minutes. The PDF is 16 scanned pages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from demo_talk import SCRIPT, make_talk

from orpheus.client import Client, ClientError
from orpheus.media import guard, pdf, video
from orpheus.media.cutting import fillers, plan, render, repeats, retime
from orpheus.media.documents import ocr
from orpheus.media.opening import type_of
from orpheus.media.renditions import sprite
from orpheus.media.speech import captions, sound, transcript
from orpheus.media.speech.alone import settled
from orpheus.media.speech.recogniser import Recogniser
from orpheus.media.text.chapters import chapters
from orpheus.media.text.embedder import Embedder
from orpheus.media.text.extract import extract
from orpheus.media.text.language import language_of
from orpheus.media.text.sentences import sentences
from orpheus.media.text.tasks import timed_sentences

TIMES, PAGES = 8, 16


class Plain:
    """What a user would write without Orpheus: the same calls, in order, in one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recogniser, self.embedder, self.reader = Recogniser(), Embedder(), ocr.Reader()
        self.program = video.ffmpeg()

    def ffmpeg(self, argv: list[str]) -> None:
        subprocess.run(video.limited(argv), check=True, stdout=subprocess.DEVNULL)

    def look(self, source: Path) -> dict[str, object]:
        checked = guard.call("validate", path=source, name=source.name)
        facts = guard.call("extract", path=source, sniffed=checked["sniffed"], opener=checked["opener"])
        (self.folder / "metadata.json").write_text(json.dumps(facts))
        return facts

    def hear(self, source: Path, *, closely: bool) -> tuple[sound.Samples, transcript.Transcript]:
        found, wav = type_of(source), self.folder / "sound.wav"
        self.ffmpeg(video.audio_argv(self.program, source, found, self.folder / "audio.mp3"))
        self.ffmpeg(sound.wav_argv(self.program, source, found, wav))
        samples = sound.load(wav)
        silent = sound.silences(samples)
        heard = self.recogniser.transcribe(samples)
        said = settled(heard, silent, lambda spans: self.recogniser.hear(samples, spans), closely=closely)
        (self.folder / "transcript.json").write_text(json.dumps(transcript.to_json(said)))
        shown = captions.cues(said)
        (self.folder / "transcript.srt").write_text(captions.srt(shown))
        (self.folder / "transcript.vtt").write_text(captions.vtt(shown))
        return samples, said

    def talk(self, source: Path) -> None:
        facts, found = self.look(source), type_of(source)
        _, said = self.hear(source, closely=True)
        self.ffmpeg(sound.wav_argv(self.program, source, found, self.folder / "again.wav"))
        samples = sound.load(self.folder / "again.wav")
        silent, words = sound.silences(samples), list(transcript.words_of(said))
        rate = render.frame_rate(float(str(facts["fps"])))
        total_s = max(float(str(facts["duration_s"])), sound.duration_s(samples))
        made = plan.plan(
            duration_s=total_s,
            silences=silent,
            fillers=fillers.find(silent, words, total_s=total_s),
            repeats=repeats.find(words),
            fps=float(rate),
        )
        whole, cut = self.folder / "whole.pcm", self.folder / "cut.pcm"
        self.ffmpeg(render.pcm_argv(self.program, source, found, whole))
        render.cut_pcm(whole, cut, made.kept)
        target = self.folder / "cut.mp4"
        self.ffmpeg(render.video_argv(self.program, source, found, sound=cut, target=target, kept=made.kept, rate=rate))
        (self.folder / "cut.srt").write_text(captions.srt(retime.captions_of(said, made.kept)))

    def media(self, source: Path) -> None:
        facts, found = self.look(source), type_of(source)
        duration_s = float(str(facts["duration_s"]))
        self.ffmpeg(video.poster_argv(self.program, source, found, self.folder / "poster.webp", duration_s=duration_s))
        sheet = sprite.layout(duration_s, int(str(facts["width"])), int(str(facts["height"])))
        self.ffmpeg(sprite.argv(self.program, source, found, self.folder / "sprite.webp", sheet))
        (self.folder / "sprite.vtt").write_text(sprite.vtt(sheet, duration_s=duration_s))
        _, said = self.hear(source, closely=False)
        spoken = timed_sentences(said)
        texts = [one.text for one in spoken]
        extract(texts, self.embedder.embed, count=3)
        chapters(spoken, self.embedder.embed(texts), duration_s=said.duration_s)

    def pdf(self, source: Path) -> None:
        self.look(source)
        pages = [page["text"] for page, _ in pdf.texts(source)]
        scans = pdf.pictured(source, pages)
        pdf.outline(source)
        told = {number: ocr.read_page(source, number, self.reader) for number in scans}
        whole = "\n\n".join(told.get(number, text) for number, text in enumerate(pages, start=1))
        (self.folder / "document.txt").write_text(whole)
        language_of(whole)
        for number, _, data, _ in pdf.page_pictures(source, most=50):
            (self.folder / f"{number}.webp").write_bytes(data)
        extract(sentences(whole), self.embedder.embed, count=3)


class Deployment:
    """A server and a worker with so many slots."""

    def __init__(self, folder: Path, slots: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command, quiet = [sys.executable, "-m", "orpheus.cli"], ["--log-level", "error"]
        self.processes = [
            subprocess.Popen([*command, "server", "--port", str(port), "--data", str(folder / "data"), *quiet]),
            subprocess.Popen([*command, "worker", "--server", self.url, "--concurrency", str(slots), *quiet]),
        ]
        self.client = Client(self.url)
        deadline = time.monotonic() + 60
        while not self._ready():
            if time.monotonic() > deadline:
                raise TimeoutError("the worker did not come")
            time.sleep(0.1)

    def _ready(self) -> bool:
        with contextlib.suppress(ClientError):
            return "talk" in {info.name for info in self.client.workflows()}
        return False

    def run(self, workflow: str, source: Path) -> None:
        job = self.client.submit(workflow, {"source": source})
        self.client.result(job.job_id, timeout_s=1800)

    def cpu_s(self) -> float:
        return sum(_tree_cpu_s(process.pid) for process in self.processes)

    def close(self) -> None:
        self.client.close()
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)


def _tree_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, of its living children, and of those it has outlived."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = {int(child) for task in children.parent.parent.glob("*/children") for child in task.read_text().split()}
    for child in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            own += _tree_cpu_s(child)
    return own


def _script_cpu_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def sources(folder: Path) -> dict[str, Path]:
    """Make the talk and the scans."""
    short, long, scans = folder / "short.mp4", folder / "talk.mp4", folder / "scans.pdf"
    make_talk(short)
    loop = ["-stream_loop", str(TIMES - 1), "-i", str(short), "-c", "copy", "-y", str(long)]
    subprocess.run([video.ffmpeg(), "-nostdin", "-loglevel", "error", *loop], check=True)
    lines = [text for text, _ in SCRIPT] * 4
    pages = [_sheet([f"Page {number}.", *lines]) for number in range(1, PAGES + 1)]
    pages[0].save(scans, resolution=150, save_all=True, append_images=pages[1:])
    return {"talk": long, "media": long, "pdf": scans}


def _sheet(lines: list[str]) -> Image.Image:
    page = Image.new("L", (1240, 1754), 250)
    draw = ImageDraw.Draw(page)
    for place, line in enumerate(lines):
        draw.text((120, 120 + 50 * place), line, font=ImageFont.load_default(26), fill=20)
    return page


def another(source: Path, number: int) -> Path:
    """Return a copy of a file that differs in a byte behind its end, so that the cache does not know it."""
    copy = source.with_name(f"{number}-{source.name}")
    tail = (
        b"\n%%%d\n" % number
        if source.suffix == ".pdf"
        else (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")
    )
    copy.write_bytes(source.read_bytes() + tail)
    return copy


@contextlib.contextmanager
def ways(folder: Path) -> Iterator[dict[str, tuple[Callable[[str, Path], None], Callable[[], float]]]]:
    plain = Plain(folder)
    one, two = Deployment(folder / "one", 1), Deployment(folder / "two", 2)
    try:
        yield {
            "plain": (lambda kind, source: getattr(plain, kind)(source), _script_cpu_s),
            "orpheus, 1 slot": (one.run, one.cpu_s),
            "orpheus, 2 slots": (two.run, two.cpu_s),
        }
    finally:
        one.close()
        two.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kinds", nargs="*", default=["talk", "media", "pdf"])
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="media-overhead-") as name:
        folder = Path(name)
        files = sources(folder)
        number = 0
        with ways(folder) as offered:
            for kind in asked.kinds:
                walls: dict[str, list[float]] = {way: [] for way in offered}
                used: dict[str, list[float]] = {way: [] for way in offered}
                for turn in range(asked.repeat + 1):
                    for way, (run, cpu_s) in offered.items():
                        number += 1
                        source = another(files[kind], number)
                        cpu_before, began = cpu_s(), time.monotonic()
                        run(kind, source)
                        if turn:  # the first loads models and starts processes
                            walls[way].append(time.monotonic() - began)
                            used[way].append(cpu_s() - cpu_before)
                        source.unlink()
                report(kind, walls, used)


def report(kind: str, walls: dict[str, list[float]], used: dict[str, list[float]]) -> None:
    base_s = statistics.median(walls["plain"])
    for way, taken in walls.items():
        wall_s = statistics.median(taken)
        line = {
            "job": kind,
            "way": way,
            "wall_s": round(wall_s, 2),
            "cpu_s": round(statistics.median(used[way]), 2),
            "wall_of_plain": round(wall_s / base_s, 3),
            "walls_s": [round(one, 2) for one in taken],
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
