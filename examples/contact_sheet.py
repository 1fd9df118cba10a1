"""Fan-out and join: every photo becomes a small picture, at most four at a time, and all of them one sheet.

    orpheus run examples/contact_sheet.py:contact_sheet -p photos='["@a.jpg", "@b.jpg"]'

Needs the extra `image`.
"""

import io
import math

from PIL import Image, ImageOps

from orpheus import Context, File, Permanent, task, workflow


@task(executor="process", start_to_close_s=120)
def shrink(ctx: Context, photo: File, side: int) -> File:
    try:
        with Image.open(ctx.path(photo)) as image:
            small = ImageOps.pad(ImageOps.exif_transpose(image).convert("RGB"), (side, side), color="white")
    except (OSError, Image.DecompressionBombError) as error:
        raise Permanent(f"{photo.name} is not a picture: {error}", code="corrupt_media") from error
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return ctx.save(f"small/{ctx.index}.jpg", buffer.getvalue(), "image/jpeg")


@task(executor="process")
def paste(ctx: Context, pictures: list[File], side: int) -> File:
    columns = max(1, math.ceil(math.sqrt(len(pictures))))
    rows = max(1, math.ceil(len(pictures) / columns))
    sheet = Image.new("RGB", (columns * side, rows * side), "white")
    for place, picture in enumerate(pictures):
        with Image.open(ctx.path(picture)) as image:
            sheet.paste(image, (place % columns * side, place // columns * side))
        ctx.progress((place + 1) / len(pictures), f"picture {place + 1}")
    target = ctx.temp_dir / "sheet.jpg"
    sheet.save(target, "JPEG", quality=88)
    return ctx.save("sheet.jpg", target, "image/jpeg", {"pictures": len(pictures)})


@workflow
def contact_sheet(photos: list[File], side: int = 240) -> File:
    small = shrink.using(max_concurrency=4).map(photos, side=side)
    return paste(small, side)
