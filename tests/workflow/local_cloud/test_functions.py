"""Functions run in this process as Lambda runs them: errors by name, JSON in and out, limits kept."""

import io
import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.clock import Clock, VirtualClock, WallClock
from localcloud.cloud import FunctionError, LocalCloud, ServiceFault
from localcloud.functions import MAX_PAYLOAD_BYTES, Function, imported_handler
from localcloud.stdout import not_of_a_handler, printing_to, stdout_restored


@pytest.fixture
def work(cloud: LocalCloud) -> Any:
    return lambda **event: cloud.invoke("WorkFunction", event)


def test_a_function_is_found_by_logical_id_name_and_arn(cloud: LocalCloud) -> None:
    function = cloud._functions.find("WorkFunction")

    for known_as in (function.name, function.arn, f"{function.arn}:$LATEST"):
        assert cloud._functions.find(known_as) is function
    with pytest.raises(KeyError, match=r"No function Nope\. The template has: SettleFunction, ShortFunction"):
        cloud.environ("Nope")


def test_what_a_handler_raised_is_reported_by_name_text_and_place(cloud: LocalCloud, work: Any) -> None:
    with pytest.raises(FunctionError) as caught:
        work(boom=True, words="tëxt")

    assert (caught.value.name, caught.value.message) == ("Boom", "tëxt")
    assert "[ERROR] Boom: tëxt" in cloud.logs("WorkFunction")
    assert [frame.split(", in ")[1].split("\n")[0] for frame in caught.value.trace] == ["work"]


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"returns": "set"}, "Runtime.MarshalError"),
        ({"returns": "nan"}, "Runtime.MarshalError"),
        ({"exit": True}, "Runtime.ExitError"),
        ({"big": MAX_PAYLOAD_BYTES}, "Function.ResponseSizeTooLarge"),
    ],
)
def test_what_lambdas_runtime_refuses_is_refused_under_its_name(work: Any, event: dict[str, Any], name: str) -> None:
    with pytest.raises(FunctionError) as caught:
        work(**event)

    assert caught.value.name == name


def test_a_decimal_is_returned_as_a_number(work: Any) -> None:
    assert work(returns="decimal") == 1.5


def test_a_request_over_lambdas_limit_is_refused(work: Any) -> None:
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        work(much="x" * MAX_PAYLOAD_BYTES)


def test_a_handler_gets_its_own_copy_of_the_event(cloud: LocalCloud) -> None:
    event = {"a": [1]}

    cloud.before_invoke.append(lambda _, payload: payload["a"].append(2) if "a" in payload else None)
    try:
        result = cloud.invoke("WorkFunction", event)
    finally:
        cloud.before_invoke.clear()

    assert result == {"echo": {"a": [1, 2]}}
    assert event == {"a": [1]}


@pytest.mark.parametrize(
    ("handler", "name", "words"),
    [
        ("no.such.module.handler", "Runtime.ImportModuleError", "Unable to import module 'no.such.module'"),
        ("tests.workflow.local_cloud.stand_in.handlers.nobody", "Runtime.HandlerNotFound", "'nobody' missing"),
    ],
)
def test_a_handler_that_is_not_there_is_reported(cloud: LocalCloud, handler: str, name: str, words: str) -> None:
    functions = cloud._functions
    broken = replace(functions, all={"X": replace(functions.find("WorkFunction"), logical_id="X", handler=handler)})

    body, error = broken.invoke("X", b"{}")

    assert error == "Unhandled"
    assert json.loads(body)["errorType"] == name
    assert words in json.loads(body)["errorMessage"]


def test_a_function_is_cut_at_its_timeout_and_can_do_nothing_more(
    cloud: LocalCloud, bench: Any, clock: VirtualClock
) -> None:
    with pytest.raises(FunctionError) as caught:
        cloud.invoke("ShortFunction", {"hang_s": 1.2})

    assert caught.value.name == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in caught.value.message
    clock.pause(1)
    clock.pause(1)
    assert bench.after_the_hang == ["before"]  # the write after the timeout was not made


class WallClockOfDeath(WallClock):
    def thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        return super().thread(lambda: None, name)


class VirtualClockOfDeath(VirtualClock):
    def thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        return super().thread(lambda: None, name)


@pytest.mark.parametrize("its_clock", [WallClockOfDeath(), VirtualClockOfDeath()])
def test_a_thread_that_dies_without_a_word_is_not_waited_for(cloud: LocalCloud, its_clock: Clock) -> None:
    functions = cloud._functions
    dies = replace(functions, clock=its_clock)
    hour = replace(functions.find("WorkFunction"), timeout_s=3_600)

    body, error = replace(dies, all={"X": hour}).invoke(hour.name, b"{}")

    report = json.loads(body)
    assert (error, report["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert "Runtime exited without providing a reason" in report["errorMessage"]


def test_a_hook_may_fail_before_the_handler_and_after_it(cloud: LocalCloud, bench: Any) -> None:
    def crash(*_: Any) -> None:
        raise RuntimeError("the sandbox died")

    for hooks, effects in ((cloud.before_invoke, 0), (cloud.after_invoke, 1)):
        hooks.append(crash)
        try:
            with pytest.raises(FunctionError, match="the sandbox died"):
                cloud.invoke("WorkFunction", {"fail_times": 0, "key": "hook"})
        finally:
            hooks.clear()
        assert bench.attempts.get("hook", 0) == effects


def test_a_fault_of_lambda_itself_is_retried_by_the_state_machine(cloud: LocalCloud, run: Any) -> None:
    faults = ["TooManyRequestsException"]

    def refuse(function: str, payload: dict[str, Any]) -> None:
        if faults:
            raise ServiceFault(faults.pop())

    cloud.before_invoke.append(refuse)
    try:
        ended = run()
    finally:
        cloud.before_invoke.clear()

    assert ended.status == "SUCCEEDED"
    assert faults == []


def test_what_a_handler_prints_goes_to_its_log(cloud: LocalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.invoke("WorkFunction", {"print": '{"_aws": {}}'})
    print("mine")  # noqa: T201

    assert '{"_aws": {}}\n' in cloud.logs("WorkFunction")
    assert '{"_aws": {}}\n' not in cloud.logs("SettleFunction")
    assert capsys.readouterr().out == "mine\n"


def test_handlers_whose_modules_import_each_other_are_imported_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ringed").mkdir()
    slowly = "import time\ntime.sleep(0.3)\n"
    (tmp_path / "ringed" / "__init__.py").write_text(f"{slowly}from ringed.sub import thing\ndef handler(): pass\n")
    (tmp_path / "ringed" / "sub.py").write_text(f"import ringed.other\n{slowly}thing = 1\ndef handler(): pass\n")
    (tmp_path / "ringed" / "other.py").write_text("import ringed.sub\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    functions = [Function(name, name, name, f"{name}.handler", {}, "", 3, 128) for name in ("ringed", "ringed.sub")]

    with ThreadPoolExecutor(2) as threads:
        handlers = list(threads.map(imported_handler, functions))

    assert [handler.__module__ for handler in handlers] == ["ringed", "ringed.sub"]


def test_a_thread_that_a_handler_starts_prints_where_the_handler_does() -> None:
    printed: list[str] = []

    def handler() -> None:
        printing_to(printed.append)
        print("mine")  # noqa: T201
        for target in (lambda: print("my thread's"), lambda: print("complaint", file=sys.stderr)):  # noqa: T201
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        cloud = not_of_a_handler(threading.Thread(target=lambda: others.append(threading.current_thread())))
        cloud.start()
        cloud.join()

    others: list[threading.Thread] = []
    with stdout_restored():
        thread = threading.Thread(target=handler)
        thread.start()
        thread.join()
        before = list(printed)
        print("the test's own")  # noqa: T201

    assert [text for text in before if text.strip()] == ["mine", "my thread's", "complaint"]
    assert printed == before
    assert len(others) == 1


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_a_handler_writes_in_bytes_is_printed_as_its_text(stream: str) -> None:
    """Lambda's streams have a ``buffer`` and take ``reconfigure``; a tool that works there works here."""
    printed: list[str] = []

    def handler() -> None:
        printing_to(printed.append)
        mine = getattr(sys, stream)
        mine.reconfigure(line_buffering=True)
        mine.buffer.write("naïve\n".encode() + b"\xff")
        mine.buffer.flush()

    with stdout_restored():
        thread = threading.Thread(target=handler)
        thread.start()
        thread.join()

    assert "".join(printed) == "naïve\n\\xff"


def test_a_stream_that_outlives_the_one_behind_it_is_flushed_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", behind)
    with stdout_restored():
        prints = threading.Thread(target=printing_to, args=([].append,))
        prints.start()
        prints.join()
        kept = sys.stdout
    behind.close()

    kept.flush()  # as Python does at its end

    assert kept is not behind
