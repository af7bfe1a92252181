"""The file `config`: version, id, and the polynomial that restic cuts files with."""

from __future__ import annotations

import secrets

import msgspec

from console.repository.errors import DamagedConfig, UnsupportedVersion

VERSION = 2
_DEGREE = 53


class Config(msgspec.Struct, frozen=True):
    """A repository's configuration."""

    version: int
    id: str  # 64 hex digits
    chunker_polynomial: str = ""  # hex; irreducible, or restic refuses the repository


def make_config() -> Config:
    """The configuration of a new repository."""
    return Config(VERSION, secrets.token_hex(32), f"{_random_polynomial():x}")


def decode_config(raw: bytes) -> Config:
    """A configuration we can work with, or `UnsupportedVersion` or `DamagedConfig`."""
    try:
        config = msgspec.json.decode(raw, type=Config)
    except msgspec.DecodeError as fault:
        raise DamagedConfig(f"config is not a configuration: {fault}", subject="config") from fault
    if config.version != VERSION:
        raise UnsupportedVersion(
            f"the repository has format version {config.version}; this program reads version 2",
            subject="config",
            hint="`restic migrate upgrade_repo_v2` brings version 1 to version 2",
        )
    return config


def _random_polynomial() -> int:
    """An irreducible polynomial of degree 53 over GF(2), one bit per coefficient."""
    while True:
        candidate = 1 << _DEGREE | secrets.randbits(_DEGREE) | 1
        if _is_irreducible(candidate):
            return candidate


def _is_irreducible(polynomial: int) -> bool:
    """Ben-Or: no factor of degree i divides x^(2^i) - x, for i up to half the degree."""
    degree = polynomial.bit_length() - 1
    power = 2  # x
    for _ in range(degree // 2):
        power = _remainder(_square(power), polynomial)
        if _greatest_divisor(polynomial, power ^ 2) != 1:
            return False
    return True


def _square(a: int) -> int:
    return int("0".join(f"{a:b}"), 2)  # over GF(2) squaring spreads the bits


def _remainder(a: int, b: int) -> int:
    while a.bit_length() >= b.bit_length():
        a ^= b << (a.bit_length() - b.bit_length())
    return a


def _greatest_divisor(a: int, b: int) -> int:
    while b:
        a, b = b, _remainder(a, b)
    return a
