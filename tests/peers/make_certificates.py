"""Makes what a plant's authority gives out, for tests: keys, certificates and revocation lists, into a folder.

    make_certificates.py FOLDER APPLICATION_URI

- `root.der`: the authority; `plant.der`: an authority below it, which signs everything else.
- `server.der`, `server.pem` (its key): for a server on `localhost` and 127.0.0.1 with the application URI.
- `chain.der`: the same certificate, followed by the plant's, as many servers send it.
- `server2.der`, `server2.pem`: another certificate for the same server.
- `soon.der`, `soon.pem`: one for the same server that ends in five days; `expired.der`, `expired.pem`: one that has ended.
- `none.crl`, `server.crl`: revocation lists of the plant's authority that take back nothing, and `server.der`.
- `user.der`, `user.pem`: for somebody who logs in.
"""

from __future__ import annotations

import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.timezone.utc)


def name(text: str) -> x509.Name:
    """A name with nothing but a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Maker:
    """Makes certificates into a folder; each owner has a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys: dict[str, rsa.RSAPrivateKey] = {}

    def certificate(
        self, owner: str, issuer: str, extensions: list[tuple[x509.ExtensionType, bool]], until: datetime.timedelta
    ) -> x509.Certificate:
        """A certificate for a new key, signed by the issuer's."""
        key = self.keys[owner] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(owner))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(NOW + until)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        made = builder.sign(self.keys[issuer], hashes.SHA256())
        (self.folder / f"{owner}.der").write_bytes(made.public_bytes(serialization.Encoding.DER))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{owner}.pem").write_bytes(pem)
        return made

    def authority(self, owner: str, issuer: str) -> None:
        """A certificate that may sign others."""
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False)
        extensions = [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True),
        ]
        self.certificate(owner, issuer, extensions, 100 * DAY)

    def application(
        self, owner: str, issuer: str, uri: str, until: datetime.timedelta = 100 * DAY
    ) -> x509.Certificate:
        """A certificate of an application, or of a person."""
        usage = dict.fromkeys(("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
        sign = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), True)
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(uri),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        extensions = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.KeyUsage(**sign, **usage), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            (x509.SubjectAlternativeName(names), False),
        ]
        return self.certificate(owner, issuer, extensions, until)

    def revoke(self, file: str, issuer: str, revoked: list[x509.Certificate]) -> None:
        """A revocation list."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(name(issuer))
        builder = builder.last_update(NOW - DAY).next_update(NOW + 10 * DAY)
        builder = builder.add_extension(x509.CRLNumber(len(revoked)), False)
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(NOW - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        made = builder.sign(self.keys[issuer], hashes.SHA256())
        (self.folder / file).write_bytes(made.public_bytes(serialization.Encoding.DER))


def main() -> None:
    """The command line."""
    folder, uri = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    maker = Maker(folder)
    maker.authority("root", "root")
    maker.authority("plant", "root")
    server = maker.application("server", "plant", uri)
    maker.application("server2", "plant", uri)
    maker.application("soon", "plant", uri, 5 * DAY)
    maker.application("expired", "plant", uri, -DAY)
    maker.application("user", "plant", "urn:somebody")
    (folder / "chain.der").write_bytes((folder / "server.der").read_bytes() + (folder / "plant.der").read_bytes())
    maker.revoke("none.crl", "plant", [])
    maker.revoke("server.crl", "plant", [server])


if __name__ == "__main__":
    main()
