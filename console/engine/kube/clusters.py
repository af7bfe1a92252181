"""The clusters that a user added on this desktop: where their kubeconfigs are, never a copy.

One small JSON file, read before each change and replaced as a whole. Two processes that
change it in the same instant are not guarded against each other: the later one wins.
Everything here blocks, for a moment.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from console.engine.errors import EngineError, UntrustedPrograms
from console.engine.kube.access import programs, trust_digest
from console.engine.kube.kubeconfig import read_kubeconfig
from console.storage.durable import replace_file

if TYPE_CHECKING:
    from console.engine.kube.access import ClusterAccess

FILE_NAME = "clusters.json"
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class ClusterEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One cluster as the user knows it."""

    name: str
    kubeconfig: str  # absolute path
    context: str  # never empty: a kubeconfig's current context changes
    color: str = ""
    trusted: str = ""  # `trust_digest` of what the user accepted


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    clusters: tuple[ClusterEntry, ...] = ()


class ClusterBook:
    """The list of clusters, in the user's order.

    Args:
        folder: Where the file is or will be.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def list(self) -> tuple[ClusterEntry, ...]:
        """All clusters.

        Raises:
            EngineError: `clusters.damaged`: the file is no such list; it was moved aside, and
                the next call begins an empty one. `clusters.newer`: a newer Kubehaven wrote it.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._fault(f"can't be read: {error.strerror}", "clusters.unreadable") from error
        try:
            version = msgspec.json.decode(content, type=_Versioned).version
            if version <= FORMAT:
                return msgspec.json.decode(content, type=_File).clusters
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._put_aside() from error
        raise self._fault(
            "was written by a newer Kubehaven", "clusters.newer", hint="update this one"
        )

    def get(self, name: str) -> ClusterEntry:
        """One cluster.

        Raises:
            EngineError: `cluster.unknown`.
        """
        known = self.list()
        for entry in known:
            if entry.name == name:
                return entry
        names = ", ".join(entry.name for entry in known) or "none yet"
        raise EngineError(
            f"no cluster {name!r} was added here",
            subject=name,
            hint=f"known: {names}",
            code="cluster.unknown",
        )

    def add(self, entry: ClusterEntry) -> None:
        """Append a cluster.

        Raises:
            EngineError: `cluster.name`: the name is taken, or is no name.
        """
        if not _NAME.fullmatch(entry.name):
            raise EngineError(
                "a cluster's name is 1 to 63 letters, digits, dots, dashes and underscores",
                subject=entry.name,
                code="cluster.name",
            )
        known = self.list()
        if any(one.name == entry.name for one in known):
            raise EngineError(
                f"there is a cluster {entry.name!r} already",
                subject=entry.name,
                hint="take another name, or forget that one first",
                code="cluster.name",
            )
        self._write((*known, entry))

    def update(self, entry: ClusterEntry) -> None:
        """Put an entry in the place of the one of its name.

        Raises:
            EngineError: `cluster.unknown`.
        """
        self.get(entry.name)
        self._write(tuple(entry if one.name == entry.name else one for one in self.list()))

    def forget(self, name: str) -> None:
        """Forget a cluster.

        Raises:
            EngineError: `cluster.unknown`.
        """
        self.get(name)
        self._write(tuple(one for one in self.list() if one.name != name))

    def _write(self, clusters: tuple[ClusterEntry, ...]) -> None:
        content = msgspec.json.format(msgspec.json.encode(_File(version=FORMAT, clusters=clusters)))
        try:
            replace_file(self._path, content + b"\n")
        except OSError as error:
            raise self._fault(
                f"can't be written: {error.strerror}", "clusters.unwritable"
            ) from error

    def _put_aside(self) -> EngineError:
        for number in range(1, 1000):
            aside = self._path.with_name(f"{FILE_NAME}.damaged-{number}")
            if not aside.exists():
                break
        try:
            self._path.rename(aside)
        except OSError as error:
            return self._fault(f"is damaged and stays: {error.strerror}", "clusters.damaged")
        return self._fault(
            f"is damaged; it was kept as {aside.name}",
            "clusters.damaged",
            hint="add the clusters again, or mend that file and rename it back",
        )

    def _fault(self, what: str, code: str, *, hint: str = "") -> EngineError:
        return EngineError(
            f"the list of clusters {what}", subject=str(self._path), hint=hint, code=code
        )


class _Versioned(msgspec.Struct):
    version: int


def trusted_access(entry: ClusterEntry) -> ClusterAccess:
    """The access of a cluster, when it names nothing that the user has not trusted.

    Raises:
        KubeconfigError: The kubeconfig can't be used.
        UntrustedPrograms: It names programs or files, and they are not exactly the trusted ones.
    """
    access = read_kubeconfig(Path(entry.kubeconfig), entry.context)
    check_trust(access, entry.trusted)
    return access


def check_trust(access: ClusterAccess, trusted: str) -> None:
    """Nothing, where the access names nothing or exactly what `trusted` stands for.

    Raises:
        UntrustedPrograms: Otherwise.
    """
    wanted = trust_digest(access)
    if wanted and wanted != trusted:
        changed = "changed what it names" if trusted else "names programs or files"
        error = UntrustedPrograms(
            f"the kubeconfig {changed}; nothing of it is used before you trust it",
            items=programs(access),
            subject=access.path,
        )
        error.hint = "look at each item, then trust them"
        raise error
