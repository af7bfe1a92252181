"""Item models: rows as values, columns as data, diffs instead of resets."""
