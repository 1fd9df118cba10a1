"""Which modules come with Orpheus and are offered by every worker unless told otherwise?"""

from __future__ import annotations

SHIPPED = ("orpheus.media", "orpheus.fetch")
