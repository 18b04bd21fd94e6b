"""Snapshots: the whole state at one index, each a file of its own.  docs/adr/0004-snapshots-and-archive.md.

    magic "OCSS" · format · index (8) · at (8) · digest of that group (16) · { length (4) · chunk } · 0 (4) · digest

The follower writes them from its own fold of the journal, so each one also proves that replay equals run.  A file
has its name only once all of it is synced; the digest at its end finds what was changed at rest.
"""

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

from ocs.errors import JournalFault, Unavailable
from ocs.shell.store.data_folder import ASIDE_SUFFIX, FILE_MODE, publish, write_all
from ocs.shell.store.group import DIGEST_OCTETS
from ocs.shell.store.removal import remove
from ocs.shell.store.write_behind import write_behind
from ocs.units import SECOND, GroupIndex, UnixMillis

_T = TypeVar("_T")

SUFFIX: Final = ".snapshot"
KEPT_ALWAYS: Final = 2
"""The newest, and the one to fall back on; the archive begins behind the older of them."""

_MAGIC: Final = b"OCSS"
_FORMAT: Final = 2
_READ: Final = (1, 2)
"""In format 1 sessions lie as MessagePack arrays; docs/adr/0014-the-express-way.md."""

_HEAD: Final = struct.Struct(f">4sBQQ{DIGEST_OCTETS}s")
_LENGTH: Final = struct.Struct(">I")
CHUNK_OCTETS_MAX: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file.

    Attributes:
        index, at, digest: of the newest group whose events are in it.
    """

    path: Path
    index: GroupIndex
    at: UnixMillis
    digest: bytes

    def chunks(self) -> Iterator[bytes]:
        """Give its chunks; the whole is known to be sound only when the last one was taken.

        Raises:
            JournalFault: it is cut or was changed at rest.
        """
        checked = blake2b(digest_size=DIGEST_OCTETS)
        try:
            with self.path.open("rb") as file:
                checked.update(file.read(_HEAD.size))
                while True:
                    head = file.read(_LENGTH.size)
                    checked.update(head)
                    if len(head) < _LENGTH.size:
                        raise self._damaged("it ends in the middle")
                    (length,) = _LENGTH.unpack(head)
                    if not length:
                        break
                    chunk = file.read(length) if length <= CHUNK_OCTETS_MAX else b""
                    if len(chunk) < length:
                        raise self._damaged("it ends in the middle")
                    checked.update(chunk)
                    yield chunk
                if file.read(DIGEST_OCTETS + 1) != checked.digest():
                    raise self._damaged("its digest does not match")
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from None

    def check(self) -> None:
        """Read the whole file and hold it against its digest.

        Raises:
            JournalFault: it is cut or was changed at rest.
        """
        for _ in self.chunks():
            pass

    def _damaged(self, reason: str) -> JournalFault:
        return JournalFault(f"snapshot {self.path} is damaged: {reason}")


class SnapshotWriter:
    """Writes one snapshot aside; `finish` gives it its name, `abandon` leaves no trace."""

    def __init__(self, folder: Path, index: GroupIndex, at: UnixMillis, digest: bytes) -> None:
        self._path = folder / f"{index:020d}{SUFFIX}"
        self._aside = self._path.with_name(self._path.name + ASIDE_SUFFIX)
        self._checked = blake2b(digest_size=DIGEST_OCTETS)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._descriptor = os.open(self._aside, flags, FILE_MODE)
        except OSError as error:
            raise Unavailable(f"snapshot {self._path} cannot be written: {error.strerror}") from None
        try:
            self._write(_HEAD.pack(_MAGIC, _FORMAT, index, at, digest))
        except Unavailable:
            self.abandon()
            raise

    def add(self, chunk: bytes) -> None:
        """Write one chunk; empty ones are left out."""
        if chunk:
            self._write(_LENGTH.pack(len(chunk)))
            self._write(chunk)

    def write_behind(self) -> None:
        """Have the disk begin to write what came so far.

        Raises:
            Unavailable: it refused.
        """
        try:
            write_behind(self._descriptor)
        except OSError as error:
            raise Unavailable(f"snapshot {self._path} cannot be written: {error.strerror}") from None

    def finish(self) -> None:
        """Write the digest, sync, and give the file its name."""
        self._write(_LENGTH.pack(0))
        self._write(self._checked.digest())
        try:
            publish(self._descriptor, self._aside, self._path)
        except OSError as error:
            raise Unavailable(f"snapshot {self._path} cannot be synced: {error.strerror}") from None
        # Durable under its name.
        self._close()

    def abandon(self) -> None:
        """Remove what was written and has no name yet."""
        self._close()
        self._aside.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, octets: bytes) -> None:
        self._checked.update(octets)
        try:
            write_all(self._descriptor, octets)
        except OSError as error:
            raise Unavailable(f"snapshot {self._path} cannot be written: {error.strerror}") from None


def all(folder: Path) -> list[Snapshot]:  # noqa: A001  # it reads `snapshot.all(folder)` where it is used
    """Give the snapshots of a folder, the oldest first; their content is not checked yet.

    Raises:
        JournalFault: a file of that name does not begin as one.
    """
    return [_head(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def readable(folder: Path) -> tuple[list[Snapshot], list[str]]:
    """Give the snapshots whose heads can be read, the oldest first, and what is wrong with the others."""
    found: list[Snapshot] = []
    faults: list[str] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            found.append(_head(path))
        except JournalFault as fault:
            faults.append(str(fault))
    return found, faults


def newest(folder: Path, through: GroupIndex | None = None) -> tuple[Snapshot | None, list[str]]:
    """Give the newest snapshot that is whole, and what is wrong with each newer one.

    Args:
        through: look only at snapshots up to this index.
    """
    faults: list[str] = []
    for path in sorted(folder.glob(f"*{SUFFIX}"), reverse=True):
        try:
            found = _head(path)
            if through is not None and found.index > through:
                continue
            found.check()
        except JournalFault as fault:
            faults.append(str(fault))
        else:
            return found, faults
    return None, faults


def restored(folder: Path, restore: Callable[[Iterator[bytes]], _T]) -> tuple[Snapshot | None, _T | None, list[str]]:
    """Give the newest snapshot that is whole, what `restore` makes of its chunks, and what is wrong with newer ones.

    It is read once: whether it is whole shows at its end, and what was made until then is dropped.
    """
    faults: list[str] = []
    for path in sorted(folder.glob(f"*{SUFFIX}"), reverse=True):
        try:
            found = _head(path)
            try:
                made = restore(found.chunks())
            except JournalFault:
                raise
            except Exception:
                found.check()  # a damaged one may give anything; of a whole one it is a bug
                raise
        except JournalFault as fault:
            faults.append(str(fault))
        else:
            return found, made, faults
    return None, None, faults


def expire(
    folder: Path,
    now: UnixMillis,
    keep_ms: int,
    first: GroupIndex,
    needed: GroupIndex | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Remove snapshots that nothing needs: of each day (UTC) the first stays, for `keep_ms`, and the newest two always.

    Args:
        first: the oldest group kept; from a snapshot before it nothing can be replayed any more.
        needed: the newest one up to this group stays too: what lags there is compared with it.
        stopped: asked before each one goes; what is left goes another time.

    Returns:
        what is wrong with each that cannot be read; it is left where it is.
    """
    found, faults = readable(folder)
    of_laggards = max((one.index for one in found if needed is not None and one.index <= needed), default=None)
    days: set[int] = set()
    kept: list[Snapshot] = []
    for place, one in enumerate(found):
        day = datetime.fromtimestamp(one.at // SECOND, UTC).toordinal()
        recent = place >= len(found) - KEPT_ALWAYS or one.index == of_laggards
        if recent or (day not in days and one.at >= now - keep_ms and one.index + 1 >= first):
            kept.append(one)
            days.add(day)
        elif not stopped():
            remove(one.path)
    return faults


def _head(path: Path) -> Snapshot:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except OSError as error:
        raise JournalFault(f"snapshot {path} cannot be read: {error.strerror}") from None
    if len(head) < _HEAD.size:
        raise JournalFault(f"snapshot {path} is damaged: it ends in its head")
    magic, form, index, at, digest = _HEAD.unpack(head)
    if magic != _MAGIC:
        raise JournalFault(f"{path} is no snapshot: it begins with {magic!r}")
    if form not in _READ:
        raise JournalFault(f"snapshot {path} has format {form}, this release reads {_FORMAT}; a newer one wrote it")
    return Snapshot(path, GroupIndex(index), UnixMillis(at), digest)
