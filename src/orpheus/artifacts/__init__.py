"""Object stores, and the manifest that tells what a job left behind (design.md section 6).

Keys are `/`-separated names below one root; nothing a client or a handler chooses can leave that root (`keys.py`).
"""

from orpheus.artifacts.errors import MissingObject, ObjectTooLarge, UnsafeKey
from orpheus.artifacts.folder import FolderStore
from orpheus.artifacts.manifest import build_manifest, sources
from orpheus.artifacts.publisher import Publisher
from orpheus.artifacts.store import ObjectInfo, ObjectStore

__all__ = [
    "FolderStore",
    "MissingObject",
    "ObjectInfo",
    "ObjectStore",
    "ObjectTooLarge",
    "Publisher",
    "UnsafeKey",
    "build_manifest",
    "sources",
]
