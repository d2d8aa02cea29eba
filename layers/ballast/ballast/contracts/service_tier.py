"""Bedrock's service tiers: how urgently a request is served, and so what it costs."""

from enum import StrEnum


class ServiceTier(StrEnum):
    """``serviceTier.type`` of Bedrock Converse, under its own names."""

    DEFAULT = "default"
    PRIORITY = "priority"
    FLEX = "flex"
    RESERVED = "reserved"
