"""Signed records: DSSE envelopes around them, ed25519 keys, through securesystemslib.

An envelope lies beside its record and holds a copy of it, so any DSSE tool can verify it alone.
The record stays a plain file for those who need no signatures. Keys are PEM files.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from posixpath import join

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from thin_ice.errors import ThinIceError
from thin_ice.files import atomic_path, write_json
from thin_ice.provenance.evidence import ENVELOPE, Evidence
from thin_ice.provenance.planned import RECORD

PAYLOAD = "application/vnd.in-toto+json"


class BadKey(ThinIceError):
    """A file is not the key that it should be."""


def new_key(private: Path) -> Path:
    """Make a key pair: ``private``, readable by its owner alone, and the returned public file.

    Raises:
        BadKey: one of them is there already; a key that signed something is not overwritten.
    """
    public = private.with_name(f"{private.name}.pub")
    for path in (private, public):
        if path.exists():
            raise BadKey(f"{path} is there already")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    open_part = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with atomic_path(private) as path:
        path.touch(mode=0o600)
        path.write_bytes(secret)
    with atomic_path(public) as path:
        path.write_bytes(open_part)
    return public


def read_private_key(path: Path) -> CryptoSigner:
    """Raises `BadKey` where the file is no private ed25519 key without a passphrase."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{path} is no private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path} is a key of another kind; allowed: ed25519")
    return CryptoSigner(key)


def read_public_keys(paths: list[Path]) -> list[Key]:
    """Raises `BadKey` where a file is no public ed25519 key."""
    return [_public_key(path) for path in paths]


def _public_key(path: Path) -> Key:
    try:
        key = SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{path} is no public key: {error}") from None
    if key.keytype != "ed25519":
        raise BadKey(f"{path} is a key of another kind, {key.keytype}; allowed: ed25519")
    return key


def sign(record: Path, signer: CryptoSigner) -> None:
    """Write the envelope of a record; marks of other keys on the same record are kept."""
    payload, path = record.read_bytes(), record.with_name(ENVELOPE)
    envelope = _read(path) if path.is_file() else None
    if envelope is None or envelope.payload != payload:
        envelope = Envelope(payload, PAYLOAD, {})
    envelope.sign(signer)
    write_json(path, envelope.to_dict())


def judge_signatures(evidence: Evidence, keys: list[Key]) -> Mapping[str, str | None]:
    """Why the signature of each record does not hold under any of these keys; None if it does."""
    return {folder: _judge(evidence.root / folder, keys) for folder in evidence.records}


def _judge(folder: Path, keys: list[Key]) -> str | None:
    path = folder / ENVELOPE
    if not path.is_file():
        return "it has no signature"
    envelope = _read(path)
    if envelope is None:
        return f"{ENVELOPE} is no envelope"
    if envelope.payload != (folder / RECORD).read_bytes():
        return "the signature is of another record"
    try:
        envelope.verify(keys, 1)
    except VerificationError:
        return "it is not signed by any of the given keys"
    return None


def _read(path: Path) -> Envelope | None:
    try:
        envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return envelope if envelope.payload_type == PAYLOAD else None


def sign_all(evidence: Evidence, signer: CryptoSigner) -> int:
    """Sign every record of a study; how many there were."""
    for folder in evidence.records:
        sign(evidence.root / join(folder, RECORD), signer)
    return len(evidence.records)
