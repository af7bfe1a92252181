"""The sentence at a page's head: words with strong and coloured stretches, wrapped, painted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QSize
from PySide6.QtGui import QFontMetricsF, QPainter
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.ui import theme
from console.ui.messages import Sentence, plain

if TYPE_CHECKING:
    from PySide6.QtGui import QPaintEvent, QResizeEvent

PX = 17
LINE = 26  # fixed, since a Chinese line is higher than Inter's

_WORDS = re.compile(r"\s+|[\u2e80-\uffef]|[^\s\u2e80-\uffef]+")
_TINTS = {"": "t1", "strong": "t1", "bad": "bad", "warn": "warn"}


class _Piece(NamedTuple):
    text: str
    tone: str
    x: float
    line: int


class SentenceLabel(QWidget):
    """Shows a sentence; its height follows its width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sentence: Sentence = ()
        self._pieces: list[_Piece] = []
        self._lines = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(LINE)

    def show_sentence(self, sentence: Sentence) -> None:
        """Show other words."""
        if sentence != self._sentence:
            self._sentence = sentence
            self.setAccessibleName(plain(sentence))
            self._arrange()

    def text(self) -> str:
        """The words without their tones."""
        return plain(self._sentence)

    def _arrange(self) -> None:
        self._pieces.clear()
        x, at = 0.0, 0
        for span in self._sentence:
            metrics = QFontMetricsF(theme.font(PX, 600 if span.tone else 400))
            for word in _WORDS.findall(span.text):
                width = metrics.horizontalAdvance(word)
                if x + width > self.width() and x > 0 and not word.isspace():
                    x, at = 0.0, at + 1
                if x == 0 and word.isspace():
                    continue
                self._pieces.append(_Piece(word, span.tone, x, at))
                x += width
        self._lines = at + 1
        self.setFixedHeight(LINE * self._lines)
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(320, LINE * self._lines)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Wrap anew."""
        super().resizeEvent(event)
        self._arrange()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw word by word."""
        painter = QPainter(self)
        for piece in self._pieces:
            painter.setFont(theme.font(PX, 600 if piece.tone else 400))
            painter.setPen(theme.color(_TINTS[piece.tone]))
            painter.drawText(round(piece.x), piece.line * LINE + 19, piece.text)
        painter.end()
