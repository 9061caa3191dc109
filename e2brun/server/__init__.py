"""`e2brun serve`: E2B's wire protocol in front of embedded sandboxes.

In come HTTP requests (`http`), let in by `admission`; `control` makes and ends sandboxes, `envd` is
what E2B's agent answers inside of one, `interpreter` runs cells, `ports` passes requests on, and
`builds` makes templates. `sandboxes` holds them all; `app` puts the planes together.
"""
