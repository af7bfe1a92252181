"""Whether a cluster does what backups and restores need: tried out, in our own namespace only."""
