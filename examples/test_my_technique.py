"""The contract suite on a technique of one's own: run pytest beside ``my_technique.py``."""

from my_technique import exemplars

from interp_bench.testing import parametrize_with_checks

SHORT = "left out, to keep the example short"
EXPECTED_FAILURES = {exemplars: {"check_says_what_it_costs": SHORT, "check_explains_its_arguments": SHORT}}


@parametrize_with_checks([exemplars], expected_failures=EXPECTED_FAILURES)
def test_exemplars(technique, check):
    """One item a check."""
    check(technique)
