"""`ocs serve`: bring the core up, keep a follower beside it, take both down again in order.

lock the data folder -> state from snapshot and journal -> `Started` durable -> follower -> listeners -> ready
SIGTERM: not ready -> DPR to every peer, answers in flight -> journal synced -> follower ends -> exit 0
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from ocs import command as cmd
from ocs.diameter.base import LocalNode
from ocs.diameter.peer import PeerLimits
from ocs.errors import BadConfiguration
from ocs.shell import collector, dictionaries, key_file, logs, processors
from ocs.shell.clock import Clock
from ocs.shell.config import Config
from ocs.shell.core.admission import ConfiguredPeer, Doorkeeper
from ocs.shell.core.backlog import EXIT_BUG
from ocs.shell.core.committer import Committer
from ocs.shell.core.connections import Connections
from ocs.shell.core.core import Core
from ocs.shell.core.core_link import CoreLink
from ocs.shell.core.listening import addresses, gy_servers, http_socket, place_of
from ocs.shell.core.measures import Measures
from ocs.shell.core.policy import policy_of, screening_of, usage_policy_of
from ocs.shell.core.reception import Destinations, Reception
from ocs.shell.inheritance import Inheritance
from ocs.shell.store.data_folder import DataFolder, replace_durably
from ocs.shell.store.journal import Journal
from ocs.shell.store.replay import load
from ocs.state import State
from ocs.units import SECOND, UnixMillis
from ocs.version import VERSION

DRAIN_SECONDS: Final = 8.0
FOLLOWER_PAUSE_SECONDS: Final = 0.2
FOLLOWER_PAUSE_SECONDS_MAX: Final = 30.0
"""Between two starts of a follower that ends before it follows: what it meets will hardly go away by itself."""

WELL_PAUSE_SECONDS_MAX: Final = 1.0
"""Between two starts of one that was killed, or had begun to follow; or that could not be started at all."""

ROOM_LOOKED_AT_SECONDS: Final = 1.0
CLOCK_LOOKED_AT_SECONDS: Final = 1.0
CLOCK_JUMP_MS: Final = 2 * SECOND
"""More than what keeps a clock right would set it by at once: somebody has set it, or the machine was asleep."""

SWITCH_INTERVAL_SECONDS: Final = 0.0001
"""The journal thread gets the interpreter back quickly after its sync; the default of 5 ms would be the commit time.

Each time the loop lets go of it for a system call the wait begins anew: it is shorter than what is between two of them.
"""

OUT_OF_MEMORY: Final = b"there is no memory left; nothing is answered any more, stopping\n"

log = structlog.get_logger()


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        Conflict: another server holds the data folder.
        BadConfiguration: something named in the configuration cannot be used.
    """
    if not __debug__:
        raise BadConfiguration("Python runs with -O, which leaves assertions out, and they guard money; run it without")
    logs.configure(config.logging)
    folder = DataFolder.open(Path(config.data))
    with folder.lock():
        folder.sweep()
        folder.reserve()
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        return asyncio.run(_Server(config, folder).run())


class _Server:
    def __init__(self, config: Config, folder: DataFolder) -> None:
        self._config = config
        self._folder = folder
        self._follower_cpus = processors.follower_processors(config.processors)
        processors.stay_on(config.processors.core)
        processors.check_real_time(config.processors)
        self._token = _token(folder)
        self._owner_key = key_file.load_or_make(folder.owner_key).public_key
        key_file.load_or_make(folder.log_key)  # the follower signs with it; whether it can shows here, at the start
        self._stop = asyncio.Event()
        self._follower: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_unhandled)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        journal = Journal.open(self._folder.journal)
        state = load(self._folder, journal)
        clock = Clock(UnixMillis(max(state.at, journal.last_at)))
        measures = Measures()
        committer = Committer(
            journal,
            loop,
            on_kept=lambda promises: self._core.keep(promises),
            on_synced=self._synced,
        )
        self._core = core = self._build(state, clock, committer, measures)
        self._link = CoreLink(core)
        # All that may be wrong with the configuration shows before anything is written.
        servers = await gy_servers(self._config.gy, core)
        door = await http_socket(self._config.api)
        grace = UnixMillis(clock.now() + self._config.quota.validity_seconds * SECOND)
        core.step(cmd.Start(VERSION, grace))
        await committer.drain()
        # `Started` is durable: whoever connects from here on meets a server that remembers.
        await self._link.listen(self._folder.socket)
        core.connections.taken = True
        collector.rest()
        if self._config.processors.real_time:
            processors.go_first()
            processors.go_first(committer.thread)
            if not processors.write_as_others(committer.thread):
                log.warning(
                    "the journal's writes go first at the disk too, and its syncs may be slow",
                    mend="let the process call ioprio_set(2), use an I/O scheduler without classes (none), or leave "
                    "out processors.real_time",
                )
        for server in servers:
            await server.start_serving()
        tasks = [
            loop.create_task(core.supervise()),
            loop.create_task(core.tend()),
            loop.create_task(self._keep_follower(door)),
            loop.create_task(self._watch_room()),
            loop.create_task(_watch_clock(clock)),
        ]
        log.info(
            "serving",
            version=VERSION,
            gy=[place_of(each) for server in servers for each in server.sockets],
            api=place_of(door),
            data=self._config.data,
        )
        stopping = loop.create_task(self._stopping())
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        for server in servers:
            server.close()
        await core.stop(DRAIN_SECONDS)
        await self._link.close()
        for task in tasks:
            task.cancel()
        await self._end_follower()
        await committer.close()
        self._folder.socket.unlink(missing_ok=True)
        for task in done - {stopping}:
            task.result()  # a task that ended by itself ended by a fault
        log.info("stopped")
        return 0

    async def _stopping(self) -> None:
        await self._stop.wait()

    def _build(self, state: State, clock: Clock, committer: Committer, measures: Measures) -> Core:
        config = self._config
        local = LocalNode(
            origin_host=config.origin_host,
            origin_realm=config.origin_realm,
            addresses=addresses(config.gy.listen),
            origin_state_id=committer.born_seconds,
        )
        destinations = Destinations(
            origin_host=config.origin_host.lower(),
            realms=frozenset({config.origin_realm.lower(), *(realm.lower() for realm in config.gy.realms)}),
            strict=config.gy.strict_destination,
        )
        peers = config.gy.peers
        doorkeeper = Doorkeeper(
            any_peer=peers == "any",
            configured=()
            if isinstance(peers, str)
            else tuple(
                ConfiguredPeer(
                    origin_host=peer.origin_host.lower(),
                    addresses=tuple(peer.addresses),
                    profile=peer.profile,
                    speaks_for=frozenset(host.lower() for host in peer.speaks_for),
                    imsi_prefixes=tuple(peer.imsi_prefixes),
                    plmns=frozenset(peer.plmns),
                )
                for peer in peers
            ),
            allowed=state.peers,
            default_profile=config.gy.profile,
        )
        return Core(
            state=state,
            policy=policy_of(config),
            clock=clock,
            committer=committer,
            reception=Reception(dictionaries.load([Path(name) for name in config.gy.dictionaries]), destinations),
            screening=screening_of(config.gy.screening),
            connections=Connections(
                doorkeeper,
                measures,
                clock.now,
                most=config.gy.connections_max,
                most_of_address=config.gy.connections_per_address_max,
            ),
            local=local,
            limits=PeerLimits(
                watchdog_ms=config.gy.watchdog_seconds * SECOND, message_octets_max=config.gy.message_octets_max
            ),
            measures=measures,
            deadline_ms=config.gy.answer_deadline_ms,
            usage_policy=usage_policy_of(config.usage, self._owner_key),
        )

    def _synced(self) -> None:
        self._link.synced()
        self._core.usage.landed()

    async def _watch_room(self) -> None:
        """Look now and then whether the disk has room for the journal; below the mark no new grant is made."""
        while True:
            room = self._folder.free_octets() >= self._config.journal.free_octets_min
            if room != self._core.has_room:
                log.warning("disk", room=room, mend="free some space; new grants are refused meanwhile (3004)")
                if not room:
                    self._folder.spend_reserve()
                else:
                    self._folder.reserve()
            self._core.has_room = room
            await asyncio.sleep(ROOM_LOOKED_AT_SECONDS)

    async def _keep_follower(self, door: socket.socket) -> None:
        """Start the follower, and again whenever it ends; Gy goes on without it."""
        pause = FOLLOWER_PAUSE_SECONDS
        while True:
            followed = self._link.followed
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "ocs.shell.follower"),
                    stdin=asyncio.subprocess.PIPE,
                    pass_fds=[door.fileno()],
                    process_group=0,  # a Ctrl-C is the core's to hear; a session of its own would void its niceness
                )
            except (OSError, RuntimeError) as error:  # no descriptor, process, memory or thread is left
                log.error("the follower cannot be started", reason=str(error))  # noqa: TRY400  # it says it all
                await asyncio.sleep(WELL_PAUSE_SECONDS_MAX)
                continue
            self._follower = process
            assert process.stdin is not None
            inheritance = Inheritance(self._config.model_dump_json(), self._token, door.fileno(), self._follower_cpus)
            process.stdin.write(msgspec.json.encode(inheritance) + b"\n")
            with suppress(ConnectionError):
                await process.stdin.drain()
            code = await process.wait()
            was_well = code < 0 or self._link.followed > followed  # killed by a signal, or it had begun to follow
            pause = min(2 * pause, WELL_PAUSE_SECONDS_MAX if was_well else FOLLOWER_PAUSE_SECONDS_MAX)
            log.error("the follower ended; starting it again", code=code, after_seconds=pause)
            self._core.measures.follower_restarts += 1
            await asyncio.sleep(pause)

    async def _end_follower(self) -> None:
        process = self._follower
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 8)
        except TimeoutError:
            process.kill()
            await process.wait()


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of an exception that nobody caught; end where going on would leave gateways without answers."""
    if isinstance(context.get("exception"), MemoryError):
        os.write(2, OUT_OF_MEMORY)  # which costs none
        os._exit(EXIT_BUG)
    loop.default_exception_handler(context)
    callback = getattr(context.get("handle"), "_callback", None)
    if isinstance(getattr(callback, "__self__", None), Committer):
        # What fills would never be written, and nobody answered any more.  The journal is whole.
        os._exit(EXIT_BUG)


async def _watch_clock(clock: Clock) -> None:
    """Tell when the wall clock and ours part: ours goes on evenly, and what people read elsewhere no longer fits it."""
    known = 0
    while True:
        drift = clock.drift_ms()
        if abs(drift - known) > CLOCK_JUMP_MS:
            log.warning(
                "clock_jump",
                seconds=(drift - known) / SECOND,
                drift_seconds=drift / SECOND,
                mend="see to the machine's clock; this server goes on evenly, and takes it as it is at the next start",
            )
            known = drift
        await asyncio.sleep(CLOCK_LOOKED_AT_SECONDS)


def _token(folder: DataFolder) -> str:
    """Give the administrator's token: from the environment, else the data folder's, made at the first start."""
    token = os.environ.get("OCS_API_TOKEN", "")
    if not token and folder.token.exists():
        return folder.token.read_text().strip()
    token = token or secrets.token_urlsafe(32)
    replace_durably(folder.token, [token.encode() + b"\n"])
    return token
