"""Scenarios as files: read strictly (`document`), step by step (`steps`), and judged (`expectation`, `invariants`).

What may stand in a file is on one page, docs/scenarios.md.
"""
