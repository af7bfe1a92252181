"""Tags of our snapshots."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.repository.tags import objects_tags, parent_tags, volume_tag, volume_tags


def test_names_stand_as_they_are() -> None:
    assert volume_tags("shop-1", "data") == ("kubehaven", "rp=shop-1", "pvc=data")
    assert objects_tags("shop-1") == ("kubehaven", "rp=shop-1", "objects")
    assert set(parent_tags("data")) < set(volume_tags("any", "data"))


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_tags_are_short_and_tell_names_apart(one: str, other: str) -> None:
    for name in (one, other):
        assert len(volume_tag(name).encode()) <= 204
        assert "," not in volume_tag(name)
    assert (volume_tag(one) == volume_tag(other)) == (one == other)
