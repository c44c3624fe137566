"""The experiments of `guarantees.py`, by what they drive."""
