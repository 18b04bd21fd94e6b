"""`ocs-sim forwarder` as a process that may be killed and started anew, with the published keys of `signed_reports`."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SGW_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
MINER_SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
SECONDS = 20.0


def key_files(folder: Path) -> tuple[Path, Path]:
    """Write the private keys of SGW and miner as OpenSSL does."""
    paths = folder / "sgw.pem", folder / "miner.pem"
    for path, seed in zip(paths, (SGW_SEED, MINER_SEED), strict=True):
        path.touch(0o600)
        private = Ed25519PrivateKey.from_private_bytes(seed)
        path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


class ForwarderProcess:
    """One forwarder, life after life on the same spool."""

    def __init__(self, folder: Path, url: str, statistics: int, *, network: str, grpc: str = "") -> None:
        sgw, miner = key_files(folder)
        self.spool = folder / "spool"
        self._arguments = [
            *(sys.executable, "-m", "simulator", "forwarder", "--spool", str(self.spool), "--network", network),
            *("--sgw-key", str(sgw), "--miner-key", str(miner), "--server", url, "--grpc", grpc),
            *("--statistics", f"127.0.0.1:{statistics}"),
        ]
        self._log = folder / "forwarder.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(SECONDS)

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(SECONDS)

    def receipts(self) -> int:
        """Give how many receipts it says there are once every session is over and nothing is under way; 0 before."""
        idle = re.fullmatch(
            r"sessions 0  readings 0  reports 0  receipts (\d+)  refused \d+", self.tail().splitlines()[-1]
        )
        return int(idle[1]) if idle else 0

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]
