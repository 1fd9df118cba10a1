"""The pure core: states, graph, policies and the decider.

Nothing in this room reads a clock, rolls a die, opens a file or a socket, or looks at the environment (design.md,
promise 8). Time (`now`, seconds since the epoch, UTC) and randomness (`Draws`) are arguments, so a seed replays all of it.
"""
