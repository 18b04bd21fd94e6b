"""Credit-control sessions, grants and answers, pure.  RFC 8506, TS 32.299."""
