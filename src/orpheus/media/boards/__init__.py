"""Video from a storyboard: scenes rendered side by side, then stitched. `scenes.py` has the words, `board.py` the workflow."""
