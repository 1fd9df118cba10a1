"""When does the garbage collector run in a server? Rarely: the engine's rows hold no cycles, and counting frees them.

The collector starts by the number of objects made and not yet freed, 700 by default. A batch of a few hundred jobs makes tens of
thousands that are all still wanted, so it looked through them again and again and found nothing: a quarter of the CPU time of a
one-task job (benchmarks/machine.py, with and without). What is made in cycles (a connection that broke off, an exception with its
frames) waits a little longer. It has to be little: looking through 200,000 objects stops everything for 40 ms, so a request, the
most frequent of all, is let go of by hand (api/gate.py).
"""

from __future__ import annotations

import gc

YOUNG = 200_000
"""Objects made and not freed until the youngest are looked through. The rows and events of two batches in flight are 50,000:
at that number it looked through them at every other batch, a tenth of the CPU time of a job, and freed nothing."""
MIDDLE = 20
OLD = 50


def collect_rarely() -> None:
    """Set the process's collector up for an engine; once, when the modules are loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
