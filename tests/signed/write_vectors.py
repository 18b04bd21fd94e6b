"""Write tests/vectors/signed.json and tests/vectors/signed_refused.json: protobuf's own classes and OpenSSL make them.

Nothing of `ocs` that the vectors are to judge has a part in it.  Run it by hand, with the sources' folder on the path,
when a message is added:

    .venv/bin/python tests/signed/write_vectors.py

A vector that is there is never changed: somebody may hold his own sender against it.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import Message

from ocs.wire_pb import settlement_pb2 as pb

VECTORS = Path(__file__).parent.parent / "vectors"
NOW = 1_790_000_000_000
ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032 section 7.1: tests 1, 2, 3 and 1024.
SEEDS = {
    "sgw": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "miner": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "owner": "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "stranger": "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
}
PRIVATE = {name: Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)) for name, seed in SEEDS.items()}
PUBLIC = {name: key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for name, key in PRIVATE.items()}
SIGNER = {name: b"\x01" + key for name, key in PUBLIC.items()}

CHANNEL_OPEN = pb.ChannelOpen(
    version=1,
    network="testnet",
    owner_key=SIGNER["owner"],
    owner_nonce=1,
    amount_dc=10_000_000,
    open_height=497_222,
    expire_height=497_246,
    grace_blocks=2,
    tariff_id=1,
    max_miners=100,
)


def covered(kind: str, payload: bytes) -> bytes:
    return b" ".join((b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload))


def id_of(kind: str, payload: bytes) -> bytes:
    return sha256(covered(kind, payload)).digest()


def seal(kind: str, payload: bytes, by: str, /, **changes: Any) -> bytes:
    fields = {
        "payload_type": kind,
        "payload": payload,
        "signer": SIGNER[by],
        "signature": PRIVATE[by].sign(covered(kind, payload)),
    }
    return pb.Envelope(**(fields | changes)).SerializeToString(deterministic=True)


CHANNEL = id_of("settlement/channel-open/v1", CHANNEL_OPEN.SerializeToString(deterministic=True))
SESSION = sha256(b"session").digest()[:16]
COMMON = {
    "version": 1,
    "network": "testnet",
    "channel_id": CHANNEL,
    "session_id": SESSION,
    "sgw_key": SIGNER["sgw"],
    "miner_key": SIGNER["miner"],
}
SESSION_INIT = pb.SessionInit(
    **COMMON,
    subscriber_tag=sha256(b"tag").digest(),
    rat=6,
    operator="00101",
    gy_session_id="sgw.example.net;1790000000;1",
    started_at_ms=NOW - 60_000,
    granted_bytes=10_000_000,
    tariff_id=1,
)


def usage(**changes: Any) -> pb.Usage:
    fields = COMMON | {
        "seq": 1,
        "cum_up_bytes": 1_000_000,
        "cum_down_bytes": 8_500_000,
        "measured_at_ms": NOW - 20,
        "cause": 1,
        "prev_id": id_of("settlement/session-init/v1", SESSION_INIT.SerializeToString(deterministic=True)),
        "cc_request_number": 1,
    }
    return pb.Usage(**(fields | changes))


def inner(message: Message | None = None, by: str = "sgw", **changes: Any) -> bytes:
    message = usage() if message is None else message
    kind = "settlement/session-init/v1" if isinstance(message, pb.SessionInit) else "settlement/usage/v1"
    return seal(kind, message.SerializeToString(deterministic=True), by, **changes)


def countersign(envelope: bytes, **changes: Any) -> pb.Countersign:
    if "inner_id" not in changes:
        read = pb.Envelope.FromString(envelope)
        changes["inner_id"] = id_of(read.payload_type, read.payload)
    fields = {"version": 1, "channel_id": CHANNEL, "received_at_ms": NOW - 10, "miner_seq": 7, "inner": envelope}
    return pb.Countersign(**(fields | changes))


def outer(envelope: bytes, by: str = "miner", envelope_changes: dict[str, Any] | None = None, **changes: Any) -> bytes:
    message = countersign(envelope, **changes)
    payload = message.SerializeToString(deterministic=True)
    return seal("settlement/countersign/v1", payload, by, **(envelope_changes or {}))


def report(by: str = "sgw", over: str = "miner", **changes: Any) -> bytes:
    return outer(inner(usage(**changes), by), over)


def plain(message: Message) -> dict[str, Any]:
    """Give all fields, defaults too: numbers as decimal strings, octets in hex."""
    fields: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type:
            fields[field.name] = [plain(each) for each in value]
        elif isinstance(value, bytes):
            fields[field.name] = value.hex()
        else:
            fields[field.name] = value if isinstance(value, str | bool) else str(value)
    return fields


def accepted(meaning: str, kind: str, message: Message, by: str) -> dict[str, Any]:
    payload = message.SerializeToString(deterministic=True)
    return {
        "meaning": meaning,
        "message": type(message).__name__,
        "payload_type": kind,
        "fields": plain(message),
        "signer_seed": SEEDS[by],
        "payload": payload.hex(),
        "signed_bytes": covered(kind, payload).hex(),
        "id": id_of(kind, payload).hex(),
        "envelope": seal(kind, payload, by).hex(),
    }


def all_accepted() -> list[dict[str, Any]]:
    final = usage(seq=4, cum_up_bytes=2**63 - 1, cum_down_bytes=1, cause=3, cc_request_number=4, final=True)
    zero = usage(cum_up_bytes=0, cum_down_bytes=0, measured_at_ms=0, cc_request_number=0)
    commit = pb.Commit(
        version=1,
        channel_id=CHANNEL,
        countersign_id=sha256(b"countersigned").digest(),
        miner_key=SIGNER["miner"],
        session_id=SESSION,
        seq=1,
        delta_bytes=9_500_000,
        delta_dc=475,
        channel_total_dc=475,
        committed_at_ms=NOW,
        prev_commit=bytes(32),
    )
    close = pb.ChannelClose(
        version=1,
        channel_id=CHANNEL,
        nonce=1,
        reason=2,
        used_dc=475,
        refund_dc=9_999_525,
        log_size=1,
        log_root=sha256(b"root").digest(),
        summaries=[
            pb.Summary(client_pubkeybin=key, num_packets=1, num_dcs=475, num_bytes=9_500_000, num_sessions=1)
            for key in sorted((SIGNER["miner"], SIGNER["stranger"]))
        ],
    )
    rotation = pb.KeyRotation(
        old_key=SIGNER["sgw"], new_key=SIGNER["stranger"], effective_at_ms=NOW + 3_600_000, network="testnet"
    )
    dispute = pb.Dispute(kind=1, first=report(), second=report(cum_up_bytes=1))
    init, count = "settlement/session-init/v1", "settlement/countersign/v1"
    return [
        accepted("a session begins", init, SESSION_INIT, "sgw"),
        accepted("its first report", "settlement/usage/v1", usage(), "sgw"),
        accepted("a report with all that may be 0", "settlement/usage/v1", zero, "sgw"),
        accepted("a final report, at the limit of its counters", "settlement/usage/v1", final, "sgw"),
        accepted("the beginning, countersigned", count, countersign(inner(SESSION_INIT)), "miner"),
        accepted("the first report, countersigned", count, countersign(inner()), "miner"),
        accepted("a channel opens; the id is the channel's", "settlement/channel-open/v1", CHANNEL_OPEN, "owner"),
        accepted("a channel's first commit", "settlement/commit/v1", commit, "owner"),
        accepted("a channel closes, with two miners", "settlement/channel-close/v1", close, "owner"),
        accepted("a rotation, signed by the new key", "settlement/key-rotation/v1", rotation, "stranger"),
        accepted("two reports with one seq", "settlement/dispute/v1", dispute, "miner"),
    ]


def flipped(octets: bytes, part: bytes) -> bytes:
    place = octets.rindex(part)  # the last one: a key stands in the payload too
    return octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]


def all_refused() -> list[dict[str, Any]]:
    good = report()
    read = pb.Envelope.FromString(good)
    s = int.from_bytes(read.signature[32:], "little")
    payload = usage().SerializeToString(deterministic=True)
    raw: list[tuple[int | None, str, str, bytes]] = [
        (1, "bad_signature", "a bit of the payload flipped", flipped(good, read.payload[10:])),
        (1, "bad_key", "a bit of the signer flipped: another key", flipped(good, PUBLIC["miner"])),
        (1, "bad_signature", "a bit of the signature flipped", flipped(good, read.signature)),
        (1, "malformed", "a bit of the type flipped", flipped(good, b"ountersign/v1")),
        (
            2,
            "malformed",
            "a signature of 63 octets",
            outer(inner(), envelope_changes={"signature": read.signature[:63]}),
        ),
        (2, "malformed", "one of 65", outer(inner(), envelope_changes={"signature": read.signature + b"\0"})),
        (
            2,
            "bad_signature",
            "S + L",
            outer(
                inner(),
                envelope_changes={"signature": read.signature[:32] + (s + ORDER).to_bytes(32, "little")},
            ),
        ),
        (
            2,
            "bad_signature",
            "R not canonical",
            outer(inner(), envelope_changes={"signature": b"\xee" + b"\xff" * 30 + b"\x7f" + read.signature[32:]}),
        ),
        (
            3,
            "bad_key",
            "signed by the identity, which fits any message",
            outer(
                inner(),
                envelope_changes={"signer": b"\x01\x01" + bytes(31), "signature": b"\x01" + bytes(63)},
            ),
        ),
        (
            4,
            "bad_key",
            "the tag of the test network",
            outer(inner(), envelope_changes={"signer": b"\x11" + PUBLIC["miner"]}),
        ),
        (
            4,
            "bad_key",
            "the tag of ECC compact keys",
            outer(inner(), envelope_changes={"signer": b"\x00" + PUBLIC["miner"]}),
        ),
        (5, "role_mismatch", "one key in both roles", report(over="sgw", miner_key=SIGNER["sgw"])),
        (
            5,
            "role_mismatch",
            "roles swapped",
            report("miner", "sgw", sgw_key=SIGNER["miner"], miner_key=SIGNER["sgw"]),
        ),
        (5, "unpaired", "another SGW's miner", report(over="owner", miner_key=SIGNER["owner"])),
        (6, "inner_mismatch", "nothing inside", outer(b"", inner_id=bytes(32))),
        (6, "inner_mismatch", "a body of the miner's own inside", outer(payload, inner_id=bytes(32))),
        (
            6,
            "inner_mismatch",
            "the inner signature swapped",
            outer(inner(signature=pb.Envelope.FromString(inner(usage(seq=2))).signature)),
        ),
        (6, "inner_mismatch", "inner_id of another message", outer(inner(), inner_id=sha256(b"other").digest())),
        (7, "signer_mismatch", "miner_key did not countersign", report(miner_key=SIGNER["owner"])),
        (7, "signer_mismatch", "sgw_key did not sign", report(sgw_key=SIGNER["owner"])),
        (11, "bad_seq", "seq 0", report(seq=0)),
        (11, "bad_seq", "seq 2^64 - 1", report(seq=2**64 - 1)),
        (12, "out_of_range", "counters above 2^63", report(cum_up_bytes=2**63, cum_down_bytes=1)),
        (12, "out_of_range", "counters that wrap 64 bits", report(cum_up_bytes=2**64 - 1, cum_down_bytes=2)),
        (13, "wrong_network", "another network", report(network="mainnet")),
        (13, "inner_mismatch", "another channel outside than inside", outer(inner(), channel_id=bytes(32))),
        (31, "malformed", "an unknown field of the envelope", good + b"\x2a\x00"),
        (
            31,
            "malformed",
            "an unknown field of the payload",
            outer(seal("settlement/usage/v1", payload + b"\x7a\x00", "sgw")),
        ),
        (
            31,
            "malformed",
            "text that is not UTF-8",
            outer(seal("settlement/usage/v1", payload.replace(b"testnet", b"test\xff\xff\xff"), "sgw")),
        ),
        (31, "malformed", "groups without an end", b"\x0b" * 1000),
        (None, "malformed", "no octets", b""),
        (None, "malformed", "the SGW's own envelope at the miner's door", inner()),
        (None, "malformed", "a field of the envelope twice", good + b"\x0a\x01t"),
        (
            None,
            "malformed",
            "a field of the payload twice, as protobuf takes it",
            outer(seal("settlement/usage/v1", payload + b"\x38\x02", "sgw")),
        ),
        (
            None,
            "malformed",
            "a number with octets to spare, as protobuf takes it",
            outer(seal("settlement/usage/v1", b"\x08\x81\x00" + payload[2:], "sgw")),
        ),
        (None, "out_of_range", "version 2", report(version=2)),
        (None, "out_of_range", "no cause", report(cause=0)),
        (None, "bad_key", "a key that is not registered", outer(inner(), "stranger")),
        (
            None,
            "bad_key",
            "an SGW that is not registered",
            outer(inner(usage(sgw_key=SIGNER["stranger"]), "stranger")),
        ),
        (
            None,
            "bad_signature",
            "no Countersign, and not signed",
            outer(inner(), envelope_changes={"payload": b"x"}),
        ),
        (None, "malformed", "no Countersign, and signed", seal("settlement/countersign/v1", b"x", "miner")),
    ]
    return [
        {"row": row, "code": code, "meaning": meaning, "octets": octets.hex()} for row, code, meaning, octets in raw
    ]


def keys() -> dict[str, dict[str, str]]:
    pairs = {"sgw": ("sgw", "miner"), "miner": ("miner", "sgw"), "owner": ("miner", "stranger")}
    return {PUBLIC[name].hex(): {"role": role, "pair": PUBLIC[pair].hex()} for name, (role, pair) in pairs.items()}


def main() -> None:
    refused = {"network": "testnet", "now": str(NOW), "keys": keys(), "refused": all_refused()}
    for name, content in (("signed.json", all_accepted()), ("signed_refused.json", refused)):
        (VECTORS / name).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
