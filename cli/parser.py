"""The command line: what may be typed, and help that teaches by examples. Imports nothing heavy."""

import argparse

from cli.commands import breaker, budget, cost, redrive, verify
from cli.exits import HELP

_MAIN = """\
Run LLM agents through the deployed template on this machine: the real state machine and
handlers, on moto instead of AWS. No account, no network, nothing left behind but .ballast/.

  ballast demo                      watch a run that ends well
  ballast demo --list               see the other scenarios
  ballast trace                     list the saved runs
  ballast cost --since 1d           where their money went
  ballast verify --since 1d         whether their logs are as they were written
  ballast run --text "Where is my order O-1001?" --model http://localhost:11434/v1#qwen3
  ballast up                        serve all of it over HTTP, on localhost
  ballast --stack ballast-dev run --text "Where is my order O-1001?"
"""

_FILES = """\
files: .ballast/ in the current folder, or the folder named by $BALLAST_HOME, holds the logs of
finished runs (runs/), what their functions and tools printed (logs/), and the escalations that
wait for an answer (escalations/).
"""

_DEMO = """\
Run a scripted scenario and show its trace. A script plays the model; all else is real.

  ballast demo                      the happy path
  ballast demo rollback             half-done work is taken back
  ballast demo all                  all scenarios and a table of how they ended
  ballast demo --list               one line for each scenario
  ballast demo approval --by-hand   waits for your `ballast answer` in another terminal
"""

_RUN = """\
Run one request in a local cloud and show its trace.

  ballast run --text "Where is my order O-1001?" --intent order_status \\
      --context order_id=O-1001 --model http://localhost:11434/v1#qwen3
  ballast run request.json --model bedrock:eu.amazon.nova-lite-v1:0
  echo '{"request_id": "a1", "text": "Hello"}' | ballast run - --model my-script.yaml

The model is one of
  FILE.yaml              a script of replies, such as those of the scenarios
  FILE.json              a saved run of .ballast/runs, whose model's words are replayed
  http://HOST/v1#NAME    a model of an OpenAI-compatible server: Ollama, llama.cpp, vLLM
  bedrock:ID             Amazon Bedrock, with your own AWS credentials and at your cost
and may be set once and for all: export BALLAST_MODEL=http://localhost:11434/v1#qwen3

A request file holds {"request_id", "text"} and optionally "intent", "context", "tenant",
"agent", "limits". A run that asks a person says what to type, and waits; without a terminal, or with
--no-wait, it is aborted then, and the command ends with 4 (on a stack it goes on).
"""

_UP = """\
Serve the whole stack on localhost: the HTTP API as API Gateway hands it to the functions, the
queue of requests polled, events delivered, escalations answered here or over HTTP, a seeded store.

  ballast up --model localcloud/scenarios/happy-path/script.yaml    no model needed: a script plays it
  ballast up --model http://localhost:11434/v1#qwen3 --port 9000
  ballast up --tenant acme        every request is acme's: see what a tenant sees
  ballast up --role reviewer --group finance    and what a reviewer in that group may do

Nobody is checked here. Whoever reaches the port is you, an operator unless --role or --tenant says
otherwise, so it listens on this machine only, and answers no page of another origin. A request may
name somebody else, with a role: who asks for a run may not approve its calls, so try both sides.

  curl -u mia:member localhost:8787/runs --json '{"text": "My tent O-1004 arrived torn."}'
  curl -u rae:reviewer localhost:8787/escalations/ESCALATION --json '{"approve": true}'
  curl -u fay:reviewer+finance …    for a tool with approvers="finance"
  curl -u ann:operator …            more than max_grant_usd, what only undoes, the breaker
  curl -u lee: …                    lee, with the rights of everybody here

The console takes NAME:ROLE as its token. Nothing stays when `ballast up` ends but the logs of the
runs (`ballast trace`). Ctrl-C ends it, with 0; what still runs is aborted.
"""

_TRACE = """\
Show a saved run as a timeline; without RUN, list the saved runs.

  ballast trace                     the newest runs
  ballast trace run-abcd            the run whose id starts so
  ballast trace run-abcd --full     nothing shortened
  ballast trace run-abcd --json     for machines: | jq '.turns[].calls[]'
"""

_ANSWER = """\
Answer an escalation of a run that waits in another terminal; without ESCALATION, list those
that wait. The answer goes through the deployed AnswerEscalation function.

  ballast answer                                          what waits
  ballast answer esc-1 --say "We have refunded you."      answer the customer
  ballast answer esc-1 --back-to-agent --guidance "Offer a voucher." --add-budget 0.05
  ballast answer esc-1 --call refund_order '{"order_id": "O-1001", "amount_usd": "12.50"}'
  ballast answer esc-1 --approve                          let a waiting call happen
  ballast answer esc-1 --approve --arguments '{"order_id": "O-1001", "amount_usd": "40.00"}'
                                                          with other arguments than proposed
  ballast answer esc-1 --reject --comment "Over the policy."

Where a tool wants several people, each approves in turn; one rejection rejects. Whoever asked for
the run, proposed the call or changed it does not approve it: somebody else does, and says so with
--by NAME. Where a tool names a group (approvers), --group NAME says that you are one of it:

  ballast answer esc-1 --approve --by fay --group finance

You answer as an operator, here and with --stack: there it takes the IAM right to invoke
AnswerEscalationFunction, and your --by and --group are believed (docs/http.md, Rights). Who has
fewer rights answers over HTTP or in the console.
"""

_ESCALATIONS = """\
List the escalations that wait for an answer, who may answer them, and what to type.

  ballast escalations                          of what runs on this machine, in this folder
  ballast escalations --watch                  and those that come, until Ctrl-C
  ballast --stack ballast-dev escalations      of a deployed stack
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; ``command`` in its result names the subcommand."""
    top = _taught(argparse.ArgumentParser(prog="ballast"), _MAIN, _FILES + "\n" + HELP)
    deployed = top.add_argument_group(
        "a deployed stack, instead of a local cloud (run, trace, cost, verify, answer, escalations, breaker, budget)"
    )
    deployed.add_argument("--stack", metavar="NAME", help="the stack, found through its outputs; your credentials")
    deployed.add_argument("--region", metavar="REGION", help="where it is (default: $AWS_REGION, or the profile's)")
    deployed.add_argument("--profile", metavar="PROFILE", help="whose credentials (default: $AWS_PROFILE)")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _demo(_taught(commands.add_parser("demo", help="run a scripted scenario"), _DEMO))
    _run(_taught(commands.add_parser("run", help="run one request"), _RUN))
    _trace(_taught(commands.add_parser("trace", help="show a saved run as a timeline"), _TRACE))
    _answer(_taught(commands.add_parser("answer", help="answer a run that waits for a person"), _ANSWER))
    _up(_taught(commands.add_parser("up", help="serve the whole stack on localhost"), _UP))
    waiting = _taught(commands.add_parser("escalations", help="list what waits for a person"), _ESCALATIONS)
    waiting.add_argument("--watch", action="store_true", help="stay, and show what comes, until Ctrl-C")
    cost.arguments(_taught(commands.add_parser("cost", help="explain where the money went"), cost.TEACHING))
    verify.arguments(_taught(commands.add_parser("verify", help="check logs against their digests"), verify.TEACHING))
    budget.arguments(_taught(commands.add_parser("budget", help="show or set what may be spent"), budget.TEACHING))
    breaker.arguments(_taught(commands.add_parser("breaker", help="show or set the spend breaker"), breaker.TEACHING))
    redrive.arguments(
        _taught(commands.add_parser("redrive", help="put dead letters of a stack back"), redrive.TEACHING)
    )
    return top


def _taught(made: argparse.ArgumentParser, description: str, epilog: str = HELP) -> argparse.ArgumentParser:
    made.description, made.epilog = description, epilog
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    return made


def _demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("scenario", nargs="?", default="happy-path", metavar="SCENARIO", help="a name, or `all`")
    sub.add_argument("--list", action="store_true", help="list the scenarios and stop")
    _no_iam(sub)
    sub.add_argument("--by-hand", action="store_true", help="you are the person: `ballast answer` in another terminal")
    sub.add_argument("--full", action="store_true", help="shorten nothing in the trace")


def _run(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", nargs="?", metavar="REQUEST.json", help="the request; `-` reads standard input")
    sub.add_argument("--text", help="the request in words, instead of a file")
    _no_iam(sub)
    sub.add_argument("--intent", help="what it is about; chooses the fallback")
    sub.add_argument(
        "--context",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a fact you vouch for, as text; KEY:=JSON for other than text. May be repeated",
    )
    sub.add_argument("--tenant", help="on whose account")
    sub.add_argument("--request-id", metavar="ID", help="the idempotency key (default: a new one)")
    sub.add_argument("--model", metavar="SPEC", help="which model (default: $BALLAST_MODEL); see above")
    sub.add_argument("--playbook", metavar="PATH", help="the folder with agent.yaml (default: the support desk)")
    sub.add_argument("--seed", type=int, metavar="N", help="seed of the generated store of customers and orders")
    _parameter(sub)
    _verbose(sub)
    sub.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        help="wait for a person where the run asks one (default: where standard output is a terminal)",
    )
    sub.add_argument("--full", action="store_true", help="shorten nothing in the trace")


def _up(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--port", type=int, default=8787, metavar="N", help="the port (default: 8787; 0: any free one)")
    sub.add_argument("--aws-port", type=int, metavar="N", help="the port for AWS SDKs (default: the next one, or any)")
    sub.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="127.0.0.1, ::1 or localhost")
    _no_iam(sub)
    sub.add_argument("--model", metavar="SPEC", help="as for `ballast run` (default: $BALLAST_MODEL)")
    sub.add_argument("--playbook", metavar="PATH", help="the folder with agent.yaml (default: the support desk)")
    sub.add_argument("--seed", type=int, metavar="N", help="seed of the generated store of customers and orders")
    sub.add_argument("--tenant", metavar="NAME", help="whoever asks is of this tenant (default: `default`)")
    roles = ("member", "reviewer", "operator")
    sub.add_argument("--role", choices=roles, help="who asks (default: operator; with --tenant: member)")
    sub.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="whose approvals they give. Repeatable"
    )
    _parameter(sub)
    _verbose(sub)


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
    sub.add_argument("--no-iam", action="store_true", help="let functions do what their roles do not allow")


def _trace(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or its beginning")
    sub.add_argument("--json", action="store_true", help="print the timeline as JSON")
    sub.add_argument("--full", action="store_true", help="shorten nothing")


def _answer(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("escalation", nargs="?", metavar="ESCALATION", help="its id, or its beginning")
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--say", metavar="TEXT", help="answer the customer and end the run")
    what.add_argument("--back-to-agent", action="store_true", help="let the agent go on; wants --guidance")
    what.add_argument(
        "--call",
        nargs=2,
        action="append",
        metavar=("TOOL", "JSON"),
        help="have a tool called, through the same gate as the agent's calls. May be repeated",
    )
    what.add_argument("--approve", action="store_true", help="let the waiting call happen")
    what.add_argument("--reject", action="store_true", help="do not let it happen; the planner learns of it")
    sub.add_argument("--guidance", metavar="TEXT", help="with --back-to-agent: what the agent should know")
    sub.add_argument("--add-budget", metavar="USD", help="with --back-to-agent: raise the cost ceiling, e.g. 0.05")
    sub.add_argument("--arguments", metavar="JSON", help="with --approve: what the call is made with instead")
    sub.add_argument("--comment", metavar="TEXT", help="with --approve or --reject: why")
    sub.add_argument("--by", metavar="NAME", help="who answers (default: your user name)")
    sub.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME",
        help="a group whose approvals they give. May be repeated",
    )
