"""A load of CCRs cheap enough not to measure itself: ready messages, numbers patched in, every answer checked.

It knows neither scapy nor any other codec: `simulator.templates` made the octets beforehand.  A population of sessions
is served in turn: I, some U, T, and then the next session takes the place of the one that ended.

    closed loop: a number of requests is under way on each connection; an answer brings the next request
    open loop:   requests leave by a schedule, whatever the answers do, and latency counts from the scheduled time

`python -m simulator.load`, a process of its own, reads a `Job` as JSON and writes a `Result`.
"""

from simulator.load.job import Job, Template
from simulator.load.patching import patched
from simulator.load.result import Result, Second

__all__ = ["Job", "Result", "Second", "Template", "patched"]
