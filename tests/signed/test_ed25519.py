"""Ed25519: RFC 8032's vectors, and the keys and signatures that lenient libraries take."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ocs.signed import ed25519
from ocs.signed.ed25519 import SeedSigner, check_public_key, public_key_of, signer_of, verify
from ocs.signed.malformed import Malformed
from ocs.signed.refusal import Refusal
from signed_reports import SGW

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19

# RFC 8032 section 7.1: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


def on_the_curve(y: int, sign: int) -> bytes:
    """Write a point as RFC 8032 section 5.1.2 does, y reduced or not."""
    return (y | sign << 255).to_bytes(32, "little")


def small_order() -> list[bytes]:
    """List all spellings of the eight points whose order divides eight, those that are not canonical too."""
    y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826  # of two of the four with order 8
    spellings = []
    for y in (0, 1, PRIME - 1, y8, PRIME - y8):
        for sign in (0, 1):
            spellings += [on_the_curve(y + more, sign) for more in (0, PRIME) if y + more < 2**255]
    return spellings


SMALL_ORDER = small_order()


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    signer = SeedSigner(bytes.fromhex(seed))
    assert signer.public_key.hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    assert verify(signer.public_key, bytes.fromhex(message), bytes.fromhex(signature))
    check_public_key(signer.public_key)


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300))
def test_openssl_signs_and_we_verify(seed: bytes, message: bytes) -> None:
    theirs = Ed25519PrivateKey.from_private_bytes(seed)
    ours = SeedSigner(seed)
    assert ours.sign(message) == theirs.sign(message)
    assert verify(ours.public_key, message, theirs.sign(message))


def test_the_list_of_small_order_has_each_spelling_once() -> None:
    assert len(set(SMALL_ORDER)) == len(SMALL_ORDER) == 14


# Row 3: under such a key one signature fits any message.
@pytest.mark.fault(59)
@pytest.mark.parametrize("public_key", SMALL_ORDER, ids=bytes.hex)
def test_keys_of_small_order_are_refused_at_registration_and_at_use(public_key: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        check_public_key(public_key)
    assert refused.value.code is Refusal.BAD_KEY
    identity = on_the_curve(1, 0)
    for nonce in (identity, public_key):
        assert not verify(public_key, b"anything", nonce + bytes(32))


@pytest.mark.parametrize(
    "public_key",
    [
        on_the_curve(2, 0),  # not on the curve
        on_the_curve(PRIME + 3, 0),  # y of 3 in its second spelling
        on_the_curve(PRIME + 18, 1),
        bytes.fromhex("ff" * 32),
        b"",
        bytes(31),
        bytes(33),
    ],
    ids=bytes.hex,
)
def test_what_is_no_public_key_is_refused(public_key: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        check_public_key(public_key)
    assert refused.value.code is Refusal.BAD_KEY


def test_a_key_of_mixed_order_is_refused() -> None:
    from nacl.bindings import crypto_core_ed25519_add

    mixed = crypto_core_ed25519_add(SGW.public_key, SMALL_ORDER[-1])
    assert mixed != SGW.public_key
    with pytest.raises(Malformed):
        check_public_key(mixed)


# Row 2.
@pytest.mark.fault(59)
def test_s_plus_the_order_is_refused() -> None:
    signature = SGW.sign(b"message")
    s = int.from_bytes(signature[32:], "little")
    for more in range(1, 16):
        if s + more * ORDER < 2**256:
            moved = signature[:32] + (s + more * ORDER).to_bytes(32, "little")
            assert not verify(SGW.public_key, b"message", moved)
    assert verify(SGW.public_key, b"message", signature)


@pytest.mark.parametrize("nonce", [*SMALL_ORDER, on_the_curve(PRIME + 3, 0)], ids=bytes.hex)
def test_a_nonce_of_small_order_or_odd_spelling_is_refused(nonce: bytes) -> None:
    assert not verify(SGW.public_key, b"message", nonce + SGW.sign(b"message")[32:])
    assert not verify(SGW.public_key, b"message", nonce + bytes(32))


@pytest.mark.parametrize("octets", [0, 1, 63, 65, 128])
def test_a_signature_has_64_octets(octets: int) -> None:
    whole = SGW.sign(b"message") + bytes(64)
    assert not verify(SGW.public_key, b"message", whole[:octets])
    # What follows a signature is not the head of the message.
    assert not verify(SGW.public_key, b"sage", SGW.sign(b"message") + b"mes")


@pytest.mark.fault(59)
@given(st.integers(0, 64 * 8 - 1))
def test_any_flipped_bit_of_a_signature_is_refused(bit: int) -> None:
    signature = bytearray(SGW.sign(b"message"))
    signature[bit >> 3] ^= 1 << (bit & 7)
    assert not verify(SGW.public_key, b"message", bytes(signature))


# Row 4: tags of Helium's test network, of ECC compact keys, of multisig, secp256k1 and RSA.
@pytest.mark.parametrize("tag", [0x00, 0x02, 0x03, 0x04, 0x10, 0x11, 0x81])
def test_only_the_tag_of_ed25519_is_taken(tag: int) -> None:
    with pytest.raises(Malformed) as refused:
        public_key_of(bytes([tag]) + SGW.public_key)
    assert refused.value.code is Refusal.BAD_KEY


@pytest.mark.parametrize("signer", [b"", b"\x01", b"\x01" + bytes(31), b"\x01" + bytes(33)], ids=len)
def test_a_signer_has_33_octets(signer: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        public_key_of(signer)
    assert refused.value.code is Refusal.BAD_KEY


def test_a_tag_is_put_before_a_key_and_taken_off() -> None:
    assert public_key_of(signer_of(SGW.public_key)) == SGW.public_key
    assert len(signer_of(SGW.public_key)) == ed25519.SIGNER_OCTETS
