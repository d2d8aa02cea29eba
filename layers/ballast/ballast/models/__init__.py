"""Model cards: what each model takes, returns, forbids and costs. Others ask the ``Catalog``.

::

    vendors/*.yaml ──┐
                     ├─▶ Catalog ── card(model) ──▶ ModelCard
    models.yaml ─────┘           ── price(model, on=day) ──▶ ModelPrice
    (a playbook's)               ── check(model), in_region(model, region)
"""
