"""X.509 certificates of the control plane. Imports cryptography."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey as Key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    key: Key, subject: x509.Name, issuer: x509.Name, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of machines that resume from sleep may be behind.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def authority(
    key: Key, days: int, common: str = "reconciler-controlplane-ca"
) -> x509.Certificate:
    """A self-signed CA certificate."""
    name = _name(common)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(key, name, name, days)
        .add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identity, critical=False)
        .sign(key, hashes.SHA256())
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server(
    key: Key,
    issuer: x509.Certificate,
    issuer_key: Key,
    days: int,
    names: Iterable[str],
) -> x509.Certificate:
    """A server certificate for host names and addresses, signed by a CA."""
    alternatives = [_alternative(name) for name in names]
    from_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(
        issuer_key.public_key()
    )
    use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        _builder(key, _name("reconciler-controlplane"), issuer.subject, days)
        .add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False
        )
        .add_extension(use, critical=False)
        .add_extension(from_issuer, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def client(
    key: Key,
    issuer: x509.Certificate,
    issuer_key: Key,
    days: int,
    name: str,
    groups: Iterable[str],
) -> x509.Certificate:
    """A client certificate: the user as CN, the groups as O."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    parts += [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)
        for group in groups
    ]
    use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    from_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(
        issuer_key.public_key()
    )
    return (
        _builder(key, x509.Name(parts), issuer.subject, days)
        .add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(use, critical=False)
        .add_extension(from_issuer, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def load(certificate: bytes, key: bytes) -> tuple[x509.Certificate, Key]:
    """A certificate and its key from PEM."""
    loaded = serialization.load_pem_private_key(key, password=None)
    if not isinstance(loaded, Key):
        raise TypeError("the key of the CA is no EC key")
    return x509.load_pem_x509_certificate(certificate), loaded


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: Key) -> bytes:
    """A private key as text, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
