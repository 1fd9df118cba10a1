"""The workflows and tasks that Orpheus ships; `--import orpheus.media` offers them on a worker.

The parts that do the work (`sniff`, `image`, `video`, `pdf`, `opening`) are plain functions on paths, and none of them needs
its extra to be imported.
"""

from orpheus.media.speech.tasks import transcribe
from orpheus.media.talk.tasks import plan_cuts, render_cut
from orpheus.media.talk.workflow import talk
from orpheus.media.tasks import (
    extract_audio,
    extract_metadata,
    make_poster,
    make_thumbnails,
    read_text,
    render_page,
    summarise,
    validate_file,
)
from orpheus.media.workflows import media, sum_range, sum_range_task, wordcount, wordcount_task

__all__ = [
    "extract_audio",
    "extract_metadata",
    "make_poster",
    "make_thumbnails",
    "media",
    "plan_cuts",
    "read_text",
    "render_cut",
    "render_page",
    "sum_range",
    "sum_range_task",
    "summarise",
    "talk",
    "transcribe",
    "validate_file",
    "wordcount",
    "wordcount_task",
]
