from ocs.wire_pb import orc8r_pb2 as _orc8r_pb2
from ocs.wire_pb import settlement_pb2 as _settlement_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionStatisticsUpdate(_message.Message):
    __slots__ = ("gy_session_id", "incarnation", "imsi", "rat", "cum_up_bytes", "cum_down_bytes", "granted_bytes", "measured_at_ms", "cause", "cc_request_number", "final")
    GY_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    IMSI_FIELD_NUMBER: _ClassVar[int]
    RAT_FIELD_NUMBER: _ClassVar[int]
    CUM_UP_BYTES_FIELD_NUMBER: _ClassVar[int]
    CUM_DOWN_BYTES_FIELD_NUMBER: _ClassVar[int]
    GRANTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CC_REQUEST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    gy_session_id: str
    incarnation: int
    imsi: str
    rat: int
    cum_up_bytes: int
    cum_down_bytes: int
    granted_bytes: int
    measured_at_ms: int
    cause: _settlement_pb2.Cause
    cc_request_number: int
    final: bool
    def __init__(self, gy_session_id: _Optional[str] = ..., incarnation: _Optional[int] = ..., imsi: _Optional[str] = ..., rat: _Optional[int] = ..., cum_up_bytes: _Optional[int] = ..., cum_down_bytes: _Optional[int] = ..., granted_bytes: _Optional[int] = ..., measured_at_ms: _Optional[int] = ..., cause: _Optional[_Union[_settlement_pb2.Cause, str]] = ..., cc_request_number: _Optional[int] = ..., final: _Optional[bool] = ...) -> None: ...

class session_usage_update(_message.Message):
    __slots__ = ("envelope",)
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    def __init__(self, envelope: _Optional[bytes] = ...) -> None: ...
