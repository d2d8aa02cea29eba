"""The schema of Ballast's own tool, as the model reads it."""

import json

from ballast.playbook.first_prompt import ASK_REQUESTER_SPEC, Question


def test_the_model_reads_no_docstring_of_ours() -> None:
    spec = ASK_REQUESTER_SPEC["toolSpec"]

    assert Question.__doc__
    assert Question.__doc__ not in json.dumps(spec)
    assert "description" not in spec["inputSchema"]["json"]
    assert spec["inputSchema"]["json"]["required"] == ["question"]
    assert spec["description"].startswith("Ask the person who sent the request one question")
