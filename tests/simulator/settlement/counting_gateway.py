"""A gateway that counts: its Gy sessions on a node, what it reads of them, and what the node holds as signed."""

from senders import reading

from ocs.credit_control.session import Answer
from signing_node import SigningNode
from simulator.settlement.messages import Counters
from simulator.settlement.reading import Reading

GRANT = 1_000_000


class Gateway:
    """Sessions over Gy whose gateway tells its readings; each use is granted first, as an honest one's is."""

    def __init__(self, node: SigningNode) -> None:
        self.node = node
        self.numbers: dict[str, int] = {}
        self.counters: dict[str, Counters] = {}  # of the incarnation
        self.incarnations: dict[str, int] = {}
        self.used: dict[str, Counters] = {}  # over all incarnations
        self.newest: dict[tuple[str, int], Reading] = {}
        self.over: set[str] = set()

    def attach(self, name: str) -> Reading | None:
        """Attach; None where no channel has room, and nothing is granted."""
        if not _granted(self.node.attach(name, ask=GRANT)):
            return None
        self.numbers[name], self.counters[name], self.used[name] = 0, Counters(), Counters()
        self.incarnations[name] = 0
        return self._tell(name, 0, 0)

    def use(self, name: str, up: int, down: int, *, final: bool = False) -> Reading:
        self.numbers[name] += 1
        step = self.node.detach if final else self.node.update
        step(name, self.numbers[name], up + down, *([] if final else [GRANT]))
        if final:
            self.over.add(name)
        return self._tell(name, up, down, final=final)

    def begin_again(self, name: str) -> None:
        self.incarnations[name] += 1
        self.counters[name] = Counters()

    def _tell(self, name: str, up: int, down: int, *, final: bool = False) -> Reading:
        self.counters[name] = self.counters[name].plus(Counters(up, down))
        self.used[name] = self.used[name].plus(Counters(up, down))
        told = reading(
            name,
            *self.counters[name],
            self.node.now,
            incarnation=self.incarnations[name],
            final=final,
            cc_request_number=self.numbers[name],
        )
        self.newest[name, told.incarnation] = told
        return told


def _granted(answer: Answer) -> bool:
    return any(service.granted for service in answer.services)


def counted(node: SigningNode, name: str) -> int:
    """Octets that the node's signed sessions of a Gy session hold, by its own ledger."""
    sessions = node.state.signed.channels.sessions.values()
    return sum(session.octets for session in sessions if session.gy_session_id == name.encode())
