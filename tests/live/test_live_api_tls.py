"""The API over HTTPS: the command line trusts the certificate of its own configuration, and no other."""

import os
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from live.certificates import Authority
from live.ocs_server import TOKEN, OcsServer

pytestmark = pytest.mark.live

HOST = "ocs.example.net"


def ocs(server: OcsServer, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ocs", "operator", "list", "-o", "json", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_who_has_the_certificate_is_the_server(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    certificate, key = authority.issue(HOST)
    server = OcsServer(tmp_path, {"api": {"tls": {"certificate": certificate.name, "key": key.name}}})
    server.api.close()
    url = f"https://127.0.0.1:{server.api_port}"
    context = ssl.create_default_context(cafile=authority.certificate)
    context.check_hostname = False
    server.api = httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10, verify=context, trust_env=False
    )
    with server:
        server.add_operator()
        own = ocs(server, "--config", str(server.config))
        assert own.returncode == 0, own.stderr
        assert '"home"' in own.stdout
        # Elsewhere the certificate has to be an authority's, and for the host that was asked for.
        for trusted, told in ((stranger, "certificate verify failed"), (authority, "IP address mismatch")):
            away = ocs(server, "--server", url, OCS_API_TOKEN=TOKEN, OCS_SERVER_CA=str(trusted.certificate))
            assert away.returncode == 4, away
            assert told in away.stderr
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{server.api_port}/livez", timeout=10)
        assert server.stop() == 0, server.tail()
    # A certificate that is another's is told of, and is not taken.
    other, _ = stranger.issue("other.example")
    server.config.write_text(server.config.read_text().replace(certificate.name, other.name))
    refused = subprocess.run(
        [sys.executable, "-m", "ocs", "serve", "--config", str(server.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 3
    assert "api.tls: certificate" in refused.stderr
