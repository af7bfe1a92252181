"""Writing blobs: claimed once, sealed, put into packs, uploaded, and only then indexed.

Data blobs go at random to one of two open packs, so that the order of a pack
tells less about a file. Sealing happens in the caller's thread, uploading in
two of the writer's own. The first failed upload fails every later call.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from console.repository.index import encode_index
from console.repository.keys import MessageCipher
from console.repository.packs import (
    PACK_BYTES,
    TREE_PACK_BYTES,
    Kind,
    OpenPack,
    PackedBlob,
    pack_name,
)
from console.storage.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from console.repository.kernel import Bytes, Session
    from console.repository.progress import Progress
    from console.repository.repository import Repository

UPLOADERS = 2
IN_FLIGHT = 3  # packs being uploaded or waiting for it
INDEX_BLOBS = 20_000
INDEX_S = 300.0  # what an interrupted backup has to store again, at most


class Added(msgspec.Struct):
    """What a writer has stored that was not there before."""

    data_blobs: int = 0
    tree_blobs: int = 0
    raw_bytes: int = 0
    packed_bytes: int = 0


class _Slot:
    """One open pack with its own lock."""

    def __init__(self, limit: int) -> None:
        self.lock = threading.Lock()
        self.limit = limit
        self.pack = OpenPack(limit)


class BlobWriter:
    """Adds blobs to a repository; any thread may put.

    As a context: leaving it normally makes everything durable and indexed;
    leaving it by an exception gives up open packs and indexes finished ones.
    """

    def __init__(self, repo: Repository, progress: Progress | None = None) -> None:
        self._repo = repo
        self._index = repo.index
        self._progress = progress
        self._slots: dict[Kind, tuple[_Slot, ...]] = {
            "data": (_Slot(PACK_BYTES), _Slot(PACK_BYTES)),
            "tree": (_Slot(TREE_PACK_BYTES),),
        }
        self._guard = threading.Lock()
        self._claimed: set[tuple[Kind, bytes]] = set()
        self._failure: BaseException | None = None
        self._unsaved: list[tuple[str, Sequence[PackedBlob]]] = []
        self._saved_at = time.monotonic()
        self._room = threading.Semaphore(IN_FLIGHT)
        self._uploads = ThreadPoolExecutor(UPLOADERS, "repository:upload")
        self.added = Added()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if fault is None:
            self._flush_all()
        self._uploads.shutdown(wait=True)
        try:
            self._save_index()
        except StoreError as second:
            if fault is None:
                raise
            fault.add_note(f"the index of finished packs could not be stored either: {second}")
        finally:
            if self._unsaved:
                self._repo.forget_index()  # it names packs that no stored index names
        if fault is None:
            self._raise_failure()

    def put(self, session: Session, kind: Kind, parts: Sequence[Bytes]) -> list[bytes]:
        """Store what is not stored yet; the ids in the order of the parts.

        Blocks while the uploads can't keep up. Raises what an earlier upload raised.
        """
        self._raise_failure()
        ids = session.hash(parts)
        fresh = [at for at, id_ in enumerate(ids) if self._claim(kind, id_)]
        if fresh:
            new_ids = [ids[at] for at in fresh]
            sealed = session.seal([parts[at] for at in fresh], new_ids)
            raw = packed = 0
            for at, id_, blob in zip(fresh, new_ids, sealed, strict=True):
                raw += len(parts[at])
                packed += len(blob.data)
                slot = self._slots[kind][secrets.randbits(1) % len(self._slots[kind])]
                with slot.lock:
                    slot.pack.add(kind, id_, blob)
                    full = self._swap(slot) if slot.pack.is_full else None
                if full is not None:
                    self._send(full)
            self._count(kind, blobs=len(fresh), raw=raw, packed=packed)
        return ids

    def has(self, kind: Kind, id_: bytes) -> bool:
        """Whether a blob is stored, or about to be by this writer."""
        return (kind, id_) in self._claimed or self._index.has(kind, id_)

    def _claim(self, kind: Kind, id_: bytes) -> bool:
        with self._guard:
            if self.has(kind, id_):
                return False
            self._claimed.add((kind, id_))
            return True

    def _count(self, kind: Kind, *, blobs: int, raw: int, packed: int) -> None:
        with self._guard:
            if kind == "data":
                self.added.data_blobs += blobs
            else:
                self.added.tree_blobs += blobs
            self.added.raw_bytes += raw
            self.added.packed_bytes += packed
        if self._progress is not None:
            self._progress.add(bytes_new=raw, bytes_stored=packed)

    @staticmethod
    def _swap(slot: _Slot) -> OpenPack:
        full, slot.pack = slot.pack, OpenPack(slot.limit)
        return full

    def _flush_all(self) -> None:
        for slots in self._slots.values():
            for slot in slots:
                with slot.lock:
                    last = self._swap(slot)
                if last.blobs:
                    self._send(last)

    def _send(self, pack: OpenPack) -> None:
        self._room.acquire()
        self._uploads.submit(self._upload, pack).add_done_callback(self._sent)

    def _sent(self, upload: Future[None]) -> None:
        fault = upload.exception()
        with self._guard:
            self._failure = self._failure or fault
        self._room.release()

    def _upload(self, pack: OpenPack) -> None:
        self._raise_failure()
        pack.finish(MessageCipher(self._repo.key))
        pack_id = hashlib.sha256(pack.data).hexdigest()
        self._repo.store.put(pack_name(pack_id), memoryview(pack.data))
        self._index.add_pack(pack_id, pack.blobs)
        with self._guard:
            self._claimed.difference_update((blob.kind, blob.id) for blob in pack.blobs)
            self._unsaved.append((pack_id, pack.blobs))
            due = (
                sum(len(blobs) for _, blobs in self._unsaved) >= INDEX_BLOBS
                or time.monotonic() - self._saved_at > INDEX_S
            )
        if due:
            self._save_index()

    def _save_index(self) -> None:
        with self._guard:
            packs, self._unsaved = self._unsaved, []
            self._saved_at = time.monotonic()
        if not packs:
            return
        saved = False
        try:
            self._repo.save_message("index", encode_index(packs))
            saved = True
        finally:
            if not saved:
                with self._guard:
                    self._unsaved += packs

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
