"""What was found, for people and for machines: JSON, JUnit XML, and one HTML page that needs nothing else."""
