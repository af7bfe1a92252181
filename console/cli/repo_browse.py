"""The verbs of `kubehaven repo` that only look: snapshots, ls, cat. They take no lock."""

from __future__ import annotations

import json
import stat
import sys
from typing import TYPE_CHECKING

import msgspec

from console.cli import output
from console.cli.exits import DONE, FAILED
from console.cli.usage import UsageError
from console.repository import (
    Damage,
    DamagedConfig,
    DamagedIndex,
    DamagedSnapshot,
    NoSuchPath,
    list_tree,
    read_file,
    walk,
)
from console.repository.browsing import entry_of
from console.repository.keys import MessageCipher
from console.repository.messages import load_message
from console.repository.trees import encode_node, encode_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from console.cli.repo_access import Access
    from console.repository import Entry, Repository, Snapshot
    from console.repository.trees import Node

KINDS = ("file", "snapshot", "tree", "blob", "index", "key", "config")
ID_DIGITS = 64

_TYPES = {
    "file": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "dev": stat.S_IFBLK,
    "chardev": stat.S_IFCHR,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
}


def snapshots(access: Access) -> int:
    """List the snapshots, oldest first."""
    damage: list[Damage] = []
    repository = access.open(read_only=True)
    found = repository.snapshots(tags=access.arguments.tag, on_damage=damage.append)
    for fault in damage:
        output.print_error(
            fault.code, fault.message, subject=fault.subject, hint=fault.hint, json=access.json
        )
    code = FAILED if damage else DONE
    if access.json:
        output.print_json([snapshot_fields(one) for one in found])
        return code
    rows = [
        (
            one.id[:8],
            one.time[:19].replace("T", " "),
            one.hostname,
            ",".join(one.tags),
            ",".join(one.paths),
            output.size(one.summary.total_bytes_processed if one.summary else -1),
        )
        for one in found
    ]
    output.print_table(("ID", "TIME", "HOST", "TAGS", "PATHS", "SIZE"), rows)
    return code


def snapshot_fields(snapshot: Snapshot) -> dict[str, object]:
    """A snapshot for programs: restic's names."""
    return {
        "id": snapshot.id,
        "short_id": snapshot.id[:8],
        **{
            name: getattr(snapshot, name)
            for name in ("time", "tree", "paths", "hostname", "username", "tags", "parent")
        },
        "program_version": snapshot.program_version,
        "summary": snapshot.summary,
    }


def ls(access: Access) -> int:
    """List a folder of a snapshot, or everything below it."""
    asked = access.arguments
    repository = access.open(read_only=True)
    snapshot = repository.find_snapshot(asked.snapshot)
    path = asked.path.strip("/")
    entries: Iterable[Entry] = list_tree(repository, snapshot, path)
    if asked.recursive:
        entries = (entry_of(node, at) for at, node in walk(repository, snapshot, path))
    if access.json:
        _print_array(entries)
        return DONE
    for entry in entries:
        print(_line(entry))
    return DONE


def _line(entry: Entry) -> str:
    mode = stat.filemode(_TYPES.get(entry.type, 0) | entry.mode)
    size = output.size(entry.size) if entry.type == "file" else output.UNKNOWN
    where = output.visible(entry.path)
    if entry.type == "symlink":
        where += f" -> {output.visible(entry.link_target)}"
    time = entry.mtime[:19].replace("T", " ")
    return f"{mode}  {entry.uid:>6} {entry.gid:>6}  {size:>9}  {time:19}  {where}"


def _print_array(entries: Iterable[Entry]) -> None:
    """One JSON array, an entry a line, printed as they come: a snapshot may hold millions."""
    separator = "["
    for entry in entries:
        print(separator)
        print(_json(entry), end="")
        separator = ","
    print("[]" if separator == "[" else "\n]")


def _json(entry: Entry) -> str:
    try:
        return msgspec.json.encode(entry).decode()
    except UnicodeEncodeError:  # a name that isn't UTF-8; Python reads the escape back as is
        return json.dumps(msgspec.to_builtins(entry))


def cat(access: Access) -> int:
    """Write a file of a snapshot, or a piece of the repository as it is stored, to stdout."""
    words, kind = access.arguments.words, access.arguments.kind
    wanted = {"config": 0, "file": 2}.get(kind, 1)
    if len(words) != wanted:
        usage = {"config": "", "file": " SNAPSHOT PATH"}.get(kind, " ID")
        raise UsageError(f"`cat {kind}` takes {wanted} words", hint=f"cat {kind}{usage}")
    repository = access.open(read_only=True)
    for part in _PIECES[kind](repository, *words):
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
    return DONE


def _file(repository: Repository, snapshot: str, path: str) -> Iterator[bytes]:
    yield from read_file(repository, repository.find_snapshot(snapshot), path)


def _snapshot(repository: Repository, wanted: str) -> Iterator[bytes]:
    name = f"snapshots/{repository.find_snapshot(wanted).id}"
    yield _pretty(load_message(repository.store, repository.key, name, DamagedSnapshot))


def _index(repository: Repository, wanted: str) -> Iterator[bytes]:
    name = _stored_name(repository, "index", wanted)
    yield _pretty(load_message(repository.store, repository.key, name, DamagedIndex))


def _key(repository: Repository, wanted: str) -> Iterator[bytes]:
    yield _pretty(repository.store.get(_stored_name(repository, "keys", wanted)))


def _config(repository: Repository) -> Iterator[bytes]:
    raw = MessageCipher(repository.key).open(repository.store.get("config"))
    if raw is None:
        raise DamagedConfig("config can't be authenticated", subject="config")
    yield _pretty(raw)


def _tree(repository: Repository, wanted: str) -> Iterator[bytes]:
    yield _pretty(_encoded(repository.reader().tree(_blob_id(wanted))))


def _blob(repository: Repository, wanted: str) -> Iterator[bytes]:
    id_, reader = _blob_id(wanted), repository.reader()
    if repository.index.has("tree", id_):
        yield _encoded(reader.tree(id_))
    elif repository.index.has("data", id_):
        yield reader.data(id_)
    else:
        raise NoSuchPath(f"no index names the blob {wanted}", subject=wanted)


def _encoded(nodes: Iterable[Node]) -> bytes:
    return encode_tree([encode_node(node) for node in nodes])


def _blob_id(text: str) -> bytes:
    try:
        id_ = bytes.fromhex(text)
    except ValueError:
        id_ = b""
    if len(id_) * 2 != ID_DIGITS:
        hint = "`cat snapshot` and `cat tree` show ids"
        raise UsageError(f"{text!r} is no id: it has {ID_DIGITS} hex digits", hint=hint)
    return id_


def _stored_name(repository: Repository, folder: str, wanted: str) -> str:
    """The name of the one file in a folder of the repository whose id begins so."""
    prefix = f"{folder}/{wanted}"
    found = [one.name for one in repository.store.list(f"{folder}/") if one.name.startswith(prefix)]
    if len(found) != 1:
        how_many = f"{len(found)} files begin" if found else "no file begins"
        raise NoSuchPath(f"{how_many} with {prefix}", subject=folder)
    return found[0]


def _pretty(raw: bytes) -> bytes:
    return msgspec.json.format(raw, indent=2) + b"\n"


_PIECES: dict[str, Callable[..., Iterator[bytes]]] = {
    "file": _file,
    "snapshot": _snapshot,
    "tree": _tree,
    "blob": _blob,
    "index": _index,
    "key": _key,
    "config": _config,
}
