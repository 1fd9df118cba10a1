"""The talk cutter: what to leave out of a talk, and the talk without it. `plan.py` decides; `render.py` cuts."""
