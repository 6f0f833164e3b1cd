"""One training loop for every recipe, its schedules and its checkpoints."""
