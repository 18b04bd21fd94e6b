"""`python -m ocs` is `ocs`."""

import sys

from ocs.shell.cli.app import main

sys.exit(main())
