"""Access keys, and where they are read from.

No error names a value: a key that was pasted into the wrong place must not
turn up in a log.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from console.storage.errors import BadCredentials

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

ID_FILE = "aws_access_key_id"
SECRET_FILE = "aws_secret_access_key"  # noqa: S105 - a file's name
TOKEN_FILE = "aws_session_token"  # noqa: S105 - a file's name

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(.*)")
_ID_NAMES = ("awsaccesskeyid", "accesskeyid", "accesskey")
_SECRET_NAMES = ("awssecretaccesskey", "secretaccesskey", "secretkey")
_TOKEN_NAMES = ("awssessiontoken", "sessiontoken")
_PRINTABLE = re.compile(r"[!-~]*")
_LONGEST_FILE = 65536


@dataclass(frozen=True)
class Credentials:
    """An access key; its repr shows no secret.

    Raises:
        BadCredentials: A value holds a space, a line break, or a letter that no key has.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _check(ID_FILE, self.access_key_id, "the credentials")
        _check(SECRET_FILE, self.secret_access_key, "the credentials")
        _check(TOKEN_FILE, self.session_token, "the credentials")


def credentials_from_folder(folder: str | os.PathLike[str]) -> Credentials:
    """Read the files `aws_access_key_id` and `aws_secret_access_key`, and `aws_session_token`.

    The last may be missing.

    Raises:
        BadCredentials: A file is missing, empty, or can't be read.
    """
    folder = Path(folder)
    token_file = folder / TOKEN_FILE
    return Credentials(
        _whole_file(folder / ID_FILE),
        _whole_file(folder / SECRET_FILE),
        _whole_file(token_file) if token_file.exists() else "",
    )


def credentials_from_file(path: str | os.PathLike[str], *, profile: str = "default") -> Credentials:
    """Read an INI file as `~/.aws/credentials`, a JSON object, or `KEY=VALUE` lines.

    Args:
        profile: The section of an INI file.

    Raises:
        BadCredentials: The message names the file and the line or field.
    """
    path = Path(path)
    text = _text(path)
    if text.lstrip().startswith("{"):
        return _picked(_json_fields(text, path), str(path))
    sections = _sections(text, path)
    if set(sections) == {""}:
        return _picked(sections[""], str(path))
    if profile not in sections:
        known = ", ".join(sorted(name for name in sections if name))
        raise BadCredentials(
            f"{path}: there is no section [{profile}]", subject=str(path), hint=f"It has: {known}."
        )
    return _picked(sections[profile], f"{path}: [{profile}]")


def credentials_from_environment(environment: Mapping[str, str]) -> Credentials | None:
    """What `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` say.

    Returns:
        None when neither of the first two is set.

    Raises:
        BadCredentials: Only one of them is set.
    """
    found = {
        name: environment.get(f"AWS_{name}", "")
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
    }
    if not (found["ACCESS_KEY_ID"] or found["SECRET_ACCESS_KEY"]):
        return None
    return _picked({_plain(name): value for name, value in found.items()}, "the environment")


def _whole_file(path: Path) -> str:
    value = _text(path).strip()
    if not value:
        raise BadCredentials(f"{path} is empty", subject=str(path))
    _check(path.name, value, str(path))
    return value


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise BadCredentials(f"{path} can't be read: {said}", subject=str(path)) from error
    if len(raw) > _LONGEST_FILE:
        raise BadCredentials(f"{path} is too long for a credentials file", subject=str(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadCredentials(f"{path} is not UTF-8 text", subject=str(path)) from None


def _json_fields(text: str, path: Path) -> dict[str, str]:
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:  # it holds the whole text: not kept as the cause
        where = f"line {error.lineno}, column {error.colno}"
        raise BadCredentials(f"{path}: {where}: {error.msg}", subject=str(path)) from None
    for key, value in fields.items():
        if _plain(key) in _ID_NAMES + _SECRET_NAMES and not isinstance(value, str):
            raise BadCredentials(f"{path}: field {key} is not a string", subject=str(path))
    return {_plain(key): value for key, value in fields.items() if isinstance(value, str)}


def _sections(text: str, path: Path) -> dict[str, dict[str, str]]:
    """Section → field → value; lines before the first section belong to the section ''."""
    sections: dict[str, dict[str, str]] = {}
    section = ""
    for number, raw_line in enumerate(text.splitlines(), 1):
        line = raw_line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().removeprefix("profile ").strip()
            sections.setdefault(section, {})
            continue
        match = _LINE.fullmatch(line)
        if not match:
            message = f"{path}: line {number} is neither [section] nor KEY=VALUE"
            raise BadCredentials(message, subject=str(path))
        sections.setdefault(section, {})[_plain(match[1])] = _unquoted(match[2].strip())
    return sections or {"": {}}


def _picked(fields: Mapping[str, str], where: str) -> Credentials:
    def field_of(names: tuple[str, ...]) -> str:
        return next((fields[name] for name in names if fields.get(name)), "")

    found = [(field_of(_ID_NAMES), ID_FILE), (field_of(_SECRET_NAMES), SECRET_FILE)]
    for value, name in found:
        if not value:
            raise BadCredentials(f"{where}: {name} is missing or empty", subject=where)
        _check(name, value, where)
    return Credentials(found[0][0], found[1][0], field_of(_TOKEN_NAMES))


def _check(name: str, value: str, where: str) -> None:
    if not _PRINTABLE.fullmatch(value):
        message = f"{where}: {name} holds a space, a line break or a letter that no key has"
        raise BadCredentials(message, subject=where, hint="Was it pasted whole, and nothing else?")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
