"""A certificate authority and what it signs, for servers and clients of tests."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM."""

    cert: bytes
    key: bytes


class Authority:
    """Without key identifiers, as many a cluster's is."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        cert = _builder(self._name, self._name, self._key, days=10).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.pem = cert.sign(self._key, hashes.SHA256()).public_bytes(_PEM)

    def server(self, *names: str, days: int = 5) -> Pair:
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        if not names:
            alternatives = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._issue("server", days, alternatives)

    def client(self, name: str) -> Pair:
        return self._issue(name, 5, [x509.DNSName(name)])

    def _issue(self, name: str, days: int, alternatives: list[x509.GeneralName]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _builder(_name(name), self._name, key, days=days).add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False
        )
        signed = cert.sign(self._key, hashes.SHA256())
        return Pair(signed.public_bytes(_PEM), private(key))


def private(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    """A key as PEM, encrypted where a password is given."""
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        how = serialization.BestAvailableEncryption(password)
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, how)


def server_context(folder: Path, pair: Pair, *, clients: bytes = b"") -> ssl.SSLContext:
    """A server's context; with `clients`, it demands a certificate of that authority."""
    file = folder / "server.pem"
    file.write_bytes(pair.cert + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.decode())
    return context


_PEM = serialization.Encoding.PEM


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
) -> x509.CertificateBuilder:
    """Valid from thirty days ago to `days` from now."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )
