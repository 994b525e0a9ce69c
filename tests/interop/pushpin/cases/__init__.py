"""All exchanges of the differential test, and the configurations that they need."""

from cases import (
    configs,
    cross_origin,
    failures,
    framing,
    headers,
    holds,
    over_http,
    publishing,
    routes,
    running,
    trust,
    websockets,
)

CONFIGS = {config.name: config for config in configs.ALL}
PARTS = [
    routes,
    headers,
    framing,
    failures,
    cross_origin,
    holds,
    publishing,
    websockets,
    over_http,
    trust,
    running,
]
ALL = [case for part in PARTS for case in part.CASES]
