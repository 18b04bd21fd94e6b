"""What the probes found, rule by rule; for the terminal, as JSON, JUnit and page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from simulator.conformance.examiner import Look
from simulator.conformance.rules import RULES, UNSEEN, Rule, Severity
from simulator.verdict.junit import Case, junit
from simulator.verdict.page import Mark, Page, Section, Table
from simulator.verdict.plot import histogram

SHOWN_MAX: Final = 10
"""Broken looks of one rule that are written out; the next thousand say the same."""


class State(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of all probes.

    Attributes:
        server: as `host:port`.
        at: when it began, ISO 8601.
        not_played: probes that found no connection or session to work on, and why.
        seconds: latencies.
    """

    server: str
    at: str
    looks: Sequence[Look]
    not_played: Sequence[tuple[str, str]]
    latencies: Sequence[float]

    def state(self, rule: Rule) -> State:
        held = [one.held for one in self.looks if one.rule is rule]
        return State.NOT_SEEN if not held else State.KEPT if all(held) else State.BROKEN

    def broken(self, *severities: Severity) -> list[Rule]:
        """Give the broken rules of these severities, of any where none is named."""
        return [
            rule
            for rule in RULES.values()
            if self.state(rule) is State.BROKEN and (not severities or rule.severity in severities)
        ]

    def faults(self, rule: Rule) -> list[Look]:
        return [one for one in self.looks if one.rule is rule and not one.held]

    def to_json(self) -> str:
        """Give every rule with its state, and the octets of what broke it."""
        told = {
            "server": self.server,
            "at": self.at,
            "holds": not self.broken(Severity.MUST),
            "rules": [self._described(rule) for rule in RULES.values()],
            "not_played": [{"probe": probe, "why": why} for probe, why in self.not_played],
            "cannot_be_checked_from_outside": [
                {"asks": asks, "source": source, "why": why} for asks, source, why in UNSEEN
            ],
        }
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"

    def to_junit(self) -> str:
        """Give a suite for each severity; only a broken must is a failure, the others are told."""
        return junit("ocs-sim conformance", [self._case(rule) for rule in RULES.values()],
                     {"server": self.server, "at": self.at})  # fmt: skip

    def to_html(self) -> str:
        """Give the page."""
        broken = {severity: len(self.broken(severity)) for severity in Severity}
        word = ", ".join(f"{count} {severity} broken" for severity, count in broken.items() if count)
        sections = [self._rules(severity) for severity in Severity]
        verdict = Mark(not broken[Severity.MUST], word or "nothing broken")
        rest = [section for section in (self._faults(), self._unseen()) if section is not None]
        return Page(title=f"Conformance of {self.server}", verdict=verdict, sections=[*sections, *rest]).html()

    def _counts(self, rule: Rule) -> tuple[int, int]:
        held = [one.held for one in self.looks if one.rule is rule]
        return len(held), held.count(False)

    def _described(self, rule: Rule) -> dict[str, Any]:
        looked, broken = self._counts(rule)
        return {
            "rule": rule.name,
            "asks": rule.asks,
            "source": rule.source,
            "severity": rule.severity,
            "state": self.state(rule),
            "looked": looked,
            "broken": broken,
            "faults": [
                {"probe": one.probe, "seen": one.detail, "sent": one.sent.hex(), "got": one.got.hex()}
                for one in self.faults(rule)[:SHOWN_MAX]
            ],
        }

    def _case(self, rule: Rule) -> Case:
        looked, broken = self._counts(rule)
        shown = [f"{one.probe}: {one.detail}\nsent {one.sent.hex()}\ngot {one.got.hex()}" for one in self.faults(rule)]
        text = "\n".join([f"{rule.asks} ({rule.source})", *shown[:SHOWN_MAX]])
        is_failure = bool(broken) and rule.severity is Severity.MUST
        return Case(
            group=rule.severity,
            name=rule.name,
            failures=[text] if is_failure else (),
            left_out="" if looked else "not seen",
            told=f"{text}\nlooked at {looked} times, broken {broken} times",
        )

    def _rules(self, severity: Severity) -> Section:
        marks = {State.KEPT: True, State.BROKEN: False, State.NOT_SEEN: None}
        rows = []
        for rule in RULES.values():
            if rule.severity is severity:
                state = self.state(rule)
                rows.append((rule.name, Mark(marks[state], state), *self._counts(rule), rule.asks, rule.source))
        columns = ("rule", "verdict", "looked at", "broken", "asks", "source")
        table = Table(caption=f"rules that a server {severity} keep", columns=columns, rows=rows)
        return Section(title=severity.capitalize(), parts=[table])

    def _faults(self) -> Section | None:
        rows = [
            (rule.name, one.probe, one.detail, one.sent.hex(), one.got.hex())
            for rule in self.broken()
            for one in self.faults(rule)[:SHOWN_MAX]
        ]
        if not rows:
            return None
        columns = ("rule", "probe", "seen", "sent", "got")
        return Section(title="What was broken", parts=[Table(caption="with octets", columns=columns, rows=rows)])

    def _unseen(self) -> Section:
        parts: list[Any] = [
            Table(caption="cannot be checked from outside", columns=("demand", "source", "why"), rows=UNSEEN)
        ]
        if self.not_played:
            table = Table(caption="probes that could not be played", columns=("probe", "why"), rows=self.not_played)
            parts.append(table)
        parts.append(histogram("latencies of the probes", [1000 * one for one in self.latencies]))
        return Section(title="What was not seen", told=[f"Probed on {self.at}."], parts=parts)
