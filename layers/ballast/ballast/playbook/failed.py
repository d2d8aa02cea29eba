"""How a tool says no."""


class ToolFailed(Exception):
    """Raised by a tool for an outcome of the business, such as "order already shipped".

    It is recorded as the call's result, ``failed``, with this text: normal traffic that the
    planner reads and learns from. Anything else that a tool raises is a defect or an outage.
    """
