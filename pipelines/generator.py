"""Stands in for a model: a prompt on stdin, code on stdout, better with every error it is told."""

import sys

ATTEMPTS = (
    "def primes(limit)\n    return []\nprint(primes(50))",
    "for n in range(2, 50):\n    if n % 2:\n        print(n)",
    "for n in range(2, 50):\n    if all(n % d for d in range(2, n)):\n        print(n)",
)

prompt = sys.stdin.read()
if "SyntaxError" not in prompt and "syntax" not in prompt:
    code = ATTEMPTS[0]
elif "49" not in prompt:
    code = ATTEMPTS[1]
else:
    code = ATTEMPTS[2]
print(f"Here is the program:\n\n```python\n{code}\n```\n")
