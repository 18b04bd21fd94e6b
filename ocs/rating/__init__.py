"""Price what was used: tariffs and the running total they apply to, pure.  TS 32.296 (the rating function)."""
