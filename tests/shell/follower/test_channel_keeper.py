"""Each channel's Open and Close are kept as they were signed, and are the same when the journal is read again."""

import asyncio
import shutil
from pathlib import Path

import pytest

from ocs.channel.closure import opened_channel
from ocs.channel.record import CHANNEL_CLOSE_TYPE, ChannelClose, CloseReason
from ocs.errors import NotFound
from ocs.shell import key_file
from ocs.shell.config import JournalSettings
from ocs.shell.follower.reading import Reading
from ocs.shell.store import records
from ocs.shell.store.channel_files import ChannelFiles
from ocs.shell.store.data_folder import DataFolder
from ocs.shell.store.journal import Journal
from ocs.signed import envelope
from ocs.signed.ed25519 import public_key_of, verify
from ocs.units import GroupIndex
from signing_node import EPOCH_MS, SigningNode


def folded(folder: DataFolder, last: GroupIndex) -> None:
    async def run() -> None:
        reading = await Reading.open(JournalSettings(), folder)
        following = asyncio.get_running_loop().create_task(reading.run())
        await reading.fold.reach(last)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await reading.close()

    asyncio.run(run())


def test_what_settles_is_closed_by_its_owner(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path / "data")
    node = SigningNode()
    first, unused = node.channel(1000, epochs=1), node.channel(500, epochs=1)
    node.channel(1000, epochs=9)
    node.attach("s;1")
    sgw = node.begin("s;1")
    node.report(node.usage(sgw, 100_000))
    for _ in range(2):
        node.later(EPOCH_MS)
        node.tend()
    journal = Journal.open(folder.journal)
    for event in node.events:
        journal.append(GroupIndex(journal.last + 1), event.at, records.encode([event]))
    last = journal.last
    journal.close()
    folded(folder, last)

    files = ChannelFiles(folder.log)
    owner = key_file.load(folder.owner_key)
    for channel, leaf, used in ((first, 0, 5), (unused, -1, 0)):
        name, _ = opened_channel(files.opened(channel.number))
        assert name == channel.channel_id
        closed = files.closed(channel.number)
        assert closed.first_leaf == leaf
        signed = envelope.decode(closed.envelope)
        assert signed.payload_type == CHANNEL_CLOSE_TYPE
        assert public_key_of(signed.signer) == owner.public_key
        assert verify(owner.public_key, envelope.signed_bytes(signed.payload_type, signed.payload), signed.signature)
        close = ChannelClose.decode(signed.payload)
        assert (close.reason, close.used_dc, close.refund_dc) == (CloseReason.EPOCH_END, used, channel.amount - used)
        assert (close.log_size, close.log_root) == (2, node.state.signed.log.root())
    with pytest.raises(NotFound, match="channel 3 is not settled yet"):
        files.closed(3)
    with pytest.raises(NotFound, match="there is no channel 4"):
        files.opened(4)

    before = {path.name: path.read_bytes() for path in (folder.log / "channels").iterdir()}
    assert sorted(before) == ["1.close", "1.open", "2.close", "2.open", "3.open"]
    shutil.rmtree(folder.log / "channels")
    folded(folder, last)
    assert {path.name: path.read_bytes() for path in (folder.log / "channels").iterdir()} == before
