"""Kubehaven: protects, restores and migrates Kubernetes applications."""

__version__ = "0.1.0"
