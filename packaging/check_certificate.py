"""Leave a certificate out of a layer whose project is not the one that was tried.

::

    check_certificate.py PROJECT LAYER

A layer has no scenarios and no business.yaml, so Admit cannot compare them. Here they are.
"""

import json
import sys
from pathlib import Path

PROJECT, LAYER = map(Path, sys.argv[1:])
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "ballast" / "ballast" / "playbook"))

# Alone: the layer's native code is another machine's.
from file_digests import CERTIFICATE, changed, of_trials  # noqa: E402
from samconfig import named_templates  # noqa: E402

for file in (found for kind in (CERTIFICATE, f"*/{CERTIFICATE}") for found in LAYER.glob(kind)):
    try:
        tried_with = dict(json.loads(file.read_bytes())["tried_with"])
    except (ValueError, KeyError, TypeError):
        continue  # Admit says what is wrong with it
    try:
        templates = [one.file for one in named_templates(PROJECT)]
    except (OSError, ValueError):
        templates = []  # sam itself has read the file
    if what := changed(tried_with, of_trials(PROJECT, file.parent.name, templates)):
        file.unlink()
        said = f"{file.relative_to(LAYER)}: left out, since it was made with other files of the project: {what}."
        sys.stderr.write(f"{said} Run `ballast certify`.\n")
