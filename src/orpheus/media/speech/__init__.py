"""From sound to words: transcripts, captions, and where nobody speaks. Plain functions and values; no task in sight."""
