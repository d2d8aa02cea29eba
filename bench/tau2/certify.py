"""Certify tau2's desks: a few gold plans of each domain as scenarios, and calls of the tools that no gold plan calls.

::

    gold plans that call every tool ─▶ scenarios ─▶ ballast certify ─▶ findings, attempts, seconds

Each domain becomes a project in a temporary folder. Ends with 0 if every domain is certified, 1 if one is not, 2 where
tau2 is not installed.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from ballast.playbook import Effect, Playbook, load_playbook
from bench.tau2.environments import DOMAINS
from bench.tau2.gold import gold_plans
from cli.certify.report import TO_A_PERSON, Finding, certified, summed_up
from cli.certify.run import certify
from localcloud.scenarios import find, folder_of, names

FOLDER = Path(__file__).resolve().parent
Call = tuple[str, Mapping[str, Any]]

_LINE = {"customer_id": "C1001", "line_id": "L1002"}
#: Calls of what no gold plan calls, in the state of a domain without a task. Order matters: a VPN is connected once.
OTHERS: Mapping[str, Sequence[Call]] = {
    "airline": [
        ("list_all_airports", {}),
        ("get_flight_status", {"flight_number": "HAT001", "date": "2024-05-01"}),
        ("search_onestop_flight", {"origin": "PHL", "destination": "LGA", "date": "2024-05-01"}),
    ],
    "retail": [("list_all_product_types", {})],
    "telecom": [
        ("get_customer_by_id", {"customer_id": "C1001"}),
        ("get_customer_by_phone", {"phone_number": "555-123-2002"}),
        ("get_customer_by_name", {"full_name": "John Smith", "dob": "1985-06-15"}),
        ("get_details_by_id", {"id": "L1002"}),
        ("get_bills_for_customer", {"customer_id": "C1001", "limit": 3}),
        ("get_data_usage", _LINE),
        ("disable_roaming", _LINE),
        ("suspend_line", {**_LINE, "reason": "The phone was lost."}),
        *((f"check_{what}", {}) for what in ("status_bar", "network_status", "network_mode_preference", "sim_status")),
        *((f"check_{what}", {}) for what in ("data_restriction_status", "apn_settings", "wifi_status", "vpn_status")),
        *((f"check_{what}", {}) for what in ("wifi_calling_status", "installed_apps", "payment_request")),
        ("check_app_status", {"app_name": "messaging"}),
        ("check_app_permissions", {"app_name": "messaging"}),
        ("can_send_mms", {}),
        ("run_speed_test", {}),
        ("set_apn_settings", {"apn_settings": {"apn_name": "internet", "reset_at_reboot": True}}),
        ("connect_vpn", {}),
        ("toggle_wifi", {}),
    ],
}


@dataclass(frozen=True)
class Desk:
    """What came of one domain."""

    domain: str
    findings: Sequence[Finding]
    scenarios: int
    attempts: int
    seconds: float
    cpu_seconds: float

    def writes(self, playbook: Playbook) -> Mapping[str, Sequence[str]]:
        """Return the domain's writes: certified, those of them that go to a person in doubt, and the others."""
        every = [name for name, tool in playbook.tools.items() if tool.effect is Effect.WRITE]
        good = [name for name in every if certified(one for one in self.findings if one.of == name)]
        people = {one.of for one in self.findings if one.seen == TO_A_PERSON}
        return {
            "certified": good,
            "to a person": [name for name in good if name in people],
            "not certified": [name for name in every if name not in good],
        }


def scenarios_of(domain: str, tools: set[str]) -> Iterator[tuple[str, Sequence[Call]]]:
    """Yield the id of a task and its gold calls, until every tool was called that gold plans call; then the others."""
    plans = {plan.task_id: [(call.tool, call.arguments) for call in plan.calls] for plan in gold_plans(domain)}
    missing = tools & {name for calls in plans.values() for name, _ in calls}
    while missing:
        task = max(plans, key=lambda one: (len(missing & {name for name, _ in plans[one]}), -len(plans[one])))
        yield task, plans[task]
        missing -= {name for name, _ in plans[task]}
    yield "", OTHERS[domain]


def project_of(domain: str, folder: Path) -> Path:
    """Write the domain's project: its playbook, and its scenarios."""
    project = folder / f"{domain}-project"
    shutil.copytree(FOLDER / domain, project / domain, ignore=shutil.ignore_patterns("__pycache__", "certificate.json"))
    tools = set(load_playbook(FOLDER / domain).tools)
    for number, (task, calls) in enumerate(scenarios_of(domain, tools), start=1):
        text = f"Make the gold calls of task {task or 'none'}."
        request = {"text": text, "context": {"task_id": task} if task else {}}
        expect = {"status": "answered", "by": "agent", "refused": None, "failed": None}  # a gold call may fail
        scenario = {"description": text[:100], "request": request, "expect": expect}
        turns = [{"call": [{"tool": name, "arguments": dict(arguments)}]} for name, arguments in calls]
        for file, content in (("scenario", scenario), ("script", {"turns": [*turns, {"say": "Done."}]})):
            at = project / "scenarios" / f"plan-{number:02d}" / f"{file}.yaml"
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text(json.dumps(content, indent=1))  # JSON is YAML
    return project


def certify_desk(domain: str) -> tuple[Desk, Playbook]:
    """Certify one domain."""
    with tempfile.TemporaryDirectory() as folder:
        project = project_of(domain, Path(folder))
        playbook, scenarios = load_playbook(project), folder_of(project)
        began, began_cpu = perf_counter(), process_time()
        found = certify(
            playbook,
            [find(name, scenarios) for name in names(scenarios)],
            folder=project,
            say=lambda _: None,
        )
        took = perf_counter() - began, process_time() - began_cpu
        return Desk(domain, summed_up(found.findings), len(names(scenarios)), found.attempts, *took), playbook


def main(arguments: Sequence[str] | None = None) -> int:
    """Certify the desks and print a line for each, and each thing that keeps a certificate back."""
    parser = argparse.ArgumentParser(prog="python -m bench.tau2.certify", description=__doc__.partition("\n")[0])
    parser.add_argument("--domain", choices=DOMAINS, action="append")
    parser.add_argument("--verbose", action="store_true", help="also what it relies on, and what was not tried")
    typed = parser.parse_args(arguments)
    all_good = True
    print("domain    scenarios  attempts  CPU s  tools  writes certified  of these, in doubt a person")
    for domain in typed.domain or DOMAINS:
        try:
            desk, playbook = certify_desk(domain)
        except ImportError as problem:
            print(f"{problem}. Run: make tau2", file=sys.stderr)
            return 2
        writes, good = desk.writes(playbook), certified(desk.findings)
        all_good &= good
        total = len(writes["certified"]) + len(writes["not certified"])
        print(
            f"{domain:9} {desk.scenarios:9} {desk.attempts:9} {desk.cpu_seconds:6.0f} {len(playbook.tools):6} "
            f"{len(writes['certified']):10} of {total:2}  {len(writes['to a person']):4}"
        )
        for one in desk.findings:
            if one.state == "broken" or one.needed or (typed.verbose and one.seen):
                print(f"  {one.of}: {one.state} {one.rule}: {one.seen} ({one.scenario})")
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
