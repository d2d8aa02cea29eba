"""Cold import of each function in a fresh process, against a bare boto3 client.

    python -m bench.cold_import [--runs N]

Prints, for each handler, the median milliseconds of a whole process that imports it and nothing
else, and the ratio to a process that imports boto3 and makes one client, as the simplest
handler does. Runs alternate, so that a change of the machine's speed affects both.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import NotMeasured, require

ROOT = Path(__file__).resolve().parents[1]
BARE = 'import boto3; boto3.Session(region_name="eu-west-1").client("dynamodb")'
#: The import loads the handler; the first invocation then makes its client, as the bare process does.
READY = '; import boto3; boto3.Session(region_name="eu-west-1").client("dynamodb")'


def handlers() -> dict[str, str]:
    """Return handler module by logical id, from the template."""

    class Loader(yaml.SafeLoader):
        """A YAML loader that reads CloudFormation's tags as plain values."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    template = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), Loader)  # noqa: S506
    return {
        name: resource["Properties"]["Handler"].rsplit(".", 1)[0]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def process_ms(code: str) -> float:
    """Return the wall milliseconds of a fresh process that runs ``code``. Raises ``NotMeasured`` if it fails."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])
    started = time.perf_counter()
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, check=False, env=environ, cwd=ROOT, capture_output=True, text=True)  # noqa: S603
    ms = (time.perf_counter() - started) * 1000
    last = ended.stderr.strip().rpartition("\n")[2]
    require(ended.returncode == 0, f"A process that runs `{code}` ended with {ended.returncode}: {last}")
    return ms


@dataclass(frozen=True)
class Figures:
    """Median milliseconds of processes that import a handler, import it and make a client, or only make a client."""

    import_ms: float
    ready_ms: float
    bare_ms: float
    ratio: float

    def row(self, name: str) -> str:
        """Return the table's line."""
        columns = f"{self.import_ms:>8.0f}ms{self.ready_ms:>8.0f}ms{self.bare_ms:>10.0f}ms{self.ratio:>7.2f}x"
        return f"{name:<28}{columns}"


def measure(module: str, runs: int) -> Figures:
    """Measure one handler's module ``runs`` times, after one warm-up."""
    require(runs > 0, f"{runs} runs measure nothing.")
    codes = f"import {module}", f"import {module}{READY}", BARE
    _, *rounds = [[process_ms(code) for code in codes] for _ in range(runs + 1)]
    only, ready, bare = (statistics.median(times) for times in zip(*rounds, strict=True))
    return Figures(only, ready, bare, statistics.median(times[1] / times[2] for times in rounds))


def table(modules: Mapping[str, str], runs: int) -> Iterator[str]:
    """Yield the table, each line when it is measured."""
    empty = statistics.median(process_ms("pass") for _ in range(runs + 1))
    yield f"An empty process: {empty:.0f} ms. Whole processes, median of {runs}, after one that is not counted."
    yield f"{'function':<28}{'import':>10}{'+ client':>10}{'bare boto3':>12}{'ratio':>8}"
    for name, module in modules.items():
        yield measure(module, runs).row(name)


def main() -> int:
    """Measure and print the table; return 1 if a process fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each (default 7)")
    try:
        for line in table(handlers(), parser.parse_args().runs):
            print(line, flush=True)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
