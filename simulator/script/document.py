"""A scenario's file: who takes part, the steps in order, and what holds at the end.  docs/scenarios.md."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import simulator.script.steps  # noqa: F401  (entering the verbs is what this import is for)
from simulator.accounts import Tariff
from simulator.gateway import WATCHDOG_SECONDS, Gateway, Rejected
from simulator.messages import Identity, ServiceKey
from simulator.profile import PROFILES, Profile
from simulator.scenario import Around, Lacking, Stage
from simulator.script.fields import option, read
from simulator.script.invariants import INVARIANTS
from simulator.script.measure import integer, octets, positive, seconds
from simulator.script.step import Step, make, makes, play_all, steps
from simulator.script.value import Value, read_yaml
from simulator.subscriber import ATTEMPTS, Session

P = TypeVar("P")


class Need(NamedTuple):
    """What a scenario may need: whether it is there, the option that names it, and what it is for."""

    there: Callable[[Around], object]
    option: str
    text: str


NEEDS: Final = {
    "accounts": Need(lambda around: around.accounts, "--api", "moves money: name the API with --api"),
    "signing": Need(lambda around: around.signed, "--sign", "signs usage: name keys with --sign"),
    "restart": Need(
        lambda around: around.restart, "--restart", "restarts the server: name a command that does with --restart"
    ),
    "watchdog": Need(
        lambda around: around.tw_seconds, "--watchdog", "waits for the server's watchdog: name its Tw with --watchdog"
    ),
}


def digits(value: Value) -> str:
    """Give what an IMSI begins with.

    Raises:
        ScriptError: anything but 5 to 15 digits.
    """
    found = value.scalar("digits")
    if not (found.isdecimal() and found.isascii() and 5 <= len(found) <= 15):
        raise value.should_be("5 to 15 digits")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffPart:
    """A home operator's tariff: credits for a started block of octets."""

    price: int = option(integer, 1)
    per_octets: int = option(octets, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPart:
    """A home operator: what it is credited with, and what it pays."""

    credit: int = option(integer, 1_000_000_000)
    tariff: TariffPart = option(lambda value: read(TariffPart, value), TariffPart())


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPart:
    """A gateway of the scenario; the first one has the name of the command line, others put their own before it.

    Attributes:
        connects: whether it connects before the first step.
    """

    profile: str = option(make, "")
    tx: float = option(seconds, 0.0)
    watchdog: float = option(seconds, WATCHDOG_SECONDS)
    connects: bool = option(Value.boolean, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPart:
    """A session, or a group of them that do everything together.

    Attributes:
        operator: whose subscribers; the first operator unless one is named, nobody's with `imsi`.
        imsi: what its IMSI begins with, for a subscriber of no operator here.
        services: its Rating-Groups; the make's own default quota without.
        signed: whether its use is signed, where anybody signs.
    """

    operator: str = option(lambda value: value.one_of(value.cast.operators, "operator"), "")
    gateway: str = option(lambda value: value.one_of(value.cast.gateways, "gateway"), "")
    imsi: str = option(digits, "")
    count: int = option(positive, 1)
    services: tuple[int, ...] = option(lambda value: value.listed(lambda one: integer(one, 0, 2**32 - 1)), ())
    attempts: int = option(positive, ATTEMPTS)
    signed: bool = option(Value.boolean, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A scenario as its file describes it.

    Attributes:
        procedure: the section of the settlement proposal that it plays; empty for none.
        only_for: the makes of gateway that it is for; none: all.
        invariants: what holds at the end; all that can be looked at unless some are named.
        source: the file.
    """

    scenario: str
    shows: str
    procedure: str
    needs: tuple[str, ...]
    only_for: tuple[str, ...]
    gateways: dict[str, GatewayPart]
    operators: dict[str, OperatorPart]
    sessions: dict[str, SessionPart]
    steps: tuple[Step, ...]
    invariants: tuple[str, ...]
    source: str

    @property
    def name(self) -> str:
        return self.scenario

    def make(self, asked: Profile) -> Profile:
        first = next(iter(self.gateways.values()))
        return PROFILES[first.profile] if first.profile else asked

    def lacks(self, around: Around, profile: Profile) -> str:
        for need in self.needs:
            if NEEDS[need].there(around) is None:
                return NEEDS[need].text
        if self.only_for and self.make(profile).name not in self.only_for:
            return f"is for {' and '.join(self.only_for)} gateways, not {self.make(profile).name}"
        return ""

    async def play(self, stage: Stage, identity: Identity, profile: Profile) -> None:
        """Connect, play every step, end every session, and judge what must hold then.

        Raises:
            Unreachable, Rejected: there is no server to play with.
            Lacking: a second gateway is not let in.
        """
        await self._enter(stage, identity, profile)
        await play_all(self.steps, stage)
        for session in stage.sessions:
            await session.detach()
        for invariant in self.invariants:
            await INVARIANTS[invariant](stage)

    async def _enter(self, stage: Stage, identity: Identity, profile: Profile) -> None:
        for number, (name, part) in enumerate(self.gateways.items()):
            stage.gateways[name] = Gateway(
                replace(identity, host=f"{name}.{identity.host}") if number else identity,
                PROFILES[part.profile] if part.profile else profile,
                tx_seconds=part.tx or stage.around.tx_seconds,
                watchdog_seconds=part.watchdog,
                record=stage.record,
                rng=stage.rng,
            )
            if part.connects:
                try:
                    await stage.connect_to(stage.gateways[name])
                except Rejected as error:
                    if number == 0:
                        raise
                    raise Lacking(f"needs a second gateway, and {error}; let it in") from error
        if stage.around.accounts is not None:
            for name, operator in self.operators.items():
                tariff = Tariff(operator.tariff.price, operator.tariff.per_octets)
                await stage.make_operator(name, operator.credit, tariff)
        for name, people in self.sessions.items():
            self._people(stage, name, people)

    def _people(self, stage: Stage, name: str, part: SessionPart) -> None:
        gateway = stage.gateways[part.gateway or next(iter(stage.gateways))]
        operator = None if part.imsi else stage.operators.get(part.operator or next(iter(stage.operators), ""))
        if operator is not None:
            stage.owners[name] = operator
        prefix = operator.prefix if operator is not None else part.imsi or stage.around.prefix
        keys = tuple(ServiceKey(service) for service in part.services)
        # Only the first gateway's keys are registered.
        meter = stage.around.signed if part.signed and gateway is next(iter(stage.gateways.values())) else None
        stage.groups[name] = [
            Session(
                gateway,
                stage.new_imsi(prefix),
                clock=stage.clock,
                keys=keys,
                meter=meter,
                attempts=part.attempts,
            )
            for _ in range(part.count)
        ]


TOP: Final = (
    "scenario", "shows", "procedure", "needs", "only_for", "gateways", "operators", "sessions", "steps", "invariants",
)  # fmt: skip


def load(path: Path) -> Script:
    """Read a scenario's file.

    Raises:
        ScriptError: it cannot be read, or is no scenario; with the line.
    """
    return document(read_yaml(path))


def document(value: Value) -> Script:
    """Read a scenario.

    Raises:
        ScriptError: a key is unknown or missing, or a value is wrong.
    """
    values = value.mapping(TOP)
    for key in ("scenario", "shows", "steps"):
        if key not in values:
            raise value.wrong(f"{key} is missing")
    cast = value.cast
    gateways = _parts(values.get("gateways"), GatewayPart) or {"sgw": GatewayPart()}
    cast.gateways.update(gateways)
    operators = _parts(values.get("operators"), OperatorPart)
    cast.operators.update(operators)
    sessions = _parts(values.get("sessions"), SessionPart)
    cast.sessions.update({name: people.services for name, people in sessions.items()})
    needs = _words(values.get("needs"), NEEDS, "thing to need")
    return Script(
        scenario=_name(values["scenario"]),
        shows=values["shows"].text().rstrip("."),
        procedure=values["procedure"].text() if "procedure" in values else "",
        needs=needs,
        only_for=makes(values["only_for"]) if "only_for" in values else (),
        gateways=gateways,
        operators=operators,
        sessions=sessions,
        steps=steps(values["steps"]),
        invariants=_words(values.get("invariants"), INVARIANTS, "invariant") or tuple(INVARIANTS),
        source=value.file,
    )


def _name(value: Value) -> str:
    found = value.text()
    if not found.replace("-", "").isalnum() or not found.isascii() or found != found.lower():
        raise value.should_be("small letters, digits and hyphens")
    return found


def _words(value: Value | None, known: Collection[str], what: str) -> tuple[str, ...]:
    return value.listed(lambda one: one.one_of(known, what)) if value is not None else ()


def _parts(value: Value | None, kind: type[P]) -> dict[str, P]:
    return {name: read(kind, one) for name, one in value.mapping().items()} if value is not None else {}
