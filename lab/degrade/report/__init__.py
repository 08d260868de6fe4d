"""What came of an experiment, for people, scripts and CI systems.

Everything here takes a history and the verdicts on it, and asks nobody else: a report can be made again
from a run's folder, on another machine, years later.
"""
