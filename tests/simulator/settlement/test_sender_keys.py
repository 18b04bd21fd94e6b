"""Key files: those of OpenSSL and of `ocs key new` are read, and whatever else there is says why not."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from senders import SGW

from forwarder_process import SGW_SEED
from ocs.shell import key_file
from ocs.signed.ed25519 import signer_of
from simulator.settlement.keys import Key, NoKey, holds


def test_what_others_make_is_read(tmp_path):
    made = key_file.make(tmp_path / "ocs.pem")
    assert Key.load(tmp_path / "ocs.pem").signer == signer_of(made.public_key)
    path = tmp_path / "openssl.pem"
    path.touch(0o600)
    private = Ed25519PrivateKey.from_private_bytes(SGW_SEED)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert Key.load(path).signer == SGW.signer


def test_what_is_no_key_says_why(tmp_path):
    path = tmp_path / "key.pem"
    with pytest.raises(NoKey, match="cannot be read"):
        Key.load(path)
    key_file.make(path)
    path.chmod(0o640)
    with pytest.raises(NoKey, match="chmod 600"):
        Key.load(path)
    path.chmod(0o600)
    for text in ("", "-----BEGIN PRIVATE KEY-----\n%%%%\n-----END PRIVATE KEY-----\n", path.read_text()[:-30]):
        path.write_text(text)
        with pytest.raises(NoKey, match="no Ed25519 key"):
            Key.load(path)


def test_a_signature_holds_for_its_message_and_key_alone():
    signature = SGW.sign(b"message")
    assert holds(SGW.signer, b"message", signature)
    assert not holds(SGW.signer, b"massage", signature)
    assert not holds(b"\x11" + SGW.signer[1:], b"message", signature)
    assert not holds(b"\x01" + bytes(32), b"message", signature)
    assert not holds(SGW.signer, b"message", signature[:-1])
