"""`ocs doctor`: look at everything a server needs, and say what to mend.  It changes nothing but a file of its own."""

import os
import platform
import resource
import socket
import sqlite3
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import apsw
import typer

from ocs.errors import BadConfiguration, InvalidInput, JournalFault, OcsError
from ocs.shell import dictionaries, processors
from ocs.shell.books.books import check_version
from ocs.shell.cli.client import connect
from ocs.shell.cli.options import ConfigOption
from ocs.shell.cli.output import Output, OutputOption, show
from ocs.shell.config import ApiTls, Config, Tls, UsageTls
from ocs.shell.config_file import load
from ocs.shell.config_values import parse_listen
from ocs.shell.store import snapshot
from ocs.shell.store.archive import Archive
from ocs.shell.store.data_folder import ASIDE_SUFFIX, DataFolder
from ocs.shell.store.journal import JournalReader, check_library
from ocs.version import VERSION

SYNCS: Final = 20
SLOW_SYNC_MS: Final = 20
"""Twenty commits of this length are a rate of fifty groups a second: answers come late, though many at once."""

CLOCK_EARLIEST: Final = 1_767_225_600
"""2026-01-01: a clock before this release was made is wrong, and prices and epochs with it."""

BOOKS_HEAD_OCTETS: Final = 100
BOOKS_VERSION_AT: Final = 60
"""SQLite's file format, section 1.3.  Only the head is read: to open the file could roll back what a crash left."""


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(NamedTuple):
    """One thing looked at; `mend` says what to do, and is empty where all is well."""

    what: str
    grade: Grade
    told: str
    mend: str = ""


def command(config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """Check the installation, the configuration and the data, and say what to mend; exit code 1 for a fault."""
    findings = list(examine(config))
    show(
        output,
        [one._asdict() for one in findings],
        ["what", "", "found", "to mend"],
        [[one.what, one.grade.upper() if one.grade is not Grade.OK else "ok", one.told, one.mend] for one in findings],
    )
    if any(one.grade is Grade.FAULT for one in findings):
        raise typer.Exit(1)


def examine(path: Path | None) -> Iterator[Finding]:
    """Look at everything in turn; without a configuration that can be read only at the installation."""
    yield _python()
    yield from _libraries()
    try:
        config = load(path, os.environ)
    except BadConfiguration as error:
        yield Finding("configuration", Grade.FAULT, str(error), "mend each line; `ocs config explain` shows every key")
        return
    source = str(path) if path is not None else "ocs.yaml" if Path("ocs.yaml").is_file() else "defaults"
    yield Finding("configuration", Grade.OK, source)
    yield _dictionaries(config)
    if config.gy.tls is not None:
        yield _tls("gy.tls", config.gy.tls)
    if config.api.tls is not None:
        yield _tls("api.tls", config.api.tls)
    if config.usage.tls is not None:
        yield _tls("usage.tls", config.usage.tls)
    yield _descriptors(config)
    yield _processors(config)
    yield _clock()
    folder = DataFolder(Path(config.data))
    if folder.holder() is not None:
        yield _server(path)
    else:
        yield Finding("server", Grade.OK, "none runs on this data folder")
        yield from _ports(config)
    yield from _data(config, folder)


# The installation


def _python() -> Finding:
    told = f"session-purchaser {VERSION} on Python {platform.python_version()}"
    if not __debug__:
        return Finding("python", Grade.FAULT, f"{told}, run with -O", "run it without -O: its assertions guard money")
    return Finding("python", Grade.OK, told)


def _libraries() -> Iterator[Finding]:
    try:
        check_library()
    except BadConfiguration as error:
        yield Finding("sqlite of the journal", Grade.FAULT, str(error), "pip install -U apsw")
    else:
        yield Finding("sqlite of the journal", Grade.OK, apsw.sqlite_lib_version())
    # No minimum: the books use one connection and no write-ahead log.
    yield Finding("sqlite of the books", Grade.OK, sqlite3.sqlite_version)


def _dictionaries(config: Config) -> Finding:
    try:
        found = dictionaries.load([Path(name) for name in config.gy.dictionaries])
    except BadConfiguration as error:
        return Finding("dictionaries", Grade.FAULT, str(error), "mend the file, or take it out of gy.dictionaries")
    return Finding(
        "dictionaries", Grade.OK, f"{len(list(found.avps))} AVPs, {len(config.gy.dictionaries)} files of your own"
    )


def _tls(section: str, tls: Tls | ApiTls) -> Finding:
    mend = "name a PEM certificate chain, its private key and the authorities, all readable by this user"
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.certificate, tls.key)
        if isinstance(tls, Tls | UsageTls) and tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except (OSError, ssl.SSLError) as error:
        return Finding(section, Grade.FAULT, str(error), mend)
    if Path(tls.key).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(section, Grade.WARNING, f"{tls.key} can be read by others", f"chmod 600 {tls.key}")
    return Finding(section, Grade.OK, tls.certificate)


def _descriptors(config: Config) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.gy.connections_max + 64
    if soft < needed:
        return Finding(
            "open files",
            Grade.WARNING,
            f"{soft} allowed; {config.gy.connections_max} connections need {needed}",
            f"`ulimit -n {needed}` (LimitNOFILE= in a systemd unit), or lower gy.connections_max",
        )
    return Finding("open files", Grade.OK, str(soft))


def _processors(config: Config) -> Finding:
    try:
        processors.follower_processors(config.processors)
        processors.check_real_time(config.processors)
    except BadConfiguration as error:
        return Finding(
            "processors", Grade.FAULT, str(error), "name CPUs of its own, allow what it lacks, or leave processors out"
        )
    told = f"{processors.count()} to run on"
    if config.processors.real_time and processors.count() == 1:
        mend = "leave processors.real_time out: the core would keep the follower from its only CPU"
        return Finding("processors", Grade.WARNING, told, mend)
    return Finding("processors", Grade.OK, told)


def _clock() -> Finding:
    told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if time.time() < CLOCK_EARLIEST:
        return Finding("clock", Grade.FAULT, told, "set the clock, and keep it right with NTP")
    return Finding("clock", Grade.OK, told)


# The server


def _server(path: Path | None) -> Finding:
    try:
        with connect(path, None) as client:
            peers = client.get("/peers")
    except OcsError as error:
        return Finding("server", Grade.FAULT, str(error), "see its log on standard error; restart it if it hangs")
    waiting = [one["origin_host"] for one in peers["waiting"]]
    told = f"answers; {len(peers['connected'])} peers connected, {len(waiting)} waiting"
    if waiting:
        return Finding(
            "server", Grade.WARNING, told, "let them in: " + "; ".join(one["allow"] for one in peers["waiting"])
        )
    return Finding("server", Grade.OK, told)


def _ports(config: Config) -> Iterator[Finding]:
    wanted = [("gy.listen", place) for place in config.gy.listen]
    if config.gy.tls is not None:
        wanted += [("gy.tls.listen", place) for place in config.gy.tls.listen]
    wanted.append(("api.listen", config.api.listen))
    if config.usage.listen is not None:
        wanted.append(("usage.listen", config.usage.listen))
    for key, place in wanted:
        host, port = parse_listen(place)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            yield Finding(
                key, Grade.FAULT, f"{place}: {error.strerror or error}", "stop what holds it, or choose another"
            )
        else:
            yield Finding(key, Grade.OK, f"{place} is free")


# The data


def _data(config: Config, folder: DataFolder) -> Iterator[Finding]:
    path = folder.path
    if not path.exists():
        parent = next(one for one in path.parents if one.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding("data", Grade.OK, f"{path} will be made at the first start")
        else:
            yield Finding("data", Grade.FAULT, f"{path} cannot be made in {parent}", "set `data` to a folder of yours")
        return
    yield _modes(folder)
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return
    yield _room(config, folder)
    yield _sync_speed(path)
    yield from (_look(what, look, mend) for what, look, mend in _parts(folder))


def _modes(folder: DataFolder) -> Finding:
    path = folder.path
    if not path.is_dir():
        return Finding("data", Grade.FAULT, f"{path} is no folder", "set `data` to a folder of yours")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding("data", Grade.FAULT, f"{path} is not this user's", "run as its owner, or chown -R it")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding("data", Grade.FAULT, f"{path} is open to other users", f"chmod 700 {path}")
    if folder.token.exists() and folder.token.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding("data", Grade.FAULT, f"{folder.token} can be read by others", f"chmod 600 {folder.token}")
    return Finding("data", Grade.OK, str(path))


def _room(config: Config, folder: DataFolder) -> Finding:
    free = folder.free_octets()
    told = f"{free // 1_000_000} MB free"
    if free < config.journal.free_octets_min:
        return Finding("disk", Grade.FAULT, f"{told}: new grants are refused (3004)", "free some space")
    if free < 5 * config.journal.free_octets_min:
        return Finding(
            "disk", Grade.WARNING, told, "below journal.free_octets_min new grants are refused: free some space"
        )
    return Finding("disk", Grade.OK, told)


def _sync_speed(path: Path) -> Finding:
    """Measure what each commit waits for, with a file of its own."""
    probe = path / f"doctor-{os.getpid()}{ASIDE_SUFFIX}"
    took = []
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(SYNCS):
                os.write(descriptor, bytes(4096))
                began = time.perf_counter_ns()
                os.fdatasync(descriptor)
                took.append(time.perf_counter_ns() - began)
        finally:
            os.close(descriptor)
            probe.unlink()
    except OSError as error:
        return Finding("sync", Grade.FAULT, f"{path}: {error.strerror}", "put `data` on a disk that can be written")
    median = sorted(took)[SYNCS // 2] / 1e6
    told = f"a commit waits {median:.2f} ms for the disk (median of {SYNCS})"
    if median > SLOW_SYNC_MS:
        return Finding("sync", Grade.WARNING, told, "put `data` on an SSD with power-loss protection")
    return Finding("sync", Grade.OK, told)


def _parts(folder: DataFolder) -> Iterator[tuple[str, Callable[[], str], str]]:
    """Give each part's name, what looks at it, and how to mend it."""
    from_copy = "bring it back from a copy; `ocs journal verify` tells more"

    def journal() -> str:
        reader = JournalReader.open(folder.journal)
        try:
            return f"groups {reader.first()} to {reader.last()}"
        finally:
            reader.close()

    def snapshots() -> str:
        found = snapshot.all(folder.snapshots)
        return f"{len(found)}, the newest of group {found[-1].index}" if found else "none yet"

    def archive() -> str:
        segments = Archive(folder.archive).segments()
        return f"{len(segments)} segments from group {segments[0].first} on" if segments else "none yet"

    def books() -> str:
        with folder.books.open("rb") as file:
            head = file.read(BOOKS_HEAD_OCTETS)
        if len(head) < BOOKS_HEAD_OCTETS or not head.startswith(b"SQLite format 3\0"):
            raise JournalFault(f"{folder.books} is no SQLite file")
        check_version(int.from_bytes(head[BOOKS_VERSION_AT : BOOKS_VERSION_AT + 4], "big"), folder.books)
        return f"{folder.books.stat().st_size // 1_000_000} MB"

    if folder.journal.exists():
        yield "journal", journal, from_copy
    yield "snapshots", snapshots, from_copy
    yield "archive", archive, from_copy
    if folder.books.exists() and folder.books.stat().st_size:
        yield "books", books, "stop the server and move the file away: the books are made again from the journal"


def _look(what: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(what, Grade.OK, look())
    except (JournalFault, BadConfiguration, InvalidInput) as fault:
        return Finding(what, Grade.FAULT, str(fault), mend)
    except OSError as error:
        return Finding(what, Grade.FAULT, f"{error.filename}: {error.strerror}", mend)
