"""Bedrock's service tiers: the priority of a request, which also sets its price."""

from enum import StrEnum


class ServiceTier(StrEnum):
    """``serviceTier.type`` of Bedrock Converse, under its own names."""

    DEFAULT = "default"
    PRIORITY = "priority"
    FLEX = "flex"
    RESERVED = "reserved"
