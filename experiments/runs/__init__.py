"""Starting, naming, making, saving and reading runs: nothing here changes a number in them."""
