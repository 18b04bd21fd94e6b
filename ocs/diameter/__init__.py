"""The base protocol, pure: bytes and `now` in; bytes, requests and deadlines out.  RFC 6733, RFC 3539."""
