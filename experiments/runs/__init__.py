"""How runs are started, named, made, kept and read: nothing here changes a number in them."""
