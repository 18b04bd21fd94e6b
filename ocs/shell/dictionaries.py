"""Read the dictionary files: those the server comes with, then those the user names."""

from collections.abc import Sequence
from pathlib import Path

from ocs.diameter.dictionary import Dictionary
from ocs.errors import BadConfiguration


def load(extra: Sequence[Path] = ()) -> Dictionary:
    """Read the shipped dictionaries and further files.

    Args:
        extra: files of the user, read last; a folder stands for the `*.dia` files in it.

    Raises:
        BadConfiguration: a file cannot be read, or says something wrong; names file, line and what to mend.
    """
    paths = sorted(shipped().glob("*.dia"))
    for path in extra:
        if not path.exists():
            raise BadConfiguration(f"gy.dictionaries: {path} is not there; mend the path, or take it out")
        paths += sorted(path.glob("*.dia")) if path.is_dir() else [path]
    return Dictionary.parse({str(path): _read(path) for path in paths})


def shipped() -> Path:
    """Find the folder the server comes with: inside the installed package, or beside it in a source checkout.

    Raises:
        BadConfiguration: it is in neither place; the installation is damaged.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "dictionaries", package.parent / "dictionaries"):
        if (folder / "rfc6733.dia").is_file():
            return folder
    raise BadConfiguration(f"no dictionaries below {package} or {package.parent}; install the package again")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadConfiguration(f"{path}: cannot be read ({error.strerror}); mend the path or its permissions") from None
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{path}: octet {error.start} is not UTF-8; save the file as UTF-8") from None
