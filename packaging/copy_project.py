"""Copy what a project's layer gets: ``copy_project.py PROJECT LAYER``. A certificate covers the same files."""

import sys
from pathlib import Path

PROJECT, LAYER = map(Path, sys.argv[1:])
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "ballast" / "ballast" / "playbook"))

from file_digests import copy  # noqa: E402  alone: the layer's native code is another machine's

copy(PROJECT, LAYER)
