r"""Names as restic writes them: Go's `strconv.Quote`, then Go's JSON.

A name is any bytes. Quoting turns bytes that are not UTF-8 into `\xff` and
characters that don't print into escapes, so that the result is a string; JSON
then escapes that string, with `<`, `>` and `&` as Go does for HTML.
"""

from __future__ import annotations

import re

_SHORT = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}
_SHORT_BYTES = {quoted[1]: char.encode() for char, quoted in _SHORT.items()}
_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*").fullmatch  # same in both forms
_ESCAPE = re.compile(
    r"""\\(?:([abfnrtv"'\\])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))"""
)
_JSON = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_JSON_SHORT = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


def quote(name: bytes) -> str:
    """A name as the string that stands, JSON-escaped, in a tree."""
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(_quote_char(char) for char in text)


def unquote(quoted: str) -> bytes:
    """The bytes of a name; raises `ValueError` when it is not a quoted name."""
    if "\\" not in quoted:
        return quoted.encode()  # a lone surrogate is a UnicodeEncodeError, a ValueError
    parts: list[bytes] = []
    at = 0
    while (slash := quoted.find("\\", at)) >= 0:
        match = _ESCAPE.match(quoted, slash)
        if match is None:
            raise ValueError("a bad escape in a quoted name")
        parts += (quoted[at:slash].encode(), _unescape(match))
        at = match.end()
    parts.append(quoted[at:].encode())
    return b"".join(parts)


def json_string(text: str) -> str:
    """The inside of a JSON string as Go writes it; bytes that are not UTF-8 are lost."""
    if _PLAIN(text):
        return text
    return _JSON.sub(_json_escape, text)


def _quote_char(char: str) -> str:
    short = _SHORT.get(char)
    if short is not None:
        return short
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescape(match: re.Match[str]) -> bytes:
    short, two, four, eight, octal = match.groups()
    if short is not None:
        return _SHORT_BYTES.get(short, b"'")
    if two is not None:
        return bytes([int(two, 16)])
    if octal is not None:
        return bytes([int(octal, 8)])  # over 0o377 is a ValueError
    return chr(int(four or eight, 16)).encode()  # out of range is a ValueError


def _json_escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return "\\ufffd"
    return _JSON_SHORT.get(char) or f"\\u{ord(char):04x}"
