"""Work that was done before is not done again: the same text by the same voice is spoken once.

orpheus run examples/cached.py:speak -p lines='["good night", "good day"]'      # twice: the second time nothing is spoken
"""

import hashlib

from orpheus import Context, File, task, workflow


@task(cache=True, version=1)
def voice(ctx: Context, line: str, speaker: str) -> File:
    """Costly, and always the same for the same line and speaker. Raise `version` when that changes."""
    ctx.log.info("speaking %r", line)
    sound = hashlib.sha256(f"{speaker}: {line}".encode()).digest()
    return ctx.save(f"voice/{hashlib.sha256(line.encode()).hexdigest()[:8]}.raw", sound)


@task
def lengths(sounds: list[File]) -> list[int]:
    return [sound.size_bytes for sound in sounds]


@workflow
def speak(lines: list[str], speaker: str = "Ada") -> list[int]:
    return lengths(voice.map(lines, speaker))
