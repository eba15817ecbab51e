"""Who is asked: how an adapter is found, checked and described; and the adapters that come with the suite."""
