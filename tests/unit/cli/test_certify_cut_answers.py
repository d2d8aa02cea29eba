"""A server of a project whose answer certify cuts prints nothing; its own defects are printed as always."""

import socketserver

import pytest

from cli.certify.run import cut_answers_are_silent

PEER = ("127.0.0.1", 1)


@pytest.mark.parametrize(
    ("problem", "printed"),
    [(BrokenPipeError("cut"), False), (ConnectionResetError("cut"), False), (KeyError("a"), True)],
)
def test_only_a_lost_connection_is_silent(
    problem: Exception, printed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    server = socketserver.BaseServer(PEER, socketserver.BaseRequestHandler)
    with cut_answers_are_silent(), server:
        try:
            raise problem
        except Exception:
            server.handle_error(None, PEER)  # type: ignore[arg-type]

    assert (type(problem).__name__ in capsys.readouterr().err) is printed


def test_afterwards_a_server_prints_what_it_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with cut_answers_are_silent():
        pass
    with socketserver.BaseServer(PEER, socketserver.BaseRequestHandler) as server:
        try:
            raise BrokenPipeError("cut")
        except BrokenPipeError:
            server.handle_error(None, PEER)  # type: ignore[arg-type]

    assert "BrokenPipeError" in capsys.readouterr().err
