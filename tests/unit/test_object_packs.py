"""Object packs: what was sealed comes back or an error names the pack; one change, one pack."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.repository.errors import DamagedPack
from console.repository.object_packs import (
    LARGEST_OBJECT,
    LARGEST_PACK,
    ObjectTooBig,
    open_pack,
    seal_objects,
)

if TYPE_CHECKING:
    from random import Random

KEY = bytes(range(32))
PATHS = st.text(alphabet="abcz/._-09:é", min_size=1, max_size=30)
ENTRIES = st.dictionaries(PATHS, st.binary(max_size=500), max_size=40)


def application(count: int) -> dict[str, bytes]:
    return {
        f"core/v1/configmaps/item-{n:04}.json": json.dumps(
            {"metadata": {"name": f"item-{n:04}"}, "data": {"n": str(n), "text": "x" * 2000}}
        ).encode()
        for n in range(count)
    }


@given(ENTRIES)
def test_what_was_sealed_comes_back_sorted(entries: dict[str, bytes]) -> None:
    packs = seal_objects(KEY, sorted(entries.items(), reverse=True))
    assert [entry for pack in packs for entry in open_pack(KEY, pack.data)] == sorted(
        entries.items()
    )


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_same_content_gives_the_same_bytes(entries: dict[str, bytes], random: Random) -> None:
    items = list(entries.items())
    random.shuffle(items)
    assert seal_objects(KEY, items) == seal_objects(KEY, entries.items())


@given(ENTRIES.filter(bool), st.data())
def test_a_flipped_bit_is_an_error_that_names_the_pack(
    entries: dict[str, bytes], data: st.DataObject
) -> None:
    pack = data.draw(st.sampled_from(seal_objects(KEY, entries.items())))
    bit = data.draw(st.integers(0, len(pack.data) * 8 - 1))
    flipped = bytearray(pack.data)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedPack) as caught:
        open_pack(KEY, bytes(flipped))
    assert caught.value.subject == f"object pack {bytes(flipped[4:36]).hex()[:12]}"


@given(st.binary(max_size=200))
def test_anything_else_is_no_pack(data: bytes) -> None:
    with pytest.raises(DamagedPack):
        open_pack(KEY, data)


def test_a_cut_pack_is_damaged() -> None:
    (pack,) = seal_objects(KEY, [("a", b"content")])
    for length in range(len(pack.data)):
        with pytest.raises(DamagedPack):
            open_pack(KEY, pack.data[:length])


def test_another_key_opens_nothing_and_gives_other_names() -> None:
    other = secrets.token_bytes(32)
    (ours,), (theirs,) = (seal_objects(key, [("a", b"content")]) for key in (KEY, other))
    assert ours.digest != theirs.digest
    with pytest.raises(DamagedPack, match="does not open"):
        open_pack(other, ours.data)


def test_content_does_not_show() -> None:
    (pack,) = seal_objects(KEY, [("core/v1/secrets/s.json", b"the password is swordfish")])
    assert b"swordfish" not in pack.data
    assert b"secrets" not in pack.data


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999))
def test_one_changed_object_changes_one_pack(number: int) -> None:
    before = application(1000)
    after = dict(before)
    path = f"core/v1/configmaps/item-{number:04}.json"
    after[path] = b'{"changed": true}'
    packs = {pack.digest for pack in seal_objects(KEY, before.items())}
    changed = [pack for pack in seal_objects(KEY, after.items()) if pack.digest not in packs]
    assert len(packs) > 8
    # what a cut by size moves is mended at the next cut by path
    assert len(changed) <= 3
    assert path in dict(open_pack(KEY, changed[0].data))


def test_an_object_more_or_less_changes_few_packs() -> None:
    before = application(1000)
    packs = {pack.digest for pack in seal_objects(KEY, before.items())}
    for gone in list(before)[::100]:
        rest = {path: data for path, data in before.items() if path != gone}
        changed = {pack.digest for pack in seal_objects(KEY, rest.items())} - packs
        assert len(changed) <= 3


def test_packs_stay_small() -> None:
    entries = {f"core/v1/secrets/{n:04}.json": secrets.token_bytes(20_000) for n in range(100)}
    packs = seal_objects(KEY, entries.items())
    assert all(len(pack.data) <= LARGEST_PACK for pack in packs)
    assert len(packs) >= 4


def test_a_big_object_has_a_pack_of_its_own() -> None:
    entries = {"a": b"small", "b": secrets.token_bytes(800 * 1024), "c": b"small"}
    packs = seal_objects(KEY, entries.items())
    assert [len(open_pack(KEY, pack.data)) for pack in packs] == [1, 1, 1]
    assert max(len(pack.data) for pack in packs) <= LARGEST_OBJECT


def test_an_object_that_no_secret_can_hold_is_named() -> None:
    entries = [("a", b"small"), ("core/v1/secrets/huge.json", secrets.token_bytes(LARGEST_OBJECT))]
    with pytest.raises(ObjectTooBig, match="huge") as caught:
        seal_objects(KEY, entries)
    assert caught.value.subject == "core/v1/secrets/huge.json"
    assert caught.value.hint


def test_a_path_stands_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        seal_objects(KEY, [("a", b"1"), ("b", b"2"), ("a", b"3")])


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal_objects(b"short", [])
