"""The shop's data in DynamoDB: customers, orders, refunds, and how a write happens exactly once.

Numbers in the tables are integers; money is in cents. No AWS import: the client comes with the
tool's context. Imports ``ballast.playbook`` only.
"""
