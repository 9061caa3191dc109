"""The median of the numbers in a file."""

import json
import statistics
from pathlib import Path


def median(numbers: list[float]) -> float:
    return statistics.median(numbers)


if __name__ == "__main__":
    print("Result:", round(median(json.loads(Path("numbers.json").read_text()))))
