"""Theory: one module a level, with its formula; actions of linear and of sampled networks behind one interface."""
