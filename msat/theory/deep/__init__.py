"""Networks with several hidden layers (docs/theory.md, section 13): what each level is for them, one file each."""
