"""The data folder: where everything durable lies, who may touch it, and how a file in it is replaced.

    data/
      follower.lock        held by the one follower
      lock                 held by the one server that runs on this folder; its text is that server's pid
      reserve              space kept free for the journal when the disk is full
      journal.sqlite       commit groups (with -wal and -shm beside it while open)
      snapshots/           the state at one index each
      archive/             commit groups that snapshots have overtaken
      log/                 the public log of signed usage
      keys/                private keys of this deployment: the owner's of its channels, the log's; and a list of all
                           public keys of signers that are registered
      books.sqlite         the books
      core.sock            commands to the core
      token                the administrator's bearer token

Folders are 0700 and files 0600: sessions name subscribers, and the token commands money.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ocs.errors import BadConfiguration, Conflict, Unavailable

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

RESERVE_OCTETS: Final = 4 * 1024 * 1024
"""Room for the last groups of a full disk: about ten thousand CCR-T of a few hundred octets each."""

ASIDE_SUFFIX: Final = ".part"
"""A file that is being written, or removed; what a crash leaves of one is removed at the next start of whose it is."""


class Lock:
    """The exclusive right to one data folder, until `release` or the end of the process, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let another server in; a second call does nothing."""
        if self._descriptor is not None:
            # The file stays: removing it would let two servers hold locks on two files of one name.
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class DataFolder:
    """The places inside one data folder.

    Attributes:
        path: the folder itself.
        journal, snapshots, archive, log, books, socket, lock_file, reserve_file, token: what lies in it.
        owner_key, log_key: private keys.
        key_list: the public keys that are registered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal.sqlite"
        self.snapshots = path / "snapshots"
        self.archive = path / "archive"
        self.log = path / "log"
        self.owner_key = path / "keys" / "owner.pem"
        self.log_key = path / "keys" / "log.pem"
        self.key_list = path / "keys" / "registered.json"
        self.books = path / "books.sqlite"
        self.socket = path / "core.sock"
        self.lock_file = path / "lock"
        self.reserve_file = path / "reserve"
        self.token = path / "token"

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the folder and create what is missing of it.

        Raises:
            BadConfiguration: it cannot be created or used, or others may read it.
        """
        folder = cls(path)
        try:
            for place in (path, folder.snapshots, folder.archive, folder.log, folder.owner_key.parent):
                make_folder(place)
        except OSError as error:
            raise BadConfiguration(
                f"data folder {path}: {error.strerror or error}; set `data` to a folder this user may write"
            ) from error
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadConfiguration(f"data folder {path} is open to other users; close it with: chmod 700 {path}")
        return folder

    def lock(self) -> Lock:
        """Take the folder for this process; the kernel gives it back when the process ends.

        Raises:
            Conflict: another server holds it; its pid is named.
            BadConfiguration: this user may not write here.
        """
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise BadConfiguration(
                f"{self.lock_file}: {error.strerror}; this user must be able to write there"
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise Conflict(
                    f"a server with pid {holder} already runs on data folder {self.path}; "
                    "stop it first, or give this one a data folder of its own"
                ) from error
            # The pid is for people only; the lock itself is the kernel's, so a stale pid locks nobody out.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return Lock(descriptor)

    def holder(self) -> str | None:
        """Give the pid of the server that runs on this folder; None for none."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None  # what is wrong with the folder is told to who opens it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
        return None

    def reserve(self, octets: int = RESERVE_OCTETS) -> bool:
        """Keep `octets` of the disk for the journal; say whether they are held now.

        False on a disk too full to hold them, or without a descriptor to do it by: the caller then goes on as if the
        reserve were spent.
        """
        try:
            descriptor = os.open(self.reserve_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError:
            return False
        try:
            # Blocks are taken from the file system here; a sparse file would reserve nothing.
            os.posix_fallocate(descriptor, 0, octets)
            os.fsync(descriptor)
        except OSError:
            self.reserve_file.unlink()
            return False
        finally:
            os.close(descriptor)
        sync_folder(self.path)
        return True

    def spend_reserve(self) -> bool:
        """Give the reserved space back to the file system; say whether there was any."""
        try:
            self.reserve_file.unlink()
        except FileNotFoundError:
            return False
        return True

    def free_octets(self) -> int:
        """Return what this user may still write on the file system of the folder, the reserve not counted."""
        figures = os.statvfs(self.path)
        return figures.f_bavail * figures.f_frsize

    def sweep(self) -> list[Path]:
        """Remove what a crash left half written in the folder itself; only the holder of the lock may do so."""
        return _sweep(self.path)

    def sweep_copies(self) -> list[Path]:
        """Remove what a crash left of snapshots and archive; only the follower may do so, whose they are."""
        return _sweep(self.snapshots) + _sweep(self.archive)


def _sweep(place: Path) -> list[Path]:
    left = sorted(place.glob(f"*{ASIDE_SUFFIX}"))
    for path in left:
        path.unlink()
    return left


@contextlib.contextmanager
def holding_books(folder: DataFolder, seconds: float) -> Iterator[None]:
    """Hold the books, snapshots and archive for this process: two followers never write them at once.

    Args:
        seconds: how long to wait for a follower that is just ending.

    Raises:
        Conflict: another one still holds them.
    """
    descriptor = os.open(folder.path / "follower.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Conflict(f"another follower still runs on data folder {folder.path}") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Create a folder for this user alone, with its parents; durable when it returns."""
    if path.is_dir():
        return
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: a synced file whose name is not synced may be gone after a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, chunks: Iterable[bytes]) -> None:
    """Give `path` a new content: after a crash it has the old one or the new one, whole.

    Raises:
        Unavailable: the disk refused; `path` is as it was.
    """
    aside = path.with_name(path.name + ASIDE_SUFFIX)
    try:
        with writing_aside(aside) as descriptor:
            for chunk in chunks:
                write_all(descriptor, chunk)
            # Nothing of `path` has changed up to here.
            publish(descriptor, aside, path)
            # The new content has its name, and both are durable.
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def writing_aside(aside: Path) -> Iterator[int]:
    """Open a file to be written aside, and remove it if the block fails."""
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        yield descriptor
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def publish(descriptor: int, aside: Path, path: Path) -> None:
    """Sync the content of a file, then give it its name, then sync the name: in this order and no other."""
    os.fsync(descriptor)
    # The content is durable under the name aside; a rename before this line could name an empty file.
    aside.rename(path)
    # Readers see the new file; a power cut may still bring the old name back.
    sync_folder(path.parent)


def write_all(descriptor: int, octets: bytes) -> None:
    """Write all of `octets`: one call may write a part when the disk is nearly full or a signal comes."""
    view = memoryview(octets)
    while view:
        view = view[os.write(descriptor, view) :]
