"""From words to meaning: the language, the sentences that matter, chapters. Plain functions; no task in sight."""
