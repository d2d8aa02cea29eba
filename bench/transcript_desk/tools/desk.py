"""The desk's tools, under the names and with the arguments that the transcripts have."""

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, create_model

from ballast.playbook import Read, Tool, ToolContext, ToolFailed, Write, tool
from bench.transcripts import OUTCOMES

_ARGUMENTS = {
    "book_reservation": (
        "cabin destination flight_type flights insurance nonfree_baggages origin passengers payment_methods "
        "total_baggages user_id"
    ),
    "calculate": "expression",
    "cancel_reservation": "reservation_id",
    "get_reservation_details": "reservation_id",
    "get_user_details": "user_id",
    "list_all_airports": "",
    "search_direct_flight": "date destination origin",
    "search_onestop_flight": "date destination origin",
    "send_certificate": "amount user_id",
    "think": "thought",
    "transfer_to_human_agents": "summary",
    "update_reservation_baggages": "nonfree_baggages payment_id reservation_id total_baggages",
    "update_reservation_flights": "cabin flights payment_id reservation_id",
    "update_reservation_passengers": "passengers reservation_id",
}
_WRITES = {"book_reservation", "cancel_reservation", "send_certificate"}
_WRITES |= {name for name in _ARGUMENTS if name.startswith("update_")}


def _tool(name: str, arguments: str) -> Tool:
    fields: dict[str, Any] = dict.fromkeys(arguments.split(), (JsonValue, None))
    model = create_model(name, __config__=ConfigDict(extra="forbid", frozen=True), **fields)

    def call(args: BaseModel, ctx: ToolContext) -> JsonValue:  # noqa: ARG001  as every tool has it
        status, value = OUTCOMES.get((str(ctx.request.context["conversation"]), ctx.turn, ctx.index), ("failed", "?"))
        if status != "ok":
            raise ToolFailed(str(value))
        found: JsonValue = value
        return found

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name.replace('_', ' ').capitalize()}."
    call.__annotations__ = {"args": model, "ctx": ToolContext, "return": JsonValue}
    return tool(effect=Write(honours_key=True) if name in _WRITES else Read())(call)


# A playbook's tools are what its modules hold.
globals().update({name: _tool(name, arguments) for name, arguments in _ARGUMENTS.items()})
