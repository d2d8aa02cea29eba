"""The append-only log of a run in DynamoDB, with large bodies in S3 and sensitive values sealed."""

from ballast.log.run_index import Found, RunIndex
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.seal import Seal

__all__ = ["Found", "LogSettings", "RunIndex", "RunLog", "Seal"]
