"""Every text reads on its surface, for all cluster colours and both modes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console.ui import theme
from console.ui.resources import resource

COLORS = ("", *theme.CLUSTER_COLORS)
BOTH = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
EACH = pytest.mark.parametrize("cluster", COLORS)


@BOTH
@EACH
def test_texts_read_on_every_surface_they_stand_on(*, dark: bool, cluster: str) -> None:
    made = theme.Theme(dark=dark, cluster=cluster)
    surfaces = ("s0", "s1", "s2", "soft")
    for text in ("t1", "t2", "t3", "good", "warn", "bad"):
        for surface in surfaces:
            assert theme.contrast(made.hex(text), made.hex(surface)) >= 4.5, (text, surface)
    for state in ("good", "warn", "bad"):
        assert theme.contrast(made.hex(state), made.hex(f"{state}soft")) >= 4.5, state
        assert theme.contrast(made.hex("t1"), made.hex(f"{state}soft")) >= 4.5, state
    assert theme.contrast(made.hex("t2"), made.hex("s3")) >= 4.5  # a disabled primary button


@BOTH
@EACH
def test_marks_are_seen_and_the_accent_reads(*, dark: bool, cluster: str) -> None:
    made = theme.Theme(dark=dark, cluster=cluster)
    for mark in ("mark", "goodm", "warnm", "badm", "tick"):
        assert theme.contrast(made.hex(mark), made.hex("s1")) >= 3.0, mark
    assert theme.contrast(made.hex("mark"), made.hex("s1")) >= (4.2 if dark else 3.0)
    assert theme.contrast(made.hex("accent"), made.hex("soft")) >= 4.6
    assert theme.contrast(made.hex("accent"), made.hex("s1")) >= 4.5
    assert theme.contrast("#FFFFFF", made.hex("fill")) >= 4.6


def test_clusters_keep_their_hue_and_stay_apart() -> None:
    for dark in (False, True):
        marks = [theme.Theme(dark=dark, cluster=one).hex("mark") for one in theme.CLUSTER_COLORS]
        assert len(set(marks)) == len(marks)


@BOTH
def test_the_style_sheet_knows_every_token_it_names(*, dark: bool) -> None:
    made = theme.style_sheet(theme.Theme(dark=dark), "/images")
    assert not re.findall(r"\$(?!name)\w+", made)


def test_every_icon_that_is_named_is_shipped_and_none_is_spare() -> None:
    shipped = {path.stem for path in resource("icons").glob("*.svg")}
    source = "\n".join(path.read_text("utf-8") for path in Path("console/ui").rglob("*.py"))
    named = set(re.findall(r'"([a-z][a-z0-9-]*)"', source))
    assert shipped <= named, shipped - named
    for path in resource("icons").glob("*.svg"):
        assert "currentColor" in path.read_text("utf-8")
    assert resource("icons", "LICENSE").is_file()
    assert resource("fonts", "LICENSE").is_file()
