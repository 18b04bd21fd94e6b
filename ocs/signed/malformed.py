"""The one error with which octets, envelopes, keys and records refuse."""

from ocs.errors import InvalidInput
from ocs.signed.refusal import Refusal


class Malformed(InvalidInput):
    """The octets are not what they claim to be.

    Attributes:
        code: the rule that is broken.
        detail: what is wrong, and where; it repeats names of ours and numbers, never text or octets of the sender's.
    """

    def __init__(self, detail: str, code: Refusal = Refusal.MALFORMED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
