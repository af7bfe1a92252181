"""The command line: one module per noun, tables for people, JSON for programs."""
