"""The example playbook: the support desk of Harbour Outfitters, an online shop for outdoor gear.

::

    agent.yaml   instructions, model, limits, intents
    tools/       what may be proposed; one tool a file
    fallbacks/   scripts for what needs no model
    knowledge/   the articles that search_docs searches
    records/     the shop's data in DynamoDB: read, and changed exactly once
    store/       a made-up store to put into the tables of a demo or a test

``tools`` and ``fallbacks`` import ``records``; ``store`` imports ``records``; never the other way.
"""
