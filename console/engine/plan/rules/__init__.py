"""The rules by which objects are made fit for a restore, one file per family of kinds."""
