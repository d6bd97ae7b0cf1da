from __future__ import annotations

import keras
import pytest

import unetv2
from unetv2 import runtime


def test_automatic_precision_is_a_policy_of_keras():
    name = unetv2.automatic_precision()
    assert name in ("float32", "mixed_bfloat16", "mixed_float16")
    assert keras.dtype_policies.get(name).name == name


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([(9, 0)], "mixed_bfloat16"),
        ([(8, 0), (8, 6)], "mixed_bfloat16"),
        ([(7, 5)], "mixed_float16"),
        ([(8, 0), (7, 0)], "mixed_float16"),
        ([(6, 1)], "float32"),
        ([(0, 0)], "float32"),
    ],
)
def test_the_lowest_compute_capability_decides(capabilities, expected):
    assert runtime._gpu_precision(capabilities) == expected
