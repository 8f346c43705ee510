"""The action of a network with any activation, on draws of one tilted neuron."""
