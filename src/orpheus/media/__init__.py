"""The workflows and tasks that Orpheus ships; `--import orpheus.media` offers them on a worker.

The parts that do the work are plain functions on paths and values, and none of them needs its extra to be imported.
"""

from orpheus.media.boards.board import storyboard
from orpheus.media.boards.tasks import generate_scene, plan_shots, render_scene, stitch_scenes
from orpheus.media.cutting.tasks import plan_cuts, render_cut
from orpheus.media.cutting.workflow import talk
from orpheus.media.documents.tasks import assemble_text, ocr_page, read_text, render_pages
from orpheus.media.pictures.tasks import analyse_image, make_thumbnails, settle_sight
from orpheus.media.pictures.workflow import image_workflow
from orpheus.media.record import summarise
from orpheus.media.renditions.tasks import encode_rendition, make_sprite, package_hls, plan_renditions
from orpheus.media.speech.tasks import transcribe
from orpheus.media.tasks import extract_audio, extract_metadata, make_poster, validate_file
from orpheus.media.text.tasks import summarise_document, summarise_speech
from orpheus.media.workflows import (
    media,
    pdf_workflow,
    sum_range,
    sum_range_task,
    video_workflow,
    wordcount,
    wordcount_task,
)

__all__ = [
    "analyse_image",
    "assemble_text",
    "encode_rendition",
    "extract_audio",
    "extract_metadata",
    "generate_scene",
    "image_workflow",
    "make_poster",
    "make_sprite",
    "make_thumbnails",
    "media",
    "ocr_page",
    "package_hls",
    "pdf_workflow",
    "plan_cuts",
    "plan_renditions",
    "plan_shots",
    "read_text",
    "render_cut",
    "render_pages",
    "render_scene",
    "settle_sight",
    "stitch_scenes",
    "storyboard",
    "sum_range",
    "sum_range_task",
    "summarise",
    "summarise_document",
    "summarise_speech",
    "talk",
    "transcribe",
    "validate_file",
    "video_workflow",
    "wordcount",
    "wordcount_task",
]
