"""The follower process: folds the journal the core writes, keeps the books, and is the door for everything else."""
