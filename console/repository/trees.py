"""Trees: a folder's nodes as restic writes them, byte for byte.

`restic` refuses to rewrite a tree that does not encode to the same bytes again,
and folders are compared by the hash of these bytes, so the form is exact: field
order, escapes, times with zeros trimmed, a newline at the end.
"""

from __future__ import annotations

import base64
import functools
import re
import stat
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from console.repository.errors import DamagedTree
from console.repository.quoting import json_string, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_SECOND = (date.min.toordinal() - _EPOCH_DAY) * 86400
_LAST_SECOND = (date.max.toordinal() - _EPOCH_DAY + 1) * 86400 - 1
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))"
).fullmatch

# Go's FileMode: the type and the special bits stand elsewhere than in st_mode
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFREG: 0,
}
_GO_SPECIAL = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
_GO_TYPE_BITS = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21


class ExtendedAttribute(msgspec.Struct, frozen=True):
    """One xattr; ACLs are xattrs too."""

    name: str
    value: bytes | None = None


class Node(msgspec.Struct, kw_only=True):
    """One entry of a folder, field for field as it is stored."""

    quoted_name: str = msgspec.field(name="name")
    type: str  # file, dir, symlink, dev, chardev, fifo, socket
    mode: int = 0  # Go's FileMode
    mtime: str = ""  # RFC 3339
    atime: str = ""
    ctime: str = ""
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0  # only of hard links: a clone of a volume has another one
    size: int = 0
    links: int = 0
    linktarget: str = ""
    linktarget_raw: bytes | None = None  # only when the target is not UTF-8
    extended_attributes: list[ExtendedAttribute] | None = None
    device: int = 0
    content: list[str] | None = None  # ids of data blobs, in order
    subtree: str | None = None  # id of a tree blob

    @property
    def name(self) -> bytes:
        """The name as it is on disk; any bytes but `/` and NUL."""
        return unquote(self.quoted_name)

    @property
    def text_name(self) -> str:
        """The name for people and paths; bytes that are not UTF-8 as surrogates."""
        return self.name.decode("utf-8", "surrogateescape")

    @property
    def target(self) -> bytes:
        """Where a symlink points to."""
        return self.linktarget_raw if self.linktarget_raw is not None else self.linktarget.encode()

    @property
    def unix_mode(self) -> int:
        """Permissions and special bits, without the type."""
        return unix_mode(self.mode)

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return parse_time(self.mtime)


class _Tree(msgspec.Struct):
    nodes: list[Node]


_decoder = msgspec.json.Decoder(_Tree)


def go_mode(st_mode: int) -> int:
    """Go's FileMode of a st_mode."""
    mode = st_mode & 0o777 | _GO_TYPES.get(stat.S_IFMT(st_mode), 0)
    if st_mode & 0o7000:
        for bit, go_bit in _GO_SPECIAL:
            if st_mode & bit:
                mode |= go_bit
    return mode


def unix_mode(mode: int) -> int:
    """Permissions and special bits of a Go FileMode."""
    unix = mode & 0o777
    for bit, go_bit in _GO_SPECIAL:
        if mode & go_bit:
            unix |= bit
    return unix


@functools.lru_cache(maxsize=4096)
def _day_text(day: int) -> str:
    return date.fromordinal(day + _EPOCH_DAY).isoformat()


def format_time(ns: int) -> str:
    """RFC 3339 in UTC as Go trims it; clamped to the years 1 to 9999."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        seconds, fraction = (_FIRST_SECOND if seconds < 0 else _LAST_SECOND), 0
    day, rest = divmod(seconds, 86400)
    text = f"{_day_text(day)}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text + "Z"


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch; raises `ValueError`."""
    match = _RFC3339(text)
    if match is None:
        raise ValueError(f"not a time: {text[:40]!r}")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset = 0
    if match[8]:
        offset = (int(match[9]) * 60 + int(match[10])) * (60 if match[8] == "+" else -60)
    if year == 0:
        year, month, day = 1, 1, 1  # Go knows a year 0, Python does not
    moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return (seconds - offset) * 1_000_000_000 + int((match[7] or "0").ljust(9, "0"))


def encode_node(node: Node) -> bytes:
    """A node's JSON, byte for byte as restic writes it."""
    quoted, kind = node.quoted_name, node.type
    parts = [f'{{"name":"{json_string(quoted)}","type":"{kind}"']
    if node.mode:
        parts.append(f',"mode":{node.mode}')
    parts.append(
        f',"mtime":"{node.mtime}","atime":"{node.atime}","ctime":"{node.ctime}"'
        f',"uid":{node.uid},"gid":{node.gid}'
    )
    parts += _optional_fields(node)
    if node.content is None:
        parts.append(',"content":null')
    elif node.content:
        parts.append(',"content":["' + '","'.join(node.content) + '"]')
    else:
        parts.append(',"content":[]')
    if node.subtree is not None:
        parts.append(f',"subtree":"{node.subtree}"')
    parts.append("}")
    return "".join(parts).encode()


def _optional_fields(node: Node) -> Iterable[str]:
    if node.user:
        yield f',"user":"{json_string(node.user)}"'
    if node.group:
        yield f',"group":"{json_string(node.group)}"'
    for name, number in (
        ("inode", node.inode),
        ("device_id", node.device_id),
        ("size", node.size),
        ("links", node.links),
    ):
        if number:
            yield f',"{name}":{number}'
    if node.linktarget:
        yield f',"linktarget":"{json_string(node.linktarget)}"'
    if node.linktarget_raw:
        yield f',"linktarget_raw":"{_base64(node.linktarget_raw)}"'
    if node.extended_attributes:
        yield ',"extended_attributes":[' + ",".join(map(_attribute, node.extended_attributes)) + "]"
    if node.device:
        yield f',"device":{node.device}'


def _attribute(attribute: ExtendedAttribute) -> str:
    value = "null" if attribute.value is None else f'"{_base64(attribute.value)}"'
    return f'{{"name":"{json_string(attribute.name)}","value":{value}}}'


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def encode_tree(nodes: Iterable[bytes]) -> bytes:
    """A tree of encoded nodes, which must stand in the order of their names' bytes."""
    return b'{"nodes":[' + b",".join(nodes) + b"]}\n"


def decode_tree(raw: bytes, subject: str) -> list[Node]:
    """The nodes of a tree; `subject` names it in errors.

    Raises:
        DamagedTree: It is not a tree, or holds names no folder can hold: empty, `.`,
            `..`, with `/` or NUL, twice, or out of order.
    """
    try:
        nodes = _decoder.decode(raw).nodes
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise DamagedTree(f"{subject} is not a tree: {fault}", subject=subject) from fault
    last = b""
    for node in nodes:
        try:
            name = unquote(node.quoted_name)
        except ValueError as fault:
            raise DamagedTree(f"{subject} holds a name that is none", subject=subject) from fault
        if b"/" in name or b"\0" in name or name in {b"", b".", b".."}:
            raise DamagedTree(
                f"{subject} holds the name {name[:80]!r}, which no folder can hold",
                subject=subject,
            )
        if name <= last:
            raise DamagedTree(
                f"{subject} holds {name[:80]!r} twice or out of order", subject=subject
            )
        last = name
    return nodes
