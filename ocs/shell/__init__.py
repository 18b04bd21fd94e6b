"""Everything that touches the world: configuration, clock, journal, sockets, books, HTTP, command line."""
