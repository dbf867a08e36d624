"""The program that hashes passwords, in this process."""

import pytest

from oauth_server.core import hasher


def test_it_rests_after_each_answer_for_as_long_as_that_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    computed = iter([10.0, 10.25, 20.0, 20.5])
    rests: list[tuple[float, int]] = []
    monkeypatch.setattr(hasher.os, "nice", lambda _: 0, raising=False)
    monkeypatch.setattr(hasher.time, "process_time", lambda: next(computed))
    monkeypatch.setattr(
        hasher.time, "sleep", lambda seconds: rests.append((seconds, len(capsys.readouterr().out.splitlines())))
    )
    monkeypatch.setattr(hasher, "questions", lambda: iter(['[null, "one"]', '["no hash", "another"]']))
    hasher.main()
    assert rests == [(0.25 * hasher.RESTS, 1), (0.5 * hasher.RESTS, 1)]  # whoever asked has the answer by then
    assert hasher.RESTS >= 1
