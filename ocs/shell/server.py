"""`ocs serve`: bring the core up, keep a follower beside it, take both down again in order.

lock the data folder -> state from snapshot and journal -> `Started` durable -> follower -> listeners -> ready
SIGTERM: not ready -> DPR to every peer, answers in flight -> journal synced -> follower ends -> exit 0
"""

import asyncio
import errno
import ipaddress
import os
import secrets
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from ocs import command as cmd
from ocs import image
from ocs.credit_control.policy import FinalUnit, Policy
from ocs.diameter.base import LocalNode
from ocs.diameter.codes import FinalUnitAction, ResultCode
from ocs.diameter.peer import PeerLimits
from ocs.errors import BadConfiguration, JournalFault
from ocs.node import evolve
from ocs.shell import dictionaries, logs, records, snapshot
from ocs.shell.admission import ConfiguredPeer, Doorkeeper
from ocs.shell.archive import Archive, History
from ocs.shell.clock import Clock
from ocs.shell.committer import Committer
from ocs.shell.config import Config, parse_listen
from ocs.shell.core import Core
from ocs.shell.core_link import CoreLink
from ocs.shell.data_folder import DataFolder, replace_durably
from ocs.shell.diameter_tcp import DiameterConnection
from ocs.shell.inheritance import Inheritance
from ocs.shell.journal import Journal, JournalReader
from ocs.shell.measures import Measures
from ocs.shell.reception import Destinations, Reception
from ocs.state import State
from ocs.units import SECOND, GroupIndex, Octets, UnixMillis
from ocs.version import VERSION

DRAIN_SECONDS: Final = 8.0
FOLLOWER_PAUSE_SECONDS: Final = 0.2
FOLLOWER_PAUSE_SECONDS_MAX: Final = 30.0
"""Between two starts of a follower that ends before it follows: what it meets will hardly go away by itself."""

WELL_PAUSE_SECONDS_MAX: Final = 1.0
DOOR_SECONDS: Final = 5.0
"""The follower of a core that was killed may still hold the HTTP socket for a moment."""

ROOM_LOOKED_AT_SECONDS: Final = 1.0
SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""The journal thread gets the interpreter back quickly after its sync; the default of 5 ms would be the commit time."""

log = structlog.get_logger()


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        Conflict: another server holds the data folder.
        BadConfiguration: something named in the configuration cannot be used.
    """
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
        self._token = _token(folder)
        self._stop = asyncio.Event()
        self._follower: asyncio.subprocess.Process | None = None
        self._has_room = True

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        journal = Journal.open(self._folder.journal)
        state = load(self._folder, journal)
        clock = Clock(UnixMillis(max(state.at, journal.last_at)))
        measures = Measures()
        committer = Committer(
            journal,
            loop,
            on_answered=lambda: self._core.flush(),
            on_synced=lambda index: self._link.synced(index),
        )
        self._core = core = self._build(state, clock, committer, measures)
        self._link = CoreLink(core)
        # All that may be wrong with the configuration shows before anything is written.
        servers = await self._listen(core)
        door = await _door(self._config.api.listen)
        grace = UnixMillis(clock.now() + self._config.quota.validity_seconds * SECOND)
        core.step(cmd.Start(VERSION, grace))
        await committer.drain()
        # `Started` is durable: whoever connects from here on meets a server that remembers.
        await self._link.listen(self._folder.socket)
        core.serving = True
        for server in servers:
            await server.start_serving()
        tasks = [
            loop.create_task(core.supervise()),
            loop.create_task(self._keep_follower(door)),
            loop.create_task(self._watch_room()),
        ]
        log.info(
            "serving",
            version=VERSION,
            gy=[_place(each) for server in servers for each in server.sockets],
            api=_place(door),
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
            addresses=_addresses(config.gy.listen),
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
                    origin_host=peer.origin_host.lower(), addresses=tuple(peer.addresses), profile=peer.profile
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
            doorkeeper=doorkeeper,
            local=local,
            limits=PeerLimits(
                watchdog_ms=config.gy.watchdog_seconds * SECOND, message_octets_max=config.gy.message_octets_max
            ),
            measures=measures,
            deadline_ms=config.gy.answer_deadline_ms,
            connections_max=config.gy.connections_max,
            connections_per_address_max=config.gy.connections_per_address_max,
            room=lambda: self._has_room,
        )

    async def _listen(self, core: Core) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        servers = []
        wanted: list[tuple[str, ssl.SSLContext | None]] = [(place, None) for place in self._config.gy.listen]
        tls = self._config.gy.tls
        if tls is not None:
            context = _tls_context(tls.certificate, tls.key, tls.ca, required=tls.require_client_certificate)
            wanted.extend((place, context) for place in tls.listen)
        for place, security in wanted:
            host, port = parse_listen(place)
            try:
                server = await loop.create_server(
                    partial(DiameterConnection, core, secure=security is not None),
                    host,
                    port,
                    ssl=security,
                    ssl_handshake_timeout=10 if security is not None else None,
                    backlog=512,
                    start_serving=False,
                )
            except OSError as error:
                raise BadConfiguration(
                    f"gy.listen: {place} cannot be opened ({error.strerror or error}); "
                    "stop what holds it, or choose another"
                ) from None
            servers.append(server)
        return servers

    async def _watch_room(self) -> None:
        """Look now and then whether the disk has room for the journal; below the mark no new grant is made."""
        while True:
            room = self._folder.free_octets() >= self._config.journal.free_octets_min
            if room != self._has_room:
                log.warning("disk", room=room, mend="free some space; new grants are refused meanwhile (3004)")
                if not room:
                    self._folder.spend_reserve()
                else:
                    self._folder.reserve()
            self._has_room = room
            await asyncio.sleep(ROOM_LOOKED_AT_SECONDS)

    async def _keep_follower(self, door: socket.socket) -> None:
        """Start the follower, and again whenever it ends; Gy goes on without it."""
        pause = FOLLOWER_PAUSE_SECONDS
        while True:
            followed = self._link.followed
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ocs.shell.follower"),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=[door.fileno()],
                start_new_session=True,  # a Ctrl-C at the terminal is the core's to hear: it ends both in order
            )
            self._follower = process
            assert process.stdin is not None
            inheritance = Inheritance(self._config.model_dump_json(), self._token, door.fileno())
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


async def _door(listen: str) -> socket.socket:
    """Open the socket for HTTP, which every follower in turn inherits.

    Raises:
        BadConfiguration: it cannot be opened.
    """
    host, port = parse_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + DOOR_SECONDS
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=512)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                await asyncio.sleep(0.05)
                continue
            raise BadConfiguration(
                f"api.listen: {listen} cannot be opened ({error.strerror or error}); "
                "stop what holds it, or choose another"
            ) from None


def _place(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def load(folder: DataFolder, journal: Journal) -> State:
    """Build the state: the newest whole snapshot, then every group after it.

    Raises:
        JournalFault: the journal is damaged, or begins after the snapshot ends.
    """
    newest, faults = snapshot.newest(folder.snapshots)
    for fault in faults:
        log.error("snapshot damaged; an older one is used", detail=fault)
    state = image.restore(newest.chunks()) if newest is not None else State()
    after = newest.index if newest is not None else GroupIndex(0)
    if after > journal.last:
        raise JournalFault(
            f"the journal ends with group {journal.last} and the newest snapshot holds group {after}: "
            "groups were lost; bring the journal back from a copy"
        )
    replayed = 0
    reader = JournalReader.open(folder.journal)
    history = History(reader, Archive(folder.archive))
    for group in history.iterate(after, newest.digest if newest is not None else None):
        state.group = group.index
        for event in records.decode(group.payload):
            evolve(state, event)
            replayed += 1
    reader.close()
    state.group = GroupIndex(journal.last + 1)
    log.info("state loaded", snapshot=after, replayed=replayed, sessions=len(state.charging.sessions))
    return state


def policy_of(config: Config) -> Policy:
    """Give the part of the configuration that decisions read."""
    quota, gy, services = config.quota, config.gy, config.services
    actions = {
        "terminate": FinalUnitAction.TERMINATE,
        "redirect": FinalUnitAction.REDIRECT,
        "restrict": FinalUnitAction.RESTRICT_ACCESS,
    }
    handling = {"terminate": 0, "continue": 1, "retry_and_terminate": 2}
    return Policy(
        default_octets=Octets(min(quota.default_octets, quota.max_octets)),
        max_octets=Octets(quota.max_octets),
        min_octets=Octets(quota.min_octets),
        target_ms=quota.target_seconds * SECOND,
        validity_seconds=quota.validity_seconds,
        validity_short_seconds=min(quota.validity_short_seconds, quota.validity_seconds),
        threshold_percent=quota.threshold_percent,
        holding_seconds=quota.holding_seconds,
        final_unit=FinalUnit(
            action=actions[quota.final_unit.action],
            redirect_url=quota.final_unit.redirect_url or "",
            filter_ids=tuple(quota.final_unit.filter_ids),
            filter_rules=tuple(quota.final_unit.filter_rules),
        ),
        no_balance_code=ResultCode(quota.no_balance_code),
        sessions_max=quota.sessions_max,
        context_ids=frozenset(services.context_ids),
        emergency_apns=frozenset(apn.lower() for apn in services.emergency.apns),
        emergency_rating_groups=frozenset(services.emergency.rating_groups),
        failure_handling=handling[gy.failure_handling] if gy.failure_handling is not None else None,
        session_failover=int(gy.session_failover) if gy.session_failover is not None else None,
        currency_code=services.currency_code,
    )


def _token(folder: DataFolder) -> str:
    """Give the administrator's token: from the environment, else the data folder's, made at the first start."""
    token = os.environ.get("OCS_API_TOKEN", "")
    if not token and folder.token.exists():
        return folder.token.read_text().strip()
    token = token or secrets.token_urlsafe(32)
    replace_durably(folder.token, [token.encode() + b"\n"])
    return token


def _addresses(listen: list[str]) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
    """Give the addresses for Host-IP-Address; a wildcard stands for the address the routing table would use."""
    found = []
    for place in listen:
        host, _ = parse_listen(place)
        with suppress(ValueError):
            address = ipaddress.ip_address(host)
            found.append(address if not address.is_unspecified else ipaddress.ip_address(_own_address(address.version)))
    return tuple(dict.fromkeys(found)) or (ipaddress.ip_address("127.0.0.1"),)


def _own_address(version: int) -> str:
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if version == 6 else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((elsewhere, 9))  # chooses a route; nothing is sent
        return str(probe.getsockname()[0])
    return "::1" if version == 6 else "127.0.0.1"


def _tls_context(certificate: str, key: str, ca: str, *, required: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(f"gy.tls: {error}; name PEM files that this user may read") from None
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context
