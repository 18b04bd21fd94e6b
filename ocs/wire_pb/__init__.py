"""What protoc wrote of proto/*.proto; never edited, made again by `make proto`.

For doors only: what a signature covers is read by `ocs.signed`, for these classes read the same octets less strictly.
"""
