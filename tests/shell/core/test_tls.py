"""Which host a certificate names."""

import pytest

from ocs.shell.core.tls import PeerCertificate, certificate_names


@pytest.mark.parametrize(
    ("names", "host", "named"),
    [
        (["sgw.visited.example"], "sgw.visited.example", True),
        (["SGW.visited.example."], "sgw.Visited.example", True),
        (["mme.visited.example", "sgw.visited.example"], "sgw.visited.example", True),
        (["mme.visited.example"], "sgw.visited.example", False),
        (["*.visited.example"], "sgw.visited.example", True),
        (["*.visited.example"], "a.sgw.visited.example", False),
        (["*.visited.example"], "visited.example", False),
        (["s*.visited.example"], "sgw.visited.example", False),
        (["*"], "sgw", False),
        (["*."], "sgw.", False),
        ([], "sgw.visited.example", False),
    ],
)
def test_names(names: list[str], host: str, named: bool) -> None:
    certificate: PeerCertificate = {"subjectAltName": (*(("DNS", name) for name in names), ("URI", f"aaa://{host}"))}
    assert certificate_names(certificate, host) is named


def test_a_common_name_is_none() -> None:
    assert not certificate_names({}, "sgw.visited.example")
