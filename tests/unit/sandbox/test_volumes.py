"""What destroys data and what does not; snapshots are points in time."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from console.sandbox.deletion import delete
from console.sandbox.kinds import (
    CLAIMS,
    PODS,
    SNAPSHOT_CLASSES,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
    Key,
)
from tests.unit.sandbox.objects import (
    HOME,
    WRITER,
    becomes,
    bound,
    claim,
    goes,
    home,
    key,
    mounting,
    pod,
    snapshot,
)

if TYPE_CHECKING:
    from pathlib import Path

    from console.sandbox import Sandbox
    from console.sandbox.kinds import Raw

_ORIGIN = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "snap"}


def _set(sandbox: Sandbox, at: Key, **spec: object) -> None:
    sandbox.store.edit(at, lambda obj: obj["spec"].update(spec))


async def _vanishes(folder: Path) -> None:
    for _ in range(500):
        if not folder.exists():  # noqa: ASYNC240 - a look at one folder
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{folder} is still there")


async def test_delete_on_a_released_volume_destroys_it_though_its_claim_says_bound(
    sandbox: Sandbox,
) -> None:
    """The trap: claimRef and the policy Delete in one patch, while the volume is Released."""
    home(sandbox)
    volume, folder = await bound(sandbox, "first")
    _set(sandbox, volume, persistentVolumeReclaimPolicy="Retain")
    delete(sandbox.store, key(CLAIMS, "first"))
    await becomes(sandbox, volume, "status.phase", "Released")
    (folder / "precious").touch()
    target = sandbox.create(claim("target", volumeName=volume.name), HOME)["metadata"]
    ref = {"namespace": HOME, "name": "target", "uid": target["uid"]}
    _set(sandbox, volume, persistentVolumeReclaimPolicy="Delete", claimRef=ref)
    await becomes(sandbox, key(CLAIMS, "target"), "status.phase", "Bound")
    await _vanishes(folder)
    sandbox.create(pod("reader", WRITER, "/v", **mounting({"target": "/v"})), HOME)
    found = await becomes(sandbox, key(PODS, "reader"), "spec.nodeName", "sandbox")
    await sandbox.until(lambda: bool(_waiting(sandbox.store.peek(key(PODS, "reader")))))
    assert found["status"]["phase"] == "Pending"
    assert _waiting(sandbox.store.peek(key(PODS, "reader"))) == "ContainerCreating"


def _waiting(found: Raw | None) -> str:
    states = (found or {}).get("status", {}).get("containerStatuses") or [{"state": {}}]
    return str(states[0]["state"].get("waiting", {}).get("reason", ""))


async def test_the_way_that_keeps_the_data(sandbox: Sandbox) -> None:
    home(sandbox)
    volume, folder = await bound(sandbox, "first")
    (folder / "precious").touch()
    _set(sandbox, volume, persistentVolumeReclaimPolicy="Retain")
    target = sandbox.create(claim("target", volumeName=volume.name), HOME)["metadata"]
    ref = {"namespace": HOME, "name": "target", "uid": target["uid"]}
    _set(sandbox, volume, claimRef=ref)
    await becomes(sandbox, key(CLAIMS, "target"), "status.phase", "Bound")
    await becomes(sandbox, key(CLAIMS, "first"), "status.phase", "Lost")
    _set(sandbox, volume, persistentVolumeReclaimPolicy="Delete")
    delete(sandbox.store, key(CLAIMS, "first"))
    await goes(sandbox, key(CLAIMS, "first"))
    assert (folder / "precious").exists()
    assert sandbox.store.get(volume)["status"]["phase"] == "Bound"
    delete(sandbox.store, key(CLAIMS, "target"))
    await goes(sandbox, volume)
    await _vanishes(folder)


async def test_a_volume_object_deleted_under_retain_frees_nothing(sandbox: Sandbox) -> None:
    home(sandbox)
    volume, folder = await bound(sandbox, "first")
    _set(sandbox, volume, persistentVolumeReclaimPolicy="Retain")
    delete(sandbox.store, volume)
    assert sandbox.store.get(volume)["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    delete(sandbox.store, key(CLAIMS, "first"))
    await goes(sandbox, volume)
    assert folder.is_dir()


async def test_a_claim_waits_for_its_first_consumer(sandbox: Sandbox) -> None:
    home(sandbox)
    sandbox.create(claim("late", storageClassName="sandbox-wait"), HOME)
    sandbox.create(claim("now"), HOME)
    await becomes(sandbox, key(CLAIMS, "now"), "status.phase", "Bound")
    assert sandbox.store.get(key(CLAIMS, "late"))["status"]["phase"] == "Pending"
    sandbox.create(pod("user", WRITER, "/v", **mounting({"late": "/v"})), HOME)
    await becomes(sandbox, key(CLAIMS, "late"), "status.phase", "Bound")
    await becomes(sandbox, key(PODS, "user"), "status.phase", "Running")


async def test_a_snapshot_is_one_point_in_time(sandbox: Sandbox) -> None:
    """While it copies, nobody writes: the file and its journal agree in each of many cuts."""
    home(sandbox)
    _, folder = await bound(sandbox, "first")
    for number in range(300):
        (folder / f"filler-{number}").write_bytes(os.urandom(20_000))
    sandbox.create(pod("writer", WRITER, "/v", "/v", **mounting({"first": "/v"})), HOME)
    await becomes(sandbox, key(PODS, "writer"), "status.phase", "Running")
    names = [f"snap-{number}" for number in range(5)]
    for name in names:
        sandbox.create(snapshot(name, {"persistentVolumeClaimName": "first"}), HOME)
    for name in names:
        found = await becomes(sandbox, key(SNAPSHOTS, name), "status.readyToUse", True)
        cut = _folder_of(sandbox, found)
        stamps = (cut / "stamps").read_text().splitlines() if (cut / "stamps").exists() else []
        last = (cut / "stamp").read_text().strip() if (cut / "stamp").exists() else ""
        assert last in {*stamps[-2:], ""}
    state = await becomes(sandbox, key(PODS, "writer"), "status.phase", "Running")
    assert state["status"]["containerStatuses"][0]["restartCount"] == 0


def _folder_of(sandbox: Sandbox, found: Raw) -> Path:
    content = sandbox.store.get(
        Key(SNAPSHOT_CONTENTS, "", found["status"]["boundVolumeSnapshotContentName"])
    )
    return sandbox.folder / "snapshots" / str(content["status"]["snapshotHandle"])


async def test_nothing_runs_while_a_volume_is_frozen(sandbox: Sandbox, tmp_path: Path) -> None:
    home(sandbox)
    volume, folder = await bound(sandbox, "first")
    await bound(sandbox, "other")
    handle = sandbox.store.get(volume)["spec"]["csi"]["volumeHandle"]
    pods = sandbox._pods  # the freezer has no public face
    assert pods is not None
    sandbox.create(pod("writer", WRITER, "/v", **mounting({"first": "/v"})), HOME)
    await becomes(sandbox, key(PODS, "writer"), "status.phase", "Running")
    async with pods.frozen(handle):
        before = sorted(folder.iterdir())
        sandbox.create(pod("late", WRITER, "/v", **mounting({"first": "/v"})), HOME)
        sandbox.create(pod("free", WRITER, "/v", **mounting({"other": "/v"})), HOME)
        await becomes(sandbox, key(PODS, "free"), "status.phase", "Running")
        assert sandbox.store.get(key(PODS, "late"))["status"]["phase"] == "Pending"
        assert sorted(folder.iterdir()) == before
    await becomes(sandbox, key(PODS, "late"), "status.phase", "Running")


async def test_a_copy_keeps_what_files_are(sandbox: Sandbox) -> None:
    home(sandbox)
    _, folder = await bound(sandbox, "first")
    folder.chmod(0o751)
    os.chown(folder, 1000, 1001)
    file = folder / "file"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 20)
    os.chown(file, 1234, 4321)
    file.chmod(0o640)
    os.setxattr(file, "user.word", b"open")
    os.utime(file, ns=(1, 1_000_000_007))
    (folder / "link").symlink_to("nowhere")
    os.link(file, folder / "hard")
    sandbox.create(snapshot("snap", {"persistentVolumeClaimName": "first"}), HOME)
    await becomes(sandbox, key(SNAPSHOTS, "snap"), "status.readyToUse", True)
    _, copy = await bound(sandbox, "again", dataSource=_ORIGIN)
    for one, two in ((folder, copy), (file, copy / "file")):
        a, b = one.stat(), two.stat()
        fields = ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_nlink")
        assert [getattr(a, f) for f in fields] == [getattr(b, f) for f in fields]
    assert os.getxattr(copy / "file", "user.word") == b"open"
    assert (copy / "file").stat().st_blocks < 100
    assert os.readlink(copy / "link") == "nowhere"
    told = await asyncio.create_subprocess_exec("diff", "-r", "--no-dereference", folder, copy)
    assert await told.wait() == 0


async def test_a_static_copy_says_ready_though_the_data_is_gone(sandbox: Sandbox) -> None:
    """Two contents on one handle do not know of each other."""
    home(sandbox)
    await bound(sandbox, "first")
    sandbox.create(snapshot("snap", {"persistentVolumeClaimName": "first"}), HOME)
    found = await becomes(sandbox, key(SNAPSHOTS, "snap"), "status.readyToUse", True)
    folder = _folder_of(sandbox, found)
    sandbox.create(_static("own", folder.name))
    sandbox.create(snapshot("moved", {"volumeSnapshotContentName": "own"}), HOME)
    await becomes(sandbox, key(SNAPSHOTS, "moved"), "status.readyToUse", True)
    delete(sandbox.store, key(SNAPSHOTS, "snap"))
    await goes(sandbox, key(SNAPSHOTS, "snap"))
    await _vanishes(folder)
    assert sandbox.store.get(key(SNAPSHOTS, "moved"))["status"]["readyToUse"] is True
    sandbox.create(claim("again", dataSource={**_ORIGIN, "name": "moved"}), HOME)
    await sandbox.until(lambda: "no snapshot" in _events(sandbox))
    assert sandbox.store.get(key(CLAIMS, "again"))["status"]["phase"] == "Pending"


def _events(sandbox: Sandbox) -> str:
    return " ".join(event["message"] for event in sandbox.store.each("events", HOME))


def _static(name: str, handle: str, policy: str = "Retain") -> Raw:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotContent",
        "metadata": {"name": name},
        "spec": {
            "deletionPolicy": policy,
            "driver": "csi.sandbox.kubehaven.io",
            "source": {"snapshotHandle": handle},
            "volumeSnapshotRef": {"namespace": HOME, "name": "moved"},
        },
    }


async def test_retain_keeps_a_snapshot_and_delete_frees_it(sandbox: Sandbox) -> None:
    home(sandbox)
    await bound(sandbox, "first")
    sandbox.create(snapshot("snap", {"persistentVolumeClaimName": "first"}), HOME)
    found = await becomes(sandbox, key(SNAPSHOTS, "snap"), "status.readyToUse", True)
    folder = _folder_of(sandbox, found)
    content = Key(SNAPSHOT_CONTENTS, "", found["status"]["boundVolumeSnapshotContentName"])
    _set(sandbox, content, deletionPolicy="Retain")
    delete(sandbox.store, key(SNAPSHOTS, "snap"))
    await goes(sandbox, key(SNAPSHOTS, "snap"))
    delete(sandbox.store, content)
    await goes(sandbox, content)
    assert folder.is_dir()
    sandbox.create(_static("own", folder.name, "Delete"))
    own = Key(SNAPSHOT_CONTENTS, "", "own")
    await becomes(sandbox, own, "status.readyToUse", True)
    delete(sandbox.store, own)
    await goes(sandbox, own)
    assert folder.is_dir(), "no snapshot was bound to it: it is not held, and its data stays"
    sandbox.create(_static("own", folder.name, "Delete"))
    sandbox.create(snapshot("moved", {"volumeSnapshotContentName": "own"}), HOME)
    await becomes(sandbox, key(SNAPSHOTS, "moved"), "status.readyToUse", True)
    delete(sandbox.store, own)
    assert sandbox.store.peek(own) is not None, "its snapshot is there"
    delete(sandbox.store, key(SNAPSHOTS, "moved"))
    await goes(sandbox, own)
    await _vanishes(folder)


async def test_snapshots_that_are_late_or_fail(sandbox: Sandbox) -> None:
    home(sandbox)
    await bound(sandbox, "first")
    for name, parameters in (("slow", {"delay": "0.3"}), ("broken", {"fail": "out of order"})):
        cls = {
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshotClass",
            "metadata": {"name": name},
            "driver": "csi.sandbox.kubehaven.io",
            "deletionPolicy": "Delete",
            "parameters": parameters,
        }
        sandbox.create(cls)
        source = {"persistentVolumeClaimName": "first"}
        sandbox.create(snapshot(name, source, volumeSnapshotClassName=name), HOME)
    assert sandbox.store.peek(Key(SNAPSHOT_CLASSES, "", "slow"))
    slow = key(SNAPSHOTS, "slow")
    await sandbox.until(lambda: "creationTime" in sandbox.store.get(slow).get("status", {}))
    assert sandbox.store.get(slow)["status"]["readyToUse"] is False
    await becomes(sandbox, slow, "status.readyToUse", True)
    broken = key(SNAPSHOTS, "broken")
    await sandbox.until(lambda: "error" in sandbox.store.get(broken).get("status", {}))
    assert "out of order" in sandbox.store.get(broken)["status"]["error"]["message"]


async def test_snapshots_of_other_namespaces_are_no_source(sandbox: Sandbox) -> None:
    home(sandbox)
    await bound(sandbox, "first")
    sandbox.create(snapshot("snap", {"persistentVolumeClaimName": "first"}), HOME)
    await becomes(sandbox, key(SNAPSHOTS, "snap"), "status.readyToUse", True)
    sandbox.create(claim("thief", dataSource=_ORIGIN), "default")
    at = Key(CLAIMS, "default", "thief")
    await sandbox.until(lambda: bool(sandbox.store.each("events", "default")))
    assert sandbox.store.get(at)["status"]["phase"] == "Pending"


async def test_a_namespace_frees_its_volumes(sandbox: Sandbox) -> None:
    home(sandbox)
    volume, folder = await bound(sandbox, "first")
    sandbox.create(pod("writer", WRITER, "/v", **mounting({"first": "/v"})), HOME)
    await becomes(sandbox, key(PODS, "writer"), "status.phase", "Running")
    delete(sandbox.store, Key("namespaces", "", HOME))
    await goes(sandbox, Key("namespaces", "", HOME))
    await goes(sandbox, volume)
    await _vanishes(folder)
    assert not sandbox.store.each(VOLUMES)
