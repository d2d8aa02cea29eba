"""Cold import of each function in a fresh process, against a bare boto3 client.

    python -m bench.cold_import [--runs N]

Prints, for each handler, the median milliseconds of a whole process that imports it and nothing
else, and the ratio to a process that imports boto3 and makes one client: what the simplest
handler costs. Runs alternate, so that a change of the machine's speed hits both.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BARE = 'import boto3; boto3.Session(region_name="eu-west-1").client("dynamodb")'
#: Importing brings the handler; the first invocation then makes its client, as the bare one does.
READY = '; import boto3; boto3.Session(region_name="eu-west-1").client("dynamodb")'


def handlers() -> dict[str, str]:
    """Return handler module by logical id, from the template."""

    class Loader(yaml.SafeLoader):
        """Reads CloudFormation's tags as plain values."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    template = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), Loader)  # noqa: S506
    return {
        name: resource["Properties"]["Handler"].rsplit(".", 1)[0]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def process_ms(code: str) -> float:
    """Return the wall milliseconds of a fresh process that runs ``code``."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "ballast")])
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environ, cwd=ROOT)  # noqa: S603
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each (default 7)")
    runs = parser.parse_args().runs
    empty = statistics.median(process_ms("pass") for _ in range(runs + 1))
    print(f"An empty process: {empty:.0f} ms. Whole processes, median of {runs}, after one that is not counted.")
    print(f"{'function':<28}{'import':>10}{'+ client':>10}{'bare boto3':>12}{'ratio':>8}")
    for name, module in handlers().items():
        only, ready, bare = f"import {module}", f"import {module}{READY}", BARE
        for code in (only, ready, bare):
            process_ms(code)
        rounds = [(process_ms(only), process_ms(ready), process_ms(bare)) for _ in range(runs)]
        a, b, c = (statistics.median(values) for values in zip(*rounds, strict=True))
        ratio = statistics.median(r[1] / r[2] for r in rounds)
        print(f"{name:<28}{a:>8.0f}ms{b:>8.0f}ms{c:>10.0f}ms{ratio:>7.2f}x")


if __name__ == "__main__":
    main()
