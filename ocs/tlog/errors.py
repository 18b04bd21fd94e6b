"""What can be wrong with octets that claim to come from a log.

    InvalidInput
    ├── Malformed         malformed: it is not of the format it should be
    ├── NotTrusted        bad_signature: no known key signed it, one signed it badly, or too few cosigned it
    └── ProofInvalid      proof_invalid: it does not prove what it is shown for

`code` is the refusal code of settlement; HTTP sees them as `invalid-input`.
"""

from typing import ClassVar

from ocs.errors import InvalidInput


class Malformed(InvalidInput):
    code: ClassVar[str] = "malformed"


class NotTrusted(InvalidInput):
    code: ClassVar[str] = "bad_signature"


class ProofInvalid(InvalidInput):
    code: ClassVar[str] = "proof_invalid"
