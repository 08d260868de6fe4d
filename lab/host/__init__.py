"""The machine that a lab runs on: what it has, what it lacks, and how to put that right."""
