"""The command line: every command and option. Imports nothing heavy, so that ``--help`` is quick."""

import argparse
from functools import cache

from cli import help_texts

#: Where ``ballast up`` listens by default.
PORT = 8787
#: What `ballast capture --invariant` takes.
INVARIANTS = ("status", "by", "reason", "degraded", "refused", "failed", "effects", "answer", "grounded", "cost")


@cache  # a process that types many commands, as a test does, makes it once
def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; ``command`` in its result names the subcommand."""
    files_and_codes = f"{help_texts.FILES}\n{help_texts.ALL_EXIT_CODES}"
    top = _explained(argparse.ArgumentParser(prog="ballast"), help_texts.MAIN, files_and_codes)
    deployed = top.add_argument_group(
        "a deployed stack, instead of a local cloud (run, trace, why, cost, verify, replay, what-if, capture, eval, "
        "answer, feedback, escalations, breaker, budget)"
    )
    deployed.add_argument("--stack", metavar="NAME", help="the stack's name; uses your AWS credentials")
    deployed.add_argument("--region", metavar="REGION", help="its region (default: $AWS_REGION, or the profile's)")
    deployed.add_argument("--profile", metavar="PROFILE", help="your AWS profile (default: $AWS_PROFILE)")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _demo(_explained(commands.add_parser("demo", help="run a scripted scenario"), help_texts.DEMO))
    _new(_explained(commands.add_parser("new", help="write a project that runs at once"), help_texts.NEW))
    _check(_explained(commands.add_parser("check", help="check a playbook without a model"), help_texts.CHECK))
    _test(_explained(commands.add_parser("test", help="play a playbook's scenarios"), help_texts.TEST))
    _eval(_explained(commands.add_parser("eval", help="play cases several times, and compare"), help_texts.EVAL))
    _certify(_explained(commands.add_parser("certify", help="try what a playbook's tools declare"), help_texts.CERTIFY))
    _run(_explained(commands.add_parser("run", help="run one request"), help_texts.RUN))
    _trace(_explained(commands.add_parser("trace", help="show a saved run as a timeline"), help_texts.TRACE))
    _why(_explained(commands.add_parser("why", help="say why a run ended so, and what to type"), help_texts.WHY))
    _answer(_explained(commands.add_parser("answer", help="answer a run that waits for a person"), help_texts.ANSWER))
    _feedback(_explained(commands.add_parser("feedback", help="say whether a run did right"), help_texts.FEEDBACK))
    _up(_explained(commands.add_parser("up", help="serve the whole stack on localhost"), help_texts.UP))
    _mcp(_explained(commands.add_parser("mcp", help="be a tool of another agent"), help_texts.MCP))
    waiting = commands.add_parser("escalations", help="list what waits for a person")
    _escalations(_explained(waiting, help_texts.ESCALATIONS))
    _cost(_explained(commands.add_parser("cost", help="show what runs cost, and why"), help_texts.COST))
    _prices(_explained(commands.add_parser("prices", help="show or check model cards"), help_texts.PRICES))
    _models(_explained(commands.add_parser("models", help="show what the agent may call"), help_texts.MODELS))
    _import(_explained(commands.add_parser("import", help="declare tools from elsewhere"), help_texts.IMPORT))
    _verify(_explained(commands.add_parser("verify", help="check logs against their digests"), help_texts.VERIFY))
    _replay(_explained(commands.add_parser("replay", help="play recorded runs again"), help_texts.REPLAY))
    _what_if(_explained(commands.add_parser("what-if", help="say what a change would have done"), help_texts.WHAT_IF))
    _capture(_explained(commands.add_parser("capture", help="make a test of a run"), help_texts.CAPTURE))
    _budget(_explained(commands.add_parser("budget", help="show or set spending limits"), help_texts.BUDGET))
    _breaker(_explained(commands.add_parser("breaker", help="show or set the spend breaker"), help_texts.BREAKER))
    _redrive(_explained(commands.add_parser("redrive", help="put dead letters of a stack back"), help_texts.REDRIVE))
    return top


def _explained(made: argparse.ArgumentParser, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    made.description = description
    made.epilog = epilog if epilog is not None else help_texts.exit_codes(made.prog.rpartition(" ")[2])
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    return made


def _demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("scenario", nargs="?", metavar="SCENARIO", help="a name, or `all` (default: the first one)")
    sub.add_argument(
        "--playbook", metavar="PATH", help="a project with scenarios/ (default: this folder's, else the support desk)"
    )
    sub.add_argument("--list", action="store_true", help="list the scenarios and stop")
    _no_iam(sub)
    sub.add_argument("--by-hand", action="store_true", help="you are the person: `ballast answer` in another terminal")
    sub.add_argument("--full", action="store_true", help="shorten nothing in the trace")


def _new(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", metavar="NAME", help="the playbook's name: small letters, digits and _, such as itdesk")
    sub.add_argument("--into", metavar="FOLDER", help="where to make it (default: this folder)")


def _check(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", default=".", metavar="PATH", help="the project (default: this folder)")
    sub.add_argument("--strict", action="store_true", help="warnings count as errors")
    sub.add_argument("--no-hints", action="store_true", help="leave hints out")
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def _test(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", default=".", metavar="PATH", help="the project (default: this folder)")
    sub.add_argument("names", nargs="*", metavar="NAME", help="scenarios (default: all)")
    sub.add_argument("--list", action="store_true", help="list the scenarios and stop")
    sub.add_argument("--model", metavar="SPEC", help="a model in place of the scripts, as for `ballast run`")
    sub.add_argument("--junit", metavar="FILE", help="also write the results as JUnit XML")
    sub.add_argument("--json", action="store_true", help="print the results as JSON")
    sub.add_argument("--verbose", action="store_true", help="show events, what tools print, and their tracebacks")
    _no_iam(sub)


def _eval(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", metavar="PATH", help="a project, or a folder of scenarios (default: here)")
    sub.add_argument("names", nargs="*", metavar="NAME", help="scenarios (default: all, or none with recorded runs)")
    sub.add_argument("--playbook", metavar="PATH", help="the playbook that plays the cases (default: that of PATH)")
    cases = sub.add_argument_group("recorded runs as cases: saved ones, or with --stack those of the stack")
    cases.add_argument("--run", action="append", default=[], metavar="RUN", help="this run. May be repeated")
    cases.add_argument("--feedback", choices=["right", "wrong"], help="runs of which people say so")
    cases.add_argument("--since", metavar="TIME", help="runs since: 30m, 6h, 2d, or a moment in ISO 8601")
    cases.add_argument("--tenant", action="append", metavar="NAME", help="with --stack: this tenant's. May be repeated")
    sub.add_argument(
        "--model", action="append", default=[], metavar="SPEC", help="as for `ballast run`. May be repeated"
    )
    sub.add_argument("--samples", type=int, default=1, metavar="N", help="play each case N times (default: 1)")
    sub.add_argument("--judge", metavar="SPEC", help="a model that is asked the rubrics of cases")
    sub.add_argument("--judge-price", metavar="IN:OUT", help="its price in US dollars per million tokens")
    sub.add_argument("--budget-usd", metavar="USD", help="start nothing that could cost more than this in total")
    sub.add_argument("--workers", type=int, default=1, metavar="N", help="processes that play cases (default: 1)")
    sub.add_argument("--save", metavar="FILE", help="save the result, as a later --baseline")
    sub.add_argument("--baseline", metavar="FILE", help="compare with a saved result")
    gate = sub.add_argument_group("the gate (default: every sample must pass)")
    gate.add_argument("--min-pass", metavar="SHARE", help="of all samples of each model, such as 0.9")
    gate.add_argument("--min-case", metavar="SHARE", help="of the samples of each case")
    gate.add_argument("--no-worse", action="store_true", help="nothing may be shown to be worse than the baseline")
    sub.add_argument("--list", action="store_true", help="list the cases and stop")
    sub.add_argument("--junit", metavar="FILE", help="also write the results as JUnit XML")
    sub.add_argument("--json", action="store_true", help="print the results as JSON; progress goes to standard error")
    _no_iam(sub)


def _certify(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", default=".", metavar="PATH", help="the project (default: this folder)")
    sub.add_argument("--check", action="store_true", help="only say whether the certificate fits the present code")
    sub.add_argument("--json", action="store_true", help="print the findings as JSON")
    sub.add_argument("--verbose", action="store_true", help="also show what was not tried because nothing declares it")
    _no_iam(sub)


def _run(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", nargs="?", metavar="REQUEST.json", help="the request; `-` reads standard input")
    sub.add_argument("--text", help="the request in words, instead of a file")
    _no_iam(sub)
    sub.add_argument("--agent", metavar="NAME", help="the agent (default: that of agent.yaml)")
    sub.add_argument("--intent", help="what it is about; selects the fallback")
    sub.add_argument(
        "--context",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a fact that you vouch for, as text; KEY:=JSON for other types. May be repeated",
    )
    sub.add_argument(
        "--attach",
        action="append",
        default=[],
        metavar="FILE",
        help="an image or a document for the model; its suffix is its format. May be repeated",
    )
    sub.add_argument(
        "--on-behalf-of-env",
        action="append",
        default=[],
        metavar="[NAME=]VAR",
        help="the environment variable with your token, for servers that act on your behalf. May be repeated",
    )
    sub.add_argument("--tenant", help="the tenant that pays for the run")
    sub.add_argument("--request-id", metavar="ID", help="the idempotency key (default: a new one)")
    sub.add_argument("--model", metavar="SPEC", help="the model (default: $BALLAST_MODEL); see above")
    sub.add_argument(
        "--as", dest="requested_by", metavar="NAME", help="who asks, and so may not approve (default: your user name)"
    )
    _playbook(sub)
    _parameter(sub)
    _verbose(sub)
    sub.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        help="wait if the run asks a person (default: if standard output is a terminal)",
    )
    sub.add_argument("--full", action="store_true", help="shorten nothing in the trace")


def _up(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=f"the HTTP port (default: {PORT}; 0: any free one)"
    )
    sub.add_argument("--aws-port", type=int, metavar="N", help="the port for AWS SDKs (default: the next one, or any)")
    sub.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="127.0.0.1, ::1 or localhost")
    _no_iam(sub)
    sub.add_argument("--model", metavar="SPEC", help="as for `ballast run` (default: $BALLAST_MODEL)")
    _playbook(sub)
    sub.add_argument("--tenant", metavar="NAME", help="the tenant of every caller (default: `default`)")
    roles = ("member", "reviewer", "operator")
    sub.add_argument(
        "--role", choices=roles, help="the role of every caller (default: operator; with --tenant: member)"
    )
    sub.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="a group of every caller. May be repeated"
    )
    _parameter(sub)
    _verbose(sub)


def _mcp(sub: argparse.ArgumentParser) -> None:
    # Also before the command: `ballast --stack NAME mcp`.
    sub.add_argument("--stack", default=argparse.SUPPRESS, metavar="NAME", help="the deployed stack; finds its address")
    sub.add_argument("--url", metavar="URL", help=f"the API's address (default: that of `ballast up`, port {PORT})")
    sub.add_argument("--playbook", metavar="PATH", help="serve this playbook in a local cloud of its own")
    sub.add_argument("--seed", type=int, metavar="N", help="with --playbook: seed of the generated store")
    sub.add_argument("--model", metavar="SPEC", help="with --playbook: as for `ballast run` (default: $BALLAST_MODEL)")


def _playbook(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--playbook", metavar="PATH", help="the folder with agent.yaml (default: this folder's, else the support desk)"
    )
    sub.add_argument("--seed", type=int, metavar="N", help="seed of the generated store of customers and orders")


def _verbose(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--verbose", action="store_true", help="show what functions and tools print, and their tracebacks")


def _parameter(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of template.yaml, e.g. TenantHourUsd=0.50. May be repeated",
    )


def _no_iam(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--no-iam", action="store_true", help="do not enforce the IAM rights of the functions' roles")


def _trace(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or the start of it")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print the timeline as JSON")
    how.add_argument("--export", action="store_true", help="print the log itself, for `ballast replay`: JSON Lines")
    sub.add_argument("--full", action="store_true", help="shorten nothing")


def _why(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", metavar="RUN", help="a run's id, or the start of it (with --stack: the whole id)")
    sub.add_argument("--json", action="store_true", help="print the report as JSON")
    sub.add_argument("--playbook", metavar="PATH", help="the one that recorded it (default: as for `replay`)")
    sub.add_argument("--log-only", action="store_true", help="do not play it again")


def _answer(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("escalation", nargs="?", metavar="ESCALATION", help="its id, or the start of it")
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--say", metavar="TEXT", help="answer the customer and end the run")
    what.add_argument("--back-to-agent", action="store_true", help="let the agent continue; needs --guidance")
    what.add_argument(
        "--call",
        nargs=2,
        action="append",
        metavar=("TOOL", "JSON"),
        help="call a tool, through the same gate as the agent's calls. May be repeated",
    )
    what.add_argument("--approve", action="store_true", help="let the waiting call be made")
    what.add_argument("--reject", action="store_true", help="reject the waiting call; the planner is told so")
    sub.add_argument("--guidance", metavar="TEXT", help="with --back-to-agent: what the agent should know")
    sub.add_argument("--add-budget", metavar="USD", help="with --back-to-agent: raise the cost ceiling, e.g. 0.05")
    sub.add_argument("--agent", metavar="NAME", help="with --back-to-agent: another agent of the playbook")
    sub.add_argument("--arguments", metavar="JSON", help="with --approve: arguments that replace the proposed ones")
    sub.add_argument("--comment", metavar="TEXT", help="with --approve or --reject: why")
    sub.add_argument("--by", metavar="NAME", help="who answers (default: your user name)")
    sub.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="a group of whoever answers. May be repeated"
    )


def _feedback(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", metavar="RUN", help="a run's id, or the start of it (with --stack: the whole id)")
    sub.add_argument("verdict", choices=["right", "wrong"], help="whether it did right")
    sub.add_argument("--note", metavar="TEXT", help="why, for whoever looks at it")
    sub.add_argument("--by", metavar="NAME", help="who says so (default: your user name)")


def _escalations(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--watch", action="store_true", help="stay, and show later ones as they come, until Ctrl-C")


def _cost(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "run", nargs="?", metavar="RUN", help="a run's id, or the start of it (with --stack: the whole id)"
    )
    sub.add_argument("--since", metavar="TIME", help="all runs opened since: 30m, 6h, 2d, or a moment in ISO 8601")
    sub.add_argument(
        "--tenant", action="append", metavar="NAME", help="with --since: runs of this tenant. May be repeated"
    )
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def _prices(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("words", nargs="*", metavar="WORD", help="only models whose id, name or vendor has all words")
    sub.add_argument("--model", metavar="ID", help="one card, with its facts and their sources")
    sub.add_argument("--playbook", metavar="PATH", help="a playbook's folder: with the cards of its models.yaml")
    sub.add_argument("--check", action="store_true", help="check the files and show every problem")
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def _models(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--playbook", metavar="PATH", help="the folder with agent.yaml (default: this folder's, else the support desk)"
    )
    sub.add_argument("--region", dest="of_region", metavar="REGION", help="the stack's region (default: any)")
    sub.add_argument("--model", dest="model_id", default="", metavar="ID", help="the stack's ModelId, if it has one")
    sub.add_argument("--check", action="store_true", help="compare the settings of `sam deploy` with agent.yaml")
    sub.add_argument("--samconfig", metavar="FILE", help="with --check: the settings (default: the project's own)")


def _verify(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "run", nargs="?", metavar="RUN", help="a run's id, or the start of it (with --stack: the whole id)"
    )
    sub.add_argument("--since", metavar="TIME", help="all runs started since: 30m, 6h, 2d, or a moment in ISO 8601")
    sub.add_argument(
        "--tenant", action="append", metavar="NAME", help="with --since: runs of this tenant only. May be repeated"
    )
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def _replay(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "runs", nargs="*", metavar="RUN", help="a run's id or the start of it, a file, or a folder of exported runs"
    )
    sub.add_argument("--since", metavar="TIME", help="all runs opened since: 30m, 6h, 2d, or a moment in ISO 8601")
    sub.add_argument("--playbook", metavar="PATH", help="the playbook (default: this folder's, else the support desk)")
    sub.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")
    sub.add_argument("--json", action="store_true", help="print it as JSON")
    sub.add_argument("--verbose", action="store_true", help="also show each run that is the same")


def _what_if(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "runs", nargs="*", metavar="RUN", help="a run's id or the start of it, a file, or a folder of exported runs"
    )
    sub.add_argument("--since", metavar="TIME", help="all runs opened since: 30m, 6h, 2d, or a moment in ISO 8601")
    sub.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="a field of agent.yaml. May be repeated"
    )
    sub.add_argument("--prices", metavar="FILE", help="model cards with other prices, as in models.yaml")
    sub.add_argument("--rules", metavar="FILE", help="thresholds of approvals and loops, and grounding; see above")
    sub.add_argument("--playbook", metavar="PATH", help="the candidate's playbook (default: the baseline's)")
    sub.add_argument(
        "--baseline", metavar="PATH", help="what recorded the runs (default: this folder's, else the support desk)"
    )
    sub.add_argument(
        "--model", metavar="SPEC", help="as for `ballast run`: is asked where the record has no reply. It costs money"
    )
    sub.add_argument(
        "--fail-if", action="append", default=[], metavar="TEXT", help='a threshold: "cost>+5%%". May be repeated'
    )
    sub.add_argument("--html", metavar="FILE", help="also write the result as one page, with plots")
    sub.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")
    sub.add_argument("--json", action="store_true", help="print it as JSON")
    sub.add_argument("--verbose", action="store_true", help="also show each run that is not the same")


def _capture(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", metavar="RUN", help="a run's id or the start of it, or a file with one exported run")
    sub.add_argument("--playbook", metavar="PATH", help="the project that gets the test (default: this folder)")
    sub.add_argument("--name", metavar="NAME", help="the scenario's name (default: captured- and the run's id)")
    sub.add_argument("--description", metavar="TEXT", help="what the test is about, in at most 100 characters")
    sub.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what is right, such as status=answered. May be repeated; all must hold",
    )
    sub.add_argument("--invariant", metavar="NAME", choices=INVARIANTS, help="what must not end so again: status, …")
    sub.add_argument("--answer", metavar="TEXT", help="what the model says where the repaired run goes on")
    sub.add_argument("--seed", type=int, metavar="N", help="of the generated store (default: 1)")
    sub.add_argument("--tries", type=_whole, default=60, metavar="N", help="most plays while shrinking (default: 60)")
    sub.add_argument("--no-shrink", action="store_true", help="keep every turn of the record")
    sub.add_argument("--force", action="store_true", help="replace a captured test of that name")


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 on")
    return int(text)


def _import(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("kind", choices=["mcp", "openapi", "lambda"], help="what the tools come from")
    sub.add_argument("source", nargs="?", metavar="SOURCE", help="an MCP server's URL, an OpenAPI file, or a function")
    sub.add_argument(
        "--stdio", nargs=argparse.REMAINDER, metavar="CMD", help="an MCP server's command; the last option"
    )
    sub.add_argument(
        "--playbook", metavar="PATH", help="the folder with agent.yaml (default: this folder's, else the support desk)"
    )
    sub.add_argument("--name", metavar="NAME", help="the server's name: the file is servers/NAME.yaml")
    sub.add_argument("--only", action="append", default=[], metavar="TOOL", help="declare this tool. May be repeated")
    sub.add_argument("--url", metavar="URL", help="openapi: where requests go (default: the document's server)")
    sub.add_argument("--private", action="store_true", help="the server is in your own network, or on this machine")
    sub.add_argument(
        "--token-env", metavar="VARIABLE", help="mcp: a variable with a bearer token, for this import only"
    )
    sub.add_argument("--schema", metavar="FILE", help="lambda: its tools, a list of name, description and inputSchema")
    sub.add_argument(
        "--check", action="store_true", help="compare the file with the server; ends with 2 if they differ"
    )
    sub.add_argument("--pin", action="append", default=[], metavar="TOOL", help="accept what has changed of this tool")


def _budget(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("tenant", nargs="?", metavar="TENANT", help="the tenant (default: all tenants together)")
    sub.add_argument("--hour", metavar="USD", help="most that runs may take from an hour (UTC); or `default`")
    sub.add_argument("--day", metavar="USD", help="most that runs may take from a day (UTC); or `default`")
    sub.add_argument("--runs", metavar="N", help="runs at once, including those that wait for a person; or `default`")
    sub.add_argument("--customer", metavar="KEY", help="one customer of the tenant, as the tool's moves_key names it")
    for option, what in (
        ("--moves-hour", "all tenants, the tenant or the customer may move in an hour"),
        ("--moves-day", "all tenants, the tenant or the customer may move in a day"),
        ("--each-run", "each run may move"),
        ("--each-customer-hour", "may be moved for each customer in an hour"),
        ("--each-customer-day", "may be moved for each customer in a day"),
    ):
        sub.add_argument(option, metavar="AMOUNT", help=f"most that {what}; or `default`")
    sub.add_argument("--move", metavar="RUN.TURN.CALL", help="settle the money of a call whose effect is unknown")
    sub.add_argument("--happened", choices=["yes", "no"], help="with --move: whether the effect happened")
    sub.add_argument("--correct", metavar="RUN", help="correct the charge of this settled run; its whole id")
    sub.add_argument("--charged", metavar="USD", help="with --correct: what the run really cost in total")
    sub.add_argument("--reason", metavar="TEXT", help="with --correct: why, for the run's log")
    sub.add_argument("--above-lease", action="store_true", help="with --correct: accept a charge above the run's lease")
    sub.add_argument("--by", metavar="NAME", help="with --correct and --move: who says so (default: your user name)")


def _breaker(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--mode", choices=list(help_texts.MODES), help="the mode to set; without it, only show")
    sub.add_argument("--tenant", metavar="NAME", help="this tenant's breaker (default: everyone's)")
    sub.add_argument("--for", dest="minutes", type=int, metavar="MINUTES", help="with --mode: how long it holds")
    sub.add_argument("--reason", metavar="TEXT", help="with --mode: why, for the next person who looks")
    sub.add_argument("--by", metavar="NAME", help="with --stack: who sets it (default: your user name)")
    sub.add_argument("--port", type=int, default=PORT, metavar="N", help=f"the port of `ballast up` (default: {PORT})")


def _redrive(sub: argparse.ArgumentParser) -> None:
    # Also before the command: `ballast --stack NAME redrive`.
    sub.add_argument(
        "--stack", default=argparse.SUPPRESS, metavar="NAME", help="the deployed stack; uses your AWS credentials"
    )
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--message", metavar="ID", help="the dead letter to put back: its id, or the start of it")
    which.add_argument("--all", action="store_true", help="put back all; those that are not valid requests stay")
    sub.add_argument("--body", metavar="FILE", help="with --message: the corrected request; `-` reads standard input")
