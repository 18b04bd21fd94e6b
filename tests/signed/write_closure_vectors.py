"""Write tests/vectors/closures.json: closures made with protobuf's own classes, OpenSSL and hashlib, nothing of `ocs`.

Run it by hand, with the sources' folder on the path:

    .venv/bin/python tests/signed/write_closure_vectors.py

A vector that is there is never changed: somebody may hold his own reader against it.
"""

import base64
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from write_vectors import (
    CHANNEL,
    CHANNEL_OPEN,
    NOW,
    PRIVATE,
    PUBLIC,
    SESSION,
    SESSION_INIT,
    SIGNER,
    id_of,
    inner,
    outer,
    seal,
    usage,
)

from ocs.wire_pb import settlement_pb2 as pb

VECTORS = Path(__file__).parent.parent / "vectors"
PER_OCTETS = 20_000
ORIGIN = "ocs.example.net/testnet"
FOREIGN = b"an entry of another channel is hashed and not read"


def tree_root(entries: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, as it is written there."""
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    half = 1
    while 2 * half < len(entries):
        half *= 2
    return sha256(b"\x01" + tree_root(entries[:half]) + tree_root(entries[half:])).digest()


def log_key(by: str = "stranger") -> str:
    typed = b"\x01" + PUBLIC[by]
    key_id = sha256(ORIGIN.encode() + b"\n" + typed).digest()[:4]
    return f"{ORIGIN}+{key_id.hex()}+{base64.b64encode(typed).decode()}"


def checkpoint(entries: Sequence[bytes], by: str = "stranger") -> bytes:
    text = f"{ORIGIN}\n{len(entries)}\n{base64.b64encode(tree_root(entries)).decode()}\n"
    key_id = bytes.fromhex(log_key().split("+")[1])
    signature = base64.b64encode(key_id + PRIVATE[by].sign(text.encode())).decode()
    return f"{text}\n— {ORIGIN} {signature}\n".encode()


def octets(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def leaves() -> list[bytes]:
    """Count a SessionInit, a report and a final one, 475 credits in all."""
    last = id_of("settlement/session-init/v1", octets(SESSION_INIT))
    reports: list[pb.SessionInit | pb.Usage] = [SESSION_INIT]
    for seq, up, final in ((1, 400_000, False), (2, 1_000_000, True)):
        reports.append(usage(seq=seq, cum_up_bytes=up, prev_id=last, cause=3 if final else 1, final=final))
        last = id_of("settlement/usage/v1", octets(reports[-1]))
    made, before, price, prev = [], 0, 0, bytes(32)
    for index, report in enumerate(reports):
        countersigned = outer(inner(report), miner_seq=index + 1)
        counted = 0 if isinstance(report, pb.SessionInit) else report.cum_up_bytes + report.cum_down_bytes
        cost = -(-counted // PER_OCTETS)
        commit = pb.Commit(
            version=1,
            channel_id=CHANNEL,
            index=index,
            countersign_id=id_of("settlement/countersign/v1", pb.Envelope.FromString(countersigned).payload),
            miner_key=SIGNER["miner"],
            session_id=SESSION,
            seq=index,
            delta_bytes=counted - before,
            delta_dc=cost - price,
            channel_total_dc=cost,
            committed_at_ms=NOW + index,
            prev_commit=prev,
        )
        before, price = counted, cost
        prev = id_of("settlement/commit/v1", octets(commit))
        made.append(octets(commit) + countersigned)
    return made


def close(entries: Sequence[bytes], **changes: Any) -> bytes:
    fields = {
        "version": 1,
        "channel_id": CHANNEL,
        "nonce": 1,
        "reason": 2,
        "used_dc": 475,
        "refund_dc": CHANNEL_OPEN.amount_dc - 475,
        "log_size": len(entries),
        "log_root": tree_root(entries),
        "summaries": [
            pb.Summary(
                client_pubkeybin=SIGNER["miner"], num_packets=3, num_dcs=475, num_bytes=9_500_000, num_sessions=1
            )
        ],
    }
    return seal("settlement/channel-close/v1", octets(pb.ChannelClose(**(fields | changes))), "owner")


FIRST, INIT, REPORT, FINAL = FOREIGN, *leaves()
LOG = [FIRST, INIT, FOREIGN, REPORT, FINAL]
"""The channel's first leaf is entry 1, and entry 2 is another channel's."""


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(4, "big") + body


def closure(entries: Sequence[bytes] = LOG[1:], **parts: bytes) -> bytes:
    """Write a file; `parts` replace what stands in it."""
    text = b"settlement-closure/v1\n"
    text += record(1, parts.get("opened", seal("settlement/channel-open/v1", octets(CHANNEL_OPEN), "owner")))
    text += record(2, parts.get("closed", close(LOG)))
    text += record(3, parts.get("price", PER_OCTETS.to_bytes(8, "big")))
    text += record(4, log_key().encode())
    text += record(5, parts.get("checkpoint", checkpoint(LOG)))
    text += record(6, (1).to_bytes(8, "big") + tree_root(LOG[:1]))
    text += b"".join(record(7, entry) for entry in entries)
    return text + record(8, len(entries).to_bytes(8, "big") + sha256(text).digest())


def vector(meaning: str, file: bytes, code: str | None = None, place: str | None = None) -> dict[str, Any]:
    return {"meaning": meaning, "code": code, "place": place, "octets": file.hex()}


def all_closures() -> list[dict[str, Any]]:
    badly = bytearray(INIT)
    badly[-1] ^= 1
    damaged = bytearray(closure())
    damaged[-1] ^= 1
    other = [*LOG[:2], FOREIGN + b".", *LOG[3:]]
    return [
        vector("a channel of one session", closure()),
        vector(
            "a refund that is one too large",
            closure(closed=close(LOG, refund_dc=9_999_526)),
            "wrong_refund",
            "the Close",
        ),
        vector("a Close that its owner did not sign", closure(closed=_by_another()), "signer_mismatch", "the Close"),
        vector(
            "a leaf that is left out", closure([INIT, FOREIGN, FINAL]), "wrong_sum", "entry 3, commit 1 of the channel"
        ),
        vector("a log that is cut", closure(LOG[1:4]), "wrong_root", "the log"),
        vector("another channel's entry, changed", closure(other[1:]), "wrong_root", "the log"),
        vector("a checkpoint of another tree", closure(checkpoint=checkpoint(other)), "wrong_root", "the checkpoint"),
        vector(
            "a checkpoint that the log did not sign",
            closure(checkpoint=checkpoint(LOG, "miner")),
            "bad_signature",
            "the checkpoint",
        ),
        vector(
            "a report that its miner did not countersign",
            closure([bytes(badly), *LOG[2:]]),
            "bad_signature",
            "entry 1, commit 0 of the channel",
        ),
        vector(
            "another price than the contract's", closure(price=(20_001).to_bytes(8, "big")), "wrong_sum", "the price"
        ),
        vector("a damaged file", bytes(damaged), "malformed", "the end of the file"),
        vector("a file that is cut", closure()[:-41], "malformed", "the end of the file"),
        vector("something after the end", closure() + b"\n", "malformed", "the end of the file"),
    ]


def _by_another() -> bytes:
    return seal("settlement/channel-close/v1", pb.Envelope.FromString(close(LOG)).payload, "stranger")


def whole() -> dict[str, Any]:
    return {
        "owner": PUBLIC["owner"].hex(),
        "log_key": log_key(),
        "per_octets": str(PER_OCTETS),
        "pairs": [[SIGNER["sgw"].hex(), SIGNER["miner"].hex()]],
        "closures": all_closures(),
    }


if __name__ == "__main__":
    (VECTORS / "closures.json").write_text(json.dumps(whole(), indent=2) + "\n", "utf-8")
