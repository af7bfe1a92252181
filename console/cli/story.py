"""The story that the demo plays and a test proves: back up, lose, restore, read with no cluster.

Every step is a command of this command line, run as a person would run it;
only the cluster itself and the application's page are reached directly.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from console.cli import main
from console.cli.exits import INTERRUPTED
from console.cli.output import duration, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLUSTER, APPLICATION, LOCATION = "sandbox", "visits", "folder"
VOLUMES = {"data": "visits.db", "log": "views.log"}  # a file of each volume


class StoryFailed(Exception):
    """A step did not do what the story says it does."""


class Stage(Protocol):
    """A cluster with the sample application in it."""

    @property
    def kubeconfig(self) -> Path:
        """The way into the cluster."""

    def open_page(self) -> None:
        """Open the application's page once, which counts as a view."""

    def views(self) -> int:
        """How many views the application has counted."""

    def lose_application(self) -> None:
        """Delete the application's namespace, and return when it is gone."""

    def close(self) -> None:
        """End the cluster; nothing of it answers afterwards."""


class Story:
    """Plays the story in a folder and tells it, one line for each step.

    Left in the folder: `location/` with a repository, `recovery-kit.txt`, `passwords/` with a
    password file for each repository, `fetched/` with what was read without a cluster.

    Attributes:
        passwords: The password file of each repository.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._location = folder / "location"
        self._kit = folder / "recovery-kit.txt"
        self._fetched = folder / "fetched"
        self._tell = tell
        self.passwords: dict[Path, Path] = {}

    def play(self, stage: Stage) -> tuple[int, int]:
        """All of it, until the cluster is gone and everything was read without it.

        Returns:
            The views before the loss, and after the restore.

        Raises:
            StoryFailed: With the step and the reason.
        """
        self._visit(stage, expect=2)
        self.set_up(stage)
        with self._step("backed up, and exported to the location"):
            self._run("backup", APPLICATION, "--export", LOCATION)
            point = self._exported_point()
        before = self._visit(stage, expect=4)
        self._swap_and_undo(stage, point["name"])
        with self._step(f"the namespace {APPLICATION} is deleted, and its data with it"):
            stage.lose_application()
        with self._step("restored from the exported point"):
            self._run("restore", point["name"], "--yes")
            after = stage.views()
        self._tell(f"   views: {after}")
        with self._step("the cluster is gone; there is only the location and its key now"):
            stage.close()
        self._read_without_cluster(point["id"])
        return before, after

    def _swap_and_undo(self, stage: Stage, point: str) -> None:
        with self._step("restored in place: filled volumes took the place of the old ones"):
            action = self._ask("restore", point, "--in-place", "--yes")
            self._expect(stage, 2)
        with self._step("undone: the old volumes are back"):
            self._run("action", "undo", action["name"], "--yes")
            self._expect(stage, 4)

    def _expect(self, stage: Stage, expected: int) -> None:
        views = stage.views()
        self._tell(f"   views: {views}")
        if views != expected:
            raise StoryFailed(f"the page counts {views} views where {expected} were expected")

    def _visit(self, stage: Stage, *, expect: int) -> int:
        with self._step("the page was opened twice"):
            stage.open_page()
            stage.open_page()
        self._expect(stage, expect)
        return expect

    def set_up(self, stage: Stage) -> None:
        """Only the beginning: a cluster that is prepared, and a location."""
        self._tell(f"   DIR={shlex.quote(str(self._folder))}")
        with self._step("the cluster was added and prepared"):
            self._run("cluster", "add", CLUSTER, "--kubeconfig", str(stage.kubeconfig))
            self._run("cluster", "prepare", CLUSTER, "--yes")
        with self._step("a folder became a location; its key is on the recovery kit"):
            where = ("--folder", str(self._location), "--recovery-kit", str(self._kit))
            self._run("location", "add", LOCATION, *where)

    def _exported_point(self) -> dict[str, str]:
        points = self._ask("point", "list", "--application", APPLICATION)
        exported = [point for point in points if point["kind"] == "exported"]
        if len(exported) != 1 or exported[0]["state"] != "Ready":
            raise StoryFailed(f"expected one exported point that is ready, found {exported}")
        return dict(exported[0])

    def _read_without_cluster(self, point: str) -> None:
        key = ("--location-key-file", str(self._kit))
        place = ("--location", str(self._location), *key)
        with self._step("every point is listed from the location alone"):
            points = self._ask("point", "list", *place)
            if [(row["id"], row["state"]) for row in points] != [(point, "Ready")]:
                raise StoryFailed(f"expected the point {point} in the location, found {points}")
        with self._step("its objects and volumes are shown and fetched"):
            for folder in ("", "objects", "volumes", *(f"volumes/{name}" for name in VOLUMES)):
                if not self._ask("point", "browse", point, folder, *place):
                    raise StoryFailed(f"the folder {folder or '/'} of the point is empty")
            self._run("point", "get", point, *place, "--into", str(self._fetched))
            self._compare_fetched()
        repository = self._location / points[0]["repository"]
        with self._step("the repository is checked, all data read"):
            self._save_password(repository, *key)
            access = ("-r", str(repository), "--password-file", str(self.passwords[repository]))
            if len(self._ask("repo", *access, "snapshots")) != len(VOLUMES) + 1:
                raise StoryFailed("expected a snapshot for each volume, and one of the objects")
            self._run("repo", *access, "check", "--read-data")

    def _compare_fetched(self) -> None:
        for volume, name in VOLUMES.items():
            if not (self._fetched / "volumes" / volume / name).is_file():
                raise StoryFailed(f"{name} of the volume {volume} was not fetched")
        if not any((self._fetched / "objects").rglob("*.json")):
            raise StoryFailed("no object was fetched")
        with tempfile.TemporaryDirectory() as scratch:  # SQLite changes what it opens
            shutil.copytree(self._fetched / "volumes" / "data", scratch, dirs_exist_ok=True)
            with contextlib.closing(sqlite3.connect(Path(scratch) / VOLUMES["data"])) as database:
                (views,) = database.execute("SELECT count(*) FROM views").fetchone()
        if views != 2:
            raise StoryFailed(f"the fetched database counts {views} views where 2 were saved")

    def _save_password(self, repository: Path, *key: str) -> None:
        password = self._run("location", "password", *key, str(repository))
        path = self._folder / "passwords" / "-".join(repository.relative_to(self._location).parts)
        path.parent.mkdir(exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(password)
        self.passwords[repository] = path

    @contextlib.contextmanager
    def _step(self, done: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._tell(f"✓  {done}  ({duration(time.monotonic() - start)})")

    def _ask(self, *words: str) -> Any:
        """Run a command and read its JSON answer."""
        return json.loads(self._run(*words, "--output", "json"))

    def _run(self, *words: str) -> str:
        """Run a command; its standard output.

        Raises:
            StoryFailed: It did not end with 0.
        """
        self._tell(visible(f"   $ {self._shown(words)}"))
        answer = io.StringIO()
        with contextlib.redirect_stdout(answer):
            code = main.run(list(words))
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code != 0:
            raise StoryFailed(f"`{self._shown(words)}` ended with {code}")
        return answer.getvalue()

    def _shown(self, words: tuple[str, ...]) -> str:
        return shlex.join(("kubehaven", *words)).replace(str(self._folder), "$DIR")
