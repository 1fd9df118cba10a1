"""Make the files that `make demo` sends: a photo, a video, a PDF, a scan, a talk, and one file that is not what it says."""

from __future__ import annotations

import math
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from demo_talk import make_talk
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from orpheus.media.video import ffmpeg

STORY = """Orpheus played so well that rivers stopped to listen and stones leaned closer.

When Eurydice died he walked down to the underworld with nothing but his lyre. He sang at the gate, and the three-headed
dog lay down. He sang on the ferry, and the ferryman forgot his fee. He sang before the throne, and for one evening every
wheel in that place stood still.

They let him lead her back, on one condition: keep going, and do not look behind you until both are in the light.

A job orchestrator has an easier task. It may look back as often as it likes: every step is written down before it is
answered for, and whatever happens on the way up, the way already gone stays gone."""


def make(folder: Path) -> None:
    """Write the files into `folder`; those that are there already are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[Path], object]] = {
        "mountains.jpg": _photo,
        "colours.mp4": _video,
        "orpheus.pdf": _pdf,
        "letter.pdf": _scan,
        "talk.mp4": make_talk,
        "holiday.jpg": lambda path: path.write_text("<!doctype html><html><body>I am not a photo.</body></html>\n"),
    }
    for name, maker in makers.items():
        path = folder / name
        if not path.exists():
            part = path.with_name(f"part-{name}")
            maker(part)
            part.rename(path)


def _photo(path: Path) -> None:
    """Paint a landscape, and store it lying on its side as cameras do, with the note that says so."""
    width, height = 2400, 1600
    dice = random.Random(7)  # noqa: S311 (paints mountains)
    sky = Image.linear_gradient("L").resize((width, height))
    picture = Image.composite(
        Image.new("RGB", sky.size, (255, 196, 140)), Image.new("RGB", sky.size, (38, 60, 120)), sky
    )
    glow = Image.new("L", (width, height))
    ImageDraw.Draw(glow).ellipse((1480, 420, 1760, 700), fill=255)
    picture.paste((255, 244, 214), mask=glow.filter(ImageFilter.GaussianBlur(8)))
    picture.paste((255, 226, 170), mask=glow.filter(ImageFilter.GaussianBlur(160)))
    for layer in range(5):
        depth = layer / 4
        base = 720 + 190 * layer
        waves = [(dice.uniform(0.5, 4) * (layer + 1), dice.uniform(20, 90), dice.uniform(0, 6.3)) for _ in range(6)]
        ridge = [
            (x, base - sum(size * math.sin(pace * x / width * 3 + turn) for pace, size, turn in waves))
            for x in range(0, width + 8, 8)
        ]
        tint = tuple(round(far + (near - far) * depth) for far, near in zip((120, 130, 170), (14, 30, 40), strict=True))
        ImageDraw.Draw(picture).polygon([(0, height), *ridge, (width, height)], fill=tint)
    grain = Image.effect_noise((width, height), 22).convert("RGB")
    picture = Image.blend(picture, grain, 0.06)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F], exif[0x0110] = "Orpheus", "Lyre One"
    exif.get_ifd(0x8769)[0x9003] = "2024:06:21 05:12:44"
    exif.get_ifd(0x8825)[1] = "N"  # a place, which no result may tell
    picture.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=90, exif=exif)


def _video(path: Path) -> None:
    """Let FFmpeg draw and play twelve seconds."""
    chord = "+".join(
        f"0.12*sin(2*PI*{pitch}*t)*(1+0.5*sin(2*PI*{beat}*t))"
        for pitch, beat in ((220, 0.5), (277.2, 0.7), (329.6, 0.9))
    )
    subprocess.run(  # noqa: S603 (our own words)
        [
            *(ffmpeg(), "-nostdin", "-hide_banner", "-loglevel", "error"),
            *(
                "-f",
                "lavfi",
                "-i",
                "gradients=size=320x180:rate=25:duration=12:speed=0.02:nb_colors=6:seed=3:type=spiral,scale=1280:720",
            ),
            *("-f", "lavfi", "-i", f"aevalsrc={chord}:s=44100:d=12"),
            *(
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-crf",
                "26",
                "-pix_fmt",
                "yuv420p",
                "-c:a",
                "aac",
                "-b:a",
                "96k",
            ),
            *("-movflags", "+faststart", "-f", "mp4", "-y", str(path)),
        ],
        check=True,
    )


def _scan(path: Path) -> None:
    """Write a page, photograph it a little askew, and keep only the photograph."""
    page = Image.new("L", (1240, 1000), 244)
    lines = [line for paragraph in STORY.split("\n\n")[1:3] for line in [*_lines(" ".join(paragraph.split())), ""]]
    ImageDraw.Draw(page).multiline_text(
        (110, 120), "\n".join(lines), font=ImageFont.load_default(30), spacing=16, fill=20
    )
    page = page.rotate(0.6, resample=Image.Resampling.BICUBIC, fillcolor=244)
    Image.blend(page, Image.effect_noise(page.size, 30), 0.06).save(path, "PDF", resolution=150)


def _pdf(path: Path) -> None:
    """Write a PDF by hand: three pages of text."""
    paragraphs = STORY.split("\n\n")
    pages = [
        ["Orpheus", "", *_lines(paragraphs[0])],
        _lines(" ".join(paragraphs[1].split())),
        _lines(" ".join(" ".join(paragraphs[2:]).split())),
    ]
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>"]
    kids = []
    for lines in pages:
        shown = " ".join(f"({line.translate(_ESCAPED)}) Tj T*" for line in lines)
        stream = f"BT /F1 20 Tf 30 TL 72 720 Td {shown} ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        content = len(objects)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
            % content
        )
        kids.append(len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids))
    objects.append(b"<< /Title (Orpheus) >>")
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        len(objects),
        table,
    )
    path.write_bytes(bytes(out))


_ESCAPED = str.maketrans({"(": r"\(", ")": r"\)", "\\": r"\\"})


def _lines(text: str, width: int = 52) -> list[str]:
    return list(_wrapped(text.split(), width))


def _wrapped(words: list[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) + 1 > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    if line:
        yield line


if __name__ == "__main__":
    make(Path("demo-files"))
