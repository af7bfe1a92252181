"""Colours, fonts, icons and the style sheet: the one place where looks are decided (ui.md, Tokens).

The cluster's colour is the accent. `Theme` derives from it, per mode, what must
be readable: `mark` (lines, dots, bars), `fill` (under white text), `soft`
(selected row) and `accent` (text on `soft`). Widgets that paint ask `color`,
`pixmap` and `font`, which follow the theme that was applied last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from string import Template
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, Qt, QTemporaryDir
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QGuiApplication,
    QIcon,
    QPainter,
    QPalette,
    QPixmap,
)
from PySide6.QtSvg import QSvgRenderer

from console.ui.resources import resource

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

LIGHT = {
    "s0": "#F4F5F7",
    "s1": "#FFFFFF",
    "s2": "#EEF0F4",
    "s3": "#E3E7ED",
    "line": "#E1E5EB",
    "edge": "#BCC4CF",
    "tick": "#7F8B9B",
    "t1": "#1A2230",
    "t2": "#4E5A6B",
    "t3": "#5E6A7A",
    "good": "#17744A",
    "warn": "#8F5B0B",
    "bad": "#B93227",
    "info": "#2A66A8",
    "goodm": "#279461",
    "warnm": "#B8770D",
    "badm": "#CF4A3E",
    "accent0": "#3A4657",
}
DARK = {
    "s0": "#13161B",
    "s1": "#1A1E25",
    "s2": "#232832",
    "s3": "#2E3541",
    "line": "#2A303B",
    "edge": "#4A5567",
    "tick": "#768295",
    "t1": "#DFE4EB",
    "t2": "#AAB4C2",
    "t3": "#95A0B0",
    "good": "#4CC38A",
    "warn": "#E2B14A",
    "bad": "#F0806F",
    "info": "#7FB2EE",
    "goodm": "#3DAE79",
    "warnm": "#D9A43B",
    "badm": "#E4705F",
    "accent0": "#BCC5D1",
}
# Offered in this order; colours that look like a state come last.
CLUSTER_COLORS = (
    "#0072B2",
    "#8E5AA8",
    "#2A9DB8",
    "#A23B5B",
    "#5B6B7B",
    "#B8860B",
    "#009E73",
    "#D55E00",
)
SANS = (
    "Inter",
    "Segoe UI Variable Text",
    "Segoe UI",
    "SF Pro Text",
    "Noto Sans CJK SC",
    "Microsoft YaHei UI",
    "PingFang SC",
    "WenQuanYi Micro Hei",
)
MONO = ("JetBrains Mono", "Cascadia Mono", "Menlo", "DejaVu Sans Mono", "Noto Sans CJK SC")


def luminance(color: QColor) -> float:
    """Relative luminance as WCAG 2 defines it, 0 to 1."""

    def linear(part: float) -> float:
        return float(part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4)

    red, green, blue = linear(color.redF()), linear(color.greenF()), linear(color.blueF())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    lower, higher = sorted((luminance(QColor(one)), luminance(QColor(other))))
    return (higher + 0.05) / (lower + 0.05)


def mix(top: str, base: str, share: float) -> str:
    """`top` laid over `base` with an opacity of `share`."""
    a, b = QColor(top), QColor(base)
    pairs = ((a.red(), b.red()), (a.green(), b.green()), (a.blue(), b.blue()))
    red, green, blue = (round(x * share + y * (1 - share)) for x, y in pairs)
    return str(QColor(red, green, blue).name())


def readable(color: str, on: str, ratio: float = 4.5) -> str:
    """The same hue, moved in lightness until it reads on the surface."""
    shade = QColor(color)
    step = -0.01 if luminance(QColor(on)) > 0.4 else 0.01
    while contrast(shade.name(), on) < ratio and 0.02 < shade.lightnessF() < 0.98:
        lightness = min(1.0, max(0.0, shade.lightnessF() + step))
        shade = QColor.fromHslF(max(shade.hslHueF(), 0.0), shade.hslSaturationF(), lightness)
    return str(shade.name())


@dataclass(frozen=True)
class Theme:
    """One mode and one cluster colour; `cluster` is empty for *All clusters*."""

    dark: bool = False
    cluster: str = ""
    tokens: dict[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        tokens = self.tokens
        tokens.update(DARK if self.dark else LIGHT)
        base = self.cluster or tokens["accent0"]
        tokens["mark"] = readable(base, tokens["s1"], 4.2 if self.dark else 3.0)
        share = (0.20 if self.cluster else 0.13) if self.dark else 0.09
        tokens["soft"] = mix(base, tokens["s1"], share)
        tokens["accent"] = readable(base, tokens["soft"], 4.6)
        tokens["fill"] = readable(readable(base, tokens["s1"], 3.0), "#FFFFFF", 4.6)
        tokens["fillh"] = mix("#000000", tokens["fill"], 0.12)
        for state in ("good", "warn", "bad"):
            tokens[state + "soft"] = mix(
                tokens[state + "m"], tokens["s1"], 0.16 if self.dark else 0.11
            )

    def hex(self, name: str) -> str:
        """A token's colour; a literal colour passes through."""
        return self.tokens.get(name, name)

    def mark_of(self, cluster_color: str) -> str:
        """How another cluster's colour is drawn as a dot or line in this mode."""
        base = cluster_color or self.tokens["accent0"]
        return readable(base, self.tokens["s1"], 4.2 if self.dark else 3.0)


class _Active:
    """The theme that was applied last, and the folder its tinted images lie in."""

    theme = Theme()
    images: QTemporaryDir | None = None


def active() -> Theme:
    """The theme that was applied last."""
    return _Active.theme


def color(name: str, alpha: float = 1.0) -> QColor:
    """A token of the active theme, or a literal colour."""
    shade = QColor(_Active.theme.hex(name))
    shade.setAlphaF(alpha)
    return shade


@lru_cache(maxsize=64)
def font(px: int = 13, weight: int = 400, *, mono: bool = False) -> QFont:
    """The interface's font in pixels; figures stand still below 15 px."""
    made = QFont()
    made.setFamilies(list(MONO if mono else SANS))
    made.setPixelSize(px)
    made.setWeight(QFont.Weight(weight))
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if mono:
        made.setFeature(QFont.Tag("calt"), 0)  # no ligatures in code
    else:
        made.setFeature(QFont.Tag("tnum"), 1 if px < 15 else 0)
    return made


def load_fonts() -> None:
    """Make the shipped fonts known to Qt; once per application."""
    for path in sorted(resource("fonts").glob("*.otf")):
        QFontDatabase.addApplicationFont(str(path))


def svg(name: str, tint: str, stroke: float) -> str:
    """The source of an icon in one colour."""
    text = resource("icons", f"{name}.svg").read_text("utf-8").replace("currentColor", tint)
    return re.sub(r'stroke-width="[\d.]+"', f'stroke-width="{stroke}"', text)


@lru_cache(maxsize=2048)
def _rendered(name: str, tint: str, size: int, ratio: float, stroke: float) -> QPixmap:
    image = QPixmap(round(size * ratio), round(size * ratio))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg(name, tint, stroke).encode())).render(painter)
    painter.end()
    image.setDevicePixelRatio(ratio)
    return image


def pixmap(name: str, tint: str = "t2", size: int = 15, *, stroke: float = 1.9) -> QPixmap:
    """An icon in a token's colour, sharp on this screen."""
    app = QGuiApplication.instance()
    ratio = app.devicePixelRatio() if isinstance(app, QGuiApplication) else 1.0
    return _rendered(name, _Active.theme.hex(tint), size, ratio, stroke)


def icon(name: str, tint: str = "t2", size: int = 15) -> QIcon:
    """An icon for a button, menu or field."""
    made = QIcon(pixmap(name, tint, size))
    made.addPixmap(pixmap(name, "t3", size), QIcon.Mode.Disabled)
    return made


def palette(theme: Theme) -> QPalette:
    """The palette behind the style sheet."""
    made, role = QPalette(), QPalette.ColorRole
    pairs = (
        (role.Window, "s1"),
        (role.Base, "s1"),
        (role.AlternateBase, "s2"),
        (role.Button, "s1"),
        (role.ToolTipBase, "t1"),
        (role.ToolTipText, "s1"),
        (role.WindowText, "t1"),
        (role.Text, "t1"),
        (role.ButtonText, "t1"),
        (role.PlaceholderText, "t3"),
        (role.Highlight, "soft"),
        (role.HighlightedText, "t1"),
        (role.Link, "accent"),
        (role.Mid, "line"),
        (role.Accent, "accent"),
    )
    for name, token in pairs:
        made.setColor(name, QColor(theme.hex(token)))
    for name in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, name, QColor(theme.hex("t3")))
    return made


def style_sheet(theme: Theme, images: str) -> str:
    """The style sheet of one theme; `images` is the folder that `_write_images` filled."""
    text = resource("themes", "window.qss").read_text("utf-8")
    return Template(text).substitute(theme.tokens, images=images)


def apply(app: QApplication, theme: Theme) -> None:
    """Make a theme the active one and restyle everything."""
    images = QTemporaryDir()  # style sheets can only name image files
    _write_images(theme, images)
    old, _Active.theme, _Active.images = _Active.images, theme, images
    app.setStyle("Fusion")
    app.setFont(font())
    app.setPalette(palette(theme))
    app.setStyleSheet(style_sheet(theme, images.path()))
    if old is not None:
        old.remove()


def release() -> None:
    """Remove the folder of tinted images; at the end of the application."""
    images, _Active.images = _Active.images, None
    if images is not None:
        images.remove()


def _write_images(theme: Theme, folder: QTemporaryDir) -> None:
    wanted = (
        ("chevron-down", theme.hex("t2"), 2.0),
        ("chevron-up", theme.hex("t2"), 2.0),
        ("chevron-right", theme.hex("t2"), 2.0),
        ("check", "#FFFFFF", 3.0),
        ("minus", "#FFFFFF", 3.0),
    )
    for name, tint, stroke in wanted:
        with open(folder.filePath(f"{name}.svg"), "w", encoding="utf-8") as file:
            file.write(svg(name, tint, stroke))
