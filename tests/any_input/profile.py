"""How properties are tried: the same few examples each time, and no limit of time on a busy machine.

ALPHADX_EXAMPLES=500 pytest tests/any_input        # more of them
"""

import os

from hypothesis import HealthCheck, Phase, settings

FEW = settings(
    derandomize=True,
    deadline=None,
    max_examples=int(os.environ.get("ALPHADX_EXAMPLES", "25")),
    phases=(Phase.explicit, Phase.generate),
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
