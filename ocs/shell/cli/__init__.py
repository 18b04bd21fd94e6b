"""`ocs`: the command line."""
