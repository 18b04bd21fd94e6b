from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_UNSPECIFIED: _ClassVar[Cause]
    THRESHOLD: _ClassVar[Cause]
    QHT: _ClassVar[Cause]
    TERMINATED: _ClassVar[Cause]
    QUOTA_EXHAUSTED: _ClassVar[Cause]
    VALIDITY_TIMER_EXPIRED: _ClassVar[Cause]
    OTHER_QUOTA_TYPE: _ClassVar[Cause]
    RATING_CONDITION_CHANGE: _ClassVar[Cause]
    REAUTH_REQUIRED: _ClassVar[Cause]
    POOL_EXHAUSTED: _ClassVar[Cause]

class CloseReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLOSE_REASON_UNSPECIFIED: _ClassVar[CloseReason]
    EXHAUSTED: _ClassVar[CloseReason]
    EPOCH_END: _ClassVar[CloseReason]
    OWNER: _ClassVar[CloseReason]
    DISPUTE: _ClassVar[CloseReason]

class DisputeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPUTE_KIND_UNSPECIFIED: _ClassVar[DisputeKind]
    SAME_SEQ: _ClassVar[DisputeKind]
    LOWER_COUNTER: _ClassVar[DisputeKind]
    SAME_NONCE: _ClassVar[DisputeKind]
    CHECKPOINTS: _ClassVar[DisputeKind]
CAUSE_UNSPECIFIED: Cause
THRESHOLD: Cause
QHT: Cause
TERMINATED: Cause
QUOTA_EXHAUSTED: Cause
VALIDITY_TIMER_EXPIRED: Cause
OTHER_QUOTA_TYPE: Cause
RATING_CONDITION_CHANGE: Cause
REAUTH_REQUIRED: Cause
POOL_EXHAUSTED: Cause
CLOSE_REASON_UNSPECIFIED: CloseReason
EXHAUSTED: CloseReason
EPOCH_END: CloseReason
OWNER: CloseReason
DISPUTE: CloseReason
DISPUTE_KIND_UNSPECIFIED: DisputeKind
SAME_SEQ: DisputeKind
LOWER_COUNTER: DisputeKind
SAME_NONCE: DisputeKind
CHECKPOINTS: DisputeKind

class Envelope(_message.Message):
    __slots__ = ("payload_type", "payload", "signer", "signature")
    PAYLOAD_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    payload_type: str
    payload: bytes
    signer: bytes
    signature: bytes
    def __init__(self, payload_type: _Optional[str] = ..., payload: _Optional[bytes] = ..., signer: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class SessionInit(_message.Message):
    __slots__ = ("version", "network", "channel_id", "session_id", "sgw_key", "miner_key", "subscriber_tag", "rat", "operator", "gy_session_id", "started_at_ms", "granted_bytes", "tariff_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SGW_KEY_FIELD_NUMBER: _ClassVar[int]
    MINER_KEY_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_TAG_FIELD_NUMBER: _ClassVar[int]
    RAT_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    GY_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TARIFF_ID_FIELD_NUMBER: _ClassVar[int]
    version: int
    network: str
    channel_id: bytes
    session_id: bytes
    sgw_key: bytes
    miner_key: bytes
    subscriber_tag: bytes
    rat: int
    operator: str
    gy_session_id: str
    started_at_ms: int
    granted_bytes: int
    tariff_id: int
    def __init__(self, version: _Optional[int] = ..., network: _Optional[str] = ..., channel_id: _Optional[bytes] = ..., session_id: _Optional[bytes] = ..., sgw_key: _Optional[bytes] = ..., miner_key: _Optional[bytes] = ..., subscriber_tag: _Optional[bytes] = ..., rat: _Optional[int] = ..., operator: _Optional[str] = ..., gy_session_id: _Optional[str] = ..., started_at_ms: _Optional[int] = ..., granted_bytes: _Optional[int] = ..., tariff_id: _Optional[int] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("version", "network", "channel_id", "session_id", "sgw_key", "miner_key", "seq", "cum_up_bytes", "cum_down_bytes", "measured_at_ms", "cause", "prev_id", "cc_request_number", "final")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SGW_KEY_FIELD_NUMBER: _ClassVar[int]
    MINER_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CUM_UP_BYTES_FIELD_NUMBER: _ClassVar[int]
    CUM_DOWN_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    PREV_ID_FIELD_NUMBER: _ClassVar[int]
    CC_REQUEST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    version: int
    network: str
    channel_id: bytes
    session_id: bytes
    sgw_key: bytes
    miner_key: bytes
    seq: int
    cum_up_bytes: int
    cum_down_bytes: int
    measured_at_ms: int
    cause: Cause
    prev_id: bytes
    cc_request_number: int
    final: bool
    def __init__(self, version: _Optional[int] = ..., network: _Optional[str] = ..., channel_id: _Optional[bytes] = ..., session_id: _Optional[bytes] = ..., sgw_key: _Optional[bytes] = ..., miner_key: _Optional[bytes] = ..., seq: _Optional[int] = ..., cum_up_bytes: _Optional[int] = ..., cum_down_bytes: _Optional[int] = ..., measured_at_ms: _Optional[int] = ..., cause: _Optional[_Union[Cause, str]] = ..., prev_id: _Optional[bytes] = ..., cc_request_number: _Optional[int] = ..., final: _Optional[bool] = ...) -> None: ...

class Countersign(_message.Message):
    __slots__ = ("version", "channel_id", "inner_id", "received_at_ms", "miner_seq", "inner")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INNER_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    MINER_SEQ_FIELD_NUMBER: _ClassVar[int]
    INNER_FIELD_NUMBER: _ClassVar[int]
    version: int
    channel_id: bytes
    inner_id: bytes
    received_at_ms: int
    miner_seq: int
    inner: bytes
    def __init__(self, version: _Optional[int] = ..., channel_id: _Optional[bytes] = ..., inner_id: _Optional[bytes] = ..., received_at_ms: _Optional[int] = ..., miner_seq: _Optional[int] = ..., inner: _Optional[bytes] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("version", "channel_id", "index", "countersign_id", "miner_key", "session_id", "seq", "delta_bytes", "delta_dc", "channel_total_dc", "committed_at_ms", "prev_commit")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNTERSIGN_ID_FIELD_NUMBER: _ClassVar[int]
    MINER_KEY_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DELTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    DELTA_DC_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_TOTAL_DC_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    PREV_COMMIT_FIELD_NUMBER: _ClassVar[int]
    version: int
    channel_id: bytes
    index: int
    countersign_id: bytes
    miner_key: bytes
    session_id: bytes
    seq: int
    delta_bytes: int
    delta_dc: int
    channel_total_dc: int
    committed_at_ms: int
    prev_commit: bytes
    def __init__(self, version: _Optional[int] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., countersign_id: _Optional[bytes] = ..., miner_key: _Optional[bytes] = ..., session_id: _Optional[bytes] = ..., seq: _Optional[int] = ..., delta_bytes: _Optional[int] = ..., delta_dc: _Optional[int] = ..., channel_total_dc: _Optional[int] = ..., committed_at_ms: _Optional[int] = ..., prev_commit: _Optional[bytes] = ...) -> None: ...

class ChannelOpen(_message.Message):
    __slots__ = ("version", "network", "owner_key", "owner_nonce", "amount_dc", "open_height", "expire_height", "grace_blocks", "tariff_id", "max_miners", "operator_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    OWNER_KEY_FIELD_NUMBER: _ClassVar[int]
    OWNER_NONCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_DC_FIELD_NUMBER: _ClassVar[int]
    OPEN_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    GRACE_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    TARIFF_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_MINERS_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    version: int
    network: str
    owner_key: bytes
    owner_nonce: int
    amount_dc: int
    open_height: int
    expire_height: int
    grace_blocks: int
    tariff_id: int
    max_miners: int
    operator_id: str
    def __init__(self, version: _Optional[int] = ..., network: _Optional[str] = ..., owner_key: _Optional[bytes] = ..., owner_nonce: _Optional[int] = ..., amount_dc: _Optional[int] = ..., open_height: _Optional[int] = ..., expire_height: _Optional[int] = ..., grace_blocks: _Optional[int] = ..., tariff_id: _Optional[int] = ..., max_miners: _Optional[int] = ..., operator_id: _Optional[str] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("client_pubkeybin", "num_packets", "num_dcs", "num_bytes", "num_sessions")
    CLIENT_PUBKEYBIN_FIELD_NUMBER: _ClassVar[int]
    NUM_PACKETS_FIELD_NUMBER: _ClassVar[int]
    NUM_DCS_FIELD_NUMBER: _ClassVar[int]
    NUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    NUM_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    client_pubkeybin: bytes
    num_packets: int
    num_dcs: int
    num_bytes: int
    num_sessions: int
    def __init__(self, client_pubkeybin: _Optional[bytes] = ..., num_packets: _Optional[int] = ..., num_dcs: _Optional[int] = ..., num_bytes: _Optional[int] = ..., num_sessions: _Optional[int] = ...) -> None: ...

class ChannelClose(_message.Message):
    __slots__ = ("version", "channel_id", "nonce", "reason", "used_dc", "refund_dc", "log_size", "log_root", "summaries")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    USED_DC_FIELD_NUMBER: _ClassVar[int]
    REFUND_DC_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOG_ROOT_FIELD_NUMBER: _ClassVar[int]
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    version: int
    channel_id: bytes
    nonce: int
    reason: CloseReason
    used_dc: int
    refund_dc: int
    log_size: int
    log_root: bytes
    summaries: _containers.RepeatedCompositeFieldContainer[Summary]
    def __init__(self, version: _Optional[int] = ..., channel_id: _Optional[bytes] = ..., nonce: _Optional[int] = ..., reason: _Optional[_Union[CloseReason, str]] = ..., used_dc: _Optional[int] = ..., refund_dc: _Optional[int] = ..., log_size: _Optional[int] = ..., log_root: _Optional[bytes] = ..., summaries: _Optional[_Iterable[_Union[Summary, _Mapping]]] = ...) -> None: ...

class DoorPass(_message.Message):
    __slots__ = ("version", "network", "miner_key", "at_ms")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    MINER_KEY_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    version: int
    network: str
    miner_key: bytes
    at_ms: int
    def __init__(self, version: _Optional[int] = ..., network: _Optional[str] = ..., miner_key: _Optional[bytes] = ..., at_ms: _Optional[int] = ...) -> None: ...

class Dispute(_message.Message):
    __slots__ = ("kind", "first", "second")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    kind: DisputeKind
    first: bytes
    second: bytes
    def __init__(self, kind: _Optional[_Union[DisputeKind, str]] = ..., first: _Optional[bytes] = ..., second: _Optional[bytes] = ...) -> None: ...

class KeyRotation(_message.Message):
    __slots__ = ("old_key", "new_key", "effective_at_ms", "network")
    OLD_KEY_FIELD_NUMBER: _ClassVar[int]
    NEW_KEY_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    old_key: bytes
    new_key: bytes
    effective_at_ms: int
    network: str
    def __init__(self, old_key: _Optional[bytes] = ..., new_key: _Optional[bytes] = ..., effective_at_ms: _Optional[int] = ..., network: _Optional[str] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("gy_session_id", "cc_request_number", "cum_granted_bytes")
    GY_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CC_REQUEST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CUM_GRANTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    gy_session_id: str
    cc_request_number: int
    cum_granted_bytes: int
    def __init__(self, gy_session_id: _Optional[str] = ..., cc_request_number: _Optional[int] = ..., cum_granted_bytes: _Optional[int] = ...) -> None: ...

class Reconciliation(_message.Message):
    __slots__ = ("gy_session_id", "handler_cum_bytes", "purchaser_cum_bytes", "difference")
    GY_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HANDLER_CUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    PURCHASER_CUM_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    gy_session_id: str
    handler_cum_bytes: int
    purchaser_cum_bytes: int
    difference: int
    def __init__(self, gy_session_id: _Optional[str] = ..., handler_cum_bytes: _Optional[int] = ..., purchaser_cum_bytes: _Optional[int] = ..., difference: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("message_id", "refusal", "detail", "superseded", "log_index", "proof", "next_channel_id", "again")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    LOG_INDEX_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    NEXT_CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    message_id: bytes
    refusal: str
    detail: str
    superseded: bool
    log_index: int
    proof: bytes
    next_channel_id: bytes
    again: bool
    def __init__(self, message_id: _Optional[bytes] = ..., refusal: _Optional[str] = ..., detail: _Optional[str] = ..., superseded: _Optional[bool] = ..., log_index: _Optional[int] = ..., proof: _Optional[bytes] = ..., next_channel_id: _Optional[bytes] = ..., again: _Optional[bool] = ...) -> None: ...

class ActiveChannelRequest(_message.Message):
    __slots__ = ("gy_session_id",)
    GY_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    gy_session_id: str
    def __init__(self, gy_session_id: _Optional[str] = ...) -> None: ...

class ActiveChannelReply(_message.Message):
    __slots__ = ("channel_id", "tariff_id", "cum_granted_bytes")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    TARIFF_ID_FIELD_NUMBER: _ClassVar[int]
    CUM_GRANTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    tariff_id: int
    cum_granted_bytes: int
    def __init__(self, channel_id: _Optional[bytes] = ..., tariff_id: _Optional[int] = ..., cum_granted_bytes: _Optional[int] = ...) -> None: ...
