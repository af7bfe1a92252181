"""The invented world of the demo engine: two clusters, fourteen applications and what they did."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from console.engine import (
    ActionView,
    ApplicationView,
    ClusterView,
    Failure,
    Fault,
    LocationView,
    PlannedObject,
    PointView,
    PointVolumeView,
    Step,
    VolumeProgress,
    VolumeView,
    WorkloadView,
)

if TYPE_CHECKING:
    from console.engine import ActionKind, AppState, Outcome

MIB = 1024 * 1024
GIB = 1024 * MIB
HK, GZ = "ocp-hongkong", "tke-guangzhou"
STEPS: dict[ActionKind, tuple[str, ...]] = {
    "BackupAction": ("point", "cut", "adopt", "ready"),
    "ExportAction": ("repository", "volumes", "objects", "clean"),
    "RetireAction": ("check", "mark", "free", "forget", "clean"),
    "RestoreAction": ("plan", "namespace", "volumes", "objects", "workloads", "clean"),
}

NO_CLASS = (
    "VolumeSnapshot registry-data was refused: no VolumeSnapshotClass for driver nfs.csi.k8s.io"
)


def stamp(at: datetime) -> str:
    """As the API server writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class App(NamedTuple):
    """One line of the invented world; ages in minutes, negative = never."""

    name: str
    state: AppState
    last: int
    exported: int
    location: str
    size: int
    points: int
    reason: str = ""


APPS = (
    App("registry", "failing", 3120, 3120, "hk-s3", int(48.2 * GIB), 6, NO_CLASS),
    App("wiki", "protected", 900, 900, "cos-guangzhou", 310 * MIB, 31),
    App("sandbox", "unprotected", -1, -1, "", int(2.1 * GIB), 0),
    App("billing", "running", 58, 58, "hk-s3", int(6.4 * GIB), 48),
    App("crm", "unprotected", -1, -1, "", 890 * MIB, 0),
    App("gitea", "protected", 910, 910, "cos-guangzhou", int(12.6 * GIB), 14),
    App("grafana", "protected", 905, 905, "cos-guangzhou", 144 * MIB, 14),
    App("keycloak", "protected", 12, 12, "hk-s3", 402 * MIB, 52),
    App("mailer", "protected", 13, 13, "hk-s3", 76 * MIB, 52),
    App("minutes", "protected", 902, 902, "cos-guangzhou", int(1.9 * GIB), 14),
    App("nextcloud", "running", 901, 901, "cos-guangzhou", int(86.3 * GIB), 9),
    App("pageviews", "protected", 12, 12, "hk-s3", 212 * MIB, 31),
    App("shop", "protected", 11, 11, "hk-s3", int(1.2 * GIB), 52),
    App("vault", "protected", 8640, 8640, "hk-s3", 31 * MIB, 3),
    App("legacy-forum", "removed", 20000, 20000, "hk-s3", 640 * MIB, 2),
)  # fmt: skip


def demo_clusters(now: datetime) -> tuple[ClusterView, ...]:
    """One that this engine drives, one that is driven by another."""
    return (
        ClusterView(
            name=HK,
            server="https://api.ocp-hk.example.org:6443",
            kubeconfig="/home/anna/.kube/ocp-hk",
            context="admin",
            color="#0072B2",
            health="live",
            as_of=stamp(now - timedelta(seconds=2)),
            version="1.31",
            engine="driving",
            holder="anna-laptop",
        ),
        ClusterView(
            name=GZ,
            server="https://cls-8k2.ccs.example.net",
            kubeconfig="/home/anna/.kube/tke-gz",
            context="tke-gz",
            color="#8E5AA8",
            health="live",
            as_of=stamp(now - timedelta(seconds=3)),
            version="1.30",
            engine="elsewhere",
            holder="in the cluster",
        ),
    )


def demo_locations() -> tuple[LocationView, ...]:
    """Three, one of which fails."""
    return (
        LocationView(
            cluster=HK,
            name="hk-s3",
            url="s3:https://s3.hk.example.org/backups/prod",
            state="usable",
            points=214,
            key_id="a4f1c9",
        ),
        LocationView(
            cluster=HK,
            name="cos-guangzhou",
            url="cos:https://cos.ap-guangzhou.example.net/kubehaven-1250000000",
            state="usable",
            points=92,
            key_id="77be02",
        ),
        LocationView(
            cluster=HK,
            name="nfs-lab",
            url="/export/kubehaven",
            state="failed",
            error="permission denied: /export/kubehaven",
            points=0,
            key_id="19d3aa",
        ),
        LocationView(
            cluster=GZ,
            name="cos-guangzhou",
            url="cos:https://cos.ap-guangzhou.example.net/kubehaven-1250000000",
            state="usable",
            points=31,
            key_id="77be02",
        ),
    )


def demo_applications(now: datetime, many: int = 0) -> tuple[ApplicationView, ...]:
    """The study's fourteen and a removed one; `many` adds invented ones."""
    rows = [_application(HK, one, now) for one in APPS]
    rows += [_application(GZ, one, now) for one in APPS[5:9]]
    for number in range(many):
        model = APPS[number % 14]
        rows.append(_application(HK, model._replace(name=f"tenant-{number:05}"), now))
    return tuple(rows)


def _application(cluster: str, one: App, now: datetime) -> ApplicationView:
    gone = one.state == "removed"
    workloads = (
        WorkloadView(kind="Deployment", name=one.name, ready=1, wanted=1),
        WorkloadView(kind="StatefulSet", name=f"{one.name}-db", ready=1, wanted=1),
    )
    share = one.size // 3
    volumes = (
        _volume("uploads", one.size - share, bad=one.state == "failing"),
        _volume("pgdata", share, bad=False),
    )
    return ApplicationView(
        cluster=cluster,
        name=one.name,
        state=one.state,
        workloads=() if gone else workloads,
        volumes=() if gone else volumes,
        objects=-1 if gone else 24,
        size=one.size,
        points=one.points,
        last_point=_ago(now, one.last),
        last_export=_ago(now, one.exported),
        last_location=one.location,
        labels={"team": "docs", "tier": "silver"},
        reason=one.reason,
    )


def _volume(name: str, size: int, *, bad: bool) -> VolumeView:
    return VolumeView(
        name=name,
        size=size,
        storage_class="nfs-slow" if bad else "gp2-csi",
        phase="Bound",
        snapshottable=not bad,
        problem="class nfs-slow cannot snapshot" if bad else "",
    )


def _ago(now: datetime, minutes: int) -> str:
    return stamp(now - timedelta(minutes=minutes)) if minutes >= 0 else ""


def demo_points(now: datetime, applications: tuple[ApplicationView, ...]) -> tuple[PointView, ...]:
    """A few per application: a local and an exported copy of each moment, older ones exported."""
    rows: list[PointView] = []
    for app in applications:
        if not app.last_point:
            continue
        for number in range(min(app.points, 4)):
            last = datetime.fromisoformat(app.last_point)
            taken = last - timedelta(hours=number * 12)
            if number < 2:
                rows.append(_point(app, taken, "local", damaged=False))
            damaged = app.name == "registry" and number == 3
            rows.append(_point(app, taken, app.last_location, damaged=damaged))
    return tuple(rows)


def _point(app: ApplicationView, taken: datetime, location: str, *, damaged: bool) -> PointView:
    name = f"{app.name}-{taken:%Y%m%d-%H%M%S}-3fa91"
    local = location == "local"
    share = app.size // 3
    volumes = (
        PointVolumeView(pvc="uploads", size=app.size - share, logical_size=app.size - share),
        PointVolumeView(pvc="pgdata", size=share, logical_size=share),
    )
    return PointView(
        cluster=app.cluster,
        name=name if local else f"{name}-{location}-1c2d3",
        id=name,
        kind="local" if local else "exported",
        state="Damaged" if damaged else "Ready",
        application=app.name,
        taken_at=stamp(taken),
        location="" if local else location,
        logical_size=app.size,
        physical_size=-1 if local else app.size // 4,
        objects=24,
        volumes=volumes,
        bound=local,
        reason="pack 4f2a91 is missing in the location" if damaged else "",
    )


def _steps(kind: ActionKind, done: int, now: datetime, *, failed: bool = False) -> tuple[Step, ...]:
    made = []
    begun = now - timedelta(minutes=6)
    for at, name in enumerate(STEPS[kind]):
        seconds = (4, 11, 192, 8, 30, 2)[at]
        if at > done:
            made.append(Step(name=name))
            continue
        state: Literal["done", "failed", "running"] = "failed" if failed else "running"
        if at < done:
            state = "done"
        end = "" if at == done and not failed else stamp(begun + timedelta(seconds=seconds))
        made.append(Step(name=name, state=state, startTime=stamp(begun), endTime=end))
        begun += timedelta(seconds=seconds)
    return tuple(made)


def _action(kind: ActionKind, app: str, now: datetime, number: int, **more: object) -> ActionView:
    base = ActionView(
        cluster=HK,
        kind=kind,
        namespace="kubehaven" if kind == "RestoreAction" else app,
        name=f"{app}-{number:05}",
        uid=f"uid-{number}",
        application=app,
        phase="Running",
        created_at=stamp(now - timedelta(minutes=6)),
        started_at=stamp(now - timedelta(minutes=6)),
        requested_by="anna",
        driver="anna-laptop",
    )
    fields = {name: getattr(base, name) for name in base.__struct_fields__}
    return ActionView(**{**fields, **more})


def _finished(
    kind: ActionKind,
    app: str,
    now: datetime,
    number: int,
    outcome: Outcome,
    minutes: int,
    **more: object,
) -> ActionView:
    end = now - timedelta(minutes=minutes)
    return _action(
        kind,
        app,
        now,
        number,
        **{
            "phase": "Finished",
            "outcome": outcome,
            "progress": 100 if outcome == "Complete" else 20,
            "created_at": stamp(end - timedelta(seconds=52)),
            "started_at": stamp(end - timedelta(seconds=41 + number)),
            "ended_at": stamp(end),
            "steps": _steps(kind, len(STEPS[kind]), end),
            **more,
        },
    )


def demo_actions(now: datetime) -> tuple[ActionView, ...]:
    """Two running, two waiting, several finished, one failed with its fault."""
    return (*_busy(now), *_done(now))


def _busy(now: datetime) -> tuple[ActionView, ...]:
    def volume(pvc: str, done: float, total: float, state: str) -> VolumeProgress:
        fields = {"pvc": pvc, "bytesDone": int(done), "bytesTotal": int(total), "state": state}
        return VolumeProgress(**fields)  # type: ignore[arg-type]  # one dict for all fields

    billing = (
        volume("ledger", 2.1 * GIB, 2.1 * GIB, "done"),
        volume("pgdata", 2.6 * GIB, 3.7 * GIB, "running"),
        volume("scans", 110 * MIB, 610 * MIB, "running"),
    )
    nextcloud = (
        volume("files-0", 22.4 * GIB, 43.1 * GIB, "running"),
        volume("files-1", 18.0 * GIB, 40.9 * GIB, "running"),
        volume("pgdata", 2.1 * GIB, 2.3 * GIB, "running"),
    )
    return (
        _action(
            "ExportAction",
            "billing",
            now,
            1,
            progress=62,
            steps=_steps("ExportAction", 1, now),
            volumes=billing,
            location="hk-s3",
        ),
        _action(
            "ExportAction",
            "nextcloud",
            now,
            2,
            progress=48,
            steps=_steps("ExportAction", 1, now),
            volumes=nextcloud,
            location="cos-guangzhou",
        ),
        _action(
            "BackupAction",
            "wiki",
            now,
            3,
            phase="Queued",
            started_at="",
            queued_at=stamp(now - timedelta(minutes=3)),
            queue_position=1,
            held_by=("billing", "nextcloud"),
            reason="NoSlot",
        ),
    )


def _done(now: datetime) -> tuple[ActionView, ...]:
    fault = Fault(
        code="volume.no_snapshot_class",
        message=NO_CLASS,
        hint="Give the driver a VolumeSnapshotClass, or use a class that can snapshot.",
    )
    failure = Failure(
        code="volume.no_snapshot_class",
        message="no VolumeSnapshotClass for driver nfs.csi.k8s.io",
        object="persistentvolumeclaims/registry/registry-data",
        hint="kubectl get volumesnapshotclass lists what there is.",
    )
    part = Failure(
        code="file.vanished",
        message="the file vanished while it was read",
        object="uploads/tmp/session-8841",
        hint="Nothing to do: it was deleted while the backup ran.",
    )
    volumes = (VolumeProgress(pvc="data", bytesTotal=212 * MIB, bytesDone=212 * MIB, state="done"),)
    hk, cos = {"location": "hk-s3"}, {"location": "cos-guangzhou", "failures": (part,)}
    copied = {"volumes": volumes}
    failed = {"error": fault, "failures": (failure,)}
    steps = _steps("BackupAction", 1, now, failed=True)
    return (
        _finished("BackupAction", "registry", now, 4, "Failed", 8, **failed, steps=steps),
        _finished("ExportAction", "pageviews", now, 5, "Complete", 12, **copied, **hk),
        _finished("BackupAction", "pageviews", now, 6, "Complete", 13, **copied),
        _finished("BackupAction", "shop", now, 7, "Complete", 14, **copied),
        _finished("ExportAction", "minutes", now, 8, "Partial", 900, **copied, **cos),
        _finished("RestoreAction", "wiki", now, 9, "Complete", 1500, **copied, target="wiki-test"),
        _finished("BackupAction", "gitea", now, 10, "Cancelled", 1800),
    )


def preview_objects(row: ApplicationView | None, target: str) -> tuple[PlannedObject, ...]:
    """What a restore of an application would do."""
    name = row.name if row else target

    def one(verb: str, resource: str, thing: str, why: str = "", *changes: str) -> PlannedObject:
        return PlannedObject(
            verb=verb,  # type: ignore[arg-type]  # the callers below pass literals
            resource=resource,
            namespace="" if resource == "Namespace" else target,
            name=thing,
            reason=why,
            changes=changes,
        )

    return (
        one("create", "Namespace", target),
        one("create", "PersistentVolumeClaim", "uploads", "filled from the restore point"),
        one("create", "PersistentVolumeClaim", "pgdata", "filled from the restore point"),
        one("create", "ServiceAccount", name),
        one("create", "Secret", "db-password"),
        one("create", "ConfigMap", "settings"),
        one("create", "Service", "web", "", "cluster address is given anew"),
        one("create", "Deployment", name),
        one("create", "StatefulSet", f"{name}-db"),
        one("skip", "ReplicaSet", f"{name}-7f9c", "its Deployment makes it"),
        one("skip", "Pod", f"{name}-7f9c-x2x", "its ReplicaSet makes it"),
        one("keep", "ConfigMap", "kube-root-ca.crt", "the cluster makes it"),
    )
