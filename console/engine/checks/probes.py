"""Worker pods that try something: first as a dry run, so that a refusal comes in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.actions.repository_jobs import WIRE_VERSION, folder_of, store_access
from console.engine.errors import EngineError, Forbidden, Invalid
from console.engine.model.kinds import PODS
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.plan.jobs import WorkerRequest, worker_job
from console.engine.volumes.jobs import run_job

if TYPE_CHECKING:
    from console.engine.catalog.locations import OpenLocation
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive
    from console.engine.volumes.jobs import ResultSink, WorkerResult

SEED = "kubehaven"


def volume_probe(
    origin: Origin, what: str, *, step: str, subject: str, claim: str = ""
) -> WorkerRequest:
    """A pod that writes, compares or copies files in the volume of a claim of ours."""
    return WorkerRequest(
        command="probe",
        origin=origin,
        step=step,
        subject=subject,
        job={"version": WIRE_VERSION, "probe": what, "seed": f"{SEED}-{origin.action_uid}"},
        claim=claim,
    )


def location_probe(origin: Origin, location: OpenLocation) -> WorkerRequest:
    """A pod that writes one small object to a location, reads it back and removes it."""
    options, access = store_access(location)
    return WorkerRequest(
        command="probe",
        origin=origin,
        step="location",
        subject=location.name,
        job={
            "version": WIRE_VERSION,
            "repository": location.url,
            "probe": "store",
            "seed": origin.action_uid,
            "readOnly": location.location.spec.readOnly,
            **options,
        },
        secrets=access,
        folder=folder_of(location),
    )


async def _ignore(_result: WorkerResult) -> None:
    return


async def try_out(
    drive: Drive, request: WorkerRequest, *, on_result: ResultSink = _ignore
) -> WorkerResult:
    """Run a probe to its end.

    Raises:
        EngineError: `pods.refused`: the cluster does not let such a pod in.
        WorkerFailed: It could not begin, or what it tried did not work.
    """
    await admit(drive, request)
    label = f"check of {request.subject}"
    return await run_job(drive, request, work="job", label=label, on_result=on_result)


async def admit(drive: Drive, request: WorkerRequest) -> bool:
    """Ask the API server, without making it, whether it lets the request's pod in.

    Returns:
        False when we have no right to ask: the Job controller makes the pods, not we.

    Raises:
        EngineError: `pods.refused`, in the words of Pod Security, SCC, quota, LimitRange, webhook.
    """
    if not await drive.client.may(None, "create", PODS, WORKERS_NAMESPACE):
        return False
    job = worker_job(request, drive.settings.workers)
    template = job["spec"]["template"]
    named = {"name": request.name, "namespace": WORKERS_NAMESPACE}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], **named},
        "spec": template["spec"],
    }
    try:
        await drive.client.create(PODS, pod, dry_run=True)
    except (Forbidden, Invalid) as error:
        raise EngineError(
            f"the cluster does not let the worker's pod in: {error.message}",
            subject=f"namespace {WORKERS_NAMESPACE}",
            hint="see docs/security.md for what a worker needs; on OpenShift bind its SCC",
            code="pods.refused",
        ) from error
    return True
