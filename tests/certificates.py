"""Certificates for tests: an authority of their own, and what it signs."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(address: str) -> dict[str, bytes]:
    """A certificate for an IP address: `key`, `certificate`, and `authority`, which signed it, as PEM."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("test authority", authority_key, authority_key, None, x509.BasicConstraints(ca=True, path_length=0))
    named = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    leaf = _certificate(address, key, authority_key, authority, x509.BasicConstraints(ca=False, path_length=None), named)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"key": private, "certificate": leaf.public_bytes(pem), "authority": authority.public_bytes(pem)}


def _certificate(name, key, signing_key, issuer, constraints, *more):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    usage = dict.fromkeys(others, False)
    ca = constraints.ca
    made = made.add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
    for extension in more:
        made = made.add_extension(extension, critical=False)
    return made.sign(signing_key, hashes.SHA256())
