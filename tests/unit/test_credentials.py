"""Access keys from folders, files and the environment; no error shows a value."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.storage import (
    BadCredentials,
    Credentials,
    credentials_from_environment,
    credentials_from_file,
    credentials_from_folder,
)

if TYPE_CHECKING:
    from pathlib import Path

KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"
EXPECTED = Credentials(KEY, SECRET)
INI = f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"


def test_what_no_header_can_hold_is_refused_at_once() -> None:
    for values in [(f"{KEY}\n", SECRET), (KEY, f"{SECRET} "), (KEY, SECRET, "tök")]:
        with pytest.raises(BadCredentials, match="the credentials") as caught:
            Credentials(*values)
        assert SECRET not in str(caught.value)


def test_a_repr_shows_no_secret() -> None:
    shown = repr(Credentials(KEY, SECRET, "session-token"))
    assert SECRET not in shown
    assert "session-token" not in shown


@pytest.mark.parametrize(
    "text",
    [
        INI,
        f"# note\n\n[other]\naws_access_key_id=x\n{INI}region = eu-1\n",
        f"AWS_ACCESS_KEY_ID={KEY}\nAWS_SECRET_ACCESS_KEY={SECRET}\n",
        f"export AWS_ACCESS_KEY_ID='{KEY}'\r\nexport AWS_SECRET_ACCESS_KEY=\"{SECRET}\"\r\n",
        f"\ufeffAccessKeyId: {KEY}\nSecretAccessKey: {SECRET}\nRegion: x",
        json.dumps({"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}),
        json.dumps({"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET}),
        json.dumps({"accessKey": KEY, "secretKey": SECRET, "api": "s3v4"}),
    ],
)
def test_every_usual_form_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials"
    path.write_text(text, encoding="utf-8")
    assert credentials_from_file(path) == EXPECTED


def test_a_profile_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(f"[default]\naws_access_key_id=x\n[profile work]\n{INI.partition(chr(10))[2]}")
    assert credentials_from_file(path, profile="work") == EXPECTED
    with pytest.raises(BadCredentials, match=r"no section \[play\]") as caught:
        credentials_from_file(path, profile="play")
    assert "work" in caught.value.hint
    with pytest.raises(BadCredentials, match="aws_secret_access_key is missing"):
        credentials_from_file(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "aws_access_key_id is missing"),
        ("{}", "aws_access_key_id is missing"),
        (f"AWS_ACCESS_KEY_ID={KEY}", "aws_secret_access_key is missing"),
        (f"AWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY={SECRET}", "aws_access_key_id is missing"),
        (f"AWS_ACCESS_KEY_ID={KEY}\n{SECRET}\n", "line 2"),
        (f'{{"aws_access_key_id": "{KEY}",\n "aws_secret_access_key": {SECRET}}}', "line 2"),
        (f'{{"accessKey": "{KEY}", "secretKey": "{SECRET}\\n"}}', "aws_secret_access_key holds"),
        (f"AWS_ACCESS_KEY_ID=schlüssel\nAWS_SECRET_ACCESS_KEY={SECRET}", "aws_access_key_id holds"),
        (f'{{"accessKey": 7, "secretKey": "{SECRET}"}}', "field accessKey is not a string"),
        ("x" * 70_000, "too long"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_no_value(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(BadCredentials, match=said) as caught:
        credentials_from_file(path)
    assert str(path) in str(caught.value)
    assert SECRET not in repr(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadCredentials, match="UTF-8"):
        credentials_from_file(tmp_path / "binary")
    with pytest.raises(BadCredentials, match="No such file"):
        credentials_from_file(tmp_path / "missing")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=80), st.binary(max_size=80)))
def test_any_file_is_read_or_refused(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "credentials"
    path.write_bytes(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    with suppress(BadCredentials):
        assert credentials_from_file(path).access_key_id


def test_a_folder_holds_a_file_for_each_field(tmp_path: Path) -> None:
    (tmp_path / "aws_access_key_id").write_text(f"{KEY}\n")
    with pytest.raises(BadCredentials, match="aws_secret_access_key can't be read"):
        credentials_from_folder(tmp_path)
    secret = tmp_path / "aws_secret_access_key"
    for text, said in [
        ("\n", "is empty"),
        (f"{SECRET}\n{SECRET}\n", "aws_secret_access_key holds a space"),
    ]:
        secret.write_text(text)
        with pytest.raises(BadCredentials, match=said) as caught:
            credentials_from_folder(tmp_path)
        assert SECRET not in str(caught.value)
    secret.write_text(f"{SECRET}\n")
    assert credentials_from_folder(tmp_path) == EXPECTED
    (tmp_path / "aws_session_token").write_text("token")
    assert credentials_from_folder(tmp_path) == Credentials(KEY, SECRET, "token")


def test_the_environment_says_all_or_nothing() -> None:
    assert credentials_from_environment({}) is None
    both = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    assert credentials_from_environment(both) == EXPECTED
    with_token = credentials_from_environment({**both, "AWS_SESSION_TOKEN": "token"})
    assert with_token == Credentials(KEY, SECRET, "token")
    for name in both:
        with pytest.raises(BadCredentials, match="the environment"):
            credentials_from_environment({name: both[name]})
