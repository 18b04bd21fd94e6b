"""Write the Python code of the .proto files beside this one into ocs/wire_pb, or into the folder that is named.

Run it as `make proto`; a test holds what is committed against what this writes.
"""

import re
import sys
from pathlib import Path

from grpc_tools import protoc

SOURCES = Path(__file__).parent
TARGET = SOURCES.parent / "ocs" / "wire_pb"
PACKAGE = "ocs.wire_pb"


def generate(target: Path) -> None:
    """Write the modules of all messages and services, and the types of the messages.

    protoc takes its sources for top-level modules; their imports of each other are pointed at our package.
    """
    names = sorted(path.name for path in SOURCES.glob("*.proto"))
    options = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", f"-I{SOURCES}", *options, *names]) != 0:
        raise SystemExit("protoc refused the sources")
    for path in target.glob("*_pb2*.py*"):
        text = path.read_text("utf-8")
        text = re.sub(r"^import (\w+_pb2) as", rf"from {PACKAGE} import \1 as", text, flags=re.MULTILINE)
        path.write_text(text, "utf-8")
        if path.name.endswith("_pb2_grpc.py") and "class " not in text:
            path.unlink()  # a file without services


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
