"""The public log as others see it: its checkpoint, signed, and proofs of what is in it.

A checkpoint is signed of what the core has synced and this process has folded: the leaves follow from the journal, so
after any crash the same ones stand at the same places, and no two checkpoints ever contradict each other.
"""

from collections.abc import Callable, Iterable, Iterator

from ocs.channel import closure_file, leaf
from ocs.channel.closure_file import ClosureFile
from ocs.channel.event import LogWitnessed
from ocs.channel.record import ChannelClose
from ocs.errors import NotFound
from ocs.shell.store.channel_files import ChannelFiles
from ocs.shell.store.log_files import LogFiles
from ocs.signed import envelope
from ocs.signed.ed25519 import SeedSigner
from ocs.tlog import checkpoint, note, proof
from ocs.tlog.checkpoint import Checkpoint
from ocs.tlog.note import Note, VerifierKey


class PublicLog:
    """One deployment's log, and its key.

    Attributes:
        files: what it holds.
        key: under which its checkpoints are checked; its name is the log's origin.
    """

    def __init__(
        self,
        files: LogFiles,
        channels: ChannelFiles,
        origin: str,
        signer: SeedSigner,
        witnessed: Callable[[], LogWitnessed | None],
    ) -> None:
        """Begin; `witnessed` gives what cosigners have seen last."""
        self.files = files
        self._witnessed = witnessed
        self._channels = channels
        self.key = VerifierKey(origin, signer.public_key)
        self._signer = signer
        self._newest: tuple[int, Note] | None = None

    @property
    def size(self) -> int:
        return self.files.size

    def checkpoint(self) -> Note:
        """Give the newest checkpoint, signed; cosigned too where nothing came since cosigners saw it."""
        size = self.size
        seen = self._witnessed()
        if seen is not None and seen.size == size:
            return self.checkpoint_at(size, seen.cosignatures)
        if self._newest is None or self._newest[0] != size:
            self._newest = size, self.checkpoint_at(size)
        return self._newest[1]

    def cosigned(self) -> Note:
        """Give the newest checkpoint that cosigners have signed.

        Raises:
            NotFound: there is none.
        """
        seen = self._witnessed()
        if seen is None:
            raise NotFound("no cosigner has signed a checkpoint of this log; name some in usage.witnesses")
        return self.checkpoint_at(seen.size, seen.cosignatures)

    def checkpoint_at(self, size: int, cosignatures: bytes = b"") -> Note:
        """Sign the checkpoint of the first `size` leaves, with the cosignatures that there are of it."""
        head = Checkpoint(self.key.name, size, self.files.root(size))
        signed = checkpoint.sign(head, self.key, self._signer.sign)
        if not cosignatures:
            return signed
        return Note(signed.text, signed.signatures + note.parse_signatures(cosignatures.decode()))

    def proof(self, index: int, *, cosigned: bool = False) -> bytes:
        """Give the receipt of a leaf; see `proofs`."""
        (only,) = self.proofs([index], cosigned=cosigned)
        return only

    def proofs(self, indices: Iterable[int], *, cosigned: bool = False) -> list[bytes]:
        """Give the receipts of leaves: each a c2sp.org/tlog-proof against the newest checkpoint.

        Args:
            cosigned: against the newest one that cosigners have signed instead.

        Its line `extra` holds the Commit: a leaf is that and the envelope, which the miner has, so it needs no more to
        check the proof.

        Raises:
            NotFound: the log has no such leaf.
        """
        signed = self.cosigned() if cosigned else self.checkpoint()
        size, head = checkpoint.parse(signed.text).size, signed.octets
        receipts = []
        for index in indices:
            if not 0 <= index < size:
                seen = "cosigners have seen" if cosigned else "the log has"
                raise NotFound(f"{seen} {size} leaves, and none with index {index}")
            commit = leaf.commit_of(self.files.entry(index))
            receipts.append(proof.write(index, self.files.inclusion(index, size), head, commit))
        return receipts

    def closure(self, number: int) -> Iterator[bytes]:
        """Give the closure of a settled channel, piece by piece (ocs.channel.closure_file).

        Raises:
            NotFound: there is no such channel, or it is not settled.
        """
        opened, closed = self._channels.opened(number), self._channels.closed(number)
        close = ChannelClose.decode(envelope.decode(closed.envelope).payload)
        size = close.log_size
        first = closed.first_leaf if closed.first_leaf >= 0 else size
        return closure_file.write(
            ClosureFile(
                opened=opened,
                closed=closed.envelope,
                per_octets=closed.per_octets,
                log_key=self.key.text,
                checkpoint=self.checkpoint_at(size, closed.cosignatures).octets,
                before=self.files.frontier(first),
                entries=self.files.entries(first, size),
            )
        )


def origin_of(network: str, origin_host: str) -> str:
    """Name the log of a deployment: for ever, so neither of the two is changed once there is a log."""
    return f"{origin_host}/{network}"
