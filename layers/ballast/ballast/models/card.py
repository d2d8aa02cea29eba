"""A model card: what a model takes, returns, forbids and costs. Data; the shipped cards name a source for each fact.

A fact that a card leaves out has the careful value: what is not known to be taken is not sent.
"""

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from ballast.contracts.attachment import DocumentFormat, ImageFormat, Kind
from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import Wire
from ballast.money.prices import CLASSES, ModelPrice, Price, highest

#: A region's name, which no family has.
AWS_REGION = r"^[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}$"
IN_REGION = "in-region"
#: Where a model runs: in the region that is called (``in-region``), or by the inference profile of a geography.
RegionFamily = Literal["in-region", "us", "us-gov", "eu", "apac", "jp", "au", "in", "ca", "sa", "global"]
Geography = Literal["us", "us-gov", "eu", "apac", "jp", "au", "in", "ca", "sa", "global"]
#: A region of AWS, by its name (``us-east-1``): what the model's own id costs there.
Region = Annotated[str, Field(pattern=AWS_REGION)]
Percent = Annotated[int, Field(ge=1, le=1_000)]
Day = Annotated[date, Field(strict=False)]
Count = Annotated[int, Field(ge=1)]
#: More than any model has: a figure above it is a slip, and money would be reserved by it.
Window = Annotated[int, Field(ge=1, le=100_000_000)]
#: What a model may refuse while it thinks.
Forbidden = Literal["temperature", "top_p", "forced_tool_choice", "prefill", "max_tokens"]


#: Repetitions of a group, above which it counts as a loop without an end.
_MOST_REPEATED = 8
#: Loops in a pattern. Names have 64 characters: each further loop may take 64 times as long.
_MOST_LOOPS = 3


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"is not a regular expression: {problem}") from None
    parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]  # undocumented, and stable
    if (loops := _loops(parsed)) > _MOST_LOOPS:
        raise ValueError(
            f"has {loops} repetitions without a small end, and at most {_MOST_LOOPS} are taken: a text could take hours"
        )
    if _backtracks(parsed, in_loop=False):
        raise ValueError(
            "repeats a part that has repetitions or alternatives of its own: a text could take it hours; write it flat"
        )
    return pattern


def _loops(parsed: Any) -> int:
    """Return how many repetitions without a small end a pattern has: several in a row match a text in many ways."""
    found = 0
    for kind, value in parsed:
        name, inside = str(kind), []
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            found += value[0] != value[1] and value[1] > _MOST_REPEATED
            inside = [value[2]]
        elif name == "BRANCH":
            inside = value[1]
        elif name == "SUBPATTERN":
            inside = [value[-1]]
        elif name in ("ASSERT", "ASSERT_NOT"):
            inside = [value[1]]
        found += sum(map(_loops, inside))
    return found


def _backtracks(parsed: Any, *, in_loop: bool) -> bool:
    """Return whether a loop without an end has something inside that can match a text in several ways."""
    for kind, value in parsed:
        name, loops, inside = str(kind), in_loop, []
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, body = value
            if in_loop and least != most:
                return True
            loops, inside = in_loop or most > _MOST_REPEATED, [body]
        elif name == "BRANCH":
            if in_loop:
                return True
            inside = value[1]
        elif name == "SUBPATTERN":
            inside = [value[-1]]
        elif name in ("ASSERT", "ASSERT_NOT"):
            inside = [value[1]]
        if any(_backtracks(one, in_loop=loops) for one in inside):
            return True
    return False


#: As long as ``inference.effort`` may be.
Level = Annotated[str, Field(min_length=1, max_length=16)]
Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_compiles)]


class _Part(Wire):
    """A part of a card. Its own validator is built when it is used alone, which no function does: that takes time."""

    model_config = ConfigDict(defer_build=True)


class Source(_Part):
    """A document that states a fact, by its address or, without one, by title and date.

    seen  the day on which it was read for the card; None: it was named, and is still to be read
    """

    title: str = Field(min_length=1)
    address: Annotated[str, Field(pattern=r"^https://")] | None = None
    seen: Day | None = None


class Asked(_Part):
    """Parts of a request. The texts ``$budget`` and ``$effort`` in them stand for a number and a level.

    additional_fields  for ``additionalModelRequestFields``
    output_config      for ``outputConfig``
    """

    #: The text that must stand in it, and no other.
    placeholder: ClassVar[str | None] = None

    additional_fields: dict[str, Any] = Field(default_factory=dict)
    output_config: dict[str, Any] = Field(default_factory=dict)

    def given(self, *, budget: int | None = None, effort: str | None = None) -> "Asked":
        """Return the parts with the values in their places."""
        values: dict[str, Any] = {"$budget": budget, "$effort": effort}

        def put(one: Any) -> Any:
            if isinstance(one, dict):
                return {name: put(inner) for name, inner in one.items()}
            if isinstance(one, list):
                return [put(inner) for inner in one]
            return values.get(one, one) if isinstance(one, str) else one

        return Asked(additional_fields=put(self.additional_fields), output_config=put(self.output_config))


class Budget(Asked):
    """Thinking within a number of tokens, which are part of ``maxTokens``. ``least``: the smallest number."""

    placeholder = "$budget"

    least: Count


class Effort(Asked):
    """Levels of effort, lowest first, each with what it forbids besides ``Thinking.forbids``.

    default  the level of a request that names none; None if the vendor states none
    """

    placeholder = "$effort"

    levels: dict[Level, tuple[Forbidden, ...]] = Field(min_length=1)
    default: str | None = None

    @model_validator(mode="after")
    def _default_is_a_level(self) -> Self:
        if self.default is not None and self.default not in self.levels:
            raise ValueError(f"default: must be one of {', '.join(self.levels)}")
        return self


class Off(Asked):
    """Forbids thinking, or as much of it as can be forbidden.

    still_thinks  the model then thinks less, and replies contain reasoning all the same
    not_with      levels of effort that are refused beside it; the highest one below them is sent instead
    """

    still_thinks: bool = False
    not_with: tuple[Level, ...] = ()


class Thinking(_Part):
    """How a model thinks, and how it is asked to. A model may take several forms.

    default     whether a request that does not mention thinking gets it: no, yes (``off`` can forbid it), always
    budget      asks for thinking within a number of tokens
    adaptive    lets the model decide how much it thinks
    effort      asks for a level of effort
    off         forbids thinking to a model that otherwise thinks
    returned    replies contain reasoning (``reasoningContent``)
    given_back  the model's own reasoning in later requests of a run: it must be there, may be there, or is refused
    bound       own reasoning is taken back only after exactly what stood before it: system prompt, tools, messages
    forbids     what is refused while the model thinks
    """

    default: Literal["no", "yes", "always"] = "no"
    budget: Budget | None = None
    adaptive: Asked | None = None
    effort: Effort | None = None
    off: Off | None = None
    returned: bool = True
    given_back: Literal["must", "may", "refused"] = "may"
    bound: bool = False
    forbids: tuple[Forbidden, ...] = ()


class Cache(_Part):
    """Cache points of a prompt. A card without this takes none.

    places         parts of a request where a point may stand
    least_tokens   tokens that must stand before a point; a shorter prefix is sent and not cached
    most_tokens    tokens that are cached at most; None for no limit
    most_points    points in a request
    ttls           lifetimes; the first one is that of a point that names none
    after_results  whether a point may stand right after a tool result; if not, it stands only after a text
    """

    places: tuple[Literal["tools", "system", "messages"], ...] = Field(min_length=1)
    least_tokens: Count
    most_tokens: Count | None = None
    most_points: Count = 4
    ttls: tuple[Literal["5m", "1h"], ...] = Field(default=("5m",), min_length=1)
    after_results: bool = True


class Dialect(_Part):
    """The JSON Schema that a model reads in a tool's ``inputSchema``.

    root_keys              keywords at the schema's root; None for all
    refs                   whether it follows ``$ref`` into ``$defs``; else they are inlined
    unsupported            keywords that are left out, at any depth
    additional_properties  whether it takes ``additionalProperties``
    strict_keys            keywords of a schema that the provider holds the model to, at any depth
    """

    root_keys: tuple[str, ...] | None = None
    refs: bool = True
    unsupported: tuple[str, ...] = ()
    additional_properties: bool = True
    strict_keys: tuple[str, ...] = (
        *("$defs", "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "items"),
        *("minItems", "pattern", "properties", "required", "title", "type"),
    )


class Media(_Part):
    """Images or documents. A card without this takes none.

    formats      Converse's names of formats (``png``, ``pdf``)
    most         images or documents in a request, as far as Converse takes them
    most_bytes   bytes of one, before base64, as far as Converse takes them
    in_results   whether they may stand in a tool result
    """

    kind: ClassVar[Kind]

    formats: tuple[str, ...] = Field(min_length=1)
    most: Count
    most_bytes: Count
    in_results: bool = False


class Images(Media):
    """Images. ``most_tokens``: tokens of one at most, whatever its size; None if the vendor states none."""

    kind = "image"

    formats: tuple[ImageFormat, ...] = Field(min_length=1)
    most_tokens: Count | None = None


class Documents(Media):
    """Documents. What bounds the tokens of one does not depend on the model (``ballast.attachments.files``)."""

    kind = "document"

    formats: tuple[DocumentFormat, ...] = Field(min_length=1)


class DatedPrice(Price, defer_build=True):
    """A price from a day on, per million tokens in micro-dollars, for the family of 100 percent.

    Never change or remove a price that was used: each charge in a log names its version.

    regions  what it costs by family, or in a region by its own id: a percentage of this price, or a price of its own.
             Where a model is served is another fact (``ModelCard.profiles``, ``on_demand``)
    tiers    other service tiers: a percentage, or a price of its own
    batch    batch inference, in percent; Ballast does not use it
    """

    version: str = Field(min_length=1)
    valid_from: Day = date.min
    regions: dict[RegionFamily | Region, Percent | Price] = Field(default_factory=dict)
    tiers: dict[ServiceTier, Percent | Price] = Field(default_factory=dict)
    batch: Percent | None = None

    @model_validator(mode="after")
    def _default_is_the_price_itself(self) -> Self:
        if ServiceTier.DEFAULT in self.tiers:
            raise ValueError("tiers: default is the price itself; leave it out")
        return self

    def of(self, model_id: str, family: str, region: str = "") -> ModelPrice:
        """Return the price of ``model_id`` in that family; a family that is not listed costs the most of all.

        region  where it is called by its own id; one that is not listed, and "", cost the most of all regions
        """
        own = Price(**{name: getattr(self, name) for name in CLASSES}, long_prompt=self.long_prompt)
        tiers: dict[ServiceTier, Percent | Price] = {ServiceTier.DEFAULT: 100, **self.tiers}
        by_family = list(self._listed(family, region).values()) or [100]
        return ModelPrice(
            model_id,
            self.version,
            {tier: highest(_scaled(own, one, made) for one in by_family) for tier, made in tiers.items()},
        )

    def _listed(self, family: str, region: str) -> dict[str, Percent | Price]:
        """Return the entries of ``regions`` of which the dearest counts."""
        if family == IN_REGION and region in self.regions and re.match(AWS_REGION, region):
            return {region: self.regions[region]}
        if family not in self.regions:
            return dict(self.regions)
        if family != IN_REGION:
            return {family: self.regions[family]}
        return {name: made for name, made in self.regions.items() if name == family or re.match(AWS_REGION, name)}


class ModelCard(_Part):
    """The facts of one model.

    id                      its base id: no profile's prefix, no ARN
    also                    other base ids of the same model
    vendor, name            as people say them
    as_of                   the day on which the facts were last checked
    retires                 the day from which the provider serves it no longer; None if none is announced
    converse_api            whether Converse serves it
    on_demand               the regions where it can be called by its own id; true if some do and none is known; None
                            if even that is not known
    profiles                geographies with an inference profile of it; None if they are not known
    system                  takes a system prompt
    tools, tool_choice      takes tools; which choices it can be given
    strict_tools            takes ``strict`` in a tool's declaration
    structured_output       takes ``outputConfig.textFormat`` with a JSON Schema
    temperature, top_p      takes them; ``temperature_with_top_p``: both in one request
    thinking                None: it does not think
    cache                   None: it takes no cache points
    tool_schema             the dialect of its tools' schemas
    text_beside_results     a user message may hold text beside tool results
    result_status           takes ``status`` in a tool result
    result_json             takes ``json`` content in a tool result; else text
    images, documents       None: it takes none
    context_window          tokens of prompt and reply together; max_output: of a reply
    max_tokens_over_window  takes ``maxTokens`` that with the prompt exceed the window: the reply is cut there
    consecutive_turns       takes two messages of one role in a row, and reads them as one
    tool_changes            takes ``toolAddition`` and ``toolRemoval`` in messages
    prefill                 the last message may be the model's
    tool_name, tool_use_id  patterns of a tool's name and of a call's id
    prices                  in order of precedence: the last one that is valid counts
    sources                 the documents behind each fact, by its field's name
    """

    id: str = Field(min_length=1)
    also: tuple[str, ...] = ()
    vendor: str = Field(min_length=1)
    name: str = Field(min_length=1)
    as_of: Day
    retires: Day | None = None
    converse_api: bool = True
    on_demand: bool | Annotated[tuple[Region, ...], Field(min_length=1)] | None = None
    profiles: tuple[Geography, ...] | None = None
    system: bool = True
    tools: bool = True
    tool_choice: tuple[Literal["auto", "any", "tool"], ...] = ("auto",)
    strict_tools: bool = False
    structured_output: bool = False
    temperature: bool = False
    top_p: bool = False
    temperature_with_top_p: bool = False
    thinking: Thinking | None = None
    cache: Cache | None = None
    tool_schema: Dialect = Dialect(
        root_keys=("type", "properties", "required"), refs=False, additional_properties=False
    )
    text_beside_results: bool = False
    result_status: bool = False
    result_json: bool = True
    images: Images | None = None
    documents: Documents | None = None
    context_window: Window
    max_output: Window
    max_tokens_over_window: bool = False
    consecutive_turns: bool = False
    tool_changes: bool = False
    prefill: bool = False
    tool_name: Pattern = r"^[a-zA-Z0-9_-]{1,64}$"
    tool_use_id: Pattern = r"^[a-zA-Z0-9_-]{1,64}$"
    prices: tuple[DatedPrice, ...] = ()
    sources: dict[str, tuple[Source, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        versions = [price.version for price in self.prices]
        if len(set(versions)) < len(versions):
            raise ValueError("prices: each needs a version of its own")
        unknown = sorted(self.sources.keys() - ModelCard.model_fields.keys())
        if unknown:
            raise ValueError(f"sources: {', '.join(unknown)} is no fact of a card")
        return self

    @property
    def families(self) -> tuple[RegionFamily, ...]:
        """The families that it is served in; none if they are not known.

        Of a card that states one of the two facts, the other one is no if it is not known. A price proves nothing: it
        counts only for a card that states neither, which none of the platform's is.
        """
        if self.on_demand is None and self.profiles is None:
            priced = next((price.regions for price in reversed(self.prices) if price.regions), {})
            in_region = any(name == IN_REGION or re.match(AWS_REGION, name) for name in priced)
            named = tuple(one for one in get_args(Geography) if one in priced)
        else:
            in_region, named = bool(self.on_demand), self.profiles or ()
        own: tuple[RegionFamily, ...] = ("in-region",) if in_region else ()
        return (*own, *named)

    def served_in(self, region: str) -> bool:
        """Return whether it is known to be served in ``region`` by its own id.

        A playbook's card that does not say where the model is served may be asked anywhere.
        """
        if isinstance(self.on_demand, tuple):
            return region in self.on_demand
        return self.on_demand is None and self.profiles is None


def _scaled(own: Price, by_family: Percent | Price, by_tier: Percent | Price) -> Price:
    """Return the price of a tier in a family.

    A tier's own price is scaled by the family's percentage; a family's own price by the tier's. A price of its own
    without ``long_prompt`` has the surcharge of ``own``.
    """
    dearer = {"long_prompt": own.long_prompt}
    family, tier = (
        one.model_copy(update=dearer) if isinstance(one, Price) and one.long_prompt is None else one
        for one in (by_family, by_tier)
    )
    if isinstance(tier, Price):
        return tier.times(family) if isinstance(family, int) else highest([tier, family])
    return (own.times(family) if isinstance(family, int) else family).times(tier)
