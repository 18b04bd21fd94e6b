"""`ocs-sim`, and `python -m simulator`: the command line, or what is missing for it."""

import sys


def main() -> None:
    """Run the command line; scapy, which it is built on, comes with an extra of its own."""
    try:
        from simulator import cli
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("scapy"):
            raise
        sys.exit("ocs-sim: scapy is not installed; pip install 'session-purchaser[simulator]'")
    cli.main()


if __name__ == "__main__":
    main()
