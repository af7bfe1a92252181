"""The restic-format repository (format version 2): no asyncio, no Kubernetes."""
