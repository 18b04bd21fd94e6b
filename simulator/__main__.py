"""`python -m simulator`: the same as `ocs-sim`."""

from simulator.cli import main

if __name__ == "__main__":
    main()
