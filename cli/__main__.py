"""``python -m cli`` is the command where its script is not installed."""

import sys

from cli import main

sys.exit(main())
