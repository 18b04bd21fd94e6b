"""Asking the disk to begin: what is in the file stays as it is, and an error is one."""

import errno
import os
from pathlib import Path

import pytest

from ocs.shell.store import write_behind as module
from ocs.shell.store.write_behind import write_behind


@pytest.mark.parametrize("has_call", [True, False])
def test_it_takes_pieces_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_call: bool) -> None:
    if not has_call:
        monkeypatch.setattr(module, "_sync_file_range", None)
    else:
        assert module._sync_file_range is not None, "Linux has it"
    piece = os.urandom(300_000)
    with (tmp_path / "file").open("wb", buffering=0) as file:
        for _ in range(4):
            file.write(piece)
            write_behind(file.fileno())
    assert (tmp_path / "file").read_bytes() == 4 * piece


def test_what_is_refused_is_an_error() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="Illegal seek") as refused:
            write_behind(writing)  # there is no disk behind a pipe
    finally:
        os.close(reading)
        os.close(writing)
    assert refused.value.errno == errno.ESPIPE
