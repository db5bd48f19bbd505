"""The contract suite for authors of techniques: is this technique one that the harness can run and score?

``parametrize_with_checks`` makes a pytest item of each check, ``check_technique`` runs all of them.
"""

from interp_bench.testing.suite import CHECKS as CHECKS
from interp_bench.testing.suite import Check as Check
from interp_bench.testing.suite import Result as Result
from interp_bench.testing.suite import check_technique as check_technique
from interp_bench.testing.suite import parametrize_with_checks as parametrize_with_checks

__all__ = ["CHECKS", "Check", "Result", "check_technique", "parametrize_with_checks"]
