"""``python -m local.cli`` is the command where its script is not installed."""

import sys

from local.cli import main

sys.exit(main())
