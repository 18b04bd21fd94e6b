"""Read a job on standard input, run it, and write its result on standard output."""

import json
import sys
from dataclasses import asdict

from simulator.load.generator import Load
from simulator.load.job import Job


def main() -> None:
    result = Load(Job.from_json(sys.stdin.read())).run()
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
