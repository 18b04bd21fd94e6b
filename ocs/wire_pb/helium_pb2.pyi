from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class blockchain_state_channel_state_v1(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    open: _ClassVar[blockchain_state_channel_state_v1]
    closed: _ClassVar[blockchain_state_channel_state_v1]
open: blockchain_state_channel_state_v1
closed: blockchain_state_channel_state_v1

class blockchain_state_channel_message_v1(_message.Message):
    __slots__ = ("response", "packet", "offer", "purchase", "banner", "reject", "cbrs_session_usage_commit")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    PACKET_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    PURCHASE_FIELD_NUMBER: _ClassVar[int]
    BANNER_FIELD_NUMBER: _ClassVar[int]
    REJECT_FIELD_NUMBER: _ClassVar[int]
    CBRS_SESSION_USAGE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    response: blockchain_state_channel_response_v1
    packet: blockchain_state_channel_packet_v1
    offer: blockchain_state_channel_offer_v1
    purchase: blockchain_state_channel_purchase_v1
    banner: blockchain_state_channel_banner_v1
    reject: blockchain_state_channel_rejection_v1
    cbrs_session_usage_commit: blockchain_state_channel_cbrs_session_usage_commit_v1
    def __init__(self, response: _Optional[_Union[blockchain_state_channel_response_v1, _Mapping]] = ..., packet: _Optional[_Union[blockchain_state_channel_packet_v1, _Mapping]] = ..., offer: _Optional[_Union[blockchain_state_channel_offer_v1, _Mapping]] = ..., purchase: _Optional[_Union[blockchain_state_channel_purchase_v1, _Mapping]] = ..., banner: _Optional[_Union[blockchain_state_channel_banner_v1, _Mapping]] = ..., reject: _Optional[_Union[blockchain_state_channel_rejection_v1, _Mapping]] = ..., cbrs_session_usage_commit: _Optional[_Union[blockchain_state_channel_cbrs_session_usage_commit_v1, _Mapping]] = ...) -> None: ...

class blockchain_state_channel_cbrs_session_usage_commit_v1(_message.Message):
    __slots__ = ("commit", "countersigned")
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    COUNTERSIGNED_FIELD_NUMBER: _ClassVar[int]
    commit: bytes
    countersigned: bytes
    def __init__(self, commit: _Optional[bytes] = ..., countersigned: _Optional[bytes] = ...) -> None: ...

class blockchain_state_channel_response_v1(_message.Message):
    __slots__ = ("accepted", "downlink")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DOWNLINK_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    downlink: packet
    def __init__(self, accepted: _Optional[bool] = ..., downlink: _Optional[_Union[packet, _Mapping]] = ...) -> None: ...

class blockchain_state_channel_packet_v1(_message.Message):
    __slots__ = ("packet", "hotspot", "signature", "region", "hold_time")
    PACKET_FIELD_NUMBER: _ClassVar[int]
    HOTSPOT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    HOLD_TIME_FIELD_NUMBER: _ClassVar[int]
    packet: packet
    hotspot: bytes
    signature: bytes
    region: int
    hold_time: int
    def __init__(self, packet: _Optional[_Union[packet, _Mapping]] = ..., hotspot: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., region: _Optional[int] = ..., hold_time: _Optional[int] = ...) -> None: ...

class blockchain_state_channel_offer_v1(_message.Message):
    __slots__ = ("routing", "packet_hash", "payload_size", "fcnt", "hotspot", "signature", "region", "req_diff")
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    PACKET_HASH_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_SIZE_FIELD_NUMBER: _ClassVar[int]
    FCNT_FIELD_NUMBER: _ClassVar[int]
    HOTSPOT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    REQ_DIFF_FIELD_NUMBER: _ClassVar[int]
    routing: routing_information
    packet_hash: bytes
    payload_size: int
    fcnt: int
    hotspot: bytes
    signature: bytes
    region: int
    req_diff: bool
    def __init__(self, routing: _Optional[_Union[routing_information, _Mapping]] = ..., packet_hash: _Optional[bytes] = ..., payload_size: _Optional[int] = ..., fcnt: _Optional[int] = ..., hotspot: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., region: _Optional[int] = ..., req_diff: _Optional[bool] = ...) -> None: ...

class blockchain_state_channel_purchase_v1(_message.Message):
    __slots__ = ("sc", "hotspot", "packet_hash", "region", "sc_diff")
    SC_FIELD_NUMBER: _ClassVar[int]
    HOTSPOT_FIELD_NUMBER: _ClassVar[int]
    PACKET_HASH_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    SC_DIFF_FIELD_NUMBER: _ClassVar[int]
    sc: blockchain_state_channel_v1
    hotspot: bytes
    packet_hash: bytes
    region: int
    sc_diff: blockchain_state_channel_diff_v1
    def __init__(self, sc: _Optional[_Union[blockchain_state_channel_v1, _Mapping]] = ..., hotspot: _Optional[bytes] = ..., packet_hash: _Optional[bytes] = ..., region: _Optional[int] = ..., sc_diff: _Optional[_Union[blockchain_state_channel_diff_v1, _Mapping]] = ...) -> None: ...

class blockchain_state_channel_banner_v1(_message.Message):
    __slots__ = ("sc",)
    SC_FIELD_NUMBER: _ClassVar[int]
    sc: blockchain_state_channel_v1
    def __init__(self, sc: _Optional[_Union[blockchain_state_channel_v1, _Mapping]] = ...) -> None: ...

class blockchain_state_channel_rejection_v1(_message.Message):
    __slots__ = ("reject", "packet_hash")
    REJECT_FIELD_NUMBER: _ClassVar[int]
    PACKET_HASH_FIELD_NUMBER: _ClassVar[int]
    reject: int
    packet_hash: bytes
    def __init__(self, reject: _Optional[int] = ..., packet_hash: _Optional[bytes] = ...) -> None: ...

class blockchain_state_channel_diff_v1(_message.Message):
    __slots__ = ("id", "add_nonce", "signature")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADD_NONCE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    add_nonce: int
    signature: bytes
    def __init__(self, id: _Optional[bytes] = ..., add_nonce: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class blockchain_state_channel_v1(_message.Message):
    __slots__ = ("id", "owner", "credits", "nonce", "summaries", "root_hash", "skewed", "state", "expire_at_block", "signature")
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    ROOT_HASH_FIELD_NUMBER: _ClassVar[int]
    SKEWED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_AT_BLOCK_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    owner: bytes
    credits: int
    nonce: int
    summaries: _containers.RepeatedCompositeFieldContainer[blockchain_state_channel_summary_v1]
    root_hash: bytes
    skewed: bytes
    state: blockchain_state_channel_state_v1
    expire_at_block: int
    signature: bytes
    def __init__(self, id: _Optional[bytes] = ..., owner: _Optional[bytes] = ..., credits: _Optional[int] = ..., nonce: _Optional[int] = ..., summaries: _Optional[_Iterable[_Union[blockchain_state_channel_summary_v1, _Mapping]]] = ..., root_hash: _Optional[bytes] = ..., skewed: _Optional[bytes] = ..., state: _Optional[_Union[blockchain_state_channel_state_v1, str]] = ..., expire_at_block: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class blockchain_state_channel_summary_v1(_message.Message):
    __slots__ = ("client_pubkeybin", "num_packets", "num_dcs")
    CLIENT_PUBKEYBIN_FIELD_NUMBER: _ClassVar[int]
    NUM_PACKETS_FIELD_NUMBER: _ClassVar[int]
    NUM_DCS_FIELD_NUMBER: _ClassVar[int]
    client_pubkeybin: bytes
    num_packets: int
    num_dcs: int
    def __init__(self, client_pubkeybin: _Optional[bytes] = ..., num_packets: _Optional[int] = ..., num_dcs: _Optional[int] = ...) -> None: ...

class packet(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class routing_information(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
