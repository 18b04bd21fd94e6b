"""Usage over gRPC with TLS: the server shows a certificate, and where an authority is named the sender has to too."""

from pathlib import Path

import grpc
import pytest

from live.certificates import Authority
from live.ocs_server import OcsServer
from live.signing import Signers
from live.wire import CCR, INITIAL, Gateway, ccr, mscc
from ocs.wire_pb import orc8r_pb2, proposal_pb2, settlement_pb2

pytestmark = pytest.mark.live

SESSION = "sgw.visited.example;1"
HOST = "ocs.example.net"


def channel(server: OcsServer, authority: Authority, pair: tuple[Path, Path] | None) -> grpc.Channel:
    key, chain = (pair[1].read_bytes(), pair[0].read_bytes()) if pair is not None else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), key, chain)
    named = (("grpc.ssl_target_name_override", HOST),)
    return grpc.secure_channel(f"127.0.0.1:{server.usage_port}", credentials, options=named)


def test_only_who_has_a_certificate_is_heard(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    certificate, key = authority.issue(HOST)
    tls = {"certificate": certificate.name, "key": key.name, "ca": authority.certificate.name}
    with OcsServer(tmp_path, {"usage": {"tls": tls}}) as server:
        server.add_operator(credit=10**12)
        signers = Signers(server)
        signers.register()
        with Gateway(server.gy_port).open() as gateway:
            gateway.ask(CCR, ccr(gateway, SESSION, INITIAL, 0, mscc(1)))
        session, init = signers.begin(SESSION)
        metadata = (("authorization", signers.pass_()),)
        with channel(server, authority, authority.issue("miner.visited.example")) as secure:
            one = secure.unary_unary(
                "/api/session_usage",
                request_serializer=proposal_pb2.session_usage_update.SerializeToString,
                response_deserializer=orc8r_pb2.Void.FromString,
            )
            one(proposal_pb2.session_usage_update(envelope=init), metadata=metadata, timeout=10)
            over = signers.usage(session, 10**9)
            with pytest.raises(grpc.RpcError) as refused:
                one(proposal_pb2.session_usage_update(envelope=over), metadata=metadata, timeout=10)
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert refused.value.details().startswith("over_grant: ")
            active = secure.unary_unary(
                "/settlement.v1.Settlement/ActiveChannel",
                request_serializer=settlement_pb2.ActiveChannelRequest.SerializeToString,
                response_deserializer=settlement_pb2.ActiveChannelReply.FromString,
            )
            told = active(settlement_pb2.ActiveChannelRequest(gy_session_id=SESSION), metadata=metadata, timeout=10)
            assert told.channel_id == session.channel_id
        for pair in (None, stranger.issue("miner.visited.example")):
            with channel(server, authority, pair) as secure:
                report = secure.stream_stream("/settlement.v1.Settlement/Report")
                with pytest.raises(grpc.RpcError) as refused:
                    list(report(iter([init]), metadata=metadata, timeout=5))
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
