"""Install the other stacks, Debian's packages, where they are missing.  `make interop` begins with it.

With the word freediameter it is that stack alone, for `make bench`.  As root, or through sudo where that asks for no
password; else it says what to install, and ends with 1.
"""

import os
import shutil
import subprocess
import sys

FREE_DIAMETER = ("freediameter-extensions", "freediameterd", "gcc", "libc6-dev", "libfreediameter-dev")
PACKAGES = (*FREE_DIAMETER, "erlang-dev", "erlang-diameter", "tshark")


def missing(packages: tuple[str, ...]) -> list[str]:
    """Give those of `packages` that are not installed; all where there is no dpkg to ask."""
    if shutil.which("dpkg-query") is None:
        return list(packages)
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {
        name for state, _, name in (line.partition(" ") for line in done.stdout.splitlines()) if state == "installed"
    }
    return [name for name in packages if name not in installed]


def main() -> int:
    packages = FREE_DIAMETER if sys.argv[1:] == ["freediameter"] else PACKAGES
    wanted = missing(packages)
    if not wanted:
        return 0
    words = " ".join(wanted)
    if shutil.which("apt-get") is None:
        print(f"this needs a Debian with these packages: {words}")
        return 1
    sudo: list[str] = []
    if os.geteuid() != 0:
        sudo = ["sudo", "--non-interactive"]
        if shutil.which("sudo") is None or subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode:
            print(f"this needs packages that only root may install: apt-get install {words}")
            return 1
    print(f"installing {words}")
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *wanted]):
        done = subprocess.run(
            [*sudo, *quiet, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"apt-get {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
            return 1
    if left := missing(packages):
        print(f"still missing after apt-get install: {' '.join(left)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
