"""The parts of ember.nn.functional, by theme; that module gathers them. Wrappers only: an op's rules live in C++."""
