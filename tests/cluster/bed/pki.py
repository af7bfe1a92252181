"""The static certificates and kubeconfigs of one cluster."""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.bed.places import Cluster, Machine, Node

_DAY = timedelta(days=1)
_USES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


class _Authority(NamedTuple):
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    folder: Path


def make_pki(cluster: Cluster) -> None:
    """Write `pki/` anew: certificates, the key of service account tokens, kubeconfigs."""
    folder = cluster.folder / "pki"
    folder.mkdir(parents=True, exist_ok=True)
    authority = _authority(folder)
    api_names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    api_names.append("kubernetes.default.svc.cluster.local")
    addresses = [cluster.address, "127.0.0.1", f"{cluster.services}.1"]
    _issue(authority, "apiserver", "kube-apiserver", names=api_names, addresses=addresses)
    _issue(authority, "kubelet-client", "kube-apiserver-kubelet-client", group="system:masters")
    _issue_node(authority, "node", cluster)
    _issue(authority, "admin", "admin", group="system:masters")
    for user in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        _issue(authority, user, f"system:{user}")
    for user in ("admin", "node", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        _kubeconfig(folder, user, cluster.server)
    tokens = rsa.generate_private_key(65537, 2048)
    (folder / "sa.key").write_bytes(_pem(tokens))
    public = tokens.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "sa.pub").write_bytes(public)


def issue_serving(cluster: Cluster, file: str, address: str) -> tuple[Path, Path]:
    """A certificate and its key for a server that the cluster's API server calls."""
    authority = _kept_authority(cluster)
    _issue(authority, file, file, addresses=[address])
    return authority.folder / f"{file}.crt", authority.folder / f"{file}.key"


def add_node(node: Node) -> None:
    """Write a second node's certificate and kubeconfig, as `node-b` beside the first's."""
    authority = _kept_authority(node.cluster)
    _issue_node(authority, "node-b", node)
    _kubeconfig(authority.folder, "node-b", node.cluster.server)


def _kept_authority(cluster: Cluster) -> _Authority:
    folder = cluster.folder / "pki"
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    return _Authority(key, certificate, folder)


def _issue_node(authority: _Authority, file: str, machine: Machine) -> None:
    own = {"names": [machine.name], "addresses": [machine.address]}
    _issue(authority, file, f"system:node:{machine.name}", group="system:nodes", **own)


def _authority(folder: Path) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubehaven-bed")])
    made = _builder(name, name, key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    certificate = made.sign(key, hashes.SHA256())
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.key").write_bytes(_pem(key))
    return _Authority(key, certificate, folder)


def _issue(
    authority: _Authority,
    file: str,
    user: str,
    *,
    group: str = "",
    names: list[str] | None = None,
    addresses: list[str] | None = None,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    made = _builder(subject, authority.certificate.subject, key.public_key())
    made = made.add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
    others: list[x509.GeneralName] = [x509.DNSName(name) for name in names or ()]
    others += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses or ()]
    if others:
        made = made.add_extension(x509.SubjectAlternativeName(others), critical=False)
    certificate = made.sign(authority.key, hashes.SHA256())
    path = authority.folder / file
    path.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 365 * _DAY)
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _kubeconfig(folder: Path, user: str, server: str) -> None:
    def data(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "bed",
                "cluster": {"server": server, "certificate-authority-data": data("ca.crt")},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": data(f"{user}.crt"),
                    "client-key-data": data(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user}}],
        "current-context": "bed",
    }
    path = folder / f"{user}.kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
