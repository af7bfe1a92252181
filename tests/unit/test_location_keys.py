"""Location keys, their kits, and the markers."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import stat
import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from console.repository.errors import RepositoryError, UnsupportedVersion
from console.repository.location_keys import (
    BadKit,
    BadMarker,
    LocationKey,
    LocationMarker,
    RepositoryMarker,
    find_repositories,
    read_kit,
    repository_path,
    salt_of_username,
    write_kit,
)
from console.repository.recovery_kits import kit_text, secret_in_kit
from console.storage import MemoryStore
from console.storage.names import is_object_name

if TYPE_CHECKING:
    from pathlib import Path

KEYS = st.binary(min_size=32, max_size=32).map(LocationKey)
SALTS = st.binary(min_size=32, max_size=32)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block, written anew."""
    extracted = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


@given(KEYS, SALTS)
def test_a_password_is_hkdf_in_hex(key: LocationKey, salt: bytes) -> None:
    expected = hkdf(key.secret, salt, b"kubehaven/repository/v1").hex().encode()
    assert key.password(salt) == expected
    assert re.fullmatch(rb"[0-9a-f]{64}", expected)


@given(KEYS)
def test_nothing_that_is_shown_holds_the_key(key: LocationKey) -> None:
    shown = f"{key!r} {key} {key.id} {key.check} {LocationMarker.of(key)!r}"
    assert key.secret.hex() not in shown
    assert repr(key.secret) not in shown
    assert re.fullmatch(r"[0-9a-f]{12}", key.id)


def test_keys_are_random_and_compared_by_value() -> None:
    key = LocationKey.generate()
    assert key != LocationKey.generate()
    assert key == LocationKey(key.secret)
    assert len({key, LocationKey(key.secret)}) == 1
    for length in (0, 31, 33):
        with pytest.raises(ValueError, match="32 bytes"):
            LocationKey(bytes(length))
    with pytest.raises(ValueError, match="32 bytes"):
        key.password(b"short")


@given(KEYS, KEYS)
def test_a_location_marker_knows_its_key(key: LocationKey, other: LocationKey) -> None:
    assume(key != other)
    marker = LocationMarker.decode(LocationMarker.of(key).encode())
    assert marker == LocationMarker.of(key)
    assert marker.matches(key)
    assert not marker.matches(other)
    assert marker.key_id == key.id


@given(SALTS, st.text(), st.text())
def test_a_repository_marker_comes_back(salt: bytes, cluster: str, application: str) -> None:
    marker = RepositoryMarker(
        salt=salt, cluster_uid=cluster, application=application, created_at="2026-11-24T10:00:00Z"
    )
    assert RepositoryMarker.decode(marker.encode()) == marker
    assert salt_of_username(marker.username) == salt


def test_markers_are_json_with_the_documented_fields() -> None:
    marker = RepositoryMarker.new("uid", "shop", namespace_uid="n", created_at="t")
    assert set(json.loads(marker.encode())) == {
        *("format", "version", "salt", "clusterUID", "application", "namespaceUID", "createdAt")
    }
    location = json.loads(LocationMarker.of(LocationKey.generate()).encode())
    assert set(location) == {"format", "version", "keyId", "check"}
    assert marker.salt != RepositoryMarker.new("uid", "shop").salt


GOOD = json.loads(RepositoryMarker.new("uid", "shop").encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        json.dumps({**GOOD, "format": "other"}).encode(),
        json.dumps({**GOOD, "version": 0}).encode(),
        json.dumps({**GOOD, "salt": "AAAA"}).encode(),
        json.dumps({**GOOD, "salt": "?"}).encode(),
        json.dumps({**GOOD, "clusterUID": 7}).encode(),
        json.dumps({k: v for k, v in GOOD.items() if k != "salt"}).encode(),
        LocationMarker.of(LocationKey(bytes(32))).encode(),
    ],
)
def test_a_bad_marker_is_told_with_its_place(data: bytes) -> None:
    with pytest.raises(BadMarker, match=r"a/b/kubehaven\.json"):
        RepositoryMarker.decode(data, where="a/b/kubehaven.json")


def test_a_newer_marker_is_not_guessed_at() -> None:
    newer = {"format": "kubehaven-repository", "version": 2, "salts": []}
    with pytest.raises(UnsupportedVersion, match="version 2"):
        RepositoryMarker.decode(json.dumps(newer).encode())


def test_names_of_other_keys_carry_no_salt() -> None:
    for username in ("", "kubehaven", "root", "kubehaven-" + "0" * 63, "kubehaven-" + "g" * 64):
        assert salt_of_username(username) is None


def test_repositories_are_found_where_they_lie() -> None:
    store = MemoryStore()
    expected = {}
    for cluster, namespace, selection in [("u1", "a", ""), ("u1", "b", "app-web"), ("u2", "a", "")]:
        path = repository_path(cluster, namespace, selection)
        expected[path] = RepositoryMarker.new(cluster, path.split("/")[1])
        store.put(f"{path}/kubehaven.json", expected[path].encode())
        store.put(f"{path}/data/00/00", b"")
    store.put("kubehaven.json", LocationMarker.of(LocationKey.generate()).encode())
    store.put("somebody/else/notes", b"")
    store.put("u3/x/deep/kubehaven.json", b"{}")
    assert dict(find_repositories(store)) == expected
    assert "u1/b~app-web" in expected


def test_one_bad_marker_does_not_hide_the_others() -> None:
    store = MemoryStore()
    for name in ("a", "b", "c"):
        store.put(f"u/{name}/kubehaven.json", RepositoryMarker.new("u", name).encode())
    store.put("u/b/kubehaven.json", b"{}")
    told: list[tuple[str, RepositoryError]] = []
    found = find_repositories(store, damaged=lambda path, error: told.append((path, error)))
    assert [path for path, _ in found] == ["u/a", "u/c"]
    assert [path for path, _ in told] == ["u/b"]
    with pytest.raises(BadMarker):
        list(find_repositories(store))


@given(st.text(max_size=400), st.text(max_size=400))
def test_every_selection_has_a_path_of_its_own(one: str, other: str) -> None:
    paths = [repository_path("uid", "namespace", selection) for selection in (one, other)]
    assert all(is_object_name(path) for path in paths)
    assert (paths[0] == paths[1]) == (one == other)


@given(KEYS)
def test_a_kit_gives_its_key_back_also_when_typed(key: LocationKey) -> None:
    text = kit_text(key.secret, key_id=key.id, location="demo", url="s3:http://h/b")
    assert secret_in_kit(text, "kit") == key.secret
    typed = text.lower().replace("-", " ").replace("0", "o").replace("\n", "\r\n")
    assert secret_in_kit(typed, "kit") == key.secret


@given(KEYS, st.data())
def test_a_typo_in_the_key_is_told_by_its_row(key: LocationKey, data: st.DataObject) -> None:
    lines = kit_text(key.secret, key_id=key.id, location="demo", url="u").splitlines()
    row = data.draw(st.integers(1, 4))
    at = next(n for n, line in enumerate(lines) if line.startswith(f"Key {row}:"))
    column = data.draw(st.sampled_from([n for n, c in enumerate(lines[at]) if c.isalnum()][4:]))
    old = lines[at][column]
    new = data.draw(st.sampled_from([c for c in "0123456789ABCDEFGHJKMNPQRSTVWXYZU" if c != old]))
    lines[at] = lines[at][:column] + new + lines[at][column + 1 :]
    with pytest.raises(BadKit) as caught:
        secret_in_kit("\n".join(lines), "kit.txt")
    # a row's checksum has 16 bits: what passes it is caught by the whole's 40
    assert re.search(rf"kit.txt: (there is a typo in Key {row}|the line Check)", str(caught.value))


def test_rows_that_are_missing_twice_or_mixed_are_told() -> None:
    kits = [
        kit_text(LocationKey.generate().secret, key_id="x", location="l", url="u").splitlines()
        for _ in range(2)
    ]
    rows = [n for n, line in enumerate(kits[0]) if line.startswith("Key ") and line[4].isdigit()]
    without = [line for n, line in enumerate(kits[0]) if n != rows[1]]
    mixed = [*kits[0][: rows[2]], kits[1][rows[2]], *kits[0][rows[2] + 1 :]]
    for lines, said in [
        (without, "Key 2 is missing"),
        (kits[0] + [kits[0][rows[0]]], "Key 1 is there twice"),
        (mixed, "Check"),
        ([line for line in kits[0] if not line.startswith("Check")], "Check"),
        (["not a kit at all"], "Key 1 is missing"),
    ]:
        with pytest.raises(BadKit, match=said):
            secret_in_kit("\n".join(lines), "kit")


def test_a_kit_is_private_readable_and_never_overwritten(tmp_path: Path) -> None:
    key, other = LocationKey.generate(), LocationKey.generate()
    path = tmp_path / "new folder" / "recovery kit.txt"
    write_kit(path, key, location="demo\nKey 1: x", url="s3:https://host/bucket")
    assert read_kit(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert key.id in text
    assert "s3:https://host/bucket" in text
    assert set(text) <= set(string.printable)
    with pytest.raises(BadKit, match="exists already"):
        write_kit(path, other, location="demo", url="u")
    assert read_kit(path) == key
    assert [entry.name for entry in path.parent.iterdir()] == ["recovery kit.txt"]


def test_a_kit_that_cant_be_read_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadKit, match="No such file"):
        read_kit(tmp_path / "missing")
    with pytest.raises(BadKit, match="directory"):
        read_kit(tmp_path)
    (tmp_path / "file").write_bytes(b"\x00\xff")
    with pytest.raises(BadKit, match="Key 1 is missing"):
        read_kit(tmp_path / "file")
    with pytest.raises(BadKit, match="can't be written"):
        write_kit(tmp_path / "file" / "kit", LocationKey.generate(), location="l", url="u")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, text=st.text(max_size=60))
def test_no_name_or_address_spoils_a_kit(key: LocationKey, text: str) -> None:
    made = kit_text(key.secret, key_id=key.id, location=text, url=text)
    assert secret_in_kit(made, "kit") == key.secret
