"""The page's commands erase one run of a person and nothing of another one; a small stand-in answers for AWS."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from localcloud.cloud import ROOT

PAGE = (ROOT / "docs" / "playbook.md").read_text()

AWS = """#!{python}
import json, sys
import jmespath

state = json.load(open("state.json"))
service, command, *words = sys.argv[1:]
given = dict(zip(words[::2], words[1::2], strict=True))


def fits(item):
    text = given.get("--filter-expression") or given.get("--key-condition-expression") or ""
    values = {{name: one["S"] for name, one in json.loads(given.get("--expression-attribute-values", "{{}}")).items()}}
    for name, operator, value in (clause.split() for clause in text.split(" AND ") if clause):
        known = item.get(name)
        if (known is None) or (known == values[value]) != (operator == "="):
            return False
    return True


def answer():
    if command == "describe-stacks":
        outputs = [{{"OutputKey": name, "OutputValue": one}} for name, one in state["outputs"].items()]
        return {{"Stacks": [{{"Outputs": outputs}}]}}
    if command in ("scan", "query"):
        found = [item for item in state[given["--table-name"]] if fits(item)]
        return {{"Items": [{{name: {{"S": one}} for name, one in item.items()}} for item in found]}}
    if command == "list-object-versions":
        kinds = ("Versions", "DeleteMarkers")
        return {{k: [one for one in state[k] if one["Key"].startswith(given["--prefix"])] for k in kinds}}
    if command == "delete-object":
        for kind in ("Versions", "DeleteMarkers"):
            gone = {{"Key": given["--key"], "VersionId": given["--version-id"]}}
            state[kind] = [one for one in state[kind] if one != gone]
    elif command == "delete-item":
        key = {{name: one["S"] for name, one in json.loads(given["--key"]).items()}}
        rows = state[given["--table-name"]]
        state[given["--table-name"]] = [one for one in rows if not key.items() <= one.items()]
        state["order"].append(key)
    else:
        sys.exit(f"unknown: {{command}}")
    json.dump(state, open("state.json", "w"))


made = answer()
if "--query" in given:
    found = jmespath.search(given["--query"], made)
    if given["--output"] == "json":
        print(json.dumps(found))
    elif isinstance(found, list) and found and isinstance(found[0], list):
        print(*("\\t".join(one) for one in found), sep="\\n")
    else:
        print("\\t".join(found or []) if isinstance(found, list) else found)
"""
BALLAST = """#!/bin/sh
grep -h "" "log-$4.txt" 2>/dev/null || true
"""


def test_the_pages_commands_erase_one_run_and_nothing_else(tmp_path: Path) -> None:
    blocks = [textwrap.dedent(one) for one in re.findall(r"^ *```bash\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)]
    version = {"VersionId": "v1"}
    state: dict[str, Any] = {
        "outputs": {"RunLogTableName": "log", "PayloadBucketName": "bucket", "EscalationsTableName": "escalations"},
        "log": [
            {"run_id": "run-a", "seq": "0000.run.opened"},
            {"run_id": "run-a", "seq": "0001.model.1", "payload": "payloads/own"},
            {"run_id": "run-a", "seq": "0002.model.1", "payload": "payloads/shared"},
            {"run_id": "run-b", "seq": "0000.run.opened", "payload": "payloads/shared"},
        ],
        "escalations": [
            {"escalation_id": "e-1", "run_id": "run-a"},
            {"escalation_id": "e-2", "run_id": "run-b"},
        ],
        "Versions": [
            *({"Key": "payloads/own"} | version, {"Key": "payloads/own", "VersionId": "v2"}),
            *({"Key": "payloads/shared"} | version, {"Key": "attachments/acme/run-a/x"} | version),
            {"Key": "attachments/acme/run-b/x"} | version,
        ],
        "DeleteMarkers": [{"Key": "payloads/own", "VersionId": "m1"}],
        "order": [],
    }
    (tmp_path / "state.json").write_text(json.dumps(state))
    (tmp_path / "log-run-a.txt").write_text('{"text": "C-1001 moved"}')
    (tmp_path / "log-run-b.txt").write_text('{"text": "C-1002 moved"}')
    for name, text in (("aws", AWS.format(python=sys.executable)), ("ballast", BALLAST)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    script = "\n".join(blocks).replace("RUN=run-…", "RUN=run-a").replace("TENANT=default", "TENANT=acme")

    ended = subprocess.run(
        ["/bin/bash", "-uc", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    left = json.loads((tmp_path / "state.json").read_text())
    assert ended.stdout.splitlines() == ["run-a", "kept for another run: payloads/shared"], ended.stderr
    assert [one["run_id"] for one in left["log"]] == ["run-b"]
    assert left["escalations"] == [{"escalation_id": "e-2", "run_id": "run-b"}]
    assert [one["Key"] for one in left["Versions"]] == ["payloads/shared", "attachments/acme/run-b/x"]
    assert left["DeleteMarkers"] == []
    assert left["order"][-1] == {"run_id": "run-a", "seq": "0000.run.opened"}
