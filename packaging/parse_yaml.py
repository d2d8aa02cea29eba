"""Parse the YAML files of a built layer, so that no function has to: ``parse_yaml.py WHEEL LAYER``.

WHEEL has PyYAML, whose Python part runs on any machine. The same sources give the same bytes.
"""

import sys
from pathlib import Path

WHEEL, LAYER = sys.argv[1:]
BALLAST = Path(__file__).resolve().parents[1] / "layers" / "ballast" / "ballast"
sys.path[:0] = [WHEEL, str(BALLAST)]

from yaml_files import as_built, parsed_path  # noqa: E402  alone: the layer's native code may be another machine's

#: Files of a playbook, in whatever folder it is, and the platform's cards.
_OF_A_PLAYBOOK = ("agent.yaml", "agents/*.yaml", "models.yaml")
KINDS = (*_OF_A_PLAYBOOK, *(f"*/{kind}" for kind in _OF_A_PLAYBOOK), "ballast/models/vendors/*.yaml")

for file in sorted(found for kind in KINDS for found in Path(LAYER).glob(kind)):
    try:
        text = as_built(file)
    except ValueError as problem:
        sys.exit(f"{file.relative_to(LAYER)}: {problem}.")
    parsed_path(file).parent.mkdir(exist_ok=True)
    parsed_path(file).write_text(text, encoding="utf-8")
