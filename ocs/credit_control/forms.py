"""The forms that the CCRs of one peer have come in, found again by length and layout.

Bounded in number, and in what learning may cost: under ever-new layouts nearly all take the full reading.
"""

from typing import Final

from ocs.credit_control.form import Form, UnlearnableLayout
from ocs.credit_control.request import CreditControlRequest
from ocs.diameter.dictionary import Dictionary

FORMS_MAX: Final = 512
"""Of one peer: three types of request, some dozens of APNs, rating groups and reasons."""

FORMS_OCTETS_MAX: Final = 512 * 1024
"""Of the messages behind these forms, which take twice as much: a thousand octets each, where few CCRs have as many.  A
peer that sends messages of 64 KiB would else make us keep 64 MB for each of its connections."""

SAME_LENGTH_MAX: Final = 16
"""Forms tried for one message."""

LEARNING_COST: Final = 16
CREDIT_MAX: Final = FORMS_MAX * LEARNING_COST
"""Sixteen messages of known forms pay for learning a new one, which costs about as much as reading two in full."""


class Forms:
    """What was learnt from one peer."""

    __slots__ = ("_by_length", "_count", "_credit", "_octets")

    def __init__(self) -> None:
        self._by_length: dict[int, list[Form]] = {}
        self._count = 0
        self._octets = 0
        self._credit = CREDIT_MAX

    def find(self, message: bytes) -> Form | None:
        """Give the form whose layout `message` has, or None."""
        forms = self._by_length.get(len(message))
        if forms is None:
            return None
        as_number = int.from_bytes(message, "big")
        for form in forms:
            if form.layout.fits(as_number):
                if form is not forms[0]:
                    forms.remove(form)
                    forms.insert(0, form)  # the next one is likely to be the same
                self._credit += 1
                return form
        return None

    def learn(self, message: bytes, request: CreditControlRequest, dictionary: Dictionary) -> None:
        """Remember the form of a message that passed the full check and gave `request`."""
        self._credit = min(self._credit, CREDIT_MAX)
        if self._credit < LEARNING_COST or len(message) > FORMS_OCTETS_MAX:
            return
        self._credit -= LEARNING_COST
        try:
            form = Form(message, request, dictionary)
        except UnlearnableLayout:
            return
        if self._count >= FORMS_MAX or self._octets + len(message) > FORMS_OCTETS_MAX:
            self._by_length.clear()  # what is still in use comes again at once
            self._count = self._octets = 0
        forms = self._by_length.setdefault(len(message), [])
        forms.insert(0, form)
        self._count += 1
        self._octets += len(message)
        if len(forms) > SAME_LENGTH_MAX:
            forms.pop()
            self._count -= 1
            self._octets -= len(message)
