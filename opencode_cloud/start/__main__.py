"""``python -m opencode_cloud.start``, which is what ``./start`` runs."""

import sys

from opencode_cloud.start.command import main

sys.exit(main(sys.argv[1:]))
