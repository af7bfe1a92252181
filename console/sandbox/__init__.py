"""A small Kubernetes in one process, for the first run and for fast tests."""
