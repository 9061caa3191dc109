"""Template builds: the steps of E2B's `Template()` run in a sandbox, what they leave is kept.

What enters: a build as the SDKs send it (control/routes), archives for its COPY steps.
What leaves: templates that `control/create` makes sandboxes from, their logs and statuses.
A step's result is a layer under a key made of all that led to it; the same key is not run again.
"""
