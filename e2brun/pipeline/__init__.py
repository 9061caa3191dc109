"""TOML pipelines: read, checked, compiled to primitives, run."""
