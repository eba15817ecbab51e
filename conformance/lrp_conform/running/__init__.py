"""Cases go to candidates, answers come back as results, and a folder keeps them."""
