"""How much one file may cost. One place, so that the docs and the tests can name the numbers.

The caps are checked against what a header claims, before anything is decoded.
"""

from __future__ import annotations

from typing import Final

MAX_PIXELS: Final = 120_000_000
"""Of an image or one frame. 120 MP of RGBA decode to 480 MB. Cameras make up to about 100 MP, phones up to 108 MP (those of 200 MP
save 12 or 50 unless asked otherwise)."""

MAX_VIDEO_PIXELS: Final = 7680 * 4320
"""Of one video frame: 8K."""

MAX_FRAMES: Final = 10_000
"""Of an animated image; more are counted as this many."""

MAX_ANIMATION_PIXELS: Final = 150_000_000
"""Of all frames of an animation that stays one, together, at the size it is made in: 600 MB while they are encoded."""

MAX_DURATION_S: Final = 24 * 3600.0
"""Of a video or a recording."""

MAX_STREAMS: Final = 64

MAX_PAGES: Final = 2_000
"""Of a PDF."""

MAX_TEXT_CHARACTERS: Final = 20_000_000
"""Of all pages of a PDF together."""

MAX_PAGE_PIXELS: Final = 1600
"""Longest side of a rendered page: the scale follows from it, however large the page claims to be."""

MAX_PICTURED_PAGES: Final = 50
"""Pages of a PDF that get a picture, unless a job asks for more."""

THUMBNAIL_SIDES: Final = (160, 320, 1280)
POSTER_SIDE: Final = 1280

CHILD_MEMORY_BYTES: Final = 3 * 1024**3
"""Address space of a process that opens foreign bytes. Libraries and their threads map about 1 GiB of it untouched; the
largest allowed picture takes 400 MB twice while it is converted."""

CHILD_TIME_S: Final = 120.0
"""To open one file and read it through once."""

CHILD_OUTPUT_BYTES: Final = 4 * 1024 * 1024

ENCODE_TIME_S: Final = 3 * 3600.0
"""For FFmpeg to write the audio track of the longest file allowed."""
