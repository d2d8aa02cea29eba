"""The texts of ``--help``: for each command what it does, then examples to type."""

#: The spend breaker's modes (``ballast.money.breaker.Mode``), from least to most strict.
MODES = {
    "normal": "everything runs as the playbook says",
    "cheaper": "the agent uses the playbook's cheaper model",
    "fallback_only": "no model is called; fallbacks and people answer",
    "stopped": "no run starts; running runs wait for a person",
}

MAIN = """\
Run LLM agents through the deployed template on this machine: the real state machine and
handlers, on moto instead of AWS. It needs no account and no network, and keeps nothing but .ballast/.

  ballast demo                      watch a run that ends well
  ballast demo --list               list the other scenarios
  ballast new itdesk                write a playbook of your own; then: ballast check, ballast test
  ballast trace                     list the saved runs
  ballast why RUN                   say why a run ended so, and what to type
  ballast eval itdesk --samples 10  play cases several times, and compare; then: --baseline FILE
  ballast cost --since 1d           show what they cost, and why
  ballast prices nova               show what models take and cost
  ballast models                    show which of them the agent may call
  ballast verify --since 1d         check that nobody changed their logs
  ballast what-if --since 1d --set limits.turns=8    say what a change would have done to them
  ballast run --text "Where is my order O-1001?" --model http://localhost:11434/v1#qwen3
  ballast up                        serve the whole stack over HTTP, on localhost
  ballast mcp                       be a tool of another agent (Model Context Protocol)
  ballast --stack ballast-dev run --text "Where is my order O-1001?"
"""

FILES = """\
files: .ballast/ in the current folder, or the folder that $BALLAST_HOME names, holds the logs of
finished runs (runs/), the output of their functions and tools (logs/), and the escalations that
wait for an answer (escalations/).
"""

#: The meaning of each exit code, by command; "" is any other command.
_CODES: dict[int, dict[str, str]] = {
    0: {
        "demo": "ended as expected",
        "test": "every scenario ended as expected",
        "eval": "the gate opens",
        "check": "there is no error (with --strict: and no warning)",
        "certify": "certified; with --check: the certificate fits the present code",
        "run": "answered",
        "answer": "accepted, or listed",
        "up": "stopped",
        "verify": "every log matches",
        "": "done",
    },
    1: {
        "demo": "a scenario did not end as expected, or a defect in the command",
        "test": "a scenario did not end as expected, or a defect in the command",
        "certify": "something that is needed is broken or was not tried; with --check: the certificate does not fit",
        "eval": "the gate does not open, or a defect in the command",
        "capture": "the test would hold what looks like a secret, or a defect in the command",
        "": "a defect in the command",
    },
    2: {
        "check": "there is an error, or wrong usage",
        "import": "wrong usage or invalid input; with --check: the server says something else than was pinned",
        "": "wrong usage or invalid input; the message names the field and the remedy",
    },
    3: {"run": "the run was refused: not admitted, nothing was spent", "demo": "with --by-hand: the run was refused"},
    4: {
        "run": "the run ended without an answer: failed, unanswered, aborted, timed out; or it asks a\n"
        "       person and the command does not wait (--no-wait)",
        "demo": "with --by-hand: the run ended without an answer",
    },
    5: {"answer": "no process waits for that escalation, or the answer was not confirmed"},
    6: {
        "verify": "a log was changed",
        "replay": "a run differs",
        "what-if": "a --fail-if holds, or with one a run is not concluded",
    },
    7: {
        "verify": "no log is known to be changed, but some cannot be checked as a whole",
        "replay": "no run differs, and one could not be replayed",
        "what-if": "no run was concluded",
        "capture": "the test does not go wrong here: no defect is shown, and nothing was written",
    },
    8: {"answer": "somebody else must answer; the message says who may"},
    130: {"": "interrupted (Ctrl-C, SIGTERM)"},
}


def exit_codes(command: str) -> str:
    """Return the exit codes that a command may end with, and what each means."""
    said = {code: meanings.get(command) or meanings.get("") for code, meanings in _CODES.items()}
    return "exit codes:\n" + "".join(f"  {code:<4} {words}\n" for code, words in said.items() if words)


#: Those of all commands together.
ALL_EXIT_CODES = "exit codes (`ballast COMMAND --help` has those of a command):\n" + "".join(
    f"  {code:<4} {'; '.join(f'{words} ({name})' if name else words for name, words in meanings.items())}\n"
    for code, meanings in _CODES.items()
)

DEMO = """\
Run a scripted scenario and show its trace. A script plays the model; everything else is real.

  ballast demo                      the happy path
  ballast demo rollback             half-done work is undone
  ballast demo all                  every scenario, and a table of how they ended
  ballast demo --list               one line for each scenario
  ballast demo approval --by-hand   you answer, with `ballast answer` in another terminal
  ballast demo --playbook itdesk    the first scenario of your own project; in its folder: ballast demo
"""

NEW = """\
Write a project that runs at once: a playbook with a read, a write with its undo and a fallback; its part of the
template; scenarios and tests. Nothing is overwritten, and the platform's repository is not touched.

  ballast new itdesk                  in this folder, unless it is in the platform's repository
  ballast new itdesk --into ~/work    in another one

Then, in the new folder: ballast check, ballast test, pytest. README.md says what each file is for.
"""

CHECK = """\
Check a playbook, its scenarios and its business.yaml: all that can be known without a model, all at once.

  ballast check itdesk             errors, warnings and hints, each with its file, its field and what to do
  ballast check itdesk --strict    warnings count as errors: for a CI system
  ballast check itdesk --json      for machines: | jq '.findings[] | select(.level == "error")'

An error does not work. A warning works until something fails: an argument that the model may invent, a write
whose effect is unknown after a crash. It checks what loading refuses, models and prices, unmarked arguments,
verify, keys and undo, variables and rights that the code needs, and limits that no run can keep. It shows the
worst cost of a run. Exit code 2: there is an error.
"""

TEST = """\
Play the scenarios of a playbook through the real machine, each in a local cloud of its own, and compare how
they end with what scenario.yaml expects.

  ballast test itdesk                       every scenario of the project
  ballast test itdesk forgotten-password    one of them
  ballast test itdesk --verbose             with each event, and what tools print
  ballast test itdesk --junit report.xml    for a CI system; --json for other machines
  ballast test itdesk --model http://localhost:11434/v1#qwen3    a real model in place of the scripts

A scenario is a folder in scenarios/ with scenario.yaml (request, people, expect) and script.yaml (the model's
replies): docs/testing-your-playbook.md. IAM rights of business.yaml are enforced. Exit code 1: a scenario did
not end as expected. `ballast trace RUN` shows what happened.
"""

EVAL = """\
Play cases several times with one model or several, check how each run ended, and compare with an earlier time.

  ballast eval itdesk --samples 10 --model http://localhost:11434/v1#qwen3
  ballast eval itdesk --samples 10 --model bedrock:A --model bedrock:B --budget-usd 2    a table of both
  ballast eval itdesk --samples 10 --model bedrock:A --save baseline.json
  ballast eval itdesk --samples 10 --model bedrock:A --baseline baseline.json --no-worse   a gate for CI
  ballast eval itdesk --playbook ../itdesk-new --samples 10 --model bedrock:A            a change of the playbook
  ballast eval --feedback wrong --since 7d --model bedrock:A    runs that people call wrong must not end so again
  ballast --stack ballast-dev eval --feedback wrong --tenant acme --model bedrock:A
  ballast eval itdesk --model bedrock:A --judge bedrock:B       B is asked the rubrics of the cases (expect.judged)

A case is a scenario (as for `ballast test`), or a recorded run. Checks that need no model come first: a judge can fail
an answer and never save one. Of each case: how many samples passed, and where its true rate lies (95 %). "Worse" is
said only where the samples show it; with few samples little is. docs/eval.md says what is counted how.
Runs are played on this machine, also those of a stack, with the playbook's seeded store.
Exit code 0: the gate opens. 1: it does not. 130: Ctrl-C; what was known by then is shown and saved.
"""

CERTIFY = """\
Try on a playbook's own tools what they declare: keys, verify, undo, preconditions, time limits, reads, fallbacks.

  ballast certify itdesk            plays the scenarios, tries every rule, writes itdesk/itdesk/certificate.json
  ballast certify itdesk --check    says whether the certificate fits the present code
  ballast certify itdesk --json     for machines: | jq '.findings[] | select(.state == "broken")'

The calls that tools get in the scenarios are the samples. Each is made again in fresh tables: under the same key,
with a lost answer or a death at each request, undone once and twice. A tool that no scenario calls is not
certified. The template's parameter RequireCertificate lets Admit refuse runs of a playbook whose certificate is
missing or does not fit. docs/certify.md has every rule. Exit code 1: something is broken or was not tried.
"""

RUN = """\
Run one request in a local cloud and show its trace.

  ballast run --text "Where is my order O-1001?" --intent order_status \\
      --context order_id=O-1001 --model http://localhost:11434/v1#qwen3
  ballast run request.json --model bedrock:eu.amazon.nova-lite-v1:0
  echo '{"request_id": "a1", "text": "Hello"}' | ballast run - --model my-script.yaml

The model is one of
  FILE.yaml              a script of replies, such as those of the scenarios
  FILE.json              a saved run of .ballast/runs, whose completions are replayed
  http://HOST/v1#NAME    a model of an OpenAI-compatible server: Ollama, llama.cpp, vLLM
  bedrock:ID             Amazon Bedrock, with your own AWS credentials and at your cost
To set it for every command: export BALLAST_MODEL=http://localhost:11434/v1#qwen3
A server's key: export BALLAST_MODEL_KEY=... It is sent as a bearer token; a URL with a credential is refused.
The key of one host alone: export BALLAST_MODEL_KEY_MODELS_EXAMPLE_8443=... for models.example:8443.

A request file holds {"request_id", "text"} and optionally "intent", "context", "tenant", "agent",
"limits". When a run asks a person, the command prints what to type and waits. Without a terminal, or
with --no-wait, it aborts the run and ends with 4; on a deployed stack the run continues.

A server may act on your behalf, with your token (docs/tools-from-elsewhere.md). Put it into a variable:
  export DESK_TOKEN; ballast run --text "Close ticket 7" --on-behalf-of-env DESK_TOKEN --playbook .
"""

UP = """\
Serve the whole stack on localhost: the HTTP API, the run-request queue, events, schedules, and
escalations, with a seeded store. Answer escalations over HTTP or with `ballast answer`.

  ballast up --model localcloud/scenarios/happy-path/script.yaml    a script plays the model
  ballast up --model http://localhost:11434/v1#qwen3 --port 9000
  ballast up --tenant acme        every request is acme's: see what a tenant sees
  ballast up --role reviewer --group finance    see what a reviewer in that group may do

Identities are not checked here: every request is from you, an operator unless --role or --tenant says
otherwise. So it listens on this machine only, and refuses pages of other origins. A request may
name another person and role. Whoever asks for a run may not approve its calls, so play both sides:

  curl -u mia:member localhost:8787/runs --json '{"text": "My tent O-1004 arrived torn."}'
  curl -u rae:reviewer localhost:8787/escalations/ESCALATION --json '{"approve": true}'
  curl -u fay:reviewer+finance …    for a tool with approvers="finance"
  curl -u ann:operator …            for more than max_grant_usd, calls that only undo, the breaker
  curl -u lee: …                    lee, with the rights that everybody has here

The console takes NAME:ROLE as its token. `ballast up` keeps only the logs of its runs
(`ballast trace`). Ctrl-C stops it with 0 and aborts the runs that have not ended.
"""

MCP = """\
Serve Ballast's tools to another agent on standard input and output (Model Context Protocol): start a run, ask,
follow, list what waits for people, stop a run. Nobody approves or answers this way: people do.

  ballast mcp                                   to `ballast up` on this machine
  ballast mcp --stack ballast-dev               to a deployed stack, with your AWS credentials
  ballast mcp --url https://API.example/        to its address, without the right to describe the stack
  ballast mcp --playbook itdesk --model http://localhost:11434/v1#qwen3    to a local cloud of its own

It acts as you, with your rights over HTTP (docs/http.md, Rights): requests are signed with your AWS credentials
(--profile, AWS_PROFILE), or carry the token that $BALLAST_TOKEN holds. For `ballast up` a token is NAME:ROLE.

Paste this into the configuration of the client, with the path that `which ballast` prints:

  {"mcpServers": {"ballast": {
    "command": "/path/to/.venv/bin/ballast",
    "args": ["mcp", "--stack", "ballast-dev"],
    "env": {"AWS_PROFILE": "YOUR_PROFILE", "AWS_REGION": "eu-west-1"}
  }}}

A client that speaks streamable HTTP itself can use the address with /mcp at its end: docs/mcp-server.md.
"""

TRACE = """\
Show a saved run as a timeline; without RUN, list the saved runs.

  ballast trace                     the newest runs
  ballast trace run-abcd            the run whose id starts with run-abcd
  ballast trace run-abcd --full     nothing shortened
  ballast trace run-abcd --json     for machines: | jq '.turns[].calls[]'
  ballast trace run-abcd --export   the log itself, for `ballast replay`
"""

WHY = """\
Say why a run ended so, or what it waits for: the outcome and its cause, what nobody knows now, what to type, where
its money and time went, what would have stopped it sooner, and what was decided in each turn by which rule.

  ballast why run-abcd                    the saved run whose id starts with run-abcd
  ballast --stack NAME why run-abcd…      a run of a deployed stack, by its whole id
  ballast why run-abcd --json             for machines: | jq -r '.to_type[].command'
  ballast why run-abcd --log-only         at once, and without the playbook

The log alone decides what it says, so it says the same at any time and everywhere: docs/why.md. What would have
stopped the run sooner is played: the run again, with each change, by this folder's playbook or that of --playbook.
"""

ANSWER = """\
Answer an escalation of a run that waits in another terminal; without ESCALATION, list the waiting
ones. The answer goes through the deployed AnswerEscalation function.

  ballast answer                                          list what waits
  ballast answer esc-1 --say "We have refunded you."      answer the customer
  ballast answer esc-1 --back-to-agent --guidance "Offer a voucher." --add-budget 0.05
  ballast answer esc-1 --call refund_order '{"order_id": "O-1001", "amount_usd": "12.50"}'
  ballast answer esc-1 --approve                          let the waiting call be made
  ballast answer esc-1 --approve --arguments '{"order_id": "O-1001", "amount_usd": "40.00"}'
                                                          with other arguments than proposed
  ballast answer esc-1 --reject --comment "Over the policy."

If a tool needs several people, each approves in turn; one rejection rejects. Whoever asked for the
run, proposed the call or changed it may not approve it: `ballast run` records your user name, or that
of --as. Somebody else answers with --by NAME. If a tool names a group (approvers), --group NAME says
that you are a member:

  ballast answer esc-1 --approve --by fay --group finance

You answer as an operator, here and with --stack. There you need the IAM right to invoke
AnswerEscalationFunction, and the function trusts your --by and --group (docs/http.md, Rights).
People with fewer rights answer over HTTP or in the console.
"""

FEEDBACK = """\
Say whether a run did right, once it has ended. It goes into the run's log; nothing acts on it, and it selects runs.

  ballast feedback run-abcd wrong --note "Another order was meant."
  ballast --stack ballast-dev feedback run-abcd… right      a run of a deployed stack, by its whole id
  ballast eval --feedback wrong --model bedrock:A           such runs must not end so again

New words of the same person replace their earlier ones. A run counts as wrong if anybody says so. With --stack you
need the IAM right to invoke AnswerEscalationFunction; people with fewer rights say it over HTTP or in the console.
"""

ESCALATIONS = """\
List the escalations that wait for an answer, who may answer them, and what to type.

  ballast escalations                          of runs on this machine, in this folder
  ballast escalations --watch                  and those that come later, until Ctrl-C
  ballast --stack ballast-dev escalations      of a deployed stack
"""

COST = """\
Show what a run cost, or all runs since a time: by turn, tool, planner, model and tenant; what was
reserved and how much of it was returned; what stopped loops would have cost.

  ballast cost run-abcd                          one run, by the start of its id
  ballast cost --since 6h                        the saved runs of the last six hours (m, h, d)
  ballast cost --since 2026-11-25T02:00Z         since a moment
  ballast cost run-abcd --json                   for machines: | jq '.by.tool'
  ballast --stack ballast-dev cost --since 1h --tenant acme --tenant default

Every figure comes from the log. A tool's row is its own price and its share of the model attempts
that called it. All tables add up to the same total.
"""

PRICES = """\
Show what models cost, in US dollars per million tokens, and what each takes: the model cards.

  ballast prices                                 every model, with today's price
  ballast prices nova                            models whose id, name or vendor has the word
  ballast prices --model eu.amazon.nova-pro-v1:0 one card: its facts, their sources, all its prices
  ballast prices --playbook layers/desk/itdesk   with the cards of the playbook's models.yaml
  ballast prices --json                          for machines: | jq '.[].price.input'
  ballast prices --check --playbook layers/desk/itdesk
                                                 check the cards and the models of agent.yaml

--check shows all problems together and ends with 2 if there is one. docs/models.md says what the facts
mean, how to add a card, and how to price an application inference profile.
"""

IMPORT = """\
Declare tools from elsewhere: write servers/NAME.yaml of a playbook, to be read and corrected by you.

  ballast import mcp https://mcp.example/mcp --name github
  ballast import mcp --name clock --stdio uvx mcp-server-time
  ballast import openapi desk.yaml --name desk --only createTicket --only findTickets
  ballast import lambda arn:aws:lambda:eu-central-1:111122223333:function:stock --schema tools.json
  ballast import openapi desk.yaml --name desk --check
  ballast import openapi desk.yaml --name desk --pin createTicket

What a server says of itself is a hint. Each tool that may write asks for approval, and a lost answer of it is
unknown, until you declare a key or a verify. The file pins names, descriptions and schemas by hash. --check shows
what the server says now and what was pinned; --pin accepts that for a tool, and changes nothing else.
"""

MODELS = """\
Show the models and inference profiles that the agent may call: those that agent.yaml names, as the
template's parameter ModelArns. Its role may call no others.

  ballast models                                  for any region
  ballast models --region eu-central-1            for a stack there, whole
  ballast models --playbook layers/desk/itdesk    of another playbook
  ballast models --model eu.amazon.nova-pro-v1:0  for a stack with that ModelId
  ballast models --check                          compare the project's samconfig.toml with agent.yaml

Give the printed line to `sam deploy --parameter-overrides`, or write it into samconfig.toml. --check ends
with 2 if a model is missing there, or if there is one that agent.yaml does not name. A local cloud takes
ModelArns from its playbook.
"""

VERIFY = """\
Check that nobody changed the log of a run, or of all runs since a time: every event against the digest
in the run's ending, every prompt against the one that was sent, and with --stack the ending against the
run's settled lease. Names the first event that does not match, and every answer that claims to be a
person's and is not signed.

  ballast verify run-abcd                            a saved run, by the start of its id
  ballast verify --since 1d                          the saved runs of the last day (m, h, d)
  ballast --stack ballast-dev verify run-abcdefgh    in the stack's tables (the whole id)
  ballast --stack ballast-dev verify --since 6h      every run whose execution started since then
  ballast --stack ballast-dev verify --since 6h --json || page-someone

Exit code 0: every log matches. 6: a log does not match, or could not be read. 7: no log is known to be
changed, but no digest covers a run that ended, or the run that you named: it has not ended, was refused, or
was ended by an older version.
"""

REPLAY = """\
Play recorded runs again through the deployed handlers and state machine. What the model said, what tools
returned, what people answered, the clock and the ids come from the record; everything else is computed again
and must have the recorded digest. Names the first event that differs, its field, and who decides about it.

  ballast replay run-abcd                          a saved run, by the start of its id
  ballast replay --since 1d                        the saved runs of the last day (m, h, d)
  ballast replay exported/ --playbook itdesk       exported files: `ballast trace RUN --export` writes one
  ballast --stack ballast-dev replay --since 6h    every run of a stack whose execution started since then
  ballast replay --since 1d --json                 for machines: | jq '.runs[] | select(.difference)'

The playbook is this folder's, elsewhere the support desk; --playbook names another.
No model is asked, and no tool's code runs but its pure rules. Ctrl-C ends it with what was replayed so far.
Exit code 0: every run is the same. 6: a run differs. 7: none differs, and one could not be replayed.
"""

WHAT_IF = """\
Say what a change would have done to recorded runs, before it is deployed. Each run is played twice: with nothing
changed (it must come out as recorded), and with the change. Model replies, tool outcomes and people's answers come
from the record, as long as the same is asked for. No model is asked and no tool is called.

  ballast what-if --since 1d --set limits.turns=8                    a lower limit, on the saved runs of a day
  ballast what-if run-abcd --set limits.cost_usd=0.05                 a run, by the start of its id
  ballast what-if exported/ --set intents.refund.limits.turns=6      files, and folders of files
  ballast what-if --since 7d --prices prices.yaml                    other prices: cards as in models.yaml
  ballast what-if --since 7d --rules rules.yaml                      thresholds of approvals and loops (docs/what-if.md)
  ballast what-if --since 7d --playbook new/ --baseline old/         other rules, fallbacks and limits
  ballast what-if --since 7d --set limits.turns=8 --fail-if "cost>+5%" --fail-if "fewer_effects>0" --html page.html

  ballast what-if run-abcd --set model=eu.amazon.nova-pro-v1:0 --model bedrock:eu.amazon.nova-pro-v1:0

The baseline is this folder's playbook, elsewhere the support desk; --baseline names another.
With --model, what the record does not answer is asked for real, at your cost; tools are still the record's.

same, different, stopped earlier   the run is known to its end
censored                           it would have gone on after the record: the cost has bounds
off the record                     it would have asked for what was never recorded: known until there
not concluded                      no ending yet, or not as recorded with nothing changed: `ballast replay` says why

Exit code 0: done. 6: a --fail-if holds, or with one a run is not concluded. 7: no run was concluded.
"""

CAPTURE = """\
Make a regression test of a run that went wrong: a scenario that fails now, and passes when the defect is mended.
It is played here first, and shrunk to the fewest turns that still go wrong. A run that does not go wrong here
gives no test; the command says what differs.

  ballast capture run-abcd --playbook itdesk                     it must not end so: not where the agent answered
  ballast capture run-abcd --expect status=answered              say what is right; may be repeated, all must hold
  ballast capture run-abcd --expect effects=refund_order         exactly these writes, in this order; none for no write
  ballast capture run-abcd --expect cost_at_most=0.05            in US dollars
  ballast capture run-abcd --expect 'store={table: OrdersTable, key: {order_id: O-1}, attributes: {refunded: 40}}'
  ballast capture run-abcd --invariant refused                   no call may be refused
  ballast capture exported.jsonl --expect forbidden="your card"  a file: `ballast trace RUN --export` writes one
  ballast --stack ballast-dev capture run-abcd… --playbook .     a run of a deployed stack, by its whole id

--expect knows status, by, reason, degraded, refused, failed, effects, answer, forbidden, grounded, moved, store
and cost_at_most. --invariant takes the inverse of the record: status, by, reason, degraded, refused, failed, effects,
answer, grounded. Name what was wrong itself, not what followed from it: the model's later replies stay recorded.

Sealed and personal values become stand-ins of the same form. What looks like a secret is refused, and nothing is
written. Ctrl-C keeps the shortest test so far. Exit code 1: it looks like a secret. 7: it does not go wrong here.
"""

BUDGET = """\
Show or set limits: what the runs of a tenant, or of all tenants together, may take from an hour and a day,
how much they have taken, and how many may run at the same time.

  ballast --stack ballast-dev budget                              all tenants together
  ballast --stack ballast-dev budget acme                         one tenant
  ballast --stack ballast-dev budget acme --hour 5 --day 20 --runs 10
  ballast --stack ballast-dev budget acme --runs 0                no new runs of this tenant
  ballast --stack ballast-dev budget acme --hour default          back to the stack's parameter

Ceilings on the business's own money, which tools move, come from agent.yaml (`moves:`) unless they are set
here. They apply from the next call on, and no approval lifts them:

  ballast --stack ballast-dev budget --moves-day 20000                       all tenants together
  ballast --stack ballast-dev budget acme --moves-hour 500 --moves-day 2000  one tenant
  ballast --stack ballast-dev budget acme --customer C-1001 --moves-day 900  one of its customers
  ballast --stack ballast-dev budget acme --each-run 300 --each-customer-day 400
  ballast --stack ballast-dev budget --move RUN.0003.1 --happened no         an unknown effect that did not happen

After a run is settled, its charge can be corrected, in its log and in the windows that it was taken from:

  ballast --stack ballast-dev budget --correct RUN --charged 0.0123 --reason "by the bill of May"

A charge above the run's lease takes room from other runs. It needs --above-lease, and may be ten times the
lease at most.

A new limit applies from the next admission on. A local cloud forgets everything when it ends; set its
limits when it starts: ballast up --parameter TenantHourUsd=0.50
"""

BREAKER = """\
Show or set the spend breaker of `ballast up` in another terminal, or of a deployed stack.

  ballast breaker                                       the current mode, since when, and why
  ballast --stack ballast-dev breaker --mode cheaper --for 60 --reason "a sale"
  ballast --stack ballast-dev breaker --mode stopped --tenant acme
  ballast --stack ballast-dev breaker --mode normal     close it; an alarm that still holds trips it again
  ballast --stack ballast-dev breaker --mode normal --for 60    keep it closed for an hour, whatever trips

The modes, from least to most strict:
""" + "".join(f"  {mode:14} {words}\n" for mode, words in MODES.items())

REDRIVE = """\
List a deployed stack's dead run requests, each with its reason, and put corrected ones back into the
queue. A request that is delivered twice is still one run.

  ballast redrive --stack ballast-dev                                        list them
  ballast redrive --stack ballast-dev --message 4f1c --body corrected.json   put one back, corrected
  ballast redrive --stack ballast-dev --message 4f1c                         put one back unchanged
  ballast redrive --stack ballast-dev --all                                  put back every valid one
"""
