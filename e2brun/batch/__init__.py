"""Very many programs: where they come from, running them side by side, keeping what came of it."""
