"""Fetches the files that jobs name by URL: the task `orpheus.fetch`, which workers offer unless told otherwise."""

from orpheus.fetch.task import fetch_files

__all__ = ["fetch_files"]
