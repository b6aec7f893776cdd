"""The circuit breaker."""

from chatd.core.circuit_breaker import Circuit


def test_open_circuit_allows_a_trial_now_and_then() -> None:
    circuit = Circuit(max_failures=3, pause_s=10)
    assert [circuit.failed(at) for at in (0, 1, 2, 3)] == [False, False, True, False]
    assert (circuit.is_open, circuit.may_ask(12.9)) == (True, False)
    assert [circuit.may_ask(at) for at in (13, 13, 22.9, 23)] == [True, False, False, True]
    assert circuit.answered()
    assert (circuit.is_open, circuit.may_ask(23), circuit.answered()) == (False, True, False)


def test_success_resets_the_failures() -> None:
    circuit = Circuit(max_failures=2)
    for _ in range(5):
        assert not circuit.failed(0)
        assert not circuit.answered()
    assert circuit.may_ask(0)
