"""The tamper-evident log: tree, proofs, notes, checkpoints and witnessing, pure.  RFC 6962 section 2.1, c2sp.org.

Signing and verifying are arguments: `ocs.tlog.note.Sign` and `ocs.tlog.note.Verify`.  Where hashes and tiles lie is
the store's business; it hands in how they are read.
"""
