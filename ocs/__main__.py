"""`python -m ocs` is `ocs`."""

import sys

from ocs.shell.cli import main

sys.exit(main())
