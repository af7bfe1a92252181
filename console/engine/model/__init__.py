"""Frozen values that the whole engine speaks: the record (our CRDs), views for people, plans."""
