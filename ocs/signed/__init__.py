"""Signed messages: their octets, their envelope, their signatures.  DSSE v1, RFC 8032; pure.

What a message means is not here: usage reports are in `ocs.usage`, channels in `ocs.channel`.
"""
