"""Who is asked: how an adapter is found, checked and described."""
