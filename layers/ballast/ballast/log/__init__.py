"""The append-only log of a run in DynamoDB: large bodies in S3, sensitive values sealed, people's answers signed."""

from ballast.log.run_index import Found, RunIndex
from ballast.log.run_log import LogSettings, RunLog, Unreadable
from ballast.log.seal import Seal
from ballast.log.signature import Signatures

__all__ = ["Found", "LogSettings", "RunIndex", "RunLog", "Seal", "Signatures", "Unreadable"]
