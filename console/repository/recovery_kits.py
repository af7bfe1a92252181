"""The recovery kit: a readable file that holds a location key, proven by reading it back.

The key stands in four rows of sixteen characters (Crockford's base32: no I, L,
O, U; case and dashes don't matter), each with a checksum of its own, so that a
typo is told by its row; a last line checks the whole.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

from console.repository.errors import RepositoryError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOK_ALIKES = str.maketrans("ILO", "110", "- ")
_ROWS = 4
_ROW_BYTES = 8
_LINE = re.compile(r"\s*(Key [1-4]|Check):\s*([0-9A-Za-z -]+?)\s*", re.IGNORECASE)
_TEXT = """\
Kubehaven recovery kit
======================

Location:  {location}
Address:   {url}
Key id:    {key_id}

Whoever holds this file and can read the location can read every backup in it.
Without it nobody can, once the cluster is lost. Keep it where neither the
cluster nor the location is: print it, or put it into a safe.

{rows}
Check:  {check}

To use it:  kubehaven repo -r REPOSITORY --location-key-file THIS-FILE snapshots
"""


class BadKit(RepositoryError):
    """A recovery kit can't be written or read; the message names file and row, never the key."""

    code = "location.kit"


def kit_text(secret: bytes, *, key_id: str, location: str, url: str) -> str:
    """What stands in the recovery kit of a location key of 32 bytes."""
    rows = "".join(f"Key {n}:  {_grouped(_row(secret, n))}\n" for n in range(1, _ROWS + 1))
    return _TEXT.format(
        location=_one_line(location),
        url=_one_line(url),
        key_id=key_id,
        rows=rows.rstrip(),
        check=_grouped(_check(secret)),
    )


def secret_in_kit(text: str, where: str) -> bytes:
    """The 32 bytes in a kit; text around its five lines does not matter.

    Raises:
        BadKit: A row is missing, twice there, or has a typo; it begins with `where`.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _LINE.fullmatch(line):
            label = match[1].capitalize()
            if label in found:
                raise BadKit(f"{where}: line {number}: {label} is there twice", subject=where)
            found[label] = match[2].upper().translate(_LOOK_ALIKES)
    secret = b"".join(_secret_of(found, n, where) for n in range(1, _ROWS + 1))
    if not hmac.compare_digest(found.get("Check", ""), _check(secret)):
        hint = "Compare the line with the printed kit; are all rows from the same kit?"
        raise BadKit(f"{where}: the line Check does not fit the key", subject=where, hint=hint)
    return secret


def _secret_of(found: dict[str, str], number: int, where: str) -> bytes:
    label = f"Key {number}"
    if label not in found:
        hint = "Is this a recovery kit? It has the lines Key 1 to Key 4 and Check."
        raise BadKit(f"{where}: the line {label} is missing", subject=where, hint=hint)
    row = _from_base32(found[label])
    if row is None or _row_sum(number, row[:_ROW_BYTES]) != row[_ROW_BYTES:]:
        hint = f"Compare {label} with the printed kit, character by character."
        raise BadKit(f"{where}: there is a typo in {label}", subject=where, hint=hint)
    return row[:_ROW_BYTES]


def _row(secret: bytes, number: int) -> str:
    part = secret[(number - 1) * _ROW_BYTES : number * _ROW_BYTES]
    return _base32(part + _row_sum(number, part))


def _row_sum(number: int, part: bytes) -> bytes:
    return sha256(b"kubehaven kit row %d\0" % number + part).digest()[:2]


def _check(secret: bytes) -> str:
    return _base32(sha256(b"kubehaven kit\0" + secret).digest()[:5])


def _base32(data: bytes) -> str:
    """Five bits a character; `data` is a multiple of five bytes."""
    number = int.from_bytes(data, "big")
    count = len(data) * 8 // 5
    return "".join(_ALPHABET[number >> 5 * (count - 1 - n) & 31] for n in range(count))


def _from_base32(text: str) -> bytes | None:
    if len(text) != (_ROW_BYTES + 2) * 8 // 5 or any(one not in _ALPHABET for one in text):
        return None
    number = 0
    for one in text:
        number = number << 5 | _ALPHABET.index(one)
    return number.to_bytes(_ROW_BYTES + 2, "big")


def _grouped(text: str) -> str:
    return "-".join(text[n : n + 4] for n in range(0, len(text), 4))


def _one_line(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)
