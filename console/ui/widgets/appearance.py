"""Language, light or dark, and the cluster's colour: applied at once, chosen in a small menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QLibraryInfo, QLocale, QPoint, Qt, QTranslator
from PySide6.QtGui import QActionGroup, QGuiApplication
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from console.ui import theme
from console.ui.messages import LANGUAGES, language, tr, use_language

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from console.ui.state import Remembered

MODES = (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))


def wants_dark(mode: str) -> bool:
    """Whether the window is dark: by choice, or as the system is."""
    if mode in ("light", "dark"):
        return mode == "dark"
    return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark


def system_language() -> str:
    """The nearest of our languages to the system's."""
    return "zh_CN" if QLocale.system().name().startswith("zh") else "en"


class Appearance:
    """Applies what is remembered to the application."""

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered
        self._translator = QTranslator()  # of Qt's own texts: context menus, file dialogs

    def use_language(self) -> None:
        """Translate from now on as remembered, or as the system."""
        chosen = self._remembered.language or system_language()
        use_language(chosen if chosen in LANGUAGES else "en")
        app = QApplication.instance()
        if app is None:
            return
        app.removeTranslator(self._translator)
        folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
        if language() != "en" and self._translator.load(f"qtbase_{language()}", folder):
            app.installTranslator(self._translator)

    def use_color(self, cluster_color: str) -> None:
        """Make a cluster's colour the accent, light or dark as remembered."""
        wanted = theme.Theme(dark=wants_dark(self._remembered.mode), cluster=cluster_color)
        app = QApplication.instance()
        if isinstance(app, QApplication) and (wanted != theme.active() or not app.styleSheet()):
            theme.apply(app, wanted)

    def open_menu(self, beside: QWidget, choose: Callable[[str, str], None]) -> None:
        """The menu; `choose` gets a language or a mode, the other empty."""
        menu = QMenu(beside)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        now = language()
        self._offer(menu, LANGUAGES.items(), now, lambda code: choose(code, ""))
        menu.addSeparator()
        modes = [(mode, tr(name)) for mode, name in MODES]
        self._offer(menu, modes, self._remembered.mode, lambda mode: choose("", mode))
        menu.popup(beside.mapToGlobal(QPoint(0, -menu.sizeHint().height() - 4)))

    def _offer(
        self,
        menu: QMenu,
        entries: Iterable[tuple[str, str]],
        current: str,
        choose: Callable[[str], None],
    ) -> None:
        group = QActionGroup(menu)
        for value, name in entries:
            shown = group.addAction(menu.addAction(name))
            shown.setCheckable(True)
            shown.setChecked(value == current)
            shown.triggered.connect(lambda _=False, value=value: choose(value))
