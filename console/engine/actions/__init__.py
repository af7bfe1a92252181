"""One file per kind of action: its steps, in order, readable top to bottom."""
