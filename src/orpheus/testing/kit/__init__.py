"""The test kit: the real engine on a temporary file, a worker in the same thread, and a clock that is moved by hand.

kit.py       what a test holds: submit, fake, advance
jobs.py      one job of it; events.py: what can be asserted about its events
fakes.py     what stands in for tasks
engine.py    the embedded engine, driven synchronously
worker.py    who claims and reports; attempt.py makes one attempt with the worker's own parts
inputs.py    files and params on their way in
"""
