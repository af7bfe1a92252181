"""Checking: every file of the repository is what its name says and fits the others.

Without `read_data` packs are only listed and their sizes compared; with it each
is read, its hash, header and every blob compared. Order matters beside a
writer: snapshots first, then the index, then the packs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from console.repository.ahead import map_ahead
from console.repository.blobs import BlobReader, content_ids
from console.repository.errors import Damage, DamagedIndex, DamagedPack, DamagedTree
from console.repository.kernel import Fault
from console.repository.keys import MessageCipher
from console.repository.packs import PackedBlob, pack_name, pack_size, read_header
from console.repository.results import CheckResult
from console.repository.stopping import StopToken
from console.storage.errors import NoSuchObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.repository.index import Index
    from console.repository.progress import Progress
    from console.repository.repository import Repository
    from console.repository.trees import Node


def check(
    repo: Repository,
    *,
    read_data: bool = False,
    progress: Progress | None = None,
    stop: StopToken | None = None,
) -> CheckResult:
    """Look at everything and report every problem; holds a shared lock.

    Args:
        progress: Counts packs as files.

    Raises:
        Cancelled, RepositoryLocked, StoreError.
    """
    with repo.lock():
        return _Check(repo, progress, stop or StopToken()).run(read_data=read_data)


class _Check:
    def __init__(self, repo: Repository, progress: Progress | None, stop: StopToken) -> None:
        self._repo = repo
        self._progress = progress
        self._stop = stop
        self._problems: list[Damage] = []
        self._trees: set[bytes] = set()

    def run(self, *, read_data: bool) -> CheckResult:
        snapshots = self._repo.snapshots(on_damage=self._problems.append)
        index = self._repo.load_index(on_damage=self._problems.append)
        packs, blobs, size = self._compare_sizes(index)
        reader = BlobReader(self._repo.store, index, self._repo.session(verify=False))
        for snapshot in snapshots:
            self._walk(reader, index, bytes.fromhex(snapshot.tree))
        if read_data:
            if self._progress is not None:
                self._progress.add(files_total=packs, bytes_total=size)
            self._read(index)
        return CheckResult(
            packs=packs,
            blobs=blobs,
            trees=len(self._trees),
            snapshots=len(snapshots),
            problems=tuple(self._problems),
        )

    def _compare_sizes(self, index: Index) -> tuple[int, int, int]:
        """The numbers of packs and blobs, and bytes of packs, that the index names."""
        sizes = {info.name: info.size for info in self._repo.store.list("data/")}
        packs = blobs_seen = total = 0
        for pack, blobs in index.packs():
            name, expected = pack_name(pack), pack_size(blobs)
            packs, blobs_seen, total = packs + 1, blobs_seen + len(blobs), total + expected
            if name not in sizes:
                self._note(DamagedPack(f"{name} is missing", subject=name))
            elif sizes[name] != expected:
                self._note(
                    DamagedPack(
                        f"{name} is {sizes[name]} bytes long, not {expected} as the index says",
                        subject=name,
                    )
                )
        return packs, blobs_seen, total

    def _walk(self, reader: BlobReader, index: Index, root: bytes) -> None:
        stack = [root]
        while stack:
            self._stop.check()
            tree = stack.pop()
            if tree in self._trees:
                continue
            self._trees.add(tree)
            try:
                nodes = reader.tree(tree)
            except Damage as fault:
                self._note(fault)
                continue
            for node in nodes:
                try:
                    stack += self._subtree_of(index, node)
                except Damage as fault:
                    self._note(fault)

    @staticmethod
    def _subtree_of(index: Index, node: Node) -> Sequence[bytes]:
        """The tree below a folder; for a file, nothing, after its content was looked up."""
        if node.type == "dir":
            return [BlobReader.tree_id(node)]
        size = 0
        for id_ in content_ids(node):
            locations = index.find("data", id_)
            if not locations:
                raise DamagedIndex(
                    f"no index names the blob {id_.hex()} of the file {node.text_name!r}",
                    subject=f"data {id_.hex()}",
                )
            size += locations[0].plain_length
        if node.type == "file" and size != node.size:
            raise DamagedTree(
                f"the file {node.text_name!r} has {node.size} bytes, its blobs have {size}",
                subject=node.text_name,
            )
        return ()

    def _read(self, index: Index) -> None:
        for (_, blobs), problems in map_ahead(
            self._read_pack, index.packs(), threads=self._repo.threads
        ):
            self._stop.check()
            self._problems += problems
            if self._progress is not None:
                self._progress.add(files_done=1, bytes_done=pack_size(blobs), failed=len(problems))

    def _read_pack(self, item: tuple[str, list[PackedBlob]]) -> list[Damage]:
        """The problems of one pack; runs beside others."""
        pack, blobs = item
        if self._stop.stopped:
            return []
        name = pack_name(pack)
        try:
            raw = self._repo.store.get(name)
        except NoSuchObject:
            return []  # said already
        problems: list[Damage] = []
        if hashlib.sha256(raw).hexdigest() != pack:
            problems.append(
                DamagedPack(f"{name} does not have the hash it is named by", subject=name)
            )
        try:
            if read_header(raw, MessageCipher(self._repo.key), name) != blobs:
                problems.append(
                    DamagedPack(f"{name} holds other blobs than its index says", subject=name)
                )
        except Damage as fault:
            problems.append(fault)
        session = self._repo.session(verify=False)
        view = memoryview(raw)
        for blob in blobs:
            sealed = view[blob.offset : blob.offset + blob.length]
            (opened,) = session.open([sealed], [blob.raw_length], [blob.id])
            if isinstance(opened, Fault):
                problems.append(
                    DamagedPack(
                        f"{name}: the {blob.kind} blob {blob.id.hex()}: {opened.value}",
                        subject=name,
                    )
                )
        return problems

    def _note(self, fault: Damage) -> None:
        self._problems.append(fault)
