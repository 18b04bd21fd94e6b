"""The Session Purchaser: a Diameter Gy charging server."""
