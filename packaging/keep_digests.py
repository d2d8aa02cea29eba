"""Keep the digests of what is deployed, for functions that see a part of it: ``keep_digests.py FOLDER LAYER``."""

import sys
from pathlib import Path

FOLDER, LAYER = map(Path, sys.argv[1:])
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "layers" / "ballast" / "ballast" / "playbook"))

from file_digests import keep, of_platform, of_project  # noqa: E402  alone: the layer's native code is another machine's

if (LAYER / "ballast").is_dir():
    keep(of_platform(ROOT), LAYER / "ballast")
for agent in (found for kind in ("agent.yaml", "*/agent.yaml") for found in LAYER.glob(kind)):
    keep(of_project(FOLDER), agent.parent)
