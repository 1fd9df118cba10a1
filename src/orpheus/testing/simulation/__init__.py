"""A whole simulated cluster from a seed: the real core, engine and store under a clock, workers and faults of our making.

    python -m orpheus.testing.simulation --seed 7 --ticks 400

The same seed and commit give the same run, to the last event (design.md, promise 8).
"""
