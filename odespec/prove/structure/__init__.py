"""The structure of maps: derivatives as sums of operator words, maps as sequences of moves, and what breaks them."""
