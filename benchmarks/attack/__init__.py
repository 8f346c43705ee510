"""Random problems of linear networks over the whole range, against a hundred decimal digits: `make attack-linear`."""
