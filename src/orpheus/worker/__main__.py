"""`python -m orpheus.worker OPTIONS`, where OPTIONS is a JSON object of WorkerOptions, or `-` to read it from standard input.

For programs that start workers; people use `orpheus worker`. The API key may also stand in ORPHEUS_API_KEY, so that it need
not show in the list of processes.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import msgspec

from orpheus.worker.main import start
from orpheus.worker.options import WorkerOptions


def main() -> int:
    text = sys.argv[1] if len(sys.argv) > 1 else "{}"
    if text == "-":
        text = sys.stdin.readline()
    try:
        options = msgspec.json.decode(text, type=WorkerOptions, dec_hook=lambda kind, value: kind(value))
    except msgspec.MsgspecError as wrong:
        sys.stderr.write(f"orpheus.worker: the options are not right: {wrong}\n")
        return 2
    if options.api_key is None and os.environ.get("ORPHEUS_API_KEY"):
        options = dataclasses.replace(options, api_key=os.environ["ORPHEUS_API_KEY"])
    return start(options)


if __name__ == "__main__":
    sys.exit(main())
