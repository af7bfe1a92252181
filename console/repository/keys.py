"""Keys: from a password to the repository's data key, and one sealed message.

A key file holds the data key, sealed with a key that scrypt makes of the
password. Nothing here prints or keeps a password.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.poly1305 import Poly1305

from console.repository.errors import Damage, DamagedKey, WrongPassword
from console.repository.listing import list_files

if TYPE_CHECKING:
    from console.repository.kernel import Bytes
    from console.storage.protocol import ObjectStore

SCRYPT_N, SCRYPT_R, SCRYPT_P = 32768, 8, 1
MAX_SCRYPT_BYTES = 1 << 30  # a key file that asks for more is refused, not obeyed
NONCE = 16
TAG = 16
# Poly1305 wants some bits of r cleared; the libraries that restic uses store r unmasked.
_R_MASK = int.from_bytes(bytes.fromhex("ffffff0ffcffff0ffcffff0ffcffff0f"), "big")


class DataKey:
    """The repository's key: 32 bytes for AES-256-CTR, 16 + 16 for Poly1305-AES."""

    __slots__ = ("encrypt", "mac_k", "mac_r")

    def __init__(self, encrypt: bytes, mac_k: bytes, mac_r: bytes) -> None:
        if (len(encrypt), len(mac_k), len(mac_r)) != (32, 16, 16):
            raise ValueError("a data key has 32 + 16 + 16 bytes")
        self.encrypt = encrypt
        self.mac_k = mac_k
        self.mac_r = (int.from_bytes(mac_r, "big") & _R_MASK).to_bytes(16, "big")

    def __repr__(self) -> str:
        return "DataKey(…)"

    @classmethod
    def generate(cls) -> DataKey:
        """A new random key."""
        return cls(os.urandom(32), os.urandom(16), os.urandom(16))

    def derive(self, purpose: str, length: int) -> bytes:
        """Bytes for another purpose, by HKDF-SHA256; they tell nothing about the key."""
        material = self.encrypt + self.mac_k + self.mac_r
        return HKDF(hashes.SHA256(), length, salt=None, info=purpose.encode()).derive(material)


class MessageCipher:
    """Seals and opens single messages; contexts are recycled, so one thread at a time."""

    def __init__(self, key: DataKey) -> None:
        self._r = key.mac_r
        self._nonces = Cipher(algorithms.AES(key.mac_k), modes.ECB()).encryptor()  # noqa: S305 - one block: Poly1305-AES
        self._stream = Cipher(algorithms.AES(key.encrypt), modes.CTR(bytes(16))).encryptor()
        self._random = b""
        self._used = 0

    def seal(self, message: Bytes) -> bytes:
        """Nonce, ciphertext, tag."""
        nonce = self._nonce()
        self._stream.reset_nonce(nonce)
        text = self._stream.update(message)
        return b"".join((nonce, text, Poly1305.generate_tag(self._one_time_key(nonce), text)))

    def open(self, sealed: Bytes) -> bytes | None:
        """The message, or None when the tag does not fit."""
        view = memoryview(sealed)
        if len(view) < NONCE + TAG:
            return None
        nonce, text, tag = bytes(view[:NONCE]), view[NONCE:-TAG], bytes(view[-TAG:])
        try:
            Poly1305.verify_tag(self._one_time_key(nonce), text, tag)
        except InvalidSignature:
            return None
        self._stream.reset_nonce(nonce)
        return self._stream.update(text)

    def _one_time_key(self, nonce: bytes) -> bytes:
        return self._r + self._nonces.update(nonce)

    def _nonce(self) -> bytes:
        if self._used + NONCE > len(self._random):
            self._random = os.urandom(4096)
            self._used = 0
        self._used += NONCE
        return self._random[self._used - NONCE : self._used]


class _Mac(msgspec.Struct):
    k: bytes
    r: bytes


class _DataKeyFile(msgspec.Struct):
    mac: _Mac
    encrypt: bytes


class _KeyFile(msgspec.Struct, kw_only=True):
    created: str = ""
    username: str = ""
    hostname: str = ""
    kdf: str
    N: int
    r: int
    p: int
    salt: bytes
    data: bytes


class KeyInfo(msgspec.Struct, frozen=True):
    """A key file, without anything secret."""

    id: str
    username: str
    hostname: str
    created: str


def make_key_file(key: DataKey, password: bytes, *, username: str, hostname: str) -> bytes:
    """A key file that gives the data key to whoever knows the password."""
    salt = os.urandom(64)
    lock = _stretch(password, salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P)
    inner = _DataKeyFile(mac=_Mac(k=key.mac_k, r=key.mac_r), encrypt=key.encrypt)
    return msgspec.json.encode(
        _KeyFile(
            created=datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z"),
            username=username,
            hostname=hostname,
            kdf="scrypt",
            N=SCRYPT_N,
            r=SCRYPT_R,
            p=SCRYPT_P,
            salt=salt,
            data=MessageCipher(lock).seal(msgspec.json.encode(inner)),
        )
    )


def list_keys(store: ObjectStore) -> list[KeyInfo]:
    """Every key file, without what is secret; needs no password. `DamagedKey` for a bad one."""
    found = []
    for name in list_files(store, "keys/"):
        content = _read_key_file(name, store.get(name))
        found.append(
            KeyInfo(name.rpartition("/")[2], content.username, content.hostname, content.created)
        )
    return found


def find_data_keys(store: ObjectStore, names: list[str], password: bytes) -> list[DataKey]:
    """The data keys that the password opens, in the order of the names.

    Raises:
        WrongPassword: None opens, and every key file could be read.
        DamagedKey: None opens, and at least one key file could not be read.
    """
    keys: list[DataKey] = []
    damage: Damage | None = None
    for name in names:
        try:
            key = _open_key_file(name, store.get(name), password)
        except Damage as fault:
            damage = damage or fault
            continue
        if key is not None:
            keys.append(key)
    if keys:
        return keys
    if damage is not None:
        raise damage
    raise WrongPassword(
        "no key of this repository opens with the password given",
        subject=store.url,
        hint="give the password, or the location key, that belongs to this repository",
    )


def _read_key_file(name: str, raw: bytes) -> _KeyFile:
    named = name.rpartition("/")[2]
    if not hmac.compare_digest(hashlib.sha256(raw).hexdigest(), named):
        raise DamagedKey(f"{name} does not have the hash it is named by", subject=name)
    try:
        return msgspec.json.decode(raw, type=_KeyFile)
    except msgspec.DecodeError as fault:
        raise DamagedKey(f"{name} is not a key file: {fault}", subject=name) from fault


def _open_key_file(name: str, raw: bytes, password: bytes) -> DataKey | None:
    content = _read_key_file(name, raw)
    if content.kdf != "scrypt":
        raise DamagedKey(f"{name} asks for {content.kdf[:40]!r}, not scrypt", subject=name)
    n, r, p = content.N, content.r, content.p
    if min(n, r, p) < 1 or n < 2 or n & (n - 1) or p > 64 or 128 * n * r > MAX_SCRYPT_BYTES:
        raise DamagedKey(f"{name} asks for scrypt N={n} r={r} p={p}", subject=name)
    message = MessageCipher(_stretch(password, content.salt, n=n, r=r, p=p)).open(content.data)
    if message is None:
        return None
    try:
        inner = msgspec.json.decode(message, type=_DataKeyFile)
        return DataKey(inner.encrypt, inner.mac.k, inner.mac.r)
    except (msgspec.DecodeError, ValueError) as fault:
        raise DamagedKey(f"{name} holds no data key", subject=name) from fault


def _stretch(password: bytes, salt: bytes, *, n: int, r: int, p: int) -> DataKey:
    room = 128 * r * (n + p + 2) + (1 << 20)
    made = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=room, dklen=64)
    return DataKey(made[:32], made[32:48], made[48:])
