"""Another program as a step: FFmpeg makes a moving preview, with true progress, and is stopped when the job is cancelled.

    orpheus run examples/preview_gif.py:preview_gif -p source=@talk.mp4 -p seconds=3

Uses two of the shipped tasks, so a file that is not a video is refused before FFmpeg sees it. Needs the extra `video`.
"""

from orpheus import Context, File, Permanent, task, workflow
from orpheus.media import extract_metadata, validate_file
from orpheus.media.checked import Checked
from orpheus.media.opening import named
from orpheus.media.summary import Metadata
from orpheus.media.video import ffmpeg, input_argv, limited, progress_of


@task(start_to_close_s=600)
def make_gif(ctx: Context, source: File, checked: Checked, meta: Metadata, seconds: float) -> File:
    if not meta.has_video:
        raise Permanent(f"{source.name} is no video", hint="Send one with pictures.", code="unsupported_media")
    length_s = min(seconds, meta.duration_s or seconds)
    target = ctx.temp_dir / "preview.gif"

    def heed(line: str) -> None:
        fraction = progress_of(line, length_s)
        if fraction is not None:
            ctx.progress(fraction, "drawing")

    argv = [
        *(ffmpeg(), *input_argv(ctx.path(source), named(checked.sniffed, checked.opener))),
        *("-progress", "pipe:1", "-t", f"{length_s:.3f}", "-an", "-vf", "fps=8,scale='min(320,iw)':-2"),
        *("-f", "gif", "-y", f"file:{target}"),
    ]
    ctx.run_process(limited(argv), on_line=heed, timeout_s=300)
    return ctx.save("preview.gif", target, "image/gif")


@workflow
def preview_gif(source: File, seconds: float = 2.0) -> File:
    checked = validate_file(source)
    meta = extract_metadata(source, checked)
    return make_gif(source, checked, meta, seconds)
