"""Attaches to clusters: watches, the Lease, the queue, and the running of actions."""
