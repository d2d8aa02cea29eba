"""Ballast's runtime: contracts, the log and its folds, money, playbooks, settings.

No model client and no business code lives here. Modules import downwards only::

    http               the HTTP API: identities, problems, page tokens
    outbox             events and replies, each once
    moves_table        the ceiling on the business's own money, in its table
    breaker_reader     the spend breaker, as functions read it
    escalations        what waits for a person, as every screen shows it
    budget_items       items of the budgets table
    log                the run's log in DynamoDB and S3
    playbook           tools, fallbacks, agent.yaml
    on_behalf          tokens that callers bring: sealed, and gone with their run
    validation         grounding, taint, sizes, answers
    edge               the edge of every function: no error takes a sensitive value out
    attachments        images and documents of a run: checked, kept in S3, bounded in tokens
    table              DynamoDB tables in plain values
    runtime            a function's environment, clients and clock
    models             model cards: what each model takes and costs
    run                a run: its events, folded once; with ballast.folds and ballast.timeline
    secret_scan        what looks like a secret in a text, refused before it is kept
    money              prices, reservations, amounts
    log.events         the events of a run: a model for each, its key, its envelope
    masking            sensitive values: found in JSON and texts, masked or replaced by tokens
    contracts          the values that cross a wall
    aws_errors         an AWS client's error as its consequence
    errors             each named by its consequence
    metrics            what CloudWatch is told
    regex              expressions that are compiled on first use
    values             frozen dataclasses that are made without compiling
    yaml_files         agent.yaml and model cards, as the build parsed them
"""

import gc
import os

# Nearly all that init makes stays, so a collector would search it in vain. ``runtime.made_at_init`` turns it on again.
if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:
    gc.disable()
