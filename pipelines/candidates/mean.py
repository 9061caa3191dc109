"""The mean of the numbers in a file, without any library's help."""

import json
from pathlib import Path


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


if __name__ == "__main__":
    print("Result:", round(mean(json.loads(Path("numbers.json").read_text()))))
