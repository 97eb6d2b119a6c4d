"""The C code of a network on this machine: its outputs, and what is told where it does not compile or run."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from made_networks import dense_network
from numpy.testing import assert_array_equal

from nas.errors import ValidationError
from nas.export.c.program import make_program
from nas.harness import host
from nas.harness.host import find_host_compiler, run_on_host
from nas.harness.tflm import TflmModel

MODEL = dense_network(0, 7, 5)
SAMPLES = np.random.default_rng(0).integers(-128, 128, (3, 7)).astype(np.int8)
needs_compiler = pytest.mark.skipif(find_host_compiler() is None, reason="needs a C compiler: apt install gcc")


@needs_compiler
def test_every_sample_has_its_outputs() -> None:
    compiler = find_host_compiler()
    assert compiler is not None
    assert_array_equal(run_on_host(make_program(MODEL, "net"), compiler, SAMPLES), TflmModel(MODEL).run(SAMPLES))


@needs_compiler
def test_code_that_ends_early_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = find_host_compiler()
    assert compiler is not None
    monkeypatch.setattr(host, "MAIN", host.MAIN.replace("while (fread", "if (fread"))
    with pytest.raises(ValidationError, match="the compiled code wrote 5 bytes for 3 samples"):
        run_on_host(make_program(MODEL, "net"), compiler, SAMPLES)


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_of_a_failure_the_errors_are_told_and_no_warnings() -> None:
    said = "warning: odd\\nnet.c: error: no such type\\nnote: here"
    with pytest.raises(ValidationError, match=r"^cc fails \(3\): net.c: error: no such type$"):
        host._call(python(f"import sys; sys.stderr.write('''{said}'''); sys.exit(3)"), "cc")
    with pytest.raises(ValidationError, match=r"^cc fails \(1\): killed$"):
        host._call(python("import sys; sys.stderr.write('killed'); sys.exit(1)"), "cc")


def test_what_a_program_says_is_given_back() -> None:
    echo = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read() * 2)"
    assert host._call(python(echo), "the compiled code", b"ab") == b"abab"


def test_a_program_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "RUN_SECONDS", 0.2)
    with pytest.raises(ValidationError, match=r"the compiled code does not end within 0.2 s"):
        host._call(python("import time; time.sleep(60)"), "the compiled code")
