"""Volumes: the cut, adoption, clone, fill, hand-over; and the worker Jobs that move bytes."""
