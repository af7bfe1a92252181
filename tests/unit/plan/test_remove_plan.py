"""What *remove* deletes, keeps and refuses: pure."""

from __future__ import annotations

from typing import Any

import pytest

from console.cli.explain_remove import add_again, explain_remove
from console.engine.model import kinds
from console.engine.model.names import LABEL_ROLE
from console.engine.model.record import BackupAction
from console.engine.model.views import Blocker, LostLocation
from console.engine.model.wire import decode
from console.engine.plan.remove_plan import RemoveFacts, Standing, plan_remove
from tests.builders.objects import made

CRD = made("CustomResourceDefinition", "locations.kubehaven.io", namespace="")
ACCOUNT = Standing(kinds.SERVICE_ACCOUNTS, made("ServiceAccount", "kubehaven-worker"))
SNAPSHOT = Standing(kinds.SNAPSHOTS, made("VolumeSnapshot", "kh-1", namespace="kubehaven-workers"))


def secret(role: str) -> Any:
    raw = made("Secret", f"kh-{role}", namespace="kubehaven")
    raw["metadata"]["labels"] = {LABEL_ROLE: role}
    return raw


def facts(**more: Any) -> RemoveFacts:
    known: dict[str, Any] = {
        "cluster": "lab",
        "crds": (CRD,),
        "ours": (ACCOUNT,),
        "secrets": tuple(secret(role) for role in ("manifest", "pack", "location-key")),
        "kept": ((SNAPSHOT, "data of a local restore point"),),
    }
    return RemoveFacts(**known | more)


def action(phase: str, reason: str = "") -> BackupAction:
    status = {"phase": phase, "reason": reason}
    raw = made("BackupAction", "b", spec={"subject": {"name": "shop"}}, status=status)
    return decode(raw, BackupAction)


def test_the_kinds_go_first_and_data_stays() -> None:
    plan = plan_remove(facts(), retire_local=False)
    assert [(one.verb, one.name) for one in plan.objects] == [
        ("delete", "locations.kubehaven.io"),
        ("delete", "kubehaven-worker"),
        ("keep", "kh-manifest"),
        ("keep", "kh-pack"),
        ("keep", "kh-location-key"),
        ("keep", "kh-1"),
    ]
    assert all(one.reason for one in plan.objects if one.verb == "keep")


def test_what_is_freed_first_is_not_said_to_stay() -> None:
    plan = plan_remove(facts(), retire_local=True)
    assert [one.name for one in plan.objects if one.verb == "keep"] == ["kh-location-key"]


@pytest.mark.parametrize(
    ("phase", "reason", "busy"),
    [
        ("Running", "", True),
        ("Queued", "NoSlot", True),
        ("Cancelling", "", True),
        ("Pending", "", True),
        ("Pending", "SelfServiceUnavailable", False),  # nobody will ever carry it out
        ("Pending", "OtherRequester", False),
        ("Finished", "", False),
    ],
)
def test_an_action_that_may_still_run_is_in_the_way(phase: str, reason: str, busy: bool) -> None:
    plan = plan_remove(facts(actions=(action(phase, reason),)), retire_local=False)
    assert [one.code for one in plan.blockers] == ["remove.busy"] * busy


def test_a_newer_kubehaven_and_another_engine_are_in_the_way() -> None:
    plan = plan_remove(facts(newer="9.0", driven_by="cluster:x@y/1"), retire_local=False)
    assert [one.code for one in plan.blockers] == ["remove.newer", "remove.driven"]


def test_points_that_cant_be_freed_are_in_the_way_only_where_they_shall_be() -> None:
    held = facts(retiring=(Blocker(code="retire.in_use", message="m", object="o"),))
    assert plan_remove(held, retire_local=False).blockers == ()
    plan = plan_remove(held, retire_local=True)
    assert [one.code for one in plan.blockers] == ["retire.in_use"]
    assert "  o: m [retire.in_use]" in explain_remove(plan)


def test_the_hash_is_of_what_goes() -> None:
    whole = plan_remove(facts(), retire_local=False).hash
    assert plan_remove(facts(secrets=()), retire_local=False).hash == whole
    assert plan_remove(facts(ours=()), retire_local=False).hash != whole


def test_a_bucket_is_added_again_as_it_was() -> None:
    location = LostLocation(
        name="far away",
        bucket="b",
        endpoint="https://s3.example.com:9000",
        region="eu",
        prefix="a/b",
        virtual_host_style=True,
        skip_tls_verify=True,
    )
    assert add_again("lab", location) == (
        "kubehaven location add 'far away' --cluster lab --bucket b "
        "--endpoint https://s3.example.com:9000 --region eu --prefix a/b --virtual-host-style "
        "--skip-tls-verify --credentials-file FILE --location-key-file KIT"
    )
