"""What is kept on disk: the journal of commit groups, snapshots, the archive, and their check."""
