"""Published keys, and the messages that they sign: what tests of the signed layer share.

The seeds are those of RFC 8032 section 7.1, so everybody has them, and nobody's money may ever hang on them.
"""

from typing import Any

from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner, signer_of
from ocs.units import UnixMillis
from ocs.usage.keys import KeyView, Role
from ocs.usage.record import COUNTERSIGN_TYPE, SESSION_INIT_TYPE, USAGE_TYPE, Cause, Countersign, SessionInit, Usage

NETWORK = "testnet"
NOW = UnixMillis(1_790_000_000_000)
CHANNEL = bytes.fromhex("c0" * 32)
SESSION = bytes.fromhex("5e" * 16)

SGW = SeedSigner(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
MINER = SeedSigner(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
OTHER_MINER = SeedSigner(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
STRANGER = SeedSigner(bytes.fromhex("f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5"))


def registered(signer: SeedSigner, role: Role, pair: SeedSigner, **dates: Any) -> dict[bytes, KeyView]:
    view = KeyView(
        role=role, pairs=(pair.public_key,), origin_host="sgw.example.net", **{"valid_from": UnixMillis(0)} | dates
    )
    return {signer.public_key: view}


KEYS = (
    registered(SGW, Role.SGW, MINER)
    | registered(MINER, Role.MINER, SGW)
    | registered(OTHER_MINER, Role.MINER, STRANGER)
)


def session_init(**changes: Any) -> SessionInit:
    return SessionInit(
        **{
            "version": 1,
            "network": NETWORK,
            "channel_id": CHANNEL,
            "session_id": SESSION,
            "sgw_key": signer_of(SGW.public_key),
            "miner_key": signer_of(MINER.public_key),
            "subscriber_tag": bytes.fromhex("7a" * 32),
            "rat": 6,
            "operator": "00101",
            "gy_session_id": "sgw.example.net;1;2",
            "started_at_ms": NOW - 1000,
            "granted_bytes": 10_000_000,
            "tariff_id": 1,
        }
        | changes
    )


def usage(**changes: Any) -> Usage:
    return Usage(
        **{
            "version": 1,
            "network": NETWORK,
            "channel_id": CHANNEL,
            "session_id": SESSION,
            "sgw_key": signer_of(SGW.public_key),
            "miner_key": signer_of(MINER.public_key),
            "seq": 1,
            "cum_up_bytes": 1_000_000,
            "cum_down_bytes": 8_500_000,
            "measured_at_ms": NOW - 10,
            "cause": Cause.THRESHOLD,
            "prev_id": bytes.fromhex("1d" * 32),
            "cc_request_number": 1,
            "final": False,
        }
        | changes
    )


def signed(report: SessionInit | Usage, by: SeedSigner = SGW) -> bytes:
    return envelope.seal(SESSION_INIT_TYPE if isinstance(report, SessionInit) else USAGE_TYPE, report.encode(), by)


def countersign(inner: bytes, **changes: Any) -> Countersign:
    if "inner_id" not in changes:
        changes["inner_id"] = envelope.message_id(envelope.decode(inner))
    return Countersign(
        **{"version": 1, "channel_id": CHANNEL, "received_at_ms": NOW - 5, "miner_seq": 1, "inner": inner} | changes
    )


def countersigned(inner: bytes, by: SeedSigner = MINER, **changes: Any) -> bytes:
    return envelope.seal(COUNTERSIGN_TYPE, countersign(inner, **changes).encode(), by)


def report(by: SeedSigner = SGW, over: SeedSigner = MINER, **changes: Any) -> bytes:
    """Write a countersigned Usage with fields changed; its signatures are good."""
    return countersigned(signed(usage(**changes), by), over)
