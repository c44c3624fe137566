"""The servers that the experiments start: `python -m tests.guarantees.programs.NAME DOOR …`."""
