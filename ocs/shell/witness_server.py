"""A witness as a server of its own: it cosigns checkpoints of logs that it knows.  docs/adr/0022-witnesses.md.

What it has seen of each log is one row of an SQLite file, synced before the cosignature leaves.  Two processes on one
file see the same rows: a checkpoint is decided and stored in one transaction.
"""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Final, Self

import apsw
import uvicorn
from fastapi import FastAPI, Request, Response

from ocs.errors import BadConfiguration
from ocs.signed.ed25519 import Signer, verify
from ocs.tlog.checkpoint import CosignerKey
from ocs.tlog.note import VerifierKey
from ocs.tlog.witness import BODY_OCTETS_MAX, Answer, Seen, Witness
from ocs.units import UnixMillis

BUSY_MS: Final = 5000
APPLICATION_ID: Final = 0x4F435357
"""`OCSW`: what tells this file from any other SQLite database."""


class SeenLogs:
    """The tree that was cosigned last, of each log."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, and make it where there is none.

        Raises:
            BadConfiguration: it cannot be used.
        """
        try:
            connection = apsw.Connection(str(path))
            connection.setbusytimeout(BUSY_MS)
            connection.execute("PRAGMA synchronous = EXTRA")
            ((made_by,),) = connection.execute("PRAGMA application_id")
            if made_by not in (0, APPLICATION_ID):
                raise BadConfiguration(f"{path} is another program's database; name a file of the witness's own")
            with connection:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS seen (origin TEXT PRIMARY KEY, size INTEGER, root BLOB) STRICT"
                )
        except apsw.Error as error:
            raise BadConfiguration(f"{path} cannot be used: {error}") from None
        return cls(connection)

    def add(self, witness: Witness, body: bytes, now: UnixMillis) -> Answer:
        """Decide about a request, and store what its cosignature says before anybody has it.

        Raises:
            apsw.Error: it could not be stored, and nothing is cosigned.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            answer = witness.add_checkpoint(body, self._seen, now)
            if answer.change is not None:
                after = answer.change.after
                self._connection.execute(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", (answer.change.origin, after.size, after.root)
                )
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return answer

    def close(self) -> None:
        self._connection.close()

    def _seen(self, origin: str) -> Seen:
        for size, root in self._connection.execute("SELECT size, root FROM seen WHERE origin = ?", (origin,)):
            return Seen(size, root)
        return Seen()


def app_of(witness: Witness, seen: SeenLogs) -> FastAPI:
    """Give the one door of a witness, POST /add-checkpoint (c2sp.org/tlog-witness)."""
    app = FastAPI(title="witness", openapi_url=None)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_OCTETS_MAX:
                return Response(f"a request has at most {BODY_OCTETS_MAX} octets\n", 413, media_type="text/plain")
        answer = seen.add(witness, bytes(body), UnixMillis(time.time_ns() // 1_000_000))
        return Response(answer.body, answer.status, {"Content-Type": answer.content_type})

    return app


def serve(
    key: CosignerKey,
    signer: Signer,
    logs: Collection[VerifierKey],
    data: Path,
    listen: tuple[str, int],
    tls: tuple[Path, Path] | None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        key: the witness's own; `signer` has its private half.
        logs: the keys of the logs that are cosigned, each named by its origin.
        data: the file of what was seen.
        listen: host and port.
        tls: files of a certificate's chain and its private key, PEM.

    Raises:
        BadConfiguration: the file cannot be used.
    """
    trusted: dict[str, list[VerifierKey]] = {}
    for one in logs:
        trusted.setdefault(one.name, []).append(one)
    seen = SeenLogs.open(data)
    certificate, private = tls if tls is not None else (None, None)
    try:
        uvicorn.run(
            app_of(Witness(key, signer.sign, trusted, verify), seen),
            host=listen[0],
            port=listen[1],
            ssl_certfile=certificate,
            ssl_keyfile=private,
            log_level="warning",
            server_header=False,
        )
    finally:
        seen.close()
