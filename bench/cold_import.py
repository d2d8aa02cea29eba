"""Cold start of each built function, in a fresh Python 3.13: import, objects and clients, up to its first event.

    python -m bench.cold_import [--runs N] [--only NAME ...] [--remote]

Builds as ``make artifacts`` does, then starts each function in processes that have its artifact, its layers, boto3 and
the standard library. Prints CPU milliseconds of whole processes, and three ratios. Each figure is the least of the
rounds: other processes of a busy machine only add to it, since they share its caches. A function above the limit is
measured once more, alone and in three times as many rounds; the later figures are printed and count.

    gain     against the same artifact without bytecode
    boto3    against a process that imports boto3 and makes one client
    plain    against a plain handler: it imports the whole of Powertools' parser and tracer and boto3, and makes one
             client. It brings its packages, boto3 too as AWS advises, without bytecode as SAM's own builder leaves them

and the peak of resident memory. With ``--remote``, the executor alone: as it is built, with a playbook that declares
three tools of a server, and after it has imported what the first call of each kind of server needs. ``MB`` is the size
of its code and layers, unpacked. Ends with 1 if a function's ``plain`` is above the limit.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jsonschema_rs

from ballast.playbook.load import playbook_in
from bench import NotMeasured, require
from tests.artifacts.build import Artifact, Build, BuildFailed, Tools, Unavailable
from tests.artifacts.cache import Cache, cache_root
from tests.support.remote_desk import KEY, declare, desk_server, tools

#: So many functions are compared with one process of each kind.
_AT_ONCE = 5
#: A function above the limit is measured again in so many times the rounds.
_MORE = 3
#: Of ``plain``, the most that a function may have.
LIMIT = 0.40
BARE = 'import boto3; boto3.client("dynamodb")'
PLAIN = """
import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.parser import BaseModel, envelopes, event_parser, models

logger, metrics, tracer = Logger(), Metrics(namespace="plain"), Tracer()
dynamodb = boto3.client("dynamodb")


class Order(BaseModel):
    order_id: str


@tracer.capture_lambda_handler
@event_parser(model=Order, envelope=envelopes.SqsEnvelope)
def lambda_handler(event, context):
    return {}
"""
#: Printed last: what the process has used since it began.
_USED = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print((used.ru_utime + used.ru_stime) * 1000, int(peak) / 1024)
"""


@dataclass(frozen=True)
class Used:
    """CPU milliseconds of a whole process, and its peak of resident memory in megabytes."""

    cpu_ms: float
    peak_mb: float


@dataclass(frozen=True)
class Start:
    """A process to measure.

    path     of modules, beside the standard library
    code     what it does
    environ  its environment variables
    """

    path: Sequence[Path]
    code: str
    environ: Mapping[str, str]

    def play(self) -> Used:
        """Return what it has used when its code ends. Raises ``NotMeasured`` if it fails."""
        python, *path = self.path
        code = f"import sys; sys.path[:0] = {[str(one) for one in path]!r}\n{self.code}\n{_USED}"
        command = [str(python), "-I", "-S", "-B", "-c", code]
        ended = subprocess.run(command, check=False, env=self.environ, capture_output=True, text=True)  # noqa: S603
        last = ended.stderr.strip().rpartition("\n")[2]
        require(
            ended.returncode == 0, f"A process that runs `{self.code.strip()}` ended with {ended.returncode}: {last}"
        )
        *printed, figures = ended.stdout.splitlines()
        require(not printed, f"A process that runs `{self.code}` printed: {' '.join(printed)}")
        return Used(*map(float, figures.split()))


@dataclass(frozen=True)
class Figures:
    """Of one function's processes: the least CPU milliseconds, its ratios to the least of others, and megabytes."""

    built_ms: float
    gain: float
    boto3: float
    plain: float
    peak_mb: float

    def row(self, name: str) -> str:
        """Return the table's line."""
        ratios = "".join(f"{ratio:>8.2f}" for ratio in (self.gain, self.boto3, self.plain))
        return f"{name:<26}{self.built_ms:>8.0f}{ratios}{self.peak_mb:>9.0f}"


class ColdStarts:
    """The processes that are compared. ``folder`` is for what is made for them."""

    def __init__(self, build: Build, plain: Path, folder: Path) -> None:
        self._build, self._folder = build, folder
        self._stripped: dict[Path, Path] = {}
        (folder / "plain.py").write_text(PLAIN, encoding="utf-8")
        # What it brings comes before the runtime's boto3.
        self.plain = self._start([folder, plain], "import plain", {"POWERTOOLS_SERVICE_NAME": "plain"})
        self.bare = self._start([], BARE, {})

    def built(self, artifact: Artifact) -> Start:
        """Return the start of a function as it is built."""
        return self._of(artifact, artifact.code, artifact.opt)

    def without_bytecode(self, artifact: Artifact) -> Start:
        """Return the start of a function as SAM's own builder would leave it."""
        return self._of(artifact, self._without(artifact.code), self._without(artifact.opt))

    def _of(self, artifact: Artifact, code: Path, opt: Path) -> Start:
        fixed = {name: path.replace("/opt", str(opt), 1) for name, path in artifact.fixed.items()}
        module = artifact.handler.rpartition(".")[0]
        environ = {
            **artifact.others,
            **fixed,
            **{name: "{}" for name in ("BREAKER_ALARMS", "TOOLS_ENVIRONMENT") if name in artifact.others},
            "_HANDLER": artifact.handler,
        }
        return self._start([code, opt / "python"], f"import {module}", environ)

    def _start(self, path: Sequence[Path], code: str, environ: Mapping[str, str]) -> Start:
        lambdas = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_REGION": "eu-west-1",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_FUNCTION_NAME": "measured",
            "HOME": str(self._folder),
        }
        return Start([self._build.python, *path, self._build.runtime], code, {**environ, **lambdas})

    def _without(self, folder: Path) -> Path:
        if folder not in self._stripped:
            copy = self._folder / str(len(self._stripped))
            self._stripped[folder] = Path(shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__")))
        return self._stripped[folder]


def measure(starts: ColdStarts, artifacts: Mapping[str, Artifact], runs: int) -> dict[str, Figures]:
    """Measure the functions in ``runs`` rounds, after one that is not counted. Raises ``NotMeasured``.

    Each round plays the compared processes anew, so that a change of the machine's speed affects all of them.
    """
    require(runs > 0, f"{runs} runs measure nothing.")
    others = (starts.bare, starts.plain)
    rounds: dict[str, list[tuple[float, ...]]] = {name: [] for name in artifacts}
    for _ in range(runs + 1):
        compared = [other.play().cpu_ms for other in others]
        for name, artifact in artifacts.items():
            built, compiling = starts.built(artifact).play(), starts.without_bytecode(artifact).play()
            rounds[name].append((built.cpu_ms, compiling.cpu_ms, *compared, built.peak_mb))
    return {name: _figures(*map(min, zip(*played[1:], strict=True))) for name, played in rounds.items()}


def _figures(built_ms: float, compiling_ms: float, bare_ms: float, plain_ms: float, peak_mb: float) -> Figures:
    return Figures(built_ms, built_ms / compiling_ms, built_ms / bare_ms, built_ms / plain_ms, peak_mb)


def table(starts: ColdStarts, artifacts: Mapping[str, Artifact], runs: int) -> Iterator[str]:
    """Yield the table. Raises ``NotMeasured`` at its end if a function is above its limit."""
    yield f"{'function':<26}{'CPU ms':>8}{'gain':>8}{'boto3':>8}{'plain':>8}{'peak MB':>9}"
    slow = []
    names = list(artifacts)
    for some in (names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)):
        for name, first in measure(starts, {name: artifacts[name] for name in some}, runs).items():
            again = first.plain > LIMIT
            figures = measure(starts, {name: artifacts[name]}, _MORE * runs)[name] if again else first
            yield figures.row(name)
            if figures.plain > LIMIT:
                slow.append(f"{name} {figures.plain:.2f}")
    require(not slow, f"Above the limit of {LIMIT:.2f}: {', '.join(slow)}.")


def remote(starts: ColdStarts, artifact: Artifact, runs: int, folder: Path) -> Iterator[str]:
    """Yield the table of the executor without and with tools from elsewhere. Raises ``NotMeasured``."""
    plain, declared = starts.built(artifact), starts.built(replace(artifact, opt=with_servers(artifact, folder)))
    modules = {"http": "openapi", "mcp": "mcp", "lambda": "invoke"}
    played = {
        "no servers": (plain, artifact.opt),
        "3 declared tools": (declared, Path(declared.path[2]).parent),
        **{
            f"first call, {kind}": (
                Start(declared.path, f"{declared.code}\nimport ballast.playbook.servers.{module}", declared.environ),
                Path(declared.path[2]).parent,
            )
            for kind, module in modules.items()
        },
    }
    rounds: dict[str, list[Used]] = {name: [] for name in played}
    for _ in range(runs + 1):
        for name, (start, _opt) in played.items():
            rounds[name].append(start.play())
    yield f"{'executor':<26}{'CPU ms':>8}{'peak MB':>9}{'MB':>7}"
    for name, (_, opt) in played.items():
        least = min(used.cpu_ms for used in rounds[name][1:])
        size = sum(one.stat().st_size for one in (*opt.rglob("*"), *artifact.code.rglob("*")) if one.is_file())
        peak = min(used.peak_mb for used in rounds[name][1:])
        yield f"{name:<26}{least:>8.0f}{peak:>9.0f}{size / 1_000_000:>7.1f}"


def with_servers(artifact: Artifact, folder: Path) -> Path:
    """Copy the layers, declare three tools in the playbook, and add the package that checks their arguments."""
    opt = Path(shutil.copytree(artifact.opt, folder / "with-servers"))
    playbook = playbook_in(opt / Path(artifact.fixed["PLAYBOOK_DIR"]).relative_to("/opt"))
    declare(playbook, "desk", desk_server(), tools(KEY))
    for name in ("jsonschema_rs", "jsonschema_rs-*.dist-info"):
        for found in Path(jsonschema_rs.__file__).parents[1].glob(name):
            shutil.copytree(found, opt / "python" / found.name, ignore=shutil.ignore_patterns("__pycache__"))
    return opt


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; return 1 if a process fails or a function is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="counted rounds of each (default 3)")
    parser.add_argument(
        "--only", nargs="+", action="extend", metavar="NAME", help="functions such as AgentFunction; all, if left out"
    )
    parser.add_argument("--remote", action="store_true", help="the executor without and with tools from elsewhere")
    given = parser.parse_args(arguments)
    tools = Tools(Cache(cache_root(os.environ)))
    try:
        build, plain = tools.build(), tools.plain
        artifacts = {name: one for name, one in build.functions.items() if not given.only or name in given.only}
        with tempfile.TemporaryDirectory(prefix="ballast-cold-") as folder:
            starts = ColdStarts(build, plain, Path(folder))
            lines = table(starts, artifacts, given.runs)
            if given.remote:
                lines = remote(starts, build.functions["ExecutorFunction"], given.runs, Path(folder))
            for line in lines:
                print(line, flush=True)
    except (NotMeasured, Unavailable, BuildFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
