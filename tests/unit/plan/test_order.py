"""The order of a restore: what others need comes first, each object once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from console.engine.plan.order import WAVES, waves
from tests.builders.objects import made

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

KINDS = [
    ("v1", "Namespace"),
    ("v1", "LimitRange"),
    ("v1", "ServiceAccount"),
    ("v1", "Secret"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("example.test/v1", "Widget"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("v1", "ResourceQuota"),
]
OBJECTS = st.lists(
    st.builds(
        lambda kind, name: made(kind[1], name, api=kind[0]),
        st.sampled_from(KINDS),
        st.text("abc", min_size=1, max_size=3),
    ),
    max_size=30,
)


def test_the_order_from_namespace_to_quota() -> None:
    objects = [made(kind, "x", api=api) for api, kind in KINDS]
    random.Random(1).shuffle(objects)  # noqa: S311  # no secret
    assert [[obj["kind"] for obj in wave] for wave in waves(objects)] == [[k] for _, k in KINDS]


def test_secrets_and_config_maps_share_a_wave() -> None:
    (wave,) = waves([made("Secret", "b"), made("ConfigMap", "c"), made("Secret", "a")])
    assert [obj["metadata"]["name"] for obj in wave] == ["c", "a", "b"]


def test_a_kind_of_the_same_name_in_another_group_is_an_unknown_one() -> None:
    first, second = waves(
        [made("Service", "k", api="serving.knative.dev/v1"), made("Service", "c")]
    )
    assert first[0]["apiVersion"] == "v1"
    assert second[0]["apiVersion"] == "serving.knative.dev/v1"


@given(OBJECTS, st.randoms(use_true_random=False))
def test_each_object_stands_in_one_wave_whatever_the_order_given(
    objects: list[RawObject], chance: random.Random
) -> None:
    shuffled = objects.copy()
    chance.shuffle(shuffled)
    found = waves(objects)
    assert found == waves(shuffled)
    flat = [obj for wave in found for obj in wave]
    assert sorted(map(repr, flat)) == sorted(map(repr, objects))
    assert all(found)


def test_no_kind_stands_in_two_waves() -> None:
    flat = [entry for wave in WAVES for entry in wave]
    assert len(flat) == len(set(flat))
