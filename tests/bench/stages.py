"""CPU of one CCR, stage by stage, in process: the same functions that the core calls, in the same stages.

Run it alone for a table: `python tests/bench/stages.py`.
"""

import gc
from time import perf_counter

from ledger_node import Node
from ocs.credit_control import answer as cca
from ocs.credit_control.applying import answer_of
from ocs.credit_control.event import Gateway, Stepped
from ocs.credit_control.forms import Forms
from ocs.credit_control.request import read
from ocs.diameter import strict
from ocs.diameter.framing import Framer
from ocs.node import Recall, charge, evolve
from ocs.shell import dictionaries
from ocs.shell.core.reception import Destinations, Reception
from ocs.shell.store import records
from ocs.units import UnixMillis
from simulator.load import Template, patched
from simulator.messages import Identity
from simulator.profile import PROFILES
from simulator.templates import templates

BLOCK = 512
BLOCKS = 12
UPDATES = 8
REALM = "visited.example"
GATEWAY = Gateway("sgw.visited.example", REALM, "sgw.visited.example", "standard")
STAGES = ("framing", "reading", "deciding", "evolving", "writing", "encoding", "the full check", "the full reading")


def measure() -> dict[str, float]:
    """Give microseconds for each CCR by stage; the last two are what learnt layouts save."""
    kinds = templates(Identity(destination_realm="example.net"), PROFILES["standard"], imsi_prefix="001010")
    dictionary = dictionaries.load([])
    realms = frozenset({"example.net"})
    reception = Reception(dictionary, Destinations(origin_host="ocs.example.net", realms=realms, strict=False))
    identity = cca.Identity.of("ocs.example.net", "example.net")
    node = Node()
    node.operator(price=1, per=1000)
    node.top_up(10**15)
    framer, forms = Framer(), Forms()
    spent = dict.fromkeys(STAGES, 0.0)
    count = 0
    gc.collect()
    gc.disable()
    for block in range(BLOCKS):
        for number in range(UPDATES + 2):
            kind = "initial" if number == 0 else "termination" if number > UPDATES else "update"
            stream = b"".join(_request(kinds[kind], block * BLOCK + place, number) for place in range(BLOCK))
            began = perf_counter()
            messages = framer.feed(stream)
            spent["framing"] += perf_counter() - began
            began = perf_counter()
            asked = [reception.receive(message, REALM, forms) for message in messages]
            spent["reading"] += perf_counter() - began
            served, events = [], []
            for request, form in asked:
                started = perf_counter()
                event, told = charge(node.state, node.policy, request, GATEWAY, node.now)
                decided = perf_counter()
                assert isinstance(event, Stepped)
                assert not isinstance(told, Recall)
                evolve(node.state, event)
                spent["evolving"] += perf_counter() - decided
                spent["deciding"] += decided - started
                events.append(event)
                served.append((request, form, told))
            began = perf_counter()
            for request, form, told in served:
                if form is not None:
                    form.answers.write(request, told, identity, node.policy)
                else:
                    cca.write(request, answer_of(told) if isinstance(told, Stepped) else told, identity, node.policy)
            spent["writing"] += perf_counter() - began
            node.now = UnixMillis(node.now + 20)
            began = perf_counter()
            records.encode(events)
            spent["encoding"] += perf_counter() - began
            count += len(messages)
            if block:
                continue
            began = perf_counter()
            for message in messages:
                strict.check(message, dictionary)
            checked = perf_counter()
            for message in messages:
                read(message)
            spent["the full check"] += (checked - began) * BLOCKS
            spent["the full reading"] += (perf_counter() - checked) * BLOCKS
    gc.enable()
    return {stage: 1e6 * seconds / count for stage, seconds in spent.items()}


def _request(template: Template, name: int, number: int) -> bytes:
    return bytes(patched(template, name, number, name & 0xFFFF, number))


if __name__ == "__main__":
    for stage, microseconds in measure().items():
        print(f"{stage:<18}{microseconds:7.2f} µs")
