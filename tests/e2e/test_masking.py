"""With ``policy: mask``, sensitive values are gone for good, also for the model."""

import json
import shutil
from pathlib import Path

from ballast.contracts import RunRequest
from ballast.masking import MASK
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, said, turns_taken
from tests.e2e.test_sensitive import PIN, TAX_NUMBER, VAULT, call, tables


def test_masked_for_good_the_model_does_not_see_it_either(tmp_path: Path) -> None:
    folder = shutil.copytree(VAULT, tmp_path / "masking_vault", ignore=shutil.ignore_patterns("__pycache__"))
    tools = folder / "tools" / "vault.py"
    tools.write_text(tools.read_text().replace("card_number: Annotated[str, Sensitive]", "card_number: str"))
    agent = folder / "agent.yaml"
    agent.write_text(agent.read_text().replace("policy: encrypt", "policy: mask"))
    model = CallableModel(
        lambda request, _: (
            said([call("look_into", name="Ann")], "tool_use", request)
            if turns_taken(request) == 0
            else said([{"text": "Done."}], "end_turn", request)
        )
    )
    request = RunRequest(request_id="masked", text="Look.", context={"tax_number": TAX_NUMBER})

    with ConverseServer(model) as double, LocalCloud(folder, double.url, enforce_iam=True) as cloud:
        cloud.start(request)
        execution = cloud.wait(request.run_id, 600)
        assert execution.output["status"] == "answered", execution
        kept = "".join(tables(cloud).values())

    sent = json.dumps(model.requests)
    assert MASK in sent
    assert PIN not in sent + kept
    assert TAX_NUMBER not in sent + kept
