"""Deploy what ``sam build`` makes into ministack, an emulator of AWS, and play a run through each front door there.

    python -m bench.ministack [--required]

``sam deploy`` sends the unmodified build; beside Lambda's native code lies this machine's, since the emulator runs
functions here. What it lacks of AWS is in ``bench/ministack_seams.py``. Where ministack or the SAM CLI cannot be had,
nothing is tested, which is said; with ``--required`` that is a failure. It takes about two minutes on a quiet machine,
says on standard error where it is, ends where a step takes longer than it may, and stops what it started.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ballast.contracts import RunRequest
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, said
from tests.artifacts.build import ROOT, Build, BuildFailed, Tools, Unavailable, find_python
from tests.artifacts.cache import Cache, cache_root

REGION, STACK = "eu-west-1", "ballast"
REQUIREMENTS = ROOT / "requirements" / "ministack.txt"
SEAMS = ROOT / "bench" / "ministack_seams.py"
#: How long each step may take, in seconds: twenty times what it takes on a quiet machine, or what a download may.
_INSTALL_S, _BUILD_S, _START_S, _DEPLOY_S, _RUN_S = 600, 900, 120, 900, 180
_PIP = ("-m", "pip", "install", "--quiet", "--requirement")


def answers(request: Mapping[str, Any], _: str) -> Reply:
    """Answer at once."""
    return said([{"text": "Your order is on its way."}], "end_turn", request)


@contextmanager
def step(what: str, within_s: float) -> Iterator[None]:
    """Say what begins and what it took, on standard error. Raises ``TimeoutError`` where it takes longer than it may.

    In the main thread; a command that runs in it is killed.
    """

    def late(*_: Any) -> None:
        raise TimeoutError(f"{what}: not done within {within_s:.0f} s")

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, within_s)
    sys.stderr.write(f"{what} … (at most {within_s:.0f} s)\n")
    sys.stderr.flush()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    sys.stderr.write(f"{what}: {time.monotonic() - began:.1f} s\n")
    sys.stderr.flush()


def python_with_ministack(cache: Cache) -> Path:
    """Return a Python of Lambda's version with ministack. Raises ``Unavailable``."""
    base, pins = find_python(), REQUIREMENTS.read_text(encoding="utf-8")

    def make(folder: Path) -> None:
        for command in ([base, "-m", "venv", folder], [folder / "bin" / "python", *_PIP, REQUIREMENTS]):
            words = [str(word) for word in command]
            done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - ours
            if done.returncode != 0:
                raise Unavailable(f"{REQUIREMENTS.name} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")

    key = hashlib.sha256(f"{base} {pins}".encode()).hexdigest()[:32]
    return cache.entry("ministack", key, make) / "bin" / "python"


@contextmanager
def emulator(python: Path, folder: Path) -> Iterator[str]:
    """Run ministack within the block; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**os.environ, "GATEWAY_PORT": str(port), "EDGE_PORT": str(port), "MINISTACK_REGION": REGION}
    environ |= {"STATE_DIR": str(folder / "state"), "MINISTACK_HOST": "localhost"}
    with (folder / "ministack.log").open("w") as log:
        command = [str(python), "-P", str(SEAMS)]
        server = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - ours
        try:
            with step("start ministack", _START_S):
                _eventually(lambda: _answers(port), _START_S, "ministack did not start")
            yield f"http://localhost:{port}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        asked.settimeout(1)
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _eventually(found: Callable[[], Any], within_s: float, otherwise: str) -> Any:
    until = time.monotonic() + within_s
    while not (value := found()):
        if time.monotonic() > until:
            raise TimeoutError(f"{otherwise} within {within_s:.0f} s")
        time.sleep(0.5)
    return value


def deploy(tools: Tools, build: Build, folder: Path, url: str, model_url: str) -> None:
    """Send the build to the emulator as ``sam deploy`` sends it to AWS."""
    shutil.copytree(build.template.parent, folder / ".aws-sam" / "build")
    shutil.copytree(ROOT / "statemachine", folder / "statemachine")
    for artifact in build.functions.values():  # this machine's native code, beside Lambda's
        for native in artifact.opt.rglob("*.so"):
            for layer in artifact.layers:
                beside = folder / ".aws-sam" / "build" / layer.name / native.relative_to(artifact.opt)
                if beside.parent.is_dir() and not beside.exists():
                    shutil.copyfile(native, beside)
    words = ["deploy", "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--region", REGION]
    words += ["--template-file", ".aws-sam/build/template.yaml", "--no-confirm-changeset", "--no-progressbar"]
    words += ["--parameter-overrides", f"Stage=dev ModelEndpointUrl={model_url} IamOperatorPattern=."]
    done = tools.sam(words, folder, env=credentials(url), capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"sam deploy ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def credentials(url: str) -> dict[str, str]:
    """Return the environment of whoever asks the emulator."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # pragma: allowlist secret
    return keys | {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}


class Deployed:
    """The stack in the emulator, and its front doors."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = boto3.Session("test", "test", region_name=REGION)
        stacks = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        self.status: str = stacks[0]["StackStatus"]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks[0]["Outputs"]}

    def client(self, service: str) -> Any:
        """Return a client of the emulator's."""
        session: Any = self._session
        return session.client(service, endpoint_url=self._url)

    def by_function(self, request_id: str) -> None:
        """Ask StartFunction."""
        sent = {"request_id": request_id, "text": "Where is my order?"}
        name = self.outputs["StartFunctionName"]
        done = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(sent).encode())
        body = done["Payload"].read().decode()
        if "FunctionError" in done:
            raise RuntimeError(f"{name}: {body}")

    def by_message(self, request_id: str) -> None:
        """Send a message to the queue."""
        body = json.dumps({"request_id": request_id, "text": "Where is my order?"})
        self.client("sqs").send_message(QueueUrl=self.outputs["RunRequestQueueUrl"], MessageBody=body)

    def by_event(self, request_id: str) -> None:
        """Put an event on the default bus."""
        detail = json.dumps({"request_id": request_id, "text": "Where is my order?", "stack": STACK})
        entry = {"Source": "ballast", "DetailType": "Run Requested", "Detail": detail}
        self.client("events").put_events(Entries=[entry])

    def over_http(self, request_id: str) -> None:
        """Send a signed request to the HTTP API."""
        api = self.outputs["ApiUrl"].removeprefix("https://").split(".")[0]
        address = f"{self._url}/_aws/execute-api/{api}/$default/runs"
        body = json.dumps({"text": "Where is my order?"}).encode()
        headers = {"content-type": "application/json", "idempotency-key": request_id}
        request = AWSRequest("POST", address, headers, body)
        SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
        sent = urllib.request.Request(address, body, dict(request.headers.items()))  # noqa: S310 - the emulator's
        try:
            with urllib.request.urlopen(sent, timeout=60) as reply:  # noqa: S310
                status = reply.status
        except urllib.error.HTTPError as problem:
            raise RuntimeError(f"POST /runs: {problem.code} {problem.read().decode()[:500]}") from None
        if status not in (200, 202):
            raise RuntimeError(f"POST /runs: {status}")

    def ending(self, request_id: str) -> dict[str, Any]:
        """Return the output of the request's execution, once it has ended."""
        run_id = RunRequest(request_id=request_id, text="x").run_id
        arn = f"{self.outputs['AgentStateMachineArn'].replace(':stateMachine:', ':execution:')}:{run_id}"
        states = self.client("stepfunctions")

        def ended() -> Any:
            try:
                found = states.describe_execution(executionArn=arn)
            except states.exceptions.ExecutionDoesNotExist:
                return None
            return found if found["status"] != "RUNNING" else None

        found = _eventually(ended, _RUN_S, f"{request_id}: its run did not end")
        if found["status"] != "SUCCEEDED":
            raise RuntimeError(f"{request_id}: {found['status']} {found.get('error')} {found.get('cause')}")
        output: dict[str, Any] = json.loads(found["output"])
        return output


def play(url: str) -> list[str]:
    """Play a run through each front door and return a line for each. Raises where one does not end as it should."""
    stack, lines = Deployed(url), []
    doors = {"function": stack.by_function, "queue": stack.by_message, "event": stack.by_event, "http": stack.over_http}
    for name, knock in doors.items():
        began = time.monotonic()
        with step(f"a run by {name}", _RUN_S):
            knock(f"by-{name}")
            ended = stack.ending(f"by-{name}")
        if (ended.get("status"), ended.get("by")) != ("answered", "agent"):
            raise RuntimeError(f"by {name}: {ended}")
        lines.append(f"{name:<9} answered by the agent, {time.monotonic() - began:.1f} s")
    return [f"{STACK}: {stack.status}", *lines]


def main(argv: Sequence[str]) -> int:
    """Deploy and play; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.ministack", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--required", action="store_true", help="fail where ministack cannot be had")
    typed = parser.parse_args(argv)
    cache = Cache(cache_root(os.environ))
    tools = Tools(cache)
    try:
        with step("look for ministack, or install it", _INSTALL_S):
            python = python_with_ministack(cache)
        with step("look for the SAM CLI, or install it", _INSTALL_S):
            _ = tools.python
        with step("sam build", _BUILD_S):
            build = tools.build()
    except Unavailable as problem:
        sys.stderr.write(f"NO MINISTACK: {problem} The deployment was NOT tested.\n")
        return 1 if typed.required else 0
    except (BuildFailed, TimeoutError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    with tempfile.TemporaryDirectory() as made, ConverseServer(CallableModel(answers)) as model:
        folder = Path(made)
        try:
            with emulator(python, folder) as url:
                with step("sam deploy", _DEPLOY_S):
                    deploy(tools, build, folder, url, model.url)
                print(*play(url), sep="\n")
        except (RuntimeError, TimeoutError) as problem:
            sys.stderr.write(f"{problem}\n{(folder / 'ministack.log').read_text()[-3000:]}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
