"""Signatures tell what nothing else can: who wrote a record, and that it was this one."""

import base64
import json
import os
import shutil
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from falsification import ANALYSIS, DENSE, DISTANCES, REPORT, details, folders, run
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from thin_ice.provenance.evidence import ENVELOPE, gather
from thin_ice.provenance.signing import (
    BadKey,
    new_key,
    read_private_key,
    read_public_keys,
    sign,
    sign_all,
)

PARQUET = f"{DISTANCES}/distances.parquet"


@pytest.fixture
def key(tmp_path):
    """A private key and its public one."""
    return tmp_path / "keys/author", new_key(tmp_path / "keys/author")


@pytest.fixture
def other(tmp_path):
    return tmp_path / "keys/other", new_key(tmp_path / "keys/other")


@pytest.fixture
def signed(copy, key):
    assert sign_all(gather(copy.root), read_private_key(key[0])) == len(folders())
    return copy


def envelope(copy, folder):
    return copy / f"{folder}/{ENVELOPE}"


def whys(copy, public):
    """Of each artifact with a finding, what was found."""
    found = copy.audit(keys=[public]).artifacts
    return {one.path: {f.why for f in one.findings} for one in found if one.findings}


def test_a_signed_study_passes_with_its_key_and_without(signed, key):
    assert signed.found(keys=[key[1]]) == {}
    assert signed.found() == {}


def test_with_another_key_nothing_passes(signed, other):
    found = signed.audit(keys=[other[1]])
    assert {str(one.status) for one in found.artifacts} == {"forged"}
    assert {f.why for one in found.artifacts for f in one.findings} == {
        "provenance.json: it is not signed by any of the given keys"
    }


def test_either_of_two_keys_suffices_in_either_order(signed, key, other):
    assert signed.found(keys=[key[1], other[1]]) == {}
    assert signed.found(keys=[other[1], key[1]]) == {}
    assert signed.found(keys=[key[1], key[1]]) == {}


def test_the_marks_of_two_signers_stand_side_by_side(signed, key, other):
    sign_all(gather(signed.root), read_private_key(other[0]))
    assert signed.found(keys=[key[1]]) == signed.found(keys=[other[1]]) == {}
    assert len(json.loads(envelope(signed, DENSE).read_text())["signatures"]) == 2


def test_a_signature_taken_away_is_missed_where_signatures_are_asked_for(signed, key):
    envelope(signed, DISTANCES).unlink()
    assert signed.found() == {}
    assert whys(signed, key[1]) == {PARQUET: {"provenance.json: it has no signature"}}


def test_a_record_edited_under_its_signature_is_forged(signed, key):
    signed.edit(DISTANCES, lambda statement: run(statement).update(host="elsewhere"))
    assert signed.found(keys=[key[1]]) == {PARQUET: "forged"}
    assert "provenance.json: the signature is of another record" in whys(signed, key[1])[PARQUET]


def test_a_last_record_edited_and_sealed_under_its_signature_is_forged(signed, key):
    signed.reseal(REPORT, lambda statement: run(statement).update(host="elsewhere"))
    assert signed.found() == {}
    assert set(signed.found(keys=[key[1]]).values()) == {"forged"}


def test_a_record_that_only_looks_otherwise_is_not_the_signed_one(signed, key):
    record = signed.record(REPORT)
    record.write_text(json.dumps(json.loads(record.read_text()), indent=1))
    assert signed.found() == {}
    assert set(signed.found(keys=[key[1]]).values()) == {"forged"}


def test_an_envelope_of_another_job_is_none(signed, key):
    shutil.copy(envelope(signed, ANALYSIS), envelope(signed, DISTANCES))
    assert signed.found(keys=[key[1]]) == {PARQUET: "forged"}


def test_a_signature_of_another_record_in_an_envelope_of_this_one_is_none(signed, key):
    mine, theirs = (json.loads(envelope(signed, n).read_text()) for n in (DISTANCES, ANALYSIS))
    mine["signatures"] = theirs["signatures"]
    envelope(signed, DISTANCES).write_text(json.dumps(mine))
    assert signed.found(keys=[key[1]]) == {PARQUET: "forged"}


def test_a_lie_signed_with_the_liars_own_key_passes_with_that_key_alone(signed, key, other):
    signed.reseal(REPORT, lambda s: details(s)["builder"]["version"].update(seaborn="0.1"))
    sign(signed.record(REPORT), read_private_key(other[0]))
    assert set(signed.found(keys=[key[1]]).values()) == {"forged"}
    assert len(json.loads(envelope(signed, REPORT).read_text())["signatures"]) == 1
    assert signed.found(keys=[key[1], other[1]]) == {}


def test_a_liars_key_under_the_name_of_the_authors_is_of_no_use(signed, key, other):
    """An envelope names the key that signed it; the name can be copied."""
    sign(signed.record(DISTANCES), read_private_key(other[0]))
    content = json.loads(envelope(signed, DISTANCES).read_text())
    content["signatures"] = [
        one | {"keyid": read_public_keys([key[1]])[0].keyid}
        for one in content["signatures"]
        if one["keyid"] == read_public_keys([other[1]])[0].keyid
    ]
    assert len(content["signatures"]) == 1
    envelope(signed, DISTANCES).write_text(json.dumps(content))
    assert signed.found(keys=[key[1]]) == {PARQUET: "forged"}


def corrupted(content, **words):
    return json.dumps(json.loads(content) | words).encode()


ENVELOPES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "not text": lambda content: b"\xff\xfe",
    "null": lambda content: b"null",
    "a list": lambda content: b"[]",
    "nested without end": lambda content: b"[" * 100_000,
    "a payload that is no base64": lambda content: corrupted(content, payload="?"),
    "a payload of null": lambda content: corrupted(content, payload=None),
    "no signatures": lambda content: corrupted(content, signatures=[]),
    "signatures of text": lambda content: corrupted(content, signatures=["x"]),
    "signatures of null": lambda content: corrupted(content, signatures=None),
    "another type": lambda content: corrupted(content, payloadType="text/plain"),
    "a type of numbers": lambda content: corrupted(content, payloadType=5),
}


@pytest.mark.parametrize("fault", ENVELOPES)
def test_an_envelope_that_is_damaged_is_no_signature(signed, key, fault):
    path = envelope(signed, DISTANCES)
    path.write_bytes(ENVELOPES[fault](path.read_bytes()))
    assert signed.found(keys=[key[1]]) == {PARQUET: "forged"}


@pytest.mark.parametrize(
    "mark", ["", "zz", "00", None, 5, [], base64.b64encode(b"x" * 64).decode()]
)
@pytest.mark.parametrize("keyid", ["its own", None, [], "x"])
def test_a_signature_that_is_damaged_is_none(signed, key, mark, keyid):
    path = envelope(signed, DISTANCES)
    content = json.loads(path.read_text())
    content["signatures"][0]["sig"] = mark
    if keyid != "its own":
        content["signatures"][0]["keyid"] = keyid
    path.write_text(json.dumps(content))
    assert signed.found(keys=[key[1]]) == {PARQUET: "forged"}


def test_an_envelope_is_verified_by_any_tool_that_knows_dsse(signed, key):
    """By securesystemslib alone, with nothing of this project."""
    public = SSlibKey.from_crypto(serialization.load_pem_public_key(key[1].read_bytes()))
    for folder in folders():
        content = json.loads(envelope(signed, folder).read_text())
        found = Envelope.from_dict(content)
        assert found.verify([public], 1)
        assert found.payload == signed.record(folder).read_bytes()
        assert found.payload_type == "application/vnd.in-toto+json"
        found.payload += b" "
        with pytest.raises(VerificationError):
            found.verify([public], 1)


def test_signing_leaves_records_as_they_were_and_nothing_but_envelopes(copy, key):
    before = {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()}
    sign_all(gather(copy.root), read_private_key(key[0]))
    after = {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()}
    assert before.items() <= after.items()
    assert {path.name for path in after.keys() - before} == {ENVELOPE}


def test_a_private_key_is_its_owners_alone_whatever_others_may_read(tmp_path):
    before = os.umask(0)
    try:
        public = new_key(tmp_path / "new/key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new/key").stat().st_mode) == 0o600
    assert public == tmp_path / "new/key.pub"
    assert b"PRIVATE" not in public.read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["key", "key.pub"]


@pytest.mark.parametrize("kept", ["key", "key.pub"])
def test_a_key_that_is_there_is_not_overwritten(tmp_path, kept):
    """Nor one half of it: what was signed must stay verifiable."""
    (tmp_path / kept).write_text("mine")
    with pytest.raises(BadKey, match=f"{kept} is there already"):
        new_key(tmp_path / "key")
    assert (tmp_path / kept).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [kept]


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


OTHERS = {
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "ECDSA": lambda: ec.generate_private_key(ec.SECP256R1()),
    "an odd curve": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ed448": ed448.Ed448PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(1024),
}


def sentence(error):
    (line,) = str(error.value).splitlines()
    return line


@pytest.mark.parametrize("kind", OTHERS)
def test_a_key_of_another_kind_is_refused_in_one_sentence(tmp_path, kind):
    secret = OTHERS[kind]()
    (tmp_path / "key").write_bytes(pem(secret))
    (tmp_path / "key.pub").write_bytes(public_pem(secret))
    with pytest.raises(BadKey, match="key is a key of another kind") as error:
        read_private_key(tmp_path / "key")
    assert sentence(error)
    with pytest.raises(BadKey, match=r"key\.pub is (a key of another kind|no public key)") as error:
        read_public_keys([tmp_path / "key.pub"])
    assert sentence(error)


def encrypted():
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def of_an_unknown_kind():
    """A public key whose algorithm nobody has heard of, well formed otherwise."""
    body = bytes.fromhex("300c300706052a03040506030100")[: 2 + 12]
    text = base64.b64encode(body).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n".encode()


GARBAGE = {
    "nothing": lambda: b"",
    "words": lambda: b"a key",
    "not text": lambda: b"\xff\x00",
    "an empty frame": lambda: b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
    "a passphrase": encrypted,
    "an unknown algorithm": of_an_unknown_kind,
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("read", [read_private_key, lambda path: read_public_keys([path])])
def test_a_file_that_is_no_key_is_refused_in_one_sentence(tmp_path, kind, read):
    (tmp_path / "key").write_bytes(GARBAGE[kind]())
    with pytest.raises(BadKey) as error:
        read(tmp_path / "key")
    assert sentence(error)


@pytest.mark.parametrize("read", [read_private_key, lambda path: read_public_keys([path])])
def test_a_key_that_is_not_there_or_the_other_half_is_refused(tmp_path, key, read):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(BadKey):
            read(path)
    with pytest.raises(BadKey):
        read(key[1] if read is read_private_key else key[0])
