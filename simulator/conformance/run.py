"""Play all probes against a server, one after the other, each on connections of its own."""

from collections.abc import Callable
from datetime import UTC, datetime

from simulator.conformance.examiner import Examiner, NotOpen, Target
from simulator.conformance.probes import PROBES
from simulator.conformance.report import Report


def examine(target: Target, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Play every probe and judge what came; `tell` hears the name of each.

    Raises:
        NotOpen: not even the first connection could be opened.
    """
    examiner, not_played = Examiner(target), []
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with examiner.opened():
        pass
    for name, probe in PROBES.items():
        tell(name)
        examiner.probe = name
        try:
            probe(examiner)
        except NotOpen as error:
            not_played.append((name, str(error)))
    return Report(
        server=f"{target.host}:{target.port}",
        at=at,
        looks=examiner.looks,
        not_played=not_played,
        latencies=examiner.latencies,
    )
