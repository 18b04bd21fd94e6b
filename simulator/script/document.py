"""A scenario's file: who takes part, the steps in order, and what holds at the end.  docs/scenarios.md."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import simulator.script.steps  # noqa: F401  (entering the verbs is what this import is for)
from simulator.accounts import Tariff
from simulator.gateway import Gateway, Rejected
from simulator.messages import Identity, ServiceKey
from simulator.plane.filters import Filters
from simulator.profile import PROFILES, Profile
from simulator.scenario import Around, Lacking, Stage
from simulator.script.invariants import INVARIANTS
from simulator.script.parts import GatewayPart, OperatorPart, SessionPart, read_parts, read_sessions
from simulator.script.step import Step, makes, play_all, steps
from simulator.script.value import Value, read_yaml
from simulator.subscriber import Session


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
            Lacking: a second gateway is not let in, or there are no addresses for a user plane.
        """
        await self._enter(stage, identity, profile)
        await play_all(self.steps, stage)
        for session in stage.sessions:
            await stage.detach(session)
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
                observe=stage.around.observe,
                overhear=stage.overhear,
            )
            if part.connects:
                try:
                    await stage.connect_to(stage.gateways[name])
                except Rejected as error:
                    if number == 0:
                        raise
                    raise Lacking(f"needs a second gateway, and {error}; let it in") from error
        if attempts := [people.attempts for people in self.sessions.values() if people.tunnels]:
            await stage.open_plane(max(attempts))
        if stage.around.accounts is not None:
            for name, operator in self.operators.items():
                tariff = Tariff(operator.tariff.price, operator.tariff.per_octets)
                await stage.make_operator(name, operator.credit, tariff, operator.grant_max)
        for name, people in self.sessions.items():
            self._people(stage, name, people)

    def _people(self, stage: Stage, name: str, part: SessionPart) -> None:
        gateway = stage.gateways[part.gateway or next(iter(stage.gateways))]
        if not part.signed:
            stage.unsigned.add(name)
        default = ServiceKey(part.services[0] if part.services else gateway.profile.rating_group)
        filters = Filters(default, tuple(one.made() for one in part.filters))
        # In the order of the filters, for a packet finds its quota by its place.
        keys = tuple(dict.fromkeys((*filters.keys, *map(ServiceKey, part.services))))
        stage.groups[name] = [
            Session(
                gateway,
                imsi,
                apn=part.apn,
                clock=stage.clock,
                keys=keys,
                meter=stage.meter(name, gateway),
                attempts=part.attempts,
            )
            for imsi in self._subscribers(stage, name, part)
        ]
        if part.tunnels:
            for session in stage.groups[name]:
                stage.user_plane().add(session, filters)

    def _subscribers(self, stage: Stage, name: str, part: SessionPart) -> list[str]:
        """Give the IMSIs of a group, and note whose subscribers they are."""
        if part.subscriber:
            operator = stage.owners.get(part.subscriber)
            imsis = [session.imsi for session in stage.groups[part.subscriber]]
        else:
            operator = None if part.imsi else stage.operators.get(part.operator or next(iter(stage.operators), ""))
            prefix = operator.prefix if operator is not None else part.imsi or stage.around.prefix
            imsis = [stage.new_imsi(prefix) for _ in range(part.count)]
        if operator is not None:
            stage.owners[name] = operator
        return imsis


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
    gateways = read_parts(values.get("gateways"), GatewayPart) or {"sgw": GatewayPart()}
    cast.gateways.update(gateways)
    operators = read_parts(values.get("operators"), OperatorPart)
    cast.operators.update(operators)
    sessions = read_sessions(values.get("sessions"))
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
