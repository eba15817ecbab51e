"""What is asked: numbers, nodes, questions, cases of one layer and of whole networks, and the golden files that hold them."""
