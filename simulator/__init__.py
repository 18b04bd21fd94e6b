"""Gateways, subscribers and traffic for the Session Purchaser; shares no code with it."""
