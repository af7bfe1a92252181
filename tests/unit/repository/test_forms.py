"""The exact forms: names, times, modes, trees, packs, the index, the configuration."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.repository import (
    DamagedConfig,
    DamagedIndex,
    DamagedPack,
    DamagedTree,
    Node,
    UnsupportedVersion,
)
from console.repository.config import _is_irreducible, decode_config, make_config
from console.repository.index import Index, decode_index, encode_index
from console.repository.kernel import Sealed
from console.repository.keys import DataKey, MessageCipher
from console.repository.packs import (
    OpenPack,
    PackedBlob,
    decode_header,
    encode_header,
    pack_size,
    read_header,
)
from console.repository.quoting import json_string, quote, unquote
from console.repository.trees import (
    ExtendedAttribute,
    decode_tree,
    encode_node,
    encode_tree,
    format_time,
    go_mode,
    parse_time,
    unix_mode,
)

IDS = st.binary(min_size=32, max_size=32)
NAMES = st.one_of(
    st.binary(min_size=1, max_size=30),
    st.text(min_size=1, max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        (b"plain", "plain"),
        (b'quo"te', 'quo\\"te'),
        (b"new\nline", "new\\nline"),
        (b"bell\a\v", "bell\\a\\v"),
        (b"del\x7f\x01", "del\\x7f\\x01"),
        (b"bad\xff", "bad\\xff"),
        ("zwsp\u200b".encode(), "zwsp\\u200b"),
        ("nbsp\u00a0".encode(), "nbsp\\u00a0"),
        ("tag\U000e0001".encode(), "tag\\U000e0001"),
        ("é日😀\ufffd".encode(), "é日😀\ufffd"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    ],
)
def test_names_are_quoted_as_go_does(name: bytes, quoted: str) -> None:
    assert quote(name) == quoted
    assert unquote(quoted) == name


@given(NAMES)
def test_every_name_comes_back(name: bytes) -> None:
    quoted = quote(name)
    assert unquote(quoted) == name
    assert json.loads(f'"{json_string(quoted)}"') == quoted


@given(st.text(max_size=12, alphabet="\\xuUab0123456789'\"é"))
def test_no_quoted_name_breaks_the_reader(text: str) -> None:
    try:
        unquote(text)
    except ValueError:
        return


def test_html_is_escaped_as_go_does() -> None:
    assert json_string("<a>&\u2028") == "\\u003ca\\u003e\\u0026\\u2028"


@given(st.integers(-(10**18), 4 * 10**18))
def test_times_come_back(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-24T10:00:00.5Z", 1795514400_500000000),
        ("2026-11-24T18:00:00.5+08:00", 1795514400_500000000),
        ("2026-11-24T04:30:00.500000000-05:30", 1795514400_500000000),
        ("1969-12-31T23:59:59.999999999Z", -1),
    ],
)
def test_times_of_other_zones(text: str, ns: int) -> None:
    assert parse_time(text) == ns


def test_times_out_of_range_are_clamped() -> None:
    assert format_time(-(10**30)) == "0001-01-01T00:00:00Z"
    assert format_time(10**30) == "9999-12-31T23:59:59Z"
    assert parse_time("0000-01-01T00:00:00Z") == parse_time("0001-01-01T00:00:00Z")


@pytest.mark.parametrize("text", ["", "2026", "2026-13-01T00:00:00Z", "2026-11-24T10:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


@given(st.integers(0, 0o7777))
def test_modes_come_back(mode: int) -> None:
    assert unix_mode(go_mode(stat.S_IFREG | mode)) == mode


def test_types_stand_where_go_has_them() -> None:
    assert go_mode(stat.S_IFDIR | 0o755) == 1 << 31 | 0o755
    assert go_mode(stat.S_IFCHR | 0o600) == 1 << 26 | 1 << 21 | 0o600
    assert go_mode(stat.S_IFREG | 0o4755) == 1 << 23 | 0o755


def test_a_node_has_exactly_restics_form() -> None:
    node = Node(
        quoted_name="a<b",
        type="file",
        mode=0o644,
        mtime="2026-11-24T10:00:00.5Z",
        atime="2026-11-24T10:00:00.5Z",
        ctime="2026-11-24T10:00:00Z",
        uid=1,
        gid=2,
        user="daemon",
        inode=7,
        size=3,
        links=1,
        extended_attributes=[ExtendedAttribute("user.x", b"\0\1")],
        content=["ab" * 32],
    )
    assert encode_node(node) == (
        b'{"name":"a\\u003cb","type":"file","mode":420,"mtime":"2026-11-24T10:00:00.5Z",'
        b'"atime":"2026-11-24T10:00:00.5Z","ctime":"2026-11-24T10:00:00Z","uid":1,"gid":2,'
        b'"user":"daemon","inode":7,"size":3,"links":1,'
        b'"extended_attributes":[{"name":"user.x","value":"AAE="}],"content":["'
        + b"ab" * 32
        + b'"]}'
    )
    tree = encode_tree([encode_node(node)])
    assert decode_tree(tree, "t") == [node]
    assert tree.endswith(b"]}\n")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\x00b", "\\xzz", "/"])
def test_names_that_no_folder_holds_are_damage(name: str) -> None:
    raw = json.dumps({"nodes": [{"name": name, "type": "file"}]}).encode()
    with pytest.raises(DamagedTree, match="name"):
        decode_tree(raw, "tree 1")


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"], ["\\xff", "é"]])
def test_names_twice_or_out_of_order_are_damage(names: list[str]) -> None:
    raw = json.dumps({"nodes": [{"name": name, "type": "file"} for name in names]}).encode()
    with pytest.raises(DamagedTree, match="out of order"):
        decode_tree(raw, "tree 1")


@given(st.binary(max_size=60) | st.just(b'{"nodes":[{"name":1}]}'))
def test_what_is_no_tree_is_damage(raw: bytes) -> None:
    with pytest.raises(DamagedTree):
        decode_tree(raw, "tree 1")


BLOBS = st.lists(
    st.tuples(st.sampled_from(["data", "tree"]), IDS, st.integers(32, 5000), st.integers(0, 9999))
)


def _packed(blobs: list[tuple[str, bytes, int, int]]) -> list[PackedBlob]:
    packed, offset = [], 0
    for kind, id_, length, raw_length in blobs:
        packed.append(PackedBlob(kind, id_, offset, length, raw_length))  # type: ignore[arg-type]
        offset += length
    return packed


@given(BLOBS)
def test_headers_come_back(blobs: list[tuple[str, bytes, int, int]]) -> None:
    packed = _packed(blobs)
    assert decode_header(encode_header(packed), "p") == packed


@given(st.binary(max_size=200))
def test_no_header_breaks_the_reader(raw: bytes) -> None:
    try:
        decode_header(raw, "p")
    except DamagedPack:
        return


def test_a_pack_says_what_it_holds() -> None:
    cipher = MessageCipher(DataKey.generate())
    pack = OpenPack(90)
    for number in range(3):
        pack.add("data", bytes([number]) * 32, Sealed(cipher.seal(b"x" * number), number))
    assert pack.is_full
    pack.finish(cipher)
    assert read_header(bytes(pack.data), cipher, "p") == pack.blobs
    assert len(pack.data) == pack_size(pack.blobs)
    for cut in (0, 3, 40, len(pack.data) - 1):
        with pytest.raises(DamagedPack):
            read_header(bytes(pack.data[:cut]), cipher, "p")


@given(st.lists(st.lists(st.tuples(st.sampled_from([b"\1", b"\2", b"\3"]), st.booleans()))))
@settings(max_examples=50)
def test_the_index_finds_what_it_was_given(packs: list[list[tuple[bytes, bool]]]) -> None:
    """Against a dict; ids that share their first bytes, blobs in several packs."""
    index, expected = Index(), dict[tuple[str, bytes], set[str]]()
    files = []
    for number, entries in enumerate(packs):
        name = f"{number:064x}"
        blobs = _packed(
            [
                ("tree" if is_tree else "data", b"\0\0" + prefix * 30, 40 + number, 0)
                for prefix, is_tree in dict.fromkeys(entries)
            ]
        )
        for blob in blobs:
            expected.setdefault((blob.kind, blob.id), set()).add(name)
        if number % 2:
            index.add_pack(name, blobs)
        else:
            files.append((f"index/{number}", encode_index([(name, blobs)])))
    index.load(files)
    for (kind, id_), names in expected.items():
        found = {location.pack for location in index.find(kind, id_)}  # type: ignore[arg-type]
        assert found
        assert found <= names
    assert not index.has("data", os.urandom(32))
    by_pack = dict(index.packs())
    assert all(blobs == sorted(blobs, key=lambda b: b.offset) for blobs in by_pack.values())
    assert {(b.kind, b.id) for blobs in by_pack.values() for b in blobs} == expected.keys()


def test_the_index_folds_many_blobs() -> None:
    index, ids = Index(), [os.urandom(32) for _ in range(120_000)]
    for at in range(0, len(ids), 1000):
        blobs = [PackedBlob("data", id_, n, 40, 50) for n, id_ in enumerate(ids[at : at + 1000])]
        index.add_pack(f"{at:064x}", blobs)
    assert len(index) == len(ids)
    assert all(index.find("data", ids[at])[0].offset == at % 1000 for at in range(0, 120_000, 997))
    assert not index.has("tree", ids[0])
    assert sum(len(blobs) for _, blobs in index.packs()) == len(ids)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"packs":[{"id":"zz","blobs":[]}]}',
        b'{"packs":[{"id":"' + b"a" * 64 + b'","blobs":[{"id":"ab","type":"data","offset":0,'
        b'"length":40}]}]}',
        b'{"packs":[{"id":"' + b"a" * 64 + b'","blobs":[{"id":"' + b"b" * 64 + b'","type":"data",'
        b'"offset":-1,"length":40}]}]}',
    ],
)
def test_what_is_no_index_is_damage(raw: bytes) -> None:
    with pytest.raises(DamagedIndex) as caught:
        decode_index(raw, "index/x")
    assert caught.value.subject == "index/x"


def test_polynomials_are_irreducible() -> None:
    assert _is_irreducible(0x3DA3358B4DC173)  # restic's own example
    assert not _is_irreducible(0b101)  # (x + 1)^2
    assert [p for p in range(4, 16) if _is_irreducible(p)] == [0b111, 0b1011, 0b1101]
    made = make_config()
    assert int(made.chunker_polynomial, 16).bit_length() == 54


def test_other_versions_are_refused() -> None:
    with pytest.raises(UnsupportedVersion, match="version 1"):
        decode_config(b'{"version":1,"id":"x","chunker_polynomial":"3"}')
    with pytest.raises(DamagedConfig):
        decode_config(b"[]")


def test_today_is_written_as_go_writes_it() -> None:
    now = datetime(2026, 11, 24, 10, 30, 5, 120000, tzinfo=UTC)
    assert format_time(int(now.timestamp()) * 10**9 + 120_000_000) == "2026-11-24T10:30:05.12Z"
