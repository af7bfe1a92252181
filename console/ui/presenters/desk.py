"""What every presenter works with: the engine, the live rows, the faults, and a person to ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from console.engine import LocationView
from console.ui import format as fmt
from console.ui.bridge import FaultSink, TaskOwner
from console.ui.messages import tr
from console.ui.models.columns import now
from console.ui.theme import CLUSTER_COLORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.engine import EngineFacade, PointView
    from console.ui.messages import Problem
    from console.ui.state import Live


SILENT = ("stale", "refused")


class Empty(msgspec.Struct, frozen=True, kw_only=True):
    """What a page says when it has nothing to show; `action` is a button's text."""

    icon: str
    title: str
    text: str
    command: str = ""
    action: str = ""


class BackUpQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked before a backup."""

    cluster: str
    application: str
    objects: int
    volumes: int
    locations: tuple[LocationView, ...]


class BackUpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The user's choice; `export_to` is empty for a local point only."""

    export_to: str = ""


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """A yes-or-no question; `yes` is the button's text, in words of the deed."""

    title: str
    text: str
    yes: str
    danger: bool = False


class Asks(Protocol):
    """Questions to the person; each waits for the answer without stopping anything else."""

    async def back_up(self, question: BackUpQuestion) -> BackUpAnswer | None:
        """Local only, or exported too? None = not at all."""

    async def export(self, point: PointView, locations: tuple[LocationView, ...]) -> str:
        """To which location? Empty = not at all."""

    async def restore(self, points: tuple[PointView, ...]) -> bool:
        """The whole way from a point to a started restore; False = not started."""

    async def add_cluster(self) -> str:
        """The whole way to an added cluster; its name, empty = none."""

    async def prepare(self, cluster: str) -> bool:
        """Show the plan of *prepare* and carry it out; False = not done."""

    async def confirm(self, question: Confirmation) -> bool:
        """Yes or no."""

    async def folder(self, title: str) -> str:
        """A folder on this machine; empty = none."""


@dataclass
class Desk:
    """The engine and all that presenters share."""

    engine: EngineFacade
    live: Live
    faults: FaultSink
    asks: Asks
    go: Callable[[str, str], None]  # page, filter text
    say: Callable[[Problem | None], None] = field(default=lambda _: None)

    def color_of(self, cluster: str) -> str:
        """A cluster's colour: its own, or by its place in the list."""
        for at, one in enumerate(self.live.clusters):
            if one.name == cluster:
                return one.color or CLUSTER_COLORS[at % len(CLUSTER_COLORS)]
        return ""

    def silent_since(self) -> str:
        """When the cluster looked at answered last, if it does not answer now; else empty."""
        scope = self.live.in_scope
        silent = [one for one in scope if one.health in SILENT]
        return silent[0].as_of if len(scope) == 1 and silent else ""

    def not_yet(self, stream: str) -> Empty | None:
        """Why a page without rows has none yet; None = there are none."""
        live = self.live
        if live.clusters_known and not live.clusters:
            return no_cluster()
        unknown = live.unknown(stream)
        if live.clusters_known and not unknown:
            return None
        first = unknown[0] if unknown else None
        if first is not None and first.health in SILENT:
            return Empty(
                icon="triangle-alert",
                title=tr("{cluster} does not answer", cluster=first.name),
                text=f"{fmt.visible(first.problem)}\n{tr('Kubehaven keeps trying by itself.')}",
            )
        if first is not None and first.engine == "unprepared" and stream != "applications":
            return Empty(
                icon="layers-2",
                title=tr("{cluster} is not prepared yet", cluster=first.name),
                text=tr("Kubehaven's records and roles are missing. Prepare… shows each first."),
                action=tr("Go to Clusters"),
            )
        return reading(live.scope or tr("All clusters"))

    def why_not(self, cluster: str) -> str:
        """Why nothing can be changed in a cluster now; empty = it can."""
        known = self.live.cluster(cluster)
        if known is None:
            return tr("This cluster is not known here.")
        if known.health == "live":
            if known.engine == "unprepared":
                return tr(
                    "Prepare {cluster} first: page Clusters, button Prepare…", cluster=cluster
                )
            return ""
        if known.health == "connecting":
            return tr("Connecting to {cluster}.", cluster=cluster)
        return tr(
            "{cluster} has not answered since {time}; nothing can be changed until it does.",
            cluster=cluster,
            time=fmt.moment(known.as_of, now()),
        )


class Presenter(ABC):
    """Base: follows the live rows while its page is shown, owns its page's tasks."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk = desk
        self.tasks = TaskOwner(name, desk.faults)
        self._shown = False
        self._stop = desk.live.subscribe(self._on_change)

    def show(self) -> None:
        """The page is looked at: bring it up to date and keep it so."""
        self._shown = True
        self.render()

    def hide(self) -> None:
        """The page is not looked at any more."""
        self._shown = False

    async def aclose(self) -> None:
        """Stop following and end the page's tasks."""
        self._stop()
        await self.tasks.aclose()

    def empty_action(self) -> None:
        """The button of an empty page: the next step from where the user is."""
        live = self.desk.live
        if not live.clusters:
            self.tasks.start(self._add_cluster(), name="add-cluster", replaces=True)
        elif any(one.engine == "unprepared" for one in live.in_scope):
            self.desk.go("clusters", "")
        else:
            self.desk.go("applications", "")

    async def _add_cluster(self) -> None:
        name = await self.desk.asks.add_cluster()
        if name:
            self.desk.go("clusters", "")  # where it is prepared

    @abstractmethod
    def render(self) -> None:
        """Hand everything to the view; the models find what differs."""

    def _on_change(self, changed: frozenset[str]) -> None:
        if self._shown:
            self.render()


def no_cluster() -> Empty:
    """What every page says before the first cluster was added."""
    return Empty(
        icon="layers-2",
        title=tr("No cluster yet"),
        text=tr(
            "Kubehaven works with the clusters that you add by a kubeconfig file. "
            "Adding one changes nothing in it."
        ),
        action=tr("Add cluster…"),
    )


def reading(clusters: str) -> Empty:
    """What a page says until the first rows have come."""
    return Empty(
        icon="loader-circle",
        title=tr("Reading {clusters}", clusters=clusters),
        text=tr("The first look takes a few seconds."),
    )
