"""The desktop as a process: painted within two seconds, and a clean end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PAINTED_S = 2.0

PROGRAM = """
import time
begun = time.monotonic()
import asyncio, contextlib, os, sys, threading
from pathlib import Path
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication
from console.app import Desktop, run_desktop
from console.engine import EngineError
from console.ui.main_window import MainWindow
from tests.fakes.engine import DemoEngine

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and isinstance(watched, MainWindow):
            app.removeEventFilter(self)
            print("painted", time.monotonic() - begun, flush=True)
        return False

app = QApplication(sys.argv[:1])
watch = Watch()
app.installEventFilter(watch)
engines = []

@contextlib.asynccontextmanager
async def factory():
    mode = sys.argv[2]
    if mode == "fails":
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, stop)
        raise EngineError("the vault is locked", code="engine.failed", hint="Unlock it.")
    engine = DemoEngine(empty=(mode == "empty"))
    engines.append(engine)
    asyncio.get_running_loop().call_later(0.6, stop)
    try:
        yield engine
    finally:
        await engine.aclose()

def stop():
    if sys.argv[2] == "signal":
        os.kill(os.getpid(), 15)
        return
    for widget in app.topLevelWidgets():
        if isinstance(widget, MainWindow):
            print("pages", len(widget.pages), widget.centralWidget().isVisible(), flush=True)
            widget.close()

code = run_desktop(factory, remembered=Path(sys.argv[1]))
print("closed", [engine.closed for engine in engines])
print("calls", [engine.calls for engine in engines])
print("threads", [t.name for t in threading.enumerate() if t is not threading.main_thread()])
print("widgets", [w for w in app.topLevelWidgets() if isinstance(w, MainWindow)])
sys.exit(code)
"""


def _run(tmp_path: Path, mode: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "window.json"), mode]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("mode", ["empty", "signal", "fails"])
def test_painted_soon_and_a_clean_end(tmp_path: Path, mode: str) -> None:
    done = _run(tmp_path, mode)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "never awaited" not in done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert float(lines["painted"]) <= PAINTED_S
    assert lines["threads"] == "[]"
    assert lines["widgets"] == "[]"
    if mode == "fails":
        assert lines["closed"] == "[]"
    else:
        assert lines["closed"] == "[True]"
    if mode == "signal":
        assert "clusters.watch ocp-hongkong" in lines["calls"]
    assert (tmp_path / "window.json").is_file()


REAL = """
import sys, threading, time
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QLabel
from console.__main__ import main

app = QApplication(sys.argv[:1])
until = time.monotonic() + 10

def look():
    texts = [one.text() for one in app.allWidgets() if isinstance(one, QLabel) and one.isVisible()]
    if "No cluster yet" in texts or time.monotonic() > until:
        print("found", "No cluster yet" in texts)
        for window in app.topLevelWidgets():
            window.close()
    else:
        QTimer.singleShot(20, look)

QTimer.singleShot(20, look)
code = main([])
left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
print("threads", left)
sys.exit(code)
"""


def test_kubehaven_alone_opens_the_desktop_on_the_real_engine(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        [sys.executable, "-c", REAL],
        env=environment,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["found True", "threads []"], done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_display_it_says_so_instead_of_dying() -> None:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "console"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("kubehaven: there is no display")
