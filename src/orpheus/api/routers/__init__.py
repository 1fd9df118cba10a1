"""The endpoints, one file per noun. They parse, ask the engine, render; they decide nothing."""
