"""What the tasks of the package say of themselves to the command line. Light to import."""
