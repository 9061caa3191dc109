"""What a pipeline is made of: generate, validate, execute, check, one folder each.

In comes a case with its values, out goes its record. A stage is a primitive over `Work`, which is
what one stage hands to the next: candidate, evidence, findings (`work`, `step`).
"""
