"""Tests on real Kubernetes clusters: `make test-cluster`."""
