"""One module for each rule file of the workflow: from files to files."""
