"""The action of a linear network with several outputs in closed form, in the eigenbasis of its input kernel."""
