"""Random problems of linear networks over the whole range, each against a hundred decimal digits: `make attack-linear`."""
