"""Restore points: in the cluster, in locations, and how one is found again from the other."""
