"""Owner references of restored objects."""

from __future__ import annotations

from typing import Any

from console.engine.model.kinds import CONFIG_MAPS
from console.engine.model.names import ANNOTATION_SOURCE_UID
from console.engine.plan.owners import PlannedOwner, planned_owners, stands_for, with_owners


def obj(uid: str, *references: dict[str, Any], source: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "a", "uid": uid}
    if references:
        metadata["ownerReferences"] = list(references)
    if source:
        metadata["annotations"] = {ANNOTATION_SOURCE_UID: source}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def ref(uid: str, **more: bool) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, **more}


OWNER = PlannedOwner(kind=CONFIG_MAPS, name="owner", source_uid="old", controller=True)


def test_only_owners_of_the_same_point_are_planned() -> None:
    stored = obj("me", ref("old", controller=True), ref("absent"), ref("me"))
    by_uid = {"old": (CONFIG_MAPS, "owner"), "me": (CONFIG_MAPS, "a")}
    assert planned_owners(stored, by_uid) == (OWNER,)
    assert planned_owners(obj("me"), by_uid) == ()


def test_an_owner_is_known_by_what_it_was() -> None:
    assert stands_for(obj("new", source="old"), OWNER)
    assert stands_for(obj("old"), OWNER)
    assert not stands_for(obj("new"), OWNER)
    assert not stands_for(obj("new", source="another"), OWNER)


def test_references_are_added_once() -> None:
    made = with_owners(obj("me"), [(OWNER, "new")])
    assert made == [ref("new", controller=True)]
    assert with_owners(obj("me", *made), [(OWNER, "new")]) is None
    assert with_owners(obj("me"), []) is None


def test_a_controller_that_was_faster_stays_the_only_one() -> None:
    taken = ref("other", controller=True)
    assert with_owners(obj("me", taken), [(OWNER, "new")]) == [taken, ref("new")]
