"""The matrix of faults: its rows, which tests inject them, and the page in `docs/` that says so."""
