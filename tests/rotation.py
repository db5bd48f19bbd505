"""Turn the residual stream of a network: the functions of the public contract suite, for other tests."""

from interp_bench.testing.rotation import rotate as rotate
from interp_bench.testing.rotation import turned as turned
