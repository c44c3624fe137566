"""What the specification demands, row by row of docs/conformance.md."""
