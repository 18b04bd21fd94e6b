"""Why a signed message is refused: one code for each rule.  docs/adr/0016-signed-messages.md.

The members stand in the order in which the rules are held against a message: the first one broken is told, so equal
messages get equal answers.  Cheap rules come first, then those that need a signature, then those that need the state.
"""

from enum import StrEnum


class Refusal(StrEnum):
    """The rule that a message broke; its value is what the sender reads."""

    # Its octets and its signatures.
    MALFORMED = "malformed"  # too large, no message of its type by the grammar, or a type that this door does not take
    BAD_KEY = "bad_key"  # no Ed25519 key, one of small order or odd spelling, not registered, or not in date
    KEY_REVOKED = "key_revoked"  # revoked by now, whatever date the message bears
    BAD_SIGNATURE = "bad_signature"
    OUT_OF_RANGE = "out_of_range"  # a number that its field cannot hold, counters above 2^63, a date that never comes
    BAD_ROTATION = "bad_rotation"  # a rotation that both keys did not sign

    # What its parts say of each other.
    INNER_MISMATCH = "inner_mismatch"  # what the miner countersigned is not what the SGW signed
    SIGNER_MISMATCH = "signer_mismatch"  # a key that the payload names did not sign
    ROLE_MISMATCH = "role_mismatch"  # an SGW signed as a miner, or a miner as an SGW; or one key signed as both
    UNPAIRED = "unpaired"  # the SGW's key is registered with another miner
    WRONG_NETWORK = "wrong_network"  # signed for another deployment
    WRONG_CHANNEL = "wrong_channel"  # signed for a channel that is not this session's, or that is not here

    # Channel and session.
    CHANNEL_CLOSED = "channel_closed"  # closed, or closing and past its grace
    NO_SESSION = "no_session"  # usage before its SessionInit
    SESSION_ENDED = "session_ended"  # after the final report
    GRANT_CONFLICT = "grant_conflict"  # the Gy session is another SGW's, or its grant another session's

    # Order, time and amount.
    BAD_SEQ = "bad_seq"  # seq 0, 2^64-1, or a jump above the limit
    REGRESSION = "regression"  # a higher seq with a lower counter or an earlier measurement
    EQUIVOCATION = "equivocation"  # one signer, two messages that contradict each other
    CLOCK = "clock"  # measured too far from when it was received
    OVER_GRANT = "over_grant"  # more octets than granted over Gy, and the tolerance
    RATE_CAP = "rate_cap"  # more octets than the radio can carry in that time
    EXHAUSTED = "exhausted"  # the channel's credit does not pay for it

    # An Open.
    BAD_NONCE = "bad_nonce"  # the owner's nonce is not its last one + 1
    REUSED_ID = "reused_id"
    BAD_EXPIRY = "bad_expiry"  # too near, or too far
    OVER_BALANCE = "over_balance"  # more than the owner's balance
    UNKNOWN_OPERATOR = "unknown_operator"  # none of this name, or the owner may not open for it
    TOO_MANY_CHANNELS = "too_many_channels"  # open ones of this owner

    # A Close.
    ALREADY_CLOSED = "already_closed"
    STALE_NONCE = "stale_nonce"  # a later state of this channel is known
    OVERSPENT = "overspent"  # used above the amount
    SUMMARIES_UNSORTED = "summaries_unsorted"
    SUMMARIES_DUPLICATE = "summaries_duplicate"
    WRONG_SUM = "wrong_sum"  # the summaries do not add up to what was used, or not to the log
    WRONG_ROOT = "wrong_root"  # root or size are not the log's
    WRONG_REFUND = "wrong_refund"  # used + refund is not the amount

    PROOF_INVALID = "proof_invalid"  # the leaf is not where the proof says
