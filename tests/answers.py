"""Play a scene of `vectors/answers.json` on a node in memory."""

from collections.abc import Iterator
from typing import Any

from ledger_node import GATEWAY, MAGMA, OPEN5GS, Node
from ocs import command as cmd
from ocs.credit_control.policy import FinalUnit, Policy
from ocs.credit_control.session import Answer
from ocs.diameter.codes import FinalUnitAction
from ocs.node import Recall

GATEWAYS = {"standard": GATEWAY, "magma": MAGMA, "open5gs": OPEN5GS}


def play(scene: dict[str, Any]) -> Iterator[bytes]:
    """Give the answer to each request of a scene, in order, each a second after the one before."""
    node = Node(_policy(scene["policy"]))
    node.operator("home", "00101", scene["price"], scene["per_octets"])
    if scene["credit"]:
        node.top_up(scene["credit"])
    for exchange in scene["exchanges"]:
        message = bytes.fromhex(exchange["request"])
        decision = node.charge(message, GATEWAYS[scene["gateway"]])
        if isinstance(decision.outcome, Recall):
            decision = node.step(cmd.Recalled(*decision.outcome, None))
        assert isinstance(decision.outcome, Answer)
        yield node.octets(message, decision.outcome)
        node.now += 1000


def _policy(settings: dict[str, Any]) -> Policy:
    final = {name: _tupled(value) for name, value in settings.get("final_unit", {}).items()}
    if final:
        settings = {**settings, "final_unit": FinalUnit(**{**final, "action": FinalUnitAction(final["action"])})}
    return Policy(**settings)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
