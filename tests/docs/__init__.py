"""The pages in docs/ and the programs they show."""
