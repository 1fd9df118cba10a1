"""`python -m orpheus.testing.simulation --seed N --ticks M`: replay a seed, or look for one that breaks a promise."""

from __future__ import annotations

import argparse
import sys
import time

from orpheus.testing.simulation.invariants import Broken
from orpheus.testing.simulation.world import simulate


def main(arguments: list[str] | None = None) -> int:
    """Simulate; the exit status is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m orpheus.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many, counting up from it")
    parser.add_argument("--ticks", type=int, default=400, help="steps with faults; peace follows")
    given = parser.parse_args(arguments)
    broken = 0
    for seed in range(given.seed, given.seed + given.seeds):
        began = time.perf_counter()
        try:
            outcome = simulate(seed, given.ticks)
        except Broken as fault:
            broken += 1
            sys.stdout.write(f"seed {seed} BROKEN {fault}\n")
            continue
        took = time.perf_counter() - began
        states = " ".join(f"{state}={count}" for state, count in sorted(outcome.states.items()))
        sys.stdout.write(
            f"seed {seed} trace {outcome.trace_hash} commits {outcome.commits} starts {outcome.starts} "
            f"jobs {outcome.jobs} ({states}) events {sum(outcome.events.values())} in {took:.1f} s\n"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
