"""Which runs their notebooks would refuse for their parameters: what a build asks before any run begins.

`python -m vaelib.runs.refused` reads {run: [notebook, parameters]} as JSON, and prints a line for each such run.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from vaelib.runs import ablation, baselines, schemas
from vaelib.runs.parameters import ParameterError, check

SCHEMAS = {
    schema.notebook: schema
    for module in (ablation, baselines, schemas)
    for schema in vars(module).values()
    if "notebook" in getattr(schema, "__dict__", {})
}


def refused(runs: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What the notebooks would say, a line for each run. Its device is left to where it computes."""
    lines = []
    for name, (notebook, values) in runs.items():
        given = {parameter: value for parameter, value in values.items() if parameter != "device"}
        try:
            if notebook in SCHEMAS:
                check(SCHEMAS[notebook], given)
        except ParameterError as error:
            lines.append(f"{name}: {' '.join(line.strip() for line in str(error).splitlines()[1:])}")
    return lines


if __name__ == "__main__":
    print(*refused(json.load(sys.stdin)), sep="\n", end="")
