"""The two senders of these tests, with the published keys of `signed_reports`, and a spool with a desk over it."""

import random
from pathlib import Path

from forwarder_process import MINER_SEED, SGW_SEED
from signed_reports import NETWORK
from signing_door import LOG_KEY
from simulator.settlement.desk import Desk
from simulator.settlement.keys import Key
from simulator.settlement.messages import Cause, Counters
from simulator.settlement.miner import Miner
from simulator.settlement.reading import Reading
from simulator.settlement.receipt import LogKey
from simulator.settlement.signer import Sgw
from simulator.settlement.spool import Spool

SGW = Key(SGW_SEED)
MINER = Key(MINER_SEED)
LOG = LogKey.parse(LOG_KEY.text)
IMSI = "001010000000001"


def sgw(seed: int = 1) -> Sgw:
    return Sgw(SGW, MINER.signer, NETWORK, b"secret of the tests", random.Random(seed).randbytes)


def miner() -> Miner:
    return Miner(MINER, SGW.signer, NETWORK)


def desk(path: Path, seed: int = 1) -> Desk:
    """Open a desk on a spool; another seed for another process, for session ids are never made twice."""
    spool = Spool.open(path, SGW.signer, MINER.signer, NETWORK)
    made = Desk(spool, sgw(seed), miner(), random.Random(seed))
    made.trust(LOG)
    return made


def reading(name: str, up: int, down: int, at_ms: int, **changes: object) -> Reading:
    return Reading(
        **{
            "gy_session_id": name,
            "imsi": IMSI,
            "octets": Counters(up, down),
            "granted_bytes": 2**62,
            "measured_at_ms": at_ms,
            "cause": Cause.TERMINATED if changes.get("final") else Cause.THRESHOLD,
            "cc_request_number": 1,
        }
        | changes
    )
