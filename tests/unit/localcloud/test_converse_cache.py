"""The prompt cache of the Converse double: what is read, what is written, for how long."""

import base64
import copy
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ballast.models.card import Cache
from localcloud.converse import PromptCache, ScriptModel, Strict
from localcloud.converse.cache import LOOKBACK_BLOCKS, Usage, canonical_bytes, pdf_pages, tokens_in, tokens_of

HAIKU = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "eu.amazon.nova-pro-v1:0"
POINTS = Cache(places=("tools", "system", "messages"), least_tokens=1024, ttls=("5m", "1h"))
TOOL = {"toolSpec": {"name": "t", "description": "d" * 4_400, "inputSchema": {"json": {"type": "object"}}}}


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **lapse: float) -> None:
        self.now += timedelta(**lapse)


def point(ttl: str | None = None) -> dict[str, Any]:
    return {"cachePoint": {"type": "default"} | ({"ttl": ttl} if ttl else {})}


def text(letter: str, tokens: int) -> dict[str, Any]:
    return {"text": letter * (tokens * 4 - len('{"text":""}'))}


def asking(*blocks: Any, system: Any = (), tools: Any = ()) -> dict[str, Any]:
    request: dict[str, Any] = {"messages": [{"role": "user", "content": list(blocks)}]}
    return (
        request
        | ({"system": list(system)} if system else {})
        | ({"toolConfig": {"tools": list(tools)}} if tools else {})
    )


class Account:
    """A cache with its clock, and one model's card."""

    def __init__(self, *, looks_back: bool = True, **more: Any) -> None:
        self.time = Time()
        self.cache, self.looks_back = PromptCache(self.time, **more), looks_back

    def uses(self, request: dict[str, Any], model_id: str = HAIKU, points: Any = POINTS) -> Usage:
        return self.cache.used(request, model_id, points, looks_back=self.looks_back)


def test_a_prefix_is_written_once_and_then_read() -> None:
    account = Account()
    first = asking(text("q", 10), system=[text("s", 2_000), point()])

    assert account.uses(first) == Usage(10, 0, (("5m", 2_000),))
    assert account.uses(first) == Usage(10, 2_000)
    assert account.uses(asking(text("r", 30), system=first["system"])) == Usage(30, 2_000)


def test_the_parts_add_up_to_what_the_prompt_has() -> None:
    account = Account()
    request = asking(text("q", 1_500), point(), text("x", 7), system=[text("s", 2_000), point()], tools=[TOOL])
    size = tokens_of(canonical_bytes(TOOL)) + 2_000 + 1_500 + 7

    for _ in range(2):
        used = account.uses(request)
        assert used.input + used.read + sum(tokens for _, tokens in used.written) == size
        assert used.input == 7


def test_a_conversation_that_grows_writes_only_what_is_new() -> None:
    account = Account()
    request = asking(text("q", 100), point(), system=[text("s", 2_000)])
    account.uses(request)
    later = copy.deepcopy(request)
    del later["messages"][0]["content"][1]
    later["messages"] += [
        {"role": "assistant", "content": [text("a", 50)]},
        {"role": "user", "content": [text("b", 70), point()]},
    ]

    assert account.uses(later) == Usage(0, 2_100, (("5m", 120),))


def test_too_short_a_prefix_is_not_cached_and_no_error() -> None:
    account = Account()
    short = asking(text("q", 10), system=[text("s", 1_023), point()])

    assert [account.uses(short) for _ in range(2)] == [Usage(1_033)] * 2


def test_a_prefix_beyond_the_most_is_not_cached() -> None:
    account = Account()
    most = Cache(places=("system",), least_tokens=1024, most_tokens=20_000)

    assert account.uses(asking(system=[text("s", 20_001), point()]), points=most) == Usage(20_001)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["system"].__setitem__(0, text("t", 2_000)),
        lambda one: one["toolConfig"]["tools"][0]["toolSpec"].update(name="u"),
        lambda one: one["toolConfig"]["tools"].append(TOOL),
        lambda one: one["system"].insert(0, {"text": "today"}),
    ],
)
def test_one_changed_byte_before_the_point_misses(change: Any) -> None:
    account = Account()
    request = asking(text("q", 10), system=[text("s", 2_000), point()], tools=[TOOL])
    account.uses(request)
    changed = copy.deepcopy(request)
    change(changed)

    assert account.uses(changed).read == 0


def test_the_tools_before_a_changed_system_are_read() -> None:
    account = Account()
    tools = [TOOL, point()]
    size = tokens_of(canonical_bytes(TOOL))
    account.uses(asking(text("q", 10), system=[text("s", 2_000), point()], tools=tools))

    used = account.uses(asking(text("q", 10), system=[text("z", 2_000), point()], tools=tools))

    assert used == Usage(10, size, (("5m", 2_000),))


def test_another_model_has_entries_of_its_own() -> None:
    account = Account()
    request = asking(text("q", 10), system=[text("s", 2_000), point()])
    account.uses(request)

    assert account.uses(request, NOVA).read == 0


@pytest.mark.parametrize(("ttl", "minutes"), [(None, 5), ("5m", 5), ("1h", 60)])
def test_an_entry_lives_from_its_last_use(ttl: str | None, minutes: int) -> None:
    account = Account()
    request = asking(text("q", 10), system=[text("s", 2_000), point(ttl)])
    account.uses(request)

    for _ in range(3):
        account.time.passes(minutes=minutes, seconds=-1)
        assert account.uses(request).read == 2_000
    account.time.passes(minutes=minutes)
    assert account.uses(request).read == 0


def test_the_lifetimes_are_reported_apart() -> None:
    account = Account()
    used = account.uses(asking(text("q", 300), point(), text("x", 5), system=[text("s", 2_000), point("1h")]))

    assert used.as_reported(7) == {
        "inputTokens": 5,
        "outputTokens": 7,
        "totalTokens": 2_312,
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 2_300,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 2_000}, {"ttl": "5m", "inputTokens": 300}],
    }


@pytest.mark.parametrize(("blocks", "hits"), [(LOOKBACK_BLOCKS, True), (LOOKBACK_BLOCKS + 1, False)])
@pytest.mark.parametrize("looks_back", [True, False])
def test_claude_looks_some_blocks_back_from_a_point(blocks: int, hits: bool, looks_back: bool) -> None:
    account = Account(looks_back=looks_back)
    account.uses(asking(text("q", 2_000), point()))

    used = account.uses(asking(text("q", 2_000), *[text("n", 10)] * blocks, point()))

    assert used.read == (2_000 if hits and looks_back else 0)


def test_a_cache_may_miss_at_random_by_a_seed() -> None:
    request = asking(text("q", 10), system=[text("s", 2_000), point()])

    def reads(seed: int) -> list[int]:
        account = Account(miss_one_in=3, seed=seed)
        return [account.uses(request).read for _ in range(60)]

    hits = sum(read == 2_000 for read in reads(7))
    assert reads(7) == reads(7) != reads(8)
    assert 25 <= hits <= 55


def test_the_double_bills_by_its_cache() -> None:
    time = Time()
    double = Strict(ScriptModel.of([{"say": "Hello."}]), cache=PromptCache(time))
    request = asking(text("q", 10), system=[text("s", 5_000), point()])

    first, second = (double.reply(request, HAIKU).body["usage"] for _ in range(2))

    assert (first["cacheWriteInputTokens"], first["cacheReadInputTokens"]) == (5_000, 0)
    assert (second["cacheWriteInputTokens"], second["cacheReadInputTokens"]) == (0, 5_000)
    assert first["totalTokens"] == second["totalTokens"] == 5_010 + first["outputTokens"]


def test_a_usage_that_a_script_states_is_kept() -> None:
    stated = {"inputTokens": 3, "outputTokens": 4}
    double = Strict(ScriptModel.of([{"say": "Hello.", "usage": stated}]))

    assert double.reply(asking(text("q", 5_000), point()), HAIKU).body["usage"] == stated


def test_without_a_cache_point_nothing_is_said_of_a_cache() -> None:
    usage = Strict(ScriptModel.of([{"say": "Hello."}])).reply(asking(text("q", 5_000)), HAIKU).body["usage"]

    assert set(usage) == {"inputTokens", "outputTokens", "totalTokens"}


def pdf(*objects: bytes) -> bytes:
    return b"%PDF-1.5\n" + b"".join(objects) + b"%%EOF"


def packed(text: bytes, about: bytes = b"/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode") -> bytes:
    body = zlib.compress(text)
    return b"9 0 obj\n<< %s /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (about, len(body), body)


PAGE = b"1 0 obj\n<< /Type /Page /Parent 2 0 R >>\nendobj\n"


@pytest.mark.parametrize("before", [0, 4_090, 65_530, 65_533, 65_536, 200_000])
def test_each_page_of_an_object_stream_is_counted_wherever_it_stands(before: int) -> None:
    text = b" " * before + b"<< /Type /Page >> << /Type/Page/Rotate 90 >> << /Type /Pages >>"

    assert pdf_pages(pdf(PAGE, packed(text), PAGE)) == 4


def test_only_pages_are_counted() -> None:
    picture = packed(b"/Type /Page", about=b"/Subtype /Image /Filter /FlateDecode")
    broken = packed(b"/Type /Page").replace(b"stream\nx", b"stream\ny")

    assert pdf_pages(pdf(picture, broken, b"<< /Type /PageLabel >>")) == 0


def test_the_pages_of_a_document_count_as_pictures_in_the_usage() -> None:
    block = {"document": {"format": "pdf", "name": "d", "source": {}}}

    def tokens(content: bytes) -> int:
        source = {"bytes": base64.b64encode(content).decode()}
        return tokens_in({"document": {**block["document"], "source": source}})

    cut = b" " * 65_530 + b"/Type /Page"  # as it is unpacked in parts
    one, none = pdf(packed(cut)), pdf(packed(cut.replace(b"Page", b"Pale")))
    assert 1_500 < tokens(one) - tokens(none) < 1_700
