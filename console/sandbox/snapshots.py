"""VolumeSnapshots and their contents, as the snapshot controller and its sidecar treat them."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.sandbox.deletion import delete, release
from console.sandbox.folders import CopyError, Cut, quantity_of
from console.sandbox.kinds import (
    CLAIMS,
    DRIVER,
    SNAPSHOT_CLASSES,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
    Key,
)
from console.sandbox.matching import handle_of
from console.sandbox.store import now_text
from console.sandbox.telling import is_going, tell

if TYPE_CHECKING:
    from pathlib import Path

    from console.sandbox.claims import Freezer
    from console.sandbox.folders import Folders
    from console.sandbox.kinds import Raw
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control, Tasks

_PREFIX = "snapshot.storage.kubernetes.io/"
_SOURCE_HELD = f"{_PREFIX}volumesnapshot-as-source-protection"
_BOUND_HELD = f"{_PREFIX}volumesnapshot-bound-protection"
_CONTENT_HELD = f"{_PREFIX}volumesnapshotcontent-bound-protection"
_BEING_DELETED = f"{_PREFIX}volumesnapshot-being-deleted"
_DEFAULT_CLASS = f"{_PREFIX}is-default-class"


class Snapshots:
    """Takes snapshots and frees them."""

    def __init__(
        self, store: Store, *, control: Control, tasks: Tasks, folders: Folders, freezer: Freezer
    ) -> None:
        self._store = store
        self._control = control
        self._tasks = tasks
        self._folders = folders
        self._freezer = freezer
        self._unready: set[str] = set()  # handles of snapshots that were taken, and can't be read
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        key = change.key
        if key.resource == SNAPSHOTS:
            if change.type != "DELETED":
                self._control.ask(self.decide_snapshot, key)
            for content in self._store.each(SNAPSHOT_CONTENTS):
                if _ref_key(content) == key:
                    name = content["metadata"]["name"]
                    self._control.ask(self.decide_content, Key(SNAPSHOT_CONTENTS, "", name))
        elif key.resource == SNAPSHOT_CONTENTS:
            if change.type != "DELETED":
                self._control.ask(self.decide_content, key)
            self._control.ask(self.decide_snapshot, _ref_key(change.object))
        elif key.resource in {CLAIMS, SNAPSHOT_CLASSES}:
            for snapshot in self._store.each(SNAPSHOTS, key.namespace):
                if not (snapshot.get("status") or {}).get("boundVolumeSnapshotContentName"):
                    own = self._store.registry[SNAPSHOTS].key(snapshot)
                    self._control.ask(self.decide_snapshot, own)

    # snapshots

    def decide_snapshot(self, key: Key) -> None:
        """One step of one VolumeSnapshot."""
        snapshot = self._store.peek(key)
        if snapshot is None:
            return
        content = self._content_of(snapshot)
        if is_going(snapshot):
            self._let_go(key, content)
            return
        if not snapshot["metadata"].get("finalizers"):
            held = [_SOURCE_HELD, _BOUND_HELD]
            self._store.edit(key, lambda obj: obj["metadata"].update(finalizers=held))
        if content is not None:
            self._mirror(key, snapshot, content)
        elif "persistentVolumeClaimName" in snapshot["spec"]["source"]:
            self._make_content(key, self._store.get(key))
        else:
            name = snapshot["spec"]["source"]["volumeSnapshotContentName"]
            self._fault(key, f"VolumeSnapshotContent {name} is missing")

    def _content_of(self, snapshot: Raw) -> Raw | None:
        named = snapshot["spec"]["source"].get("volumeSnapshotContentName")
        name = named or f"snapcontent-{snapshot['metadata']['uid']}"
        return self._store.peek(Key(SNAPSHOT_CONTENTS, "", name))

    def _let_go(self, key: Key, content: Raw | None) -> None:
        if content is not None and _belongs(content, self._store.get(key)):
            at = Key(SNAPSHOT_CONTENTS, "", content["metadata"]["name"])
            self._mark_deleted(at)
            if content["spec"]["deletionPolicy"] == "Delete":
                if not is_going(content):
                    delete(self._store, at)
                if self._store.peek(at) is not None:
                    return  # it goes when its content is gone
        self._store.edit(key, lambda obj: obj["metadata"].pop("finalizers", None))

    def _mark_deleted(self, key: Key) -> None:
        mark = {_BEING_DELETED: "yes"}
        self._store.edit(
            key, lambda obj: obj["metadata"].setdefault("annotations", {}).update(mark)
        )

    def _mirror(self, key: Key, snapshot: Raw, content: Raw) -> None:
        """Bind to a content that names this snapshot, and show its state."""
        name = content["metadata"]["name"]
        if not _belongs(content, snapshot):
            text = f"VolumeSnapshotContent [{name}] is bound to a different snapshot"
            self._fault(key, text)
            return
        uid = snapshot["metadata"]["uid"]
        if not content["spec"]["volumeSnapshotRef"].get("uid"):
            at = Key(SNAPSHOT_CONTENTS, "", name)
            self._store.edit(at, lambda obj: obj["spec"]["volumeSnapshotRef"].update(uid=uid))
        has = content.get("status") or {}
        status: Raw = {
            "boundVolumeSnapshotContentName": name,
            "readyToUse": has.get("readyToUse", False),
        }
        if "creationTime" in has:
            moment = datetime.fromtimestamp(has["creationTime"] // 10**9, UTC)
            status["creationTime"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        if "restoreSize" in has:
            status["restoreSize"] = quantity_of(has["restoreSize"])
        if "error" in has:
            status["error"] = has["error"]
        self._store.edit(key, lambda obj: obj.update(status=status))

    def _make_content(self, key: Key, snapshot: Raw) -> None:
        claim_name = snapshot["spec"]["source"]["persistentVolumeClaimName"]
        claim = self._store.peek(Key(CLAIMS, key.namespace, claim_name))
        if claim is None or claim["status"]["phase"] != "Bound":
            why = "not found" if claim is None else "not yet bound to a PV"
            self._fault(key, f"failed to take snapshot: PVC {claim_name} is {why}")
            return
        if is_going(claim):
            self._fault(key, "cannot add finalizer on claim because it is being deleted")
            return
        volume = self._store.peek(Key(VOLUMES, "", claim["spec"]["volumeName"]))
        cls = self._class_of(snapshot)
        if cls is None or volume is None or not handle_of(volume):
            self._fault(key, f"cannot find a snapshot class for the driver of PVC {claim_name}")
            return
        class_name = cls["metadata"]["name"]
        self._store.edit(key, lambda obj: obj["spec"].update(volumeSnapshotClassName=class_name))
        meta = snapshot["metadata"]
        content = {
            "metadata": {"name": f"snapcontent-{meta['uid']}", "finalizers": [_CONTENT_HELD]},
            "spec": {
                "deletionPolicy": cls["deletionPolicy"],
                "driver": DRIVER,
                "source": {"volumeHandle": handle_of(volume)},
                "sourceVolumeMode": volume["spec"].get("volumeMode", "Filesystem"),
                "volumeSnapshotClassName": class_name,
                "volumeSnapshotRef": {
                    "apiVersion": "snapshot.storage.k8s.io/v1",
                    "kind": "VolumeSnapshot",
                    "name": meta["name"],
                    "namespace": meta["namespace"],
                    "uid": meta["uid"],
                    "resourceVersion": meta["resourceVersion"],
                },
            },
        }
        self._store.add(self._store.registry[SNAPSHOT_CONTENTS], content)

    def _class_of(self, snapshot: Raw) -> Raw | None:
        name = snapshot["spec"].get("volumeSnapshotClassName")
        for cls in self._store.each(SNAPSHOT_CLASSES):
            meta = cls["metadata"]
            default = (meta.get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
            if cls["driver"] == DRIVER and (meta["name"] == name if name else default):
                return cls
        return None

    def _fault(self, key: Key, text: str) -> None:
        def note(obj: Raw) -> None:
            status = obj.setdefault("status", {})
            if status.get("error", {}).get("message") != text:
                status["error"] = {"message": text, "time": now_text()}
            status["readyToUse"] = False

        changed = self._store.edit(key, note)
        if changed is not None:
            tell(self._store, changed, "SnapshotContentCreationFailed", text, warning=True)

    # contents

    def decide_content(self, key: Key) -> None:
        """One step of one VolumeSnapshotContent."""
        content = self._store.peek(key)
        if content is None or content["spec"]["driver"] != DRIVER:
            return
        if is_going(content):
            self._free(key, content)
            return
        # one that no snapshot is bound to is not held: deleted, it goes at once, its data stays
        if _is_bound(content) and not content["metadata"].get("finalizers"):
            self._store.edit(key, lambda obj: obj["metadata"].update(finalizers=[_CONTENT_HELD]))
        status = content.get("status") or {}
        if "snapshotHandle" in status or "error" in status:
            return
        if "snapshotHandle" in content["spec"]["source"]:
            self._adopt(key, content)
        else:
            self._tasks.start(
                ("snapshot", content["metadata"]["uid"]),
                self._take(key),
                then=lambda: self._control.ask(self.decide_content, key),
            )

    def _free(self, key: Key, content: Raw) -> None:
        """A content goes once its snapshot was meant to go; with Delete it takes the data along.

        A bound one without that mark stays, also when its snapshot is not there at all.
        """
        meant = _BEING_DELETED in (content["metadata"].get("annotations") or {})
        if _is_bound(content) and not meant:
            return
        if self._tasks.is_running(("snapshot", content["metadata"]["uid"])):
            return
        handle = (content.get("status") or {}).get("snapshotHandle", "")
        if content["spec"]["deletionPolicy"] == "Delete" and handle:
            folder = self._folders.snapshot(handle)
            self._tasks.start(("destroy", handle), self._folders.destroy(folder))
        self._store.edit(key, lambda obj: release(obj, _CONTENT_HELD))

    def _adopt(self, key: Key, content: Raw) -> None:
        """A content made by hand: its handle is looked up once, and not again."""
        handle = content["spec"]["source"]["snapshotHandle"]
        if self._folders.snapshot(handle) is None:
            text = f'rpc error: code = NotFound desc = no snapshot "{handle}"'
            self._report(key, {"readyToUse": False, "error": _error(text)})
            return
        cut = self._folders.cuts[handle]
        self._report(key, _status(handle, cut, ready=handle not in self._unready))

    async def _take(self, key: Key) -> None:
        content = self._store.get(key)
        parameters = self._parameters(content)
        handle = content["spec"]["source"]["volumeHandle"]
        folder = self._folders.volume(handle)
        if parameters.get("fail") or folder is None:
            text = parameters.get("fail") or f'code = NotFound desc = no volume "{handle}"'
            text = f"Failed to check and update snapshot content: failed to take snapshot: {text}"
            self._report(key, {"readyToUse": False, "error": _error(text)})
            return
        name = f"snap-{uuid.uuid4()}"
        try:
            cut = await self._copy(handle, folder, name)
        except CopyError as error:
            self._report(key, {"readyToUse": False, "error": _error(str(error))})
            return
        delay = float(parameters.get("delay") or 0)
        if delay:
            self._unready.add(name)
            self._tasks.later(("ready", name), delay, lambda: self._get_ready(name))
        self._report(key, _status(name, cut, ready=not delay))

    def _get_ready(self, handle: str) -> None:
        """Every content that names the snapshot says so, an adopted one too."""
        self._unready.discard(handle)
        done = _status(handle, self._folders.cuts[handle], ready=True)
        for content in self._store.each(SNAPSHOT_CONTENTS):
            if (content.get("status") or {}).get("snapshotHandle") == handle:
                self._report(Key(SNAPSHOT_CONTENTS, "", content["metadata"]["name"]), done)

    async def _copy(self, handle: str, folder: Path, name: str) -> Cut:
        async with self._freezer.frozen(handle):
            cut = Cut(self._folders.sizes.get(handle, 0), time.time_ns())
            await self._folders.new_snapshot(folder, name, cut)
        return cut

    def _parameters(self, content: Raw) -> Raw:
        name = content["spec"].get("volumeSnapshotClassName") or ""
        cls = self._store.peek(Key(SNAPSHOT_CLASSES, "", name)) or {}
        return cls.get("parameters") or {}

    def _report(self, key: Key, status: Raw) -> None:
        self._store.edit(key, lambda obj: obj.update(status=status))


def _ref_key(content: Raw) -> Key:
    ref = content["spec"]["volumeSnapshotRef"]
    return Key(SNAPSHOTS, ref.get("namespace", ""), ref.get("name", ""))


def _is_bound(content: Raw) -> bool:
    static = "snapshotHandle" in content["spec"]["source"]
    return not static or bool(content["spec"]["volumeSnapshotRef"].get("uid"))


def _belongs(content: Raw, snapshot: Raw) -> bool:
    ref, meta = content["spec"]["volumeSnapshotRef"], snapshot["metadata"]
    same = (ref.get("namespace"), ref.get("name")) == (meta["namespace"], meta["name"])
    return same and ref.get("uid") in {None, "", meta["uid"]}


def _error(text: str) -> Raw:
    return {"message": text, "time": now_text()}


def _status(handle: str, cut: Cut, *, ready: bool) -> Raw:
    return {
        "snapshotHandle": handle,
        "creationTime": cut.taken_ns,
        "restoreSize": cut.size_bytes,
        "readyToUse": ready,
    }
