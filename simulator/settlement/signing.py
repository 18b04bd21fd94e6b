"""With what a gateway signs, and where its reports go: everything put together into a forwarder that runs.

The log's key is believed once: the first that is told, by whoever starts the forwarder or else by the server, is kept
in the spool, and every receipt after is held against it.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulator.settlement.desk import Desk
from simulator.settlement.door import Door
from simulator.settlement.forwarder import Forwarder, now_ms
from simulator.settlement.grpc_door import GrpcDoor
from simulator.settlement.http_door import HttpDoor, pass_header
from simulator.settlement.keys import Key
from simulator.settlement.miner import Miner
from simulator.settlement.receipt import LogKey
from simulator.settlement.signer import Sgw
from simulator.settlement.spool import Spool

NETWORK: Final = "default"

TAG_SECRET: Final = b"of the simulator's subscribers, whom nobody knows"
"""A real operator's secret is its own; these IMSIs are nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """The keys of one gateway, its spool, and the ways to the server.

    Attributes:
        server: URL of the HTTP API, which tells the log's key; reports go there too unless `grpc` is named.
        grpc: host and port of the gRPC service; "" for none.
        tag_secret: of the home operator, for the tags of its subscribers.
        log_key: the verifier key of the log; "" believes the server's word at the first start.
    """

    sgw: Key
    miner: Key
    server: str
    grpc: str = ""
    network: str = NETWORK
    spool: Path
    tag_secret: bytes = TAG_SECRET
    log_key: str = ""

    def authorization(self) -> str:
        """Show who sends: a pass of this moment."""
        return pass_header(Miner(self.miner, self.sgw.signer, self.network).door_pass(now_ms()))


@contextlib.asynccontextmanager
async def forwarding(signing: Signing, tell: Callable[[str], None] = print) -> AsyncIterator[Forwarder]:
    """Run a forwarder beside the block.

    Raises:
        SpoolError: the spool cannot be used, or knows another key of the log.
        Unproven: `log_key` is none.
    """
    async with contextlib.AsyncExitStack() as stack:
        spool = Spool.open(signing.spool, signing.sgw.signer, signing.miner.signer, signing.network)
        stack.callback(spool.close)
        sgw = Sgw(signing.sgw, signing.miner.signer, signing.network, signing.tag_secret, secrets.token_bytes)
        desk = Desk(spool, sgw, Miner(signing.miner, signing.sgw.signer, signing.network))
        if signing.log_key:
            desk.trust(LogKey.parse(signing.log_key))
        http = HttpDoor(signing.server, signing.authorization)
        stack.push_async_callback(http.close)
        door: Door = http
        if signing.grpc:
            door = GrpcDoor(signing.grpc, signing.authorization)
            stack.push_async_callback(door.close)
        forwarder = Forwarder(desk, door, http.log_key, tell)
        await stack.enter_async_context(forwarder.running())
        yield forwarder
