"""The declaration file of one server, ``servers/NAME.yaml``: its shape, and what of it contradicts itself.

::

    server: {kind: openapi, url: "https://desk.example/v2", credential: {…}, timeout_s: 20}
    tools:
      create_ticket:                            # the server's own name of it
        effect: write
        key: {header: Idempotency-Key}
        verify: {tool: desk_find_ticket, arguments: {ref: {key: true}}, found: /items/0}
        undo: {tool: desk_close_ticket, arguments: {id: {result: /id}}}
        approval: {if: always}
        marks: {/customer_id: grounded, /text: free_text}
        pinned: {sha256: …, description: …, schema: {…}, call: {…}}

``pinned`` is what a person has reviewed. Whatever of it changes, here or at the server, is refused until it is pinned
anew by ``ballast import … --check`` and ``--pin``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ballast.contracts.wire import Json, Name, Wire, canonical, sha256
from ballast.playbook.declaration import MAX_TIMEOUT_S
from ballast.playbook.servers.schema import pointer


def _is_pointer(text: str) -> str:
    pointer(text)
    return text


Pointer = Annotated[str, AfterValidator(_is_pointer)]
Seconds = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)]


class FromEnvironment(Wire):
    """A text from a variable of the executor, which the business's part of the template sets."""

    env: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")


TextOrEnvironment = str | FromEnvironment


class Secret(Wire):
    """A secret: its name in Secrets Manager or in SSM's Parameter Store.

    field  where the secret is a JSON object: the name of the entry in it
    """

    secretsmanager: TextOrEnvironment | None = None
    ssm: TextOrEnvironment | None = None
    field: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_named(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(
                "must be {secretsmanager: NAME} or {ssm: NAME}. A declaration names a secret, and never has one"
            )
        return value

    @model_validator(mode="after")
    def _one_store(self) -> "Secret":
        if (self.secretsmanager is None) == (self.ssm is None):
            raise ValueError("name the secret under one of secretsmanager, ssm")
        return self


class HeaderCredential(Wire):
    """A secret in a header: an API key, or a bearer token."""

    kind: Literal["header"]
    secret: Secret
    header: str = "Authorization"
    prefix: str = ""


class QueryCredential(Wire):
    """A secret in the query of the URL."""

    kind: Literal["query"]
    secret: Secret
    name: str


class BasicCredential(Wire):
    """A user's name and a password."""

    kind: Literal["basic"]
    user: TextOrEnvironment
    password: Secret


class SigV4Credential(Wire):
    """The executor's own role signs each request, such as for AgentCore Gateway or an IAM-authorized API."""

    kind: Literal["sigv4"]
    service: str
    region: TextOrEnvironment | None = None


class OAuthCredential(Wire):
    """OAuth 2 client credentials. The token is kept in the executor's memory until it expires, and nowhere else."""

    kind: Literal["oauth"]
    token_url: TextOrEnvironment
    client_id: TextOrEnvironment
    client_secret: Secret
    scope: str | None = None
    audience: str | None = None


class RequesterCredential(Wire):
    """On behalf of the requester: a token that they brought with the request, under this name.

    Without it, or once it has expired, nothing is sent: no other credential stands in for it.
    """

    kind: Literal["requester"]
    name: Name
    header: str = "Authorization"
    prefix: str = "Bearer "


Credential = Annotated[
    HeaderCredential | QueryCredential | BasicCredential | SigV4Credential | OAuthCredential | RequesterCredential,
    Field(discriminator="kind"),
]


class CircuitOf(Wire):
    """The circuit of a server, which all its tools share."""

    failures: int = Field(default=5, ge=1)
    recovery_s: int = Field(default=30, ge=1)


class _Server(Wire):
    timeout_s: Seconds = 20
    circuit: CircuitOf = CircuitOf()
    #: The largest reply that is read, in bytes.
    reply_bytes: int = Field(default=1_048_576, ge=1, le=6 * 1_048_576)


class _HttpServer(_Server):
    """
    url      where requests go, pinned here: no argument of a call can change its host
    private  whether its address may be a private one, or loopback, and its URL plain http
    headers  headers of every request that are no secret
    """

    url: TextOrEnvironment | None = None
    private: bool = False
    credential: Credential | None = None
    headers: dict[str, str] = Field(default_factory=dict)


class OpenApiServer(_HttpServer):
    """Operations of an OpenAPI document."""

    kind: Literal["openapi"]
    url: TextOrEnvironment


class McpServer(_HttpServer):
    """An MCP server over streamable HTTP; ``stdio`` is the command of one that runs on this machine."""

    kind: Literal["mcp"]
    stdio: list[str] | None = None


class LambdaServer(_Server):
    """One Lambda function. ``tool_field``: the field of its event that names the tool; None: it is one tool."""

    kind: Literal["lambda"]
    function: TextOrEnvironment
    tool_field: str | None = None


Server = Annotated[OpenApiServer | McpServer | LambdaServer, Field(discriminator="kind")]


def token_name(server: Server) -> str | None:
    """Return the name of the requester's token that a server wants, None if it wants none."""
    credential = None if isinstance(server, LambdaServer) else server.credential
    return credential.name if isinstance(credential, RequesterCredential) else None


class KeyHeader(Wire):
    """The header in which an operation takes an idempotency key, as its document describes it."""

    header: str
    schema_: dict[str, Json] = Field(alias="schema")
    required: bool = False


class Call(Wire):
    """An HTTP request of an operation.

    where   of each argument: "path", "query", or "header <Name>"; the others are fields of the body
    body    the argument that is the whole body; None: the arguments without a place, as a JSON object
    media_type  of the body: JSON under another name, such as application/merge-patch+json; None: application/json
    key     the header for a key that the document names; None: it names none
    """

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    where: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    media_type: str | None = None
    key: KeyHeader | None = None

    def said(self) -> dict[str, Any]:
        """Return what is pinned of it."""
        made = self.model_dump(mode="json", by_alias=True)
        for later in ("media_type", "key"):  # so that what was pinned before there was one is the same
            if made[later] is None:
                del made[later]
        return made


class Pinned(Wire):
    """What the server says of a tool, as a person has reviewed it. ``output``: the schema of its results, if any."""

    sha256: str
    description: str = ""
    schema_: dict[str, Json] = Field(alias="schema")
    output: dict[str, Json] | None = None
    call: Call | None = None

    def said(self) -> dict[str, Any]:
        """Return what is pinned, as a file has it: without what the server does not say."""
        made: dict[str, Any] = {"sha256": self.sha256, "description": self.description, "schema": self.schema_}
        made |= {"output": self.output} if self.output is not None else {}
        return made | ({"call": self.call.said()} if self.call is not None else {})

    def digest(self, tool: str) -> str:
        """Return the hash of what is pinned of that tool, but for the hash itself."""
        return pin(tool, self.description, self.schema_, self.call, self.output)


def pin(
    tool: str,
    description: str,
    schema: Mapping[str, Any],
    call: Call | None = None,
    output: Mapping[str, Any] | None = None,
) -> str:
    """Return the hex SHA-256 of what a server says of a tool."""
    said: dict[str, Any] = {"tool": tool, "description": description, "schema": schema}
    if output is not None:
        said["output"] = output
    if call is not None:
        said["call"] = call.said()
    return sha256(canonical(said))


class Key(Wire):
    """Where the idempotency key goes: a header, an argument (by name), or an entry of MCP's ``_meta``."""

    header: str | None = None
    argument: str | None = None
    meta: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Key":
        if sum(place is not None for place in (self.header, self.argument, self.meta)) != 1:
            raise ValueError("name one of header, argument, meta")
        return self


class ValueFrom(Wire):
    """Where a value comes from: the call's arguments, its result, its idempotency key, or the declaration itself."""

    argument: str | None = None
    result: str | None = None
    key: Literal[True] | None = None
    value: Json = None

    @model_validator(mode="after")
    def _one_source(self) -> "ValueFrom":
        if len(self.model_fields_set) != 1:
            raise ValueError("name one of argument, result, key, value")
        for path in (self.argument, self.result):
            if path is not None:
                pointer(path)
        return self


class Verify(Wire):
    """A read that tells whether an effect happened.

    found   the part of its result that is there if it happened; None or "": the whole result, where ``absent`` says how
            the server tells that it did not happen, or where the read is the playbook's own
    absent  HTTP statuses of the read by which the server says that it did not happen, such as 404
    matched whether what is found must hold the key by which it was asked for, or without a key the call's arguments
    """

    tool: str
    arguments: dict[str, ValueFrom]
    found: str | None = None
    matched: bool = True
    absent: list[int] = Field(default_factory=list)

    @field_validator("absent", mode="before")
    @classmethod
    def _is_a_list(cls, value: Any) -> Any:
        if isinstance(value, int):
            raise ValueError(f"must be a list of statuses: [{value}]")
        return value

    @field_validator("found")
    @classmethod
    def _whole(cls, value: str | None) -> str | None:
        return value or None  # by RFC 6901 "" is the whole value

    @property
    def by_key(self) -> bool:
        """Whether what it finds holds the call's own key, so that it is no other call's effect."""
        return self.matched and any(one.key for one in self.arguments.values())


class Undo(Wire):
    """The tool that undoes an effect, and its arguments; None: the call's own."""

    tool: str
    arguments: dict[str, ValueFrom] | None = None


class Above(Wire):
    """A number in the arguments above which a person must approve."""

    argument: str
    above: float


class ApprovalOf(Wire):
    """When people must approve a call: always, above a number, or (None) only if something else asks."""

    if_: Literal["always"] | Above | None = Field(default=None, alias="if")
    people: int = 1
    approvers: str | None = None
    on_unanswered: Literal["refuse", "fallback", "park"] | None = None

    @field_validator("if_", mode="before")
    @classmethod
    def _is_a_rule(cls, value: Any) -> Any:
        if value is None or value == "always" or isinstance(value, Mapping):
            return value
        raise ValueError(
            "must be always, or {argument: /NAME, above: NUMBER}. Where nobody need approve a call, leave approval out"
        )


class ResultOf(Wire):
    """What is known of a result.

    untrusted  whether it is untrusted, which it is unless a person says otherwise
    checked    whether it must have the form that is pinned
    marks      the marks on its parts
    """

    untrusted: bool = True
    checked: bool = True
    marks: dict[str, str | list[str]] = Field(default_factory=dict)


class CurrencyOf(Wire):
    """The argument that names an amount's currency, and the only currency that it may name: that of agent.yaml."""

    argument: Pointer
    is_: str = Field(alias="is", pattern=r"^[A-Z]{3}$")


class MovesOf(Wire):
    """The business's own money that a call moves, for the windows of ``moves:`` in agent.yaml.

    amount    the argument with the amount: a number, or a text that is one
    decimals  how many of the amount's digits are decimals: 2 where the server counts in cents
    currency  where the call names a currency: of which it must be
    customer  the argument that names whose windows count the amount
    undo_gives_back  whether a successful undo returns the amount to the windows
    """

    amount: Pointer
    decimals: int = Field(default=0, ge=0, le=6)
    currency: CurrencyOf | None = None
    customer: Pointer | None = None
    undo_gives_back: bool = False


class LimitsOf(Wire):
    """As ``CallLimits``; ``timeout_s`` is the server's by default."""

    timeout_s: Seconds | None = None
    argument_bytes: int | None = None
    result_bytes: int | None = None
    depth: int | None = None


class DeclaredTool(Wire):
    """One tool: what ``@tool`` declares, in YAML.

    name        what the model calls; None: the server's name and the tool's
    description what the model reads instead of what the server says
    idempotent  true: the same call made twice has the effect of one, without a key ("a closed ticket stays closed");
                a refusal of the second one says nothing about the first
    slashes     arguments of the path that may have a slash in them, which the server must not read as its own
    set         arguments that are always these, and that the model does not see
    refusals    HTTP statuses, or "error" of MCP and Lambda, that prove that the call that got them did nothing, besides
                the usual ones; of an earlier attempt they prove nothing
    """

    effect: Literal["read", "write"]
    pinned: Pinned
    name: str | None = None
    description: str | None = None
    repeat: Literal["once", "allow", "ask"] | None = None
    outward: bool | None = None
    key: Key | None = None
    idempotent: bool | None = None
    verify: Verify | None = None
    undo: Undo | None = None
    on_rollback: Literal["undo", "keep", "freeze"] | None = None
    moves: MovesOf | None = None
    approval: ApprovalOf | None = None
    marks: dict[str, str | list[str]] = Field(default_factory=dict)
    slashes: list[str] = Field(default_factory=list)
    set: dict[str, Json] = Field(default_factory=dict)
    result: ResultOf = ResultOf()
    refusals: list[int | Literal["error"]] = Field(default_factory=list)
    taint: Literal["approve", "refuse", "allow"] | None = None
    offered: bool = True
    cost_microusd: int | None = None
    limits: LimitsOf = LimitsOf()


class Declaration(Wire):
    """A file of ``servers/``."""

    server: Server
    tools: dict[str, DeclaredTool] = Field(min_length=1)
