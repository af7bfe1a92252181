"""A repository: made, opened, its snapshots, its index, its lock."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from typing import TYPE_CHECKING

import msgspec

from console.repository import snapshots as snapshot_files
from console.repository.ahead import map_ahead
from console.repository.blobs import BlobReader
from console.repository.config import decode_config, make_config
from console.repository.errors import (
    Damage,
    DamagedConfig,
    DamagedIndex,
    DamagedSnapshot,
    NoSuchSnapshot,
    ReadOnlyRepository,
    RepositoryExists,
    RepositoryMissing,
)
from console.repository.index import Index
from console.repository.keys import (
    DataKey,
    MessageCipher,
    find_data_keys,
    make_key_file,
)
from console.repository.listing import list_files
from console.repository.locks import HeldLock
from console.repository.messages import load_message, save_message
from console.repository.portable import PortableKernel
from console.storage.errors import NoSuchObject, NoSuchStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Self

    from console.repository.kernel import Kernel, Session
    from console.repository.snapshots import Snapshot
    from console.storage.protocol import ObjectStore

FETCHERS = 4  # small files read side by side


def init_repository(store: ObjectStore, password: bytes, *, username: str = "kubehaven") -> None:
    """Make an empty repository; exactly one of several concurrent callers succeeds.

    The key is written before the config, so whoever sees a config can open it.
    A key that an interrupted call left behind, and that the password opens, is
    used again: restic tries only the first key that opens.

    Raises:
        RepositoryExists: There is one already, whatever its password.
        WrongPassword: Keys without a config were left behind by another password.
    """
    if _config(store) is not None:
        raise _exists(store)
    names = _key_names(store)
    if names:
        key, name = find_data_keys(store, names, password)[0], ""
    else:
        key = DataKey.generate()
        raw = make_key_file(key, password, username=username, hostname=socket.gethostname())
        name = f"keys/{hashlib.sha256(raw).hexdigest()}"
        store.put(name, raw)
    if store.create("config", MessageCipher(key).seal(msgspec.json.encode(make_config()))):
        return
    winner = _config(store)
    if name and winner is not None and MessageCipher(key).open(winner) is None:
        store.delete(name)  # of a race we lost: it opens nothing
    raise _exists(store)


class Repository:
    """An open repository; all methods may be called from any thread.

    Attributes:
        threads: How many threads a backup, restore or check works with, two by default;
            each needs about 40 MiB.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: DataKey,
        repository_id: str,
        *,
        read_only: bool = False,
        kernel: Kernel | None = None,
    ) -> None:
        self.store = store
        self.key = key
        self.id = repository_id
        self.read_only = read_only
        self.threads = 2
        self._kernel = kernel or PortableKernel()
        self._guard = threading.RLock()
        self._index: Index | None = None
        self._lock: HeldLock | None = None
        self._holders = 0

    @classmethod
    def open(
        cls,
        store: ObjectStore,
        password: bytes,
        *,
        read_only: bool = False,
        kernel: Kernel | None = None,
    ) -> Self:
        """Open with a password; every key file is tried.

        Args:
            read_only: Write nothing, take no locks.

        Raises:
            RepositoryMissing, WrongPassword, UnsupportedVersion, Damage, StoreError.
        """
        sealed = _config(store)
        if sealed is None:
            raise _missing(store)
        names = _key_names(store)
        if not names:
            raise DamagedConfig("the repository has a config but no key", subject="keys/")
        for key in find_data_keys(store, names, password):
            raw = MessageCipher(key).open(sealed)
            if raw is not None:
                config = decode_config(raw)
                return cls(store, key, config.id, read_only=read_only, kernel=kernel)
        raise DamagedConfig("config can't be authenticated", subject="config")

    def session(self, *, verify: bool = True) -> Session:
        """A session of the kernel for the calling thread."""
        return self._kernel.session(self.key, verify=verify)

    def reader(self) -> BlobReader:
        """A reader of blobs for the calling thread."""
        return BlobReader(self.store, self.index, self.session(verify=False))

    @property
    def index(self) -> Index:
        """The index, loaded when it is first needed."""
        with self._guard:
            if self._index is None:
                self._index = self.load_index()
            return self._index

    def forget_index(self) -> None:
        """Load the index anew when it is next needed."""
        with self._guard:
            self._index = None

    def load_index(self, on_damage: Callable[[Damage], None] | None = None) -> Index:
        """Read all index files anew; the repository's own index is not changed.

        Args:
            on_damage: Gets what is damaged instead of an exception.
        """
        index = Index()
        for name, raw in self._messages("index/", DamagedIndex, on_damage):
            try:
                index.load([(name, raw)])
            except Damage as fault:
                if on_damage is None:
                    raise
                on_damage(fault)
        return index

    def snapshots(
        self,
        *,
        tags: Collection[str] = (),
        on_damage: Callable[[Damage], None] | None = None,
    ) -> list[Snapshot]:
        """All snapshots with every one of the tags, oldest first.

        Args:
            on_damage: Gets what is damaged instead of an exception.
        """
        found = []
        for name, raw in self._messages("snapshots/", DamagedSnapshot, on_damage):
            try:
                found.append(snapshot_files.decode_snapshot(raw, name))
            except Damage as fault:
                if on_damage is None:
                    raise
                on_damage(fault)
        return snapshot_files.select(found, tags=tags)

    def find_snapshot(self, wanted: str) -> Snapshot:
        """The snapshot whose id begins so; `latest` is the newest.

        Raises:
            NoSuchSnapshot: None fits, or several do.
        """
        if len(wanted) == 64:
            name = f"snapshots/{wanted}"
            try:
                raw = load_message(self.store, self.key, name, DamagedSnapshot)
            except NoSuchObject as fault:
                raise NoSuchSnapshot(f"there is no snapshot {wanted}", subject=wanted) from fault
            return snapshot_files.decode_snapshot(raw, name)
        return snapshot_files.find(self.snapshots(), wanted)

    def save_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Store a snapshot; the result has its id."""
        self.require_writable()
        id_ = self.save_message("snapshots", snapshot_files.encode_snapshot(snapshot))
        return msgspec.structs.replace(snapshot, id=id_)

    def save_message(self, folder: str, content: bytes) -> str:
        """Seal and store an index or a snapshot; returns its id."""
        return save_message(self.store, self.key, folder, content)

    def require_writable(self) -> None:
        """`ReadOnlyRepository` when this was opened for reading only."""
        if self.read_only:
            raise ReadOnlyRepository(
                "the repository was opened for reading only", subject=self.store.url
            )

    @contextlib.contextmanager
    def lock(self, *, exclusive: bool = False) -> Iterator[None]:
        """Hold a lock as restic's, renewed in a thread while held.

        Nested calls share one lock. A repository opened for reading only takes none.

        Raises:
            RepositoryLocked: Somebody else's lock stands against it.
        """
        if self.read_only:
            yield
            return
        with self._guard:
            if self._lock is None or (exclusive and not self._lock.exclusive):
                held = HeldLock(self.store, self.key, exclusive=exclusive)
                held.acquire()
                self._lock = held
            self._holders += 1
        try:
            yield
        finally:
            with self._guard:
                self._holders -= 1
                last = self._lock if self._holders == 0 else None
                if last is not None:
                    self._lock = None
            if last is not None:
                last.release()

    def check_lock(self) -> None:
        """`LockLost` when the lock held could not be renewed in time."""
        with self._guard:
            held = self._lock
        if held is not None:
            held.check()

    def _messages(
        self,
        folder: str,
        damage: type[Damage],
        on_damage: Callable[[Damage], None] | None,
    ) -> Iterator[tuple[str, bytes]]:
        """Every message of a folder, a few read ahead; one deleted meanwhile is left out."""

        def load(name: str) -> bytes | Damage | None:
            try:
                return load_message(self.store, self.key, name, damage)
            except NoSuchObject:
                return None
            except Damage as fault:
                return fault

        names = list_files(self.store, folder)
        for name, loaded in map_ahead(load, names, threads=FETCHERS):
            if isinstance(loaded, bytes):
                yield name, loaded
            elif isinstance(loaded, Damage):
                if on_damage is None:
                    raise loaded
                on_damage(loaded)


def _config(store: ObjectStore) -> bytes | None:
    try:
        return store.get("config")
    except (NoSuchObject, NoSuchStore):
        return None


def _key_names(store: ObjectStore) -> list[str]:
    try:
        return list_files(store, "keys/")
    except NoSuchStore:  # a folder that the first write makes
        return []


def _exists(store: ObjectStore) -> RepositoryExists:
    return RepositoryExists("there is a repository here already", subject=store.url)


def _missing(store: ObjectStore) -> RepositoryMissing:
    return RepositoryMissing(
        f"there is no repository in {store.url}",
        subject=store.url,
        hint="check the address; `kubehaven repo init` makes a new one",
    )
