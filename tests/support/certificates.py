"""Certificates of a test's own authorities, as PEM files."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, each in a file, and both in one."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """A certificate authority that writes what it signs into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        usage = x509.BasicConstraints(ca=True, path_length=None)
        built = _builder(self._name, self._name, self._key, 1).add_extension(usage, critical=True)
        self.file.write_bytes(built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self, name: str, *, hosts: tuple[str, ...] = ("localhost", "127.0.0.1"), days: int = 1, password: str = ""
    ) -> Certificate:
        """Sign a certificate for these hosts; one of negative `days` has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        built = _builder(_name(name), self._name, key, days).add_extension(names, critical=False)
        found = Certificate(*(self._folder / f"{name}.{kind}.pem" for kind in ("crt", "key", "both")))
        encryption: KeySerializationEncryption = (
            BestAvailableEncryption(password.encode()) if password else NoEncryption()
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        signed = built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        found.certificate.write_bytes(signed)
        found.key.write_bytes(secret)
        found.both.write_bytes(secret + signed + self.file.read_bytes())
        return found


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
