"""The bookkeeper: posts the journal to the books, at a pace of its own.

Posting to SQL costs many times what folding the same groups does.  Under a load that lasts, the books fall behind and
catch up later; neither the state that is read here nor the snapshots wait for them.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final, Self

import structlog

from ocs import image
from ocs.errors import JournalFault, NotFound
from ocs.shell.books import seed
from ocs.shell.books.books import Books
from ocs.shell.follower.pursuit import Pursuit
from ocs.shell.store import records, snapshot
from ocs.shell.store.archive import History
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.group import Group, follows
from ocs.shell.store.journal import JournalReader
from ocs.shell.store.snapshot import Snapshot
from ocs.units import GroupIndex

BATCH_OCTETS: Final = 1024 * 1024
"""Posted in one transaction, whose sync the journal's syncs have to wait for."""

GATHER_SECONDS: Final = 0.25
"""Each transaction is some syncs, and now and then one of the journal's waits for them."""

GIVES_WAY_SECONDS: Final = 3600.0
TOLD_SECONDS: Final = 600.0
"""Between two lines of the log about books that are far behind."""

log = structlog.get_logger()


class Bookkeeper(Pursuit):
    """The books as of `index`."""

    name = "the books are"
    batch_octets = BATCH_OCTETS
    gather_seconds = GATHER_SECONDS

    def __init__(self, books: Books, history: History, digest: bytes | None) -> None:
        super().__init__(history, books.index)
        self.books = books
        self._digest = digest
        self._told_at = -TOLD_SECONDS
        self._differing: Counter[str] = Counter()

    @classmethod
    async def open(cls, folder: DataFolder, reader: JournalReader, history: History) -> Self:
        """Open the books, or begin them.

        Raises:
            JournalFault: journal and books are not of one history, or the groups that the books lack are gone.
        """
        books = await Books.open(folder.books)
        try:
            if books.index + 1 < history.first():
                await _begin(books, folder, history.first())
            return cls(books, history, _digest_after(books.index, folder, reader, history))
        except BaseException:
            await books.close()  # its thread would keep a process alive that has nothing to do
            raise

    async def close(self) -> None:
        await self.books.close()

    @property
    def gives_way(self) -> bool:
        """Whether the core's syncs, which wait for those of the books, come first: for some time, and not for ever.

        The archive keeps all that the books lack.
        """
        return self.behind_seconds() < GIVES_WAY_SECONDS

    async def between(self) -> None:
        """Tell of sessions that do not match, and of books that have not caught up for long."""
        now = asyncio.get_running_loop().time()
        if self._differing and self.index >= self.target:
            # Once for all batches of a catch-up: books that are made again would tell a month's, each in a line.
            log.warning(
                "sessions do not match what was signed of them",
                sessions=self._differing.total(),
                causes=dict(self._differing),
                mend="see `ocs reconcile incidents`, and docs/reconciliation.md for what each cause asks for",
            )
            self._differing.clear()
        if self.behind_seconds() >= GIVES_WAY_SECONDS and now >= self._told_at + TOLD_SECONDS:
            self._told_at = now
            log.warning(
                "the books are far behind",
                groups=self.target - self.index,
                hours=round(self.behind_seconds() / 3600, 1),
                mend="more comes than can be posted to SQL: share the load, and watch the disk, for the archive grows",
            )

    async def take(self, groups: Sequence[Group]) -> None:
        """Post these groups in one transaction."""
        index, digest = self.index, self._digest
        batch = []
        for group in groups:
            if digest is not None:
                follows(group, index, digest)
            batch.append((group.index, group.at, records.decode(group.payload)))
            index, digest = group.index, group.digest
        self._differing += await self.books.apply(batch)
        self._digest = digest


async def _begin(books: Books, folder: DataFolder, first: GroupIndex) -> None:
    """Begin empty books with the oldest snapshot there is: the groups before it are not kept any more.

    Raises:
        JournalFault: there is none that is whole, or books that are not empty lack groups that are gone.
    """
    if books.index:
        raise JournalFault(
            f"the books end with group {books.index}, and the groups after it are not kept any more; "
            f"move {folder.books} away, and books begin with the oldest snapshot"
        )
    found = _oldest_snapshot(folder, first)
    await books.replace(seed.posting(image.restore(found.chunks())), found.index, found.at)
    log.warning("books begin with a snapshot", index=found.index)


def _oldest_snapshot(folder: DataFolder, first: GroupIndex) -> Snapshot:
    """Give the oldest whole snapshot whose next group is still kept."""
    found, faults = snapshot.readable(folder.snapshots)
    for told in faults:
        log.warning("snapshot damaged; a newer one is used", detail=told)
    for one in found:
        if one.index + 1 < first:
            continue
        try:
            one.check()
        except JournalFault as fault:
            log.warning("snapshot damaged; a newer one is used", detail=str(fault))
        else:
            return one
    raise JournalFault(
        f"the groups before {first} are not kept any more, and no snapshot up from there is whole; "
        "bring the data back from a copy"
    )


def _digest_after(index: GroupIndex, folder: DataFolder, reader: JournalReader, history: History) -> bytes | None:
    """Give the digest that the group after `index` must name; None where it went with the group itself.

    Raises:
        JournalFault: the journal does not reach as far.
    """
    if index > (last := reader.last()):
        raise JournalFault(
            f"the books hold group {index}, and the journal ends with {last}: it was replaced; "
            f"move {folder.books} away, and the books are made again from the journal"
        )
    if not index:
        return reader.data_id
    try:
        return history.group(index).digest
    except NotFound:
        return None
